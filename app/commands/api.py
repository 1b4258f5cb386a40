"""The service as the command line sees it: its HTTP API, with the permissions and audit of any caller."""

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from app.settings import Settings, load_settings
from detectors.errors import BartizanError

if TYPE_CHECKING:
    import httpx

TIMEOUT_S = 10.0
PYDANTICS_WORDS = "Value error, "
"""Before the words of a check of ours; they tell a person nothing."""


class ApiError(BartizanError):
    """The service refused, or could not be reached; the message is for the person at the terminal."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class Api:
    """A connection to the service, for the length of one command."""

    def __init__(self, settings: Settings | None = None, *, timeout_s: float = TIMEOUT_S) -> None:
        """Raises: ConfigError for wrong settings, ApiError where there is no token."""
        import httpx

        settings = settings or load_settings()
        self._url = settings.own_url
        self._client = httpx.Client(
            base_url=self._url,
            headers={"Authorization": f"Bearer {admin_token(settings)}", "Accept": "application/json"},
            timeout=timeout_s,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def call(self, method: str, path: str, *, params: dict[str, Any] | None = None, body: Any = None) -> Any:
        """The decoded answer; None where it has no body. Raises: ApiError."""
        answer = self._request(method, path, params, body)
        return answer.json() if answer.content else None

    def text(self, path: str, params: dict[str, Any] | None = None) -> str:
        """The answer as text, for what is not JSON. Raises: ApiError."""
        return self._request("GET", path, params, None).text

    def upload(self, path: str, params: dict[str, Any], data: bytes) -> Any:
        """The decoded answer to a file. Raises: ApiError."""
        return self._request("POST", path, params, None, data).json()

    def _request(
        self, method: str, path: str, params: dict[str, Any] | None, body: Any, data: bytes | None = None
    ) -> "httpx.Response":
        import httpx

        wanted = {key: value for key, value in (params or {}).items() if value is not None}
        try:
            answer = self._client.request(method, path, params=wanted, json=body, content=data)
        except httpx.HTTPError as error:
            raise ApiError(f"{self._url} does not answer: {error or type(error).__name__}") from error
        if answer.is_success:
            return answer
        try:
            said = answer.json()
            detail = said.get("detail") or said.get("title")
            wrong = [
                f"{one['field']}: {str(one['error']).removeprefix(PYDANTICS_WORDS)}"
                for one in said.get("errors") or []
                if "field" in one
            ]
            if wrong and str(detail).startswith("The request is not valid"):
                detail = "; ".join(wrong)
        except (ValueError, AttributeError):
            detail = answer.reason_phrase
        raise ApiError(f"{method} {path}: {detail} ({answer.status_code})", answer.status_code)

    def items(self, path: str, params: dict[str, Any], limit: int) -> list[dict[str, Any]]:
        """Up to `limit` items of a list, over as many pages as it takes. Raises: ApiError."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while len(found) < limit:
            page = self.call("GET", path, params={**params, "cursor": cursor, "limit": min(limit, 200)})
            found += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                break
        return found[:limit]


def admin_token(settings: Settings) -> str:
    """The token from BARTIZAN_ADMIN_TOKEN, else from tokens.env. Raises: ApiError."""
    from app.auth import Role
    from app.tokens import read_tokens_file

    if settings.admin_token is not None:
        return settings.admin_token.get_secret_value()
    try:
        token = read_tokens_file(settings.tokens_file).get(Role.ADMIN)
    except OSError as error:
        raise ApiError(f"{settings.tokens_file}: {error.strerror}") from error
    if token is None:
        raise ApiError(f"no token: set BARTIZAN_ADMIN_TOKEN, or run beside {settings.tokens_file}")
    return token
