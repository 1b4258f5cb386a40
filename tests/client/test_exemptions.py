"""Which paths are never judged. What can be read in two ways always is."""

import pytest

from bartizan_client.exemptions import Exemptions

EXEMPT = Exemptions(["/health", "/static/", "/api/*/ping", "/docs/**", "/.well-known/acme"])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/health", True),
        ("/health/", True),
        ("/health/live", True),
        ("/healthz", False),
        ("/Health", False),
        ("/x/health", False),
        ("/static", False),
        ("/static/", True),
        ("/static/a/b.css", True),
        ("/api/v1/ping", True),
        ("/api/v1/x/ping", False),
        ("/api/v1/ping/x", False),
        ("/docs/", True),
        ("/docs/a/b", True),
        ("/docs", False),
        ("/.well-known/acme/x", True),
        ("/", False),
        ("", False),
        ("*", False),
        ("/health/../admin", False),
        ("/health/..", False),
        ("/health/.", False),
        ("/health/./x", False),
        ("/health//admin", False),
        ("//health", False),
        ("/health\\..\\admin", False),
        ("/health/%2e%2e/admin", False),
        ("/health/%2e%2e%2fadmin", False),
        ("/health/..;/admin", False),
        ("/health;x=1", False),
        ("/health/x\0", False),
        ("/health\n", False),
        ("/docs/a/../../admin", False),
        ("/health/..x", True),
    ],
)
def test_only_plain_paths_that_are_listed_are_exempt(path: str, expected: bool) -> None:
    assert EXEMPT.covers(path) is expected


@pytest.mark.parametrize(
    "wrong", [["health"], [""], ["/"], ["/*"], ["/**"], ["/a/../b"], ["/a//b"], ["/%41"], "/health"]
)
def test_a_wrong_pattern_stops_the_start_and_is_named(wrong: list[str]) -> None:
    with pytest.raises(ValueError, match="exempt"):
        Exemptions(wrong)


def test_nothing_is_exempt_without_patterns() -> None:
    assert not Exemptions([])
    assert not Exemptions([]).covers("/health")
