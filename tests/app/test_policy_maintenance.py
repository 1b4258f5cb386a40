"""The policy's words about maintenance and the dead man's signal: what loads, and what each mistake is called."""

from pathlib import Path

import pytest

from actions.quiet.maintenance import Schedule
from actions.quiet.maintenance_notices import NoticeSettings
from actions.quiet.matchers import Matcher, MatchField
from app.policies.dead_man import DeadManSettings, SecretUrl, unreadable
from app.policies.explained import explained, lines_of
from app.policies.policy import Policy, load_policy
from detectors.errors import ConfigError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CHANNELS = """
channels:
  mail: {type: slack, url_env: SOMEWHERE}
  slack: {type: slack, url_env: SOMEWHERE}
  phone: {type: slack, url_env: SOMEWHERE}
"""
"""What the policies of these tests name."""
OPERATOR = """\
maintenance:
  - name: weekly
    weekdays: [sunday]
    at: "02:00"
    duration: 2h
    notice: 24h
  - name: monthly
    weekdays: [sunday]
    days_of_month: ['1:7']
    at: 02:00
    duration: 4h
    notice: 7d
  - name: quarterly
    dates: [2027-03-07T02:00:00Z, 2026-12-06T03:00:00+01:00]
    duration: 8h
    notice: 14d
    channels: mail
maintenance_notice: {channels: [slack, mail], start: true}
"""


def load(text: str) -> Policy:
    return load_policy(text + CHANNELS, "policy.yaml")


def one(keys: str) -> str:
    return f"maintenance:\n  - {{name: w, {keys}}}\n"


def test_the_operators_document_is_said_in_three_windows() -> None:
    policy = load(OPERATOR)
    weekly, monthly, quarterly = policy.maintenance
    assert weekly.schedule == Schedule(weekdays=((7, 7),), at_minute=120)
    assert (weekly.duration_ms, weekly.notice_ms) == (2 * HOUR_MS, DAY_MS)
    assert monthly.schedule == Schedule(weekdays=((7, 7),), days_of_month=((1, 7),), at_minute=120)
    assert (monthly.duration_ms, monthly.notice_ms) == (4 * HOUR_MS, 7 * DAY_MS)
    assert (quarterly.schedule, quarterly.duration_ms, quarterly.notice_ms) == (
        None,
        8 * HOUR_MS,
        14 * DAY_MS,
    )
    assert quarterly.starts == (1_796_522_400_000, 1_804_384_800_000)
    assert (weekly.channels, quarterly.channels) == ((), ("mail",))
    assert policy.maintenance_notice == NoticeSettings(channels=("slack", "mail"), at_start=True)


def test_every_field_is_read_with_names_numbers_and_ranges() -> None:
    (window,) = load(
        one(
            "weekdays: ['monday:friday', Sunday], days_of_month: ['1:7', '-3:-1', -1, '1:-1'], months: [january, '4',"
            " '7:9', 'november:december'], at: '23:59', duration: 1h30m, timezone: Europe/Berlin,"
            " matchers: {rule: high_error_rate, host: {glob: 'api-*'}, severity: [low, medium]}"
        )
    ).maintenance
    assert window.schedule == Schedule(
        weekdays=((1, 5), (7, 7)),
        days_of_month=((1, 7), (-3, -1), (-1, -1), (1, -1)),
        months=((1, 1), (4, 4), (7, 9), (11, 12)),
        at_minute=1439,
        timezone="Europe/Berlin",
    )
    assert window.notice_ms is None
    assert window.matchers == (
        Matcher(field=MatchField.RULE, values=("high_error_rate",)),
        Matcher(field=MatchField.HOST, values=("api-*",), glob=True),
        Matcher(field=MatchField.SEVERITY, values=("low", "medium")),
    )


def test_a_window_of_once_has_a_beginning_and_an_end() -> None:
    (window,) = load(one("from: 2026-12-06T02:00:00Z, until: '2026-12-06 06:00'")).maintenance
    assert (window.starts, window.duration_ms) == ((1_796_522_400_000,), 4 * HOUR_MS)


