"""When a source goes dark: told once, resolved by itself, and never for what Bartizan did not hear."""

import pytest
from redis.asyncio import Redis
from tending import (
    DAY,
    EVENTS,
    HOUR,
    LOOK_MS,
    MINUTE,
    NO_RULE,
    NOON,
    RAW,
    SECOND,
    TOKEN,
    Tending,
    batch,
)

from actions.incidents.incident import Incident
from actions.incidents.status import IncidentStatus
from actions.responder import Responder
from actions.world import World
from app.ingest.decode import Decoded, Rejected
from app.policies.policy import load_policy
from app.sources.keys import day_key, day_of

SILENT, UNREADABLE = "source_silent", "source_unreadable"


async def incidents(redis: Redis, tending: Tending) -> list[Incident]:
    """Has the findings handled, and reads the incidents, newest first."""
    world = World.make(redis, tending.now)
    await Responder(world).drain()
    found, _ = await world.incidents.page()
    return list(found)


class TestUnreadable:
    async def test_a_hundred_useless_records_over_a_minute_are_told_once(self, tending: Tending):
        for _ in range(9):
            await tending.send(batch(useless=5, rejected=5))
            await tending.pass_time(10 * SECOND)
            await tending.look()
        assert await tending.told() == []
        await tending.send(batch(useless=5, rejected=5))
        for _ in range(3):
            await tending.look()
        [finding] = await tending.findings()
        assert (finding.rule, finding.subject, finding.count) == (UNREADABLE, EVENTS, 100)
        assert finding.why == (
            f"{EVENTS} (nginx on web1) sent 100 records in a row that say neither who nor what in 1 min 30 s "
            "(limit: 100 in 10 min); last: not JSON (50 times today)"
        )
        assert finding.evidence[0].record == '{"a":'
        assert (await tending.source()).state == "unreadable"

    async def test_records_with_neither_address_nor_status_are_named_so(self, tending: Tending):
        await self.go_dark(tending, batch(useless=100))
        [finding] = await tending.findings()
        assert finding.evidence[0].matched == "no address, no status, no outcome"

    async def test_many_within_a_minute_say_nothing_yet(self, tending: Tending):
        await tending.send(batch(rejected=5_000))
        await tending.pass_time(59 * SECOND)
        await tending.send(batch(rejected=1))
        await tending.look()
        assert await tending.told() == []

    async def test_one_record_that_can_be_used_starts_over(self, tending: Tending):
        await tending.send(batch(useless=99))
        await tending.pass_time(2 * MINUTE)
        await tending.send(batch(good=1, useless=500))
        await tending.look()
        assert await tending.told() == []
        assert (await tending.source()).useless == 0

    async def test_what_ended_longer_ago_than_the_window_is_no_news(self, tending: Tending):
        await tending.send(batch(useless=100))
        await tending.pass_time(2 * MINUTE)
        await tending.send(batch(useless=100))
        await tending.pass_time(11 * MINUTE)
        await tending.look()
        assert await tending.told() == []

    async def test_it_opens_an_incident_which_the_first_useful_record_resolves(
        self, redis: Redis, tending: Tending
    ):
        await self.go_dark(tending)
        [incident] = await incidents(redis, tending)
        assert (incident.rule, incident.subject, incident.status) == (
            UNREADABLE,
            EVENTS,
            IncidentStatus.TRIGGERED,
        )
        await tending.pass_time(5 * MINUTE)
        await tending.send(batch(good=1))
        await tending.look()
        [incident] = await incidents(redis, tending)
        assert incident.status == IncidentStatus.RESOLVED
        assert await tending.told() == []  # both were handled
        assert (await tending.source()).state == "ok"
        await self.go_dark(tending)
        assert await tending.told() == [(UNREADABLE, False)]

    async def test_one_useful_record_ends_it_whatever_comes_after(self, tending: Tending):
        await self.go_dark(tending)
        await tending.send(batch(good=1))
        await tending.pass_time(SECOND)
        await tending.send(batch(useless=50))
        await tending.look()
        assert await tending.told() == [(UNREADABLE, False), (UNREADABLE, True)]

    async def test_refused_bodies_count_unless_they_were_our_fault(self, tending: Tending):
        for is_ours, told in ((True, []), (False, [(UNREADABLE, False)])):
            for _ in range(100):
                tending.sources.note_refused(TOKEN, "events", "gzip: damaged", tending.ms, is_ours=is_ours)
                tending.ms += SECOND
            await tending.sources.flush()
            await tending.look()
            assert await tending.told() == told

    async def test_each_source_has_its_own(self, tending: Tending):
        await tending.send(batch(good=1), kind="raw")
        await self.go_dark(tending)
        assert {one.subject for one in await tending.findings()} == {EVENTS}
        assert (await tending.source(RAW)).state == "ok"

    async def test_a_reason_with_braces_is_no_place_in_the_sentence(self, tending: Tending):
        tending.names[TOKEN] = "{count} \n[x](http://evil.example)"
        await self.go_dark(tending, Decoded([], [], [Rejected(0, "{subject} {rule}", b"")] * 100))
        [finding] = await tending.findings()
        assert finding.why.startswith(f"{EVENTS} ((count) [x](http://evil.example)) sent 200 records")
        assert finding.why.endswith("{subject} {rule} (200 times today)")

    @staticmethod
    async def go_dark(tending: Tending, sent: Decoded | None = None) -> None:
        sent = sent or batch(useless=100)
        await tending.send(sent)
        await tending.pass_time(MINUTE)
        await tending.send(sent)
        await tending.look()


