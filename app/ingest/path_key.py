"""A token in front of the path, `/k/TOKEN/...`, for senders that can set a URL and no header.

systemd-journal-upload, and Vercel and Logpush without custom headers, are such senders; so are Traefik's ForwardAuth
and firewalls that fetch a table by URL.
"""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.auth import IN_URL, LONGEST_HEADER

PREFIX = "/k/"
CLIENTS_OWN = "/v1/forward-auth/"
"""Below this a proxy (Envoy) puts its client's own path, which is left as it is."""


class PathKey:
    """Takes the token out of the path before anybody else sees it, the access log included; and a slash at its end."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on as if it had come without them."""
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            take_token(scope)
        if scope["type"] == "http" and scope["path"].endswith("/") and not _is_whole(scope["path"]):
            # A redirect would lose the token, and most shippers drop what is redirected.
            scope["path"] = scope["path"].rstrip("/") or "/"
            scope["raw_path"] = scope["path"].encode("utf-8", "surrogateescape")
        await self.app(scope, receive, send)


def _is_whole(path: str) -> bool:
    return path == "/" or path.startswith(CLIENTS_OWN)


def take_token(scope: Scope) -> None:
    """Take the token of a path that begins with PREFIX out of a scope; it stands under IN_URL then.

    In place: whoever made the scope logs it later on.
    """
    token, slash, rest = scope["path"].removeprefix(PREFIX).partition("/")
    scope["path"] = slash + rest if slash else "/"
    scope["raw_path"] = scope["path"].encode("utf-8", "surrogateescape")
    if len(token) <= LONGEST_HEADER:
        scope[IN_URL] = token
