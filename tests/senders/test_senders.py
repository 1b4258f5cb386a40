"""Real senders: an attack that they send ends in a block, and no outage makes them lose or double what they keep.

Counting is judged by rules: of the records before, during and after an outage, one fires when all different ones have
been counted, another when one more than there are has been counted, and that one must stay silent.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from app.ingest.taking import LAST_S
from benchmarks.service import TOKENS, Service, running_service, wait_until_open
from tests.needed import missing
from tests.senders.results import keep
from tests.senders.roster import SENDERS
from tests.senders.sending import Fate, Record, Running, Sender

pytestmark = pytest.mark.slow

EACH = 4
"""Records before, during and after an outage."""
PHASES = ("before", "during", "after")
PATIENCE_S = 60
RULE = "  {}: {{where: {{path: {{starts: {}}}}}, {}threshold: {}/1h, action: create_incident}}"
POLICY = "\n".join(
    [
        "campaigns: {subjects: 100, window: 5m}",
        "security_alerts: {auth_failures: {threshold: 10/minute, action: block_ip}}",
        "rules:",
        *(RULE.format(f"all_{w}", f"/counted/{w}/", "distinct: path, ", EACH) for w in PHASES),
        RULE.format("any_during", "/counted/during/", "", 1),
        *(RULE.format(f"twice_{w}", f"/counted/{w}/", "", EACH + 1) for w in PHASES),
        RULE.format("afterwards", "/afterwards", "", 1),
    ]
)


@pytest.fixture(params=SENDERS, ids=lambda sender: sender.slug)
def sender(request: pytest.FixtureRequest) -> Sender:
    found: Sender = request.param
    if not found.version():
        missing(f"{found.name} (make senders)")
    return found


@pytest.fixture(scope="module")
def one_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """For all tests of this process: each of them counts for addresses of its own."""
    policy = tmp_path_factory.mktemp("policy") / "policy.yaml"
    policy.write_text(POLICY)
    with running_service(policy=str(policy)) as service:
        yield service


@pytest.fixture
def service(one_service: Service) -> Service:
    """Running, whatever the test before did."""
    if one_service.process.poll() is not None:
        one_service.start_again()
    return one_service


def eventually(check: Callable[[], bool], seconds: float = PATIENCE_S) -> bool:
    """Other processes do the work, so all that can be done is look again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if check():
            return True
        time.sleep(0.05)
    return False


def is_blocked(service: Service, address: str) -> bool:
    answer = httpx.get(f"{service.url}/v1/lookup/{address}", headers={"X-Api-Key": TOKENS["lookup"]})
    return bool(answer.raise_for_status().json()["blocked"])


def fired(service: Service, address: str) -> set[str]:
    """The rules that have an incident about this address."""
    found: set[str] = set()
    wanted = {"entity": address, "limit": "200"}
    while True:
        url = f"{service.url}/v1/admin/incidents"
        answer = httpx.get(url, params=wanted, headers={"X-Api-Key": TOKENS["viewer"]}, timeout=30)
        page = answer.raise_for_status().json()
        found |= {incident["rule"] for incident in page["items"]}
        if page["next_cursor"] is None:
            return found
        wanted["cursor"] = page["next_cursor"]


def put_off(service: Service) -> int:
    """How many bodies the service has answered with 503 since it started."""
    said = httpx.get(f"{service.url}/metrics").raise_for_status().text
    counters = ('events_rejected_total{reason="overloaded"}', 'storage_errors_total{place="ingest"}')
    lines = [line for line in said.splitlines() if any(counter in line for counter in counters)]
    assert len(lines) == len(counters)
    return sum(int(float(line.split()[-1])) for line in lines)


def wait_until_all_is_lost(service: Service) -> None:
    """Until no body has been put off for longer than one takes to be."""
    refused, since = put_off(service), time.monotonic()
    while time.monotonic() < since + 2 * LAST_S:
        time.sleep(0.1)
        if put_off(service) != refused:
            refused, since = put_off(service), time.monotonic()