class TestSilent:
    @pytest.fixture
    async def settled(self, tending: Tending) -> Tending:
        """A source that has sent every hour for a day: three hours are its limit."""
        await tending.look()
        await tending.live(DAY, every_ms=HOUR)
        return tending

    async def test_three_times_its_longest_pause_is_silence(self, settled: Tending):
        await settled.pass_time(3 * HOUR)
        await settled.look()
        assert await settled.told() == []
        await settled.pass_time(LOOK_MS)
        for _ in range(3):
            await settled.look()
        [finding] = await settled.findings()
        assert (finding.rule, finding.subject, finding.severity) == (SILENT, EVENTS, "medium")
        assert finding.why == (
            f"{EVENTS} (nginx on web1) has sent nothing in 3 h; last: a request at "
            "2026-11-19T12:00:00.000Z; its longest pause of seven days was 1 h"
        )
        assert (await settled.source()).state == "silent"

    async def test_it_opens_an_incident_which_the_first_request_resolves(
        self, redis: Redis, settled: Tending
    ):
        await settled.pass_time(4 * HOUR)
        await settled.look()
        [incident] = await incidents(redis, settled)
        assert (incident.rule, incident.status) == (SILENT, IncidentStatus.TRIGGERED)
        settled.sources.note_refused(TOKEN, "events", "gzip: damaged", settled.ms)
        await settled.sources.flush()
        await settled.look()
        [incident] = await incidents(redis, settled)
        assert incident.status == IncidentStatus.RESOLVED
        assert (await settled.source()).state == "ok"

    async def test_ten_minutes_are_the_least(self, tending: Tending):
        await tending.look()
        await tending.live(DAY, every_ms=HOUR)
        await tending.redis.hset(day_key(EVENTS, day_of(tending.ms)), "pause_ms", str(MINUTE))
        await tending.redis.hset(day_key(EVENTS, day_of(NOON)), "pause_ms", str(MINUTE))
        await tending.pass_time(10 * MINUTE)
        await tending.look()
        assert await tending.told() == []
        await tending.pass_time(LOOK_MS)
        await tending.look()
        assert await tending.told() == [(SILENT, False)]

    async def test_a_source_that_is_young_or_spoke_seldom_has_no_habit(self, tending: Tending):
        await tending.look()
        await tending.live(23 * HOUR, every_ms=HOUR)
        await tending.pass_time(2 * DAY)
        await tending.look()
        assert await tending.told() == []
        await tending.redis.flushall()
        for _ in range(9):
            await tending.send()
            await tending.pass_time(DAY // 8)
        await tending.pass_time(7 * DAY)
        await tending.look()
        assert await tending.told() == []

    async def test_a_restart_gives_it_time(self, settled: Tending):
        settled.ms += 5 * HOUR  # nobody listened
        await settled.look()
        await settled.pass_time(3 * HOUR)
        await settled.look()
        assert await settled.told() == []
        await settled.pass_time(LOOK_MS)
        await settled.look()
        assert await settled.told() == [(SILENT, False)]

    async def test_a_silence_raises_the_limit_by_a_quarter_of_itself_only(self, settled: Tending):
        await settled.pass_time(8 * HOUR)
        await settled.look()
        await settled.send()
        await settled.look()
        assert await settled.told() == [(SILENT, False), (SILENT, True)]
        await settled.pass_time(10 * HOUR)
        await settled.look()
        assert len(await settled.told()) == 2
        await settled.pass_time(LOOK_MS)
        await settled.look()
        assert len(await settled.told()) == 3

    async def test_a_pause_of_more_than_a_week_ago_is_forgotten(self, settled: Tending):
        await settled.pass_time(2 * HOUR)
        await settled.live(7 * DAY, every_ms=HOUR // 2)
        await settled.pass_time(90 * MINUTE + LOOK_MS)
        await settled.look()
        assert await settled.told() == [(SILENT, False)]

    async def test_whose_token_was_revoked_is_not_missed(self, settled: Tending):
        settled.names.clear()
        await settled.pass_time(5 * HOUR)
        await settled.look()
        assert await settled.told() == []

    async def test_a_rule_that_is_off_tells_nobody_until_it_is_on(self, settled: Tending):
        on, settled.policy = settled.policy, load_policy(NO_RULE, "test")
        await settled.pass_time(4 * HOUR)
        for _ in range(2):
            await settled.look()
        assert ((await settled.source()).state, await settled.told()) == ("silent", [])
        settled.policy = on
        await settled.look()
        assert await settled.told() == [(SILENT, False)]

    async def test_what_was_not_told_is_not_said_to_be_over(self, settled: Tending):
        settled.policy = load_policy(NO_RULE, "test")
        await settled.pass_time(4 * HOUR)
        await settled.look()
        await settled.send()
        await settled.look()
        assert ((await settled.source()).state, await settled.told()) == ("ok", [])

    async def test_a_crash_before_it_is_written_down_tells_again_and_joins(
        self, redis: Redis, settled: Tending, monkeypatch: pytest.MonkeyPatch
    ):
        await settled.pass_time(4 * HOUR)

        async def crash(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(settled.store, "flag", crash)
            with pytest.raises(KeyboardInterrupt):
                await settled.look()
        await settled.look()
        assert len(await settled.told()) == 2
        assert len(await incidents(redis, settled)) == 1


async def test_whatever_the_policy_has_follow_it_works(redis: Redis, tending: Tending):
    actions = "[alert_admin, create_incident, create_incident_immediate, investigate]"
    tending.policy = load_policy(
        f"incident_detection: {{source_unreadable: {{threshold: 10, action: {actions}}}}}", "test"
    )
    await TestUnreadable.go_dark(tending)
    world = World.make(redis, tending.now)
    await Responder(world).drain()
    [incident] = (await world.incidents.page())[0]
    entries = await world.timeline.page(incident.id)
    assert "action_failed" not in str(entries)
    assert "investigat" in str(entries)


async def test_a_rule_that_only_observes_opens_nothing(redis: Redis, tending: Tending):
    tending.policy = load_policy("incident_detection: {source_unreadable: {mode: observe}}", "test")
    await TestUnreadable.go_dark(tending)
    assert await incidents(redis, tending) == []
    assert [one.rule for one in (await World.make(redis, tending.now).observed.page())[0]] == [UNREADABLE]
    await tending.send(batch(good=1))
    await tending.look()
    assert await incidents(redis, tending) == []


async def test_of_several_processes_one_looks(redis: Redis, tending: Tending):
    others = [Tending(redis) for _ in range(5)]
    await tending.send(batch(useless=100))
    for one in (tending, *others):
        one.ms = NOON + 2 * MINUTE
    await others[0].send(batch(useless=100))
    assert [await one.watch.look() for one in (tending, *others)] == [True, False, False, False, False, False]
    assert await tending.told() == [(UNREADABLE, False)]


async def test_the_gauge_shows_the_states(tending: Tending):
    await tending.send(kind="raw")
    await TestUnreadable.go_dark(tending)
    await tending.look()
    value = tending.metrics.registry.get_sample_value
    assert [value("bartizan_sources", {"state": state}) for state in ("ok", "silent", "unreadable")] == [
        1,
        0,
        1,
    ]
