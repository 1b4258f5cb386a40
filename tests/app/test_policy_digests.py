"""The policy's digests."""

import pytest

from actions.digests.periods import DigestPlan, Rhythm, Schedule
from app.policies.policy import load_policy
from detectors.errors import ConfigError

RULE = "security_alerts: {auth_failures: {}}\n"


CHANNELS = """
channels:
  mail: {type: slack, url_env: SOMEWHERE}
  slack: {type: slack, url_env: SOMEWHERE}
  phone: {type: slack, url_env: SOMEWHERE}
  chat: {type: slack, url_env: SOMEWHERE}
"""
"""What the policies of these tests name."""


def plan(text: str) -> DigestPlan:
    return load_policy(f"{RULE}{text}{CHANNELS}", "p.yaml").digests


def test_no_digest_is_sent_where_none_is_named() -> None:
    assert plan("") == DigestPlan()
    assert plan("").schedule(Rhythm.DAILY) is None


def test_both_are_read_with_their_time_channels_and_timezone() -> None:
    found = plan("""
digests:
  daily: {at: "06:30", channels: [mail, chat]}
  weekly: {at: 08:05, channels: mail, skip_empty: true}
  timezone: Europe/Berlin
""")
    assert found == DigestPlan(
        (
            Schedule(Rhythm.DAILY, 390, ("mail", "chat")),
            Schedule(Rhythm.WEEKLY, 485, ("mail",), skip_empty=True),
        ),
        "Europe/Berlin",
    )


def test_a_digest_that_is_only_named_has_the_defaults() -> None:
    found = plan("digests: {weekly: }")
    assert found == DigestPlan((Schedule(Rhythm.WEEKLY, 420),))
    assert found.schedule(Rhythm.DAILY) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("digests: {}", "line 2: digests: names no digest"),
        ("digests: {timezone: UTC}", "names no digest"),
        ("digests: {dayly: }", "did you mean daily?"),
        ("digests:\n  daily: {at: 7}", "line 3: digests.daily.at: '7' is not a time of day"),
        ("digests:\n  daily: {at: '24:00'}", "'24:00' is not a time of day"),
        ("digests: {daily: , timezone: Mars/Base}", "'Mars/Base' is not a timezone"),
        ("digests: {daily: , timezone: ../../etc/passwd}", "is not a timezone"),
        ("digests: {daily: {channels: [mail, mail]}}", "'mail' stands here a second time"),
        ("digests: {daily: {skip_empty: 1}}", "must be true or false"),
    ],
)
def test_what_is_wrong_is_refused_with_its_line_and_key(text: str, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        plan(text)
    assert words in str(refused.value)