RECURS = "at: '02:00', duration: 1h"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("duration: 1h", "needs one of: at (it recurs), dates (planned by hand), from (once)"),
        (f"{RECURS}, from: 2026-12-06T02:00:00Z", "needs one of"),
        ("at: '02:00'", "needs a duration beside at"),
        ("dates: [2026-12-06T02:00:00Z]", "needs a duration beside dates"),
        ("from: 2026-12-06T02:00:00Z", "needs until beside from"),
        (
            "from: 2026-12-06T02:00:00Z, until: 2026-12-06T02:00:00Z",
            "until: must be later than from, by 7d at most",
        ),
        ("from: 2026-12-06T02:00:00Z, until: 2026-12-14T02:00:00Z", "by 7d at most"),
        (
            "from: 2026-12-06T02:00:00Z, until: 2026-12-06T03:00:00Z, duration: 1h",
            "duration: cannot stand beside from",
        ),
        ("dates: [2026-12-06T02:00:00Z], duration: 1h, timezone: UTC", "timezone: cannot stand beside dates"),
        (
            "dates: [2026-12-06], duration: 1h",
            "dates[0]: '2026-12-06' is not a time; write 2026-12-06T02:00:00Z",
        ),
        ("dates: [2999-12-06T02:00:00Z], duration: 1h", "lies after the year 2199"),
        ("dates: [], duration: 1h", "dates: needs 1 to 100 times"),
        ("at: '24:00', duration: 1h", "at: '24:00' is not a time of day; write 02:00"),
        ("at: 2, duration: 1h", "'2' is not a time of day"),
        ("at: '02:00', duration: 8d", "duration: must not be longer than 7d"),
        (f"{RECURS}, notice: 1000d", "notice: must not be longer than 90d"),
        (f"{RECURS}, weekdays: [sonday]", "weekdays[0]: 'sonday' is none of monday"),
        (f"{RECURS}, weekdays: ['7']", "weekdays[0]: '7' is none of monday"),
        (
            f"{RECURS}, weekdays: ['saturday:monday']",
            "'saturday:monday' ends before it begins; write two entries",
        ),
        (f"{RECURS}, weekdays: []", "weekdays: needs at least one entry"),
        (f"{RECURS}, days_of_month: ['0']", "'0' is not a day of the month"),
        (f"{RECURS}, days_of_month: ['32']", "'32' is not a day of the month"),
        (f"{RECURS}, days_of_month: ['7:1']", "'7:1' ends before it begins"),
        (f"{RECURS}, days_of_month: ['-1:1']", "'-1:1' counts from the end of the month and goes on"),
        (f"{RECURS}, days_of_month: ['30:-5']", "'30:-5' ends before it begins"),
        (f"{RECURS}, months: ['13']", "months[0]: '13' is none of january"),
        (f"{RECURS}, months: [february], days_of_month: ['30:31']", "days_of_month: no day of any year fits"),
        (f"{RECURS}, timezone: Europe/Bonn", "timezone: 'Europe/Bonn' is not a timezone"),
        (f"{RECURS}, timezone: ../../etc/passwd", "is not a timezone"),
        (f"{RECURS}, matchers: {{rul: x}}", "matchers.rul: unknown key; did you mean rule?"),
        (f"{RECURS}, matchers: {{severity: hihg}}", "severity is never 'hihg'; it is one of critical"),
        (f"{RECURS}, matchers: {{host: {{}}}}", "matchers.host: needs glob"),
        (f"{RECURS}, wekdays: [sunday]", "wekdays: unknown key; did you mean weekdays?"),
    ],
)
def test_a_mistake_is_named_with_its_line_and_key(keys: str, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(one(keys))
    assert str(refusal.value).startswith("policy.yaml line 2: maintenance[0]")
    assert says in str(refusal.value)


def test_a_window_needs_a_name_of_its_own() -> None:
    with pytest.raises(ConfigError, match=r"maintenance\[0\]: needs a name"):
        load(f"maintenance: [{{{RECURS}}}]")
    with pytest.raises(ConfigError, match=r"line 3: maintenance\[1\]: there is a window 'w' already"):
        load(one(RECURS) + f"  - {{name: w, {RECURS}}}\n")
    with pytest.raises(ConfigError, match="maintenance: must be a list"):
        load("maintenance: {name: x}")


def test_the_dead_mans_address_is_stated_or_found_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stated = load("dead_man: {url: 'https://hc.example/abc', every: 2m, lag: 30s}").dead_man
    assert stated is not None
    assert (stated.url.read(), stated.every_ms, stated.lag_ms) == ("https://hc.example/abc", 120_000, 30_000)
    assert "abc" not in repr(stated)
    found = load("dead_man: {url_env: DEAD_MAN_URL, fail_url_file: " + str(tmp_path / "fail") + "}").dead_man
    assert found is not None
    assert found.fail_url is not None
    monkeypatch.setenv("DEAD_MAN_URL", "https://hc.example/def")
    (tmp_path / "fail").write_text("https://hc.example/def/fail\n")
    assert (found.url.read(), found.fail_url.read()) == (
        "https://hc.example/def",
        "https://hc.example/def/fail",
    )
    assert found.every_ms == 60_000


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ("every: 1m", "dead_man: needs url, url_env or url_file"),
        ("url: 'ftp://x'", "dead_man.url: is not an http address"),
        ("url: 'https://x/a b'", "dead_man.url: is not an http address"),
        ("url: 'https://x', url_env: X", "dead_man.url_env: cannot stand beside url"),
        ("url: 'https://x', every: 5s", "dead_man.every: must be 10s to 1d"),
    ],
)
def test_a_wrong_dead_man_is_named_and_its_address_is_not_shown(keys: str, says: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(f"dead_man: {{{keys}}}")
    assert says in str(refusal.value)
    assert "ftp" not in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (SecretUrl(env="NOT_SET_ANYWHERE"), "the variable NOT_SET_ANYWHERE holds no http address"),
        (SecretUrl(file="/nowhere/at/all"), "the file /nowhere/at/all cannot be read: FileNotFoundError"),
        (SecretUrl(file=__file__), "holds no http address"),
    ],
)
def test_an_address_that_is_not_there_says_where_it_was_looked_for(url: SecretUrl, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        url.read()


def test_an_address_that_is_not_there_is_warned_of_by_a_check() -> None:
    assert unreadable(None) == []
    assert unreadable(DeadManSettings(SecretUrl(stated="https://hc.example/s3cret"))) == []
    missing = DeadManSettings(
        SecretUrl(stated="https://a.example/"), fail_url=SecretUrl(env="NOT_SET_ANYWHERE")
    )
    assert unreadable(missing) == ["dead_man: the variable NOT_SET_ANYWHERE holds no http address"]


def test_what_a_policy_says_is_explained_without_the_address() -> None:
    policy = load(OPERATOR + "dead_man: {url: 'https://hc.example/s3cret'}\n")
    lines = lines_of(explained(policy))
    assert "maintenance: weekly: weekdays sunday, at 02:00 UTC, for 2h, notice 1d before" in lines
    assert "maintenance: quarterly: 2 given times, for 8h, notice 14d before, told on mail" in lines
    assert "maintenance_notice: on slack mail, at the start" in lines
    assert "dead_man: asks its url every 1m while no finding waits for longer than 1m" in lines
    assert "s3cret" not in repr(lines) + repr(policy.dead_man)
