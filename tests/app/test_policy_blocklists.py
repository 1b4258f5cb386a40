"""`blocklists:` of the policy."""

from pathlib import Path

import pytest

from app.block_files.reading import Form
from app.policies.policy import load_policy
from detectors.errors import ConfigError
from detectors.finding import DecisionType

RULE = "security_alerts: {auth_failures: {threshold: 10/minute}}\n"
HOUR, DAY = 3_600_000, 86_400_000


def test_a_list_by_url_and_one_by_file() -> None:
    text = RULE + (
        "blocklists:\n"
        "  firehol_level1: {url: 'https://u:p@lists.example.org/l1.netset?key=1', every: 2h, type: captcha,"
        " cap: 200000, expires: 7d, format: plain}\n"
        "  partners: {file: lists/partners.txt, every: 10s, format: auto}\n"
    )
    first, second = load_policy(text, "p.yaml", Path("/etc/bartizan")).blocklists
    assert (first.every_ms, first.expires_ms, first.cap) == (2 * HOUR, 7 * DAY, 200_000)
    assert (first.type, first.form) == (DecisionType.CAPTCHA, Form.PLAIN)
    assert first.place == "https://lists.example.org/l1.netset"
    assert second.file == Path("/etc/bartizan/lists/partners.txt")
    assert (second.every_ms, second.cap, second.type, second.form) == (
        10_000,
        100_000,
        DecisionType.BAN,
        None,
    )


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ("Drop: {file: x}", "blocklists.Drop: a list's name has a to z"),
        ("drop: {}", "blocklists.drop: needs a url or a file"),
        ("drop: {file: x, url: 'https://x/'}", "blocklists.drop: needs a url or a file, and not both"),
        ("drop: {url: 'ftp://x/'}", "blocklists.drop.url: is no http or https address"),
        ("drop: {url: 'https://x/', every: 5s}", "blocklists.drop.every: is shorter than 60s"),
        ("drop: {file: x, every: 5s}", "blocklists.drop.every: is shorter than 10s"),
        ("drop: {file: x, cap: 2000000}", "blocklists.drop.cap"),
        ("drop: {file: x, type: tarpit}", "blocklists.drop.type"),
        ("drop: {file: x, format: xml}", "blocklists.drop.format"),
        ("drop: {file: x, evry: 1h}", "blocklists.drop.evry: unknown key; did you mean every?"),
    ],
)
def test_a_mistake_is_named_with_its_line(entry: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_policy(f"{RULE}blocklists:\n  {entry}\n", "p.yaml")
    assert f"p.yaml line 3: {says}" in str(caught.value)


def test_a_policy_that_comes_over_the_network_reads_no_file_from_elsewhere() -> None:
    text = f"{RULE}blocklists: {{drop: {{file: ../../etc/passwd}}}}\n"
    with pytest.raises(ConfigError, match="lies outside the policy's own folder"):
        load_policy(text, "p.yaml", Path("/etc/bartizan"), within=[Path("/etc/bartizan")])