def counted(address: str, when: str) -> list[Record]:
    now = datetime.now(UTC)
    return [Record(address, f"/counted/{when}/{n}", 200, now) for n in range(EACH)]


def test_an_attack_is_blocked(sender: Sender, service: Service, tmp_path: Path):
    number = SENDERS.index(sender) + 1
    attacker, harmless = f"198.51.100.{number}", [f"203.0.113.{number}", f"192.0.2.{number}"]
    now = datetime.now(UTC)
    with sender.start(service, tmp_path) as program:
        for n in range(11):
            quiet = [Record(address, f"/goods/{n}", 200, now) for address in harmless]
            program.send([quiet[0], Record(attacker, "/login", 401, now), quiet[1]])
        assert eventually(lambda: is_blocked(service, attacker)), output(tmp_path)
        program.finish()
    assert not any(is_blocked(service, address) for address in harmless)
    keep(sender, "attack", "blocked")


def test_what_is_answered_with_503_is_counted_once_or_known_to_be_lost(
    sender: Sender, service: Service, tmp_path: Path
):
    address = f"192.0.2.{100 + SENDERS.index(sender)}"
    with sender.start(service, tmp_path) as program:
        program.send(counted(address, "before"))
        assert eventually(lambda: "all_before" in fired(service, address)), output(tmp_path)
        redis, refused = service.redis_pid, put_off(service)
        os.kill(redis, signal.SIGSTOP)
        try:
            program.send(counted(address, "during"))
            assert eventually(lambda: put_off(service) > refused), output(tmp_path)
            if sender.on_503 is Fate.LOST:
                wait_until_all_is_lost(service)
        finally:
            os.kill(redis, signal.SIGCONT)
        check_to_the_end(service, program, address, sender.on_503, tmp_path)
    keep(sender, "503", sender.on_503.value)


def test_what_it_has_while_the_service_is_dead_is_counted_once_or_known_to_be_lost(
    sender: Sender, service: Service, tmp_path: Path
):
    address = f"192.0.2.{200 + SENDERS.index(sender)}"
    with sender.start(service, tmp_path) as program:
        program.send(counted(address, "before"))
        assert eventually(lambda: "all_before" in fired(service, address)), output(tmp_path)
        service.kill()
        # It takes a second to listen again; all of these programs send half a second after they were told, or sooner.
        service.launch_again()
        program.send(counted(address, "during"))
        sent = time.monotonic()
        wait_until_open(service.port, service.process)
        is_late = time.monotonic() - sent > sender.patience_s
        fate = Fate.LOST if is_late else sender.on_kill
        check_to_the_end(service, program, address, fate, tmp_path, may_be_kept=is_late)
    keep(sender, "killed", sender.on_kill.value)


def check_to_the_end(
    service: Service, program: Running, address: str, fate: Fate, folder: Path, *, may_be_kept: bool = False
) -> None:
    """The sender goes on after an outage and ends; then what was counted is what it must be."""
    program.send(counted(address, "after"))
    if fate is Fate.KEPT_UNTIL_CLOSED:
        program.finish()
    expected = {"all_before", "all_after"} | (set() if fate is Fate.LOST else {"any_during", "all_during"})
    assert eventually(lambda: fired(service, address) >= expected), (fired(service, address), output(folder))
    if fate is not Fate.KEPT_UNTIL_CLOSED:
        program.finish()
    # A finding that comes after all others tells that none is on its way.
    event = {"client_ip": address, "path": "/afterwards"}
    answer = httpx.post(f"{service.url}/v1/events", json=event, headers={"X-Api-Key": TOKENS["ingest"]})
    assert answer.status_code == 200
    assert eventually(lambda: "afterwards" in fired(service, address))
    kept = {"any_during", "all_during"} if may_be_kept else set()
    assert fired(service, address) - kept == {*expected, "afterwards"}, output(folder)


def output(folder: Path) -> str:
    """What the sender's program said."""
    return (folder / "output.log").read_text("utf-8", "replace")[-2000:]
