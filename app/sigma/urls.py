"""Values about a whole URL. An event keeps host and target apart, so such a value is taken apart as well."""

from app.sigma.patterns import Token, Tokens, Wild, merged

_SCHEMES = ("https://", "http://", "://")


def host_and_target(tokens: Tokens) -> tuple[Tokens, Tokens] | None:
    """What the host and what the target must be like, for a value that speaks of both; None for any other.

    Nothing for the host where any will do: `http*`.
    `*.files.example/a/*` is a host that ends so and a target that begins with `/a/`.
    """
    rest: list[Token] = list(tokens)
    is_behind_scheme = False
    first = next((i for i, token in enumerate(rest) if isinstance(token, str)), None)
    if first is None or first > 1 or (first == 1 and rest[0] is not Wild.ANY):
        return None
    text = str(rest[first])
    for scheme in _SCHEMES:
        if text.lower().startswith(scheme):
            text, is_behind_scheme = text[len(scheme) :], True
            rest = [text, *rest[first + 1 :]]
            first = 0
            break
    else:
        if rest == [text, Wild.ANY] and "https://".startswith(text.lower()):
            return (), (Wild.ANY,)
    host, slash, path = text.partition("/")
    if not slash:
        return _host_only(rest, first) if is_behind_scheme else None
    if "." not in host:
        return None
    return merged([*rest[:first], host]), merged([slash + path, *rest[first + 1 :]])


def _host_only(rest: list[Token], first: int) -> tuple[Tokens, Tokens] | None:
    """`https://login.*`: the wildcard may end within the host or in the target; a host that begins so covers both."""
    if not rest[first] or rest[first + 1 :] != [Wild.ANY]:
        return None
    return merged([*rest[: first + 1], Wild.ANY]), (Wild.ANY,)
