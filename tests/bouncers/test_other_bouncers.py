"""crowdsec-custom-bouncer as Debian has it, and pycrowdsec as PyPI has it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from real import Api, eventually, program, python_of_bouncers, running

from benchmarks.service import TOKENS, Service, running_service

CUSTOM = """\
bin_path: {folder}/hook.sh
piddir: {folder}/
update_frequency: 1s
cache_retention_duration: 10s
daemonize: false
log_mode: stdout
log_level: info
api_url: {url}/
api_key: {key}
prometheus: {{enabled: false, listen_addr: 127.0.0.1, listen_port: 60602}}
"""
HOOK = """\
#!/bin/sh
echo "$1 $2 $3 $4" >> {folder}/hook.log
"""
PYTHON = """\
import json, sys, time
from pycrowdsec.client import QueryClient, StreamClient
url, key = sys.argv[1:3]
stream = StreamClient(api_key=key, lapi_url=url, interval=1)
stream.run()
query = QueryClient(api_key=key, lapi_url=url)
for line in sys.stdin:
    address = line.strip()
    print(json.dumps({
        "stream": stream.get_action_for(address),
        "all": stream.get_current_decisions(),
        "live": query.get_decisions_for(address),
        "runs": stream.is_running(),
    }), flush=True)
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_service() as started:
        yield started


@pytest.fixture
def api(service: Service) -> Api:
    return Api(service)


@pytest.fixture
def hooked(service: Service, tmp_path: Path) -> Iterator[Path]:
    """What the custom bouncer calls its script with."""
    bouncer = program("crowdsec-custom-bouncer")
    hook = tmp_path / "hook.sh"
    hook.write_text(HOOK.format(folder=tmp_path))
    hook.chmod(0o755)
    (tmp_path / "hook.log").touch()
    text = CUSTOM.format(folder=tmp_path, url=service.url, key=TOKENS["lookup"])
    (tmp_path / "custom.yaml").write_text(text)
    with running([bouncer, "-c", str(tmp_path / "custom.yaml")], tmp_path, "custom"):
        yield tmp_path / "hook.log"


def test_the_custom_bouncer_calls_its_script_for_what_comes_and_goes(
    hooked: Path, service: Service, api: Api
):
    api.attack("203.0.113.70")
    api.block("2001:db8:70::1", "10m")
    api.block("192.0.2.128/25", "10m")

    def calls() -> list[list[str]]:
        return [line.split(maxsplit=3) for line in hooked.read_text().splitlines()]

    def have(verb: str, value: str) -> bool:
        return any(call[:2] == [verb, value] for call in calls())

    wanted = ("203.0.113.70", "2001:db8:70::1", "192.0.2.128/25")
    assert eventually(lambda: all(have("add", value) for value in wanted)) is not None, calls()
    seconds = {call[1]: int(call[2]) for call in calls()}
    assert 590 <= seconds["2001:db8:70::1"] <= 600
    api.lift("203.0.113.70")
    assert eventually(lambda: have("del", "203.0.113.70")) is not None
    api.block("203.0.113.71", "5s")
    assert eventually(lambda: have("add", "203.0.113.71")) is not None
    assert eventually(lambda: have("del", "203.0.113.71")) is not None
    assert not have("del", "2001:db8:70::1")


def test_pycrowdsec_follows_and_asks(service: Service, api: Api, tmp_path: Path):
    command = [python_of_bouncers(), "-c", PYTHON, f"{service.url}/", TOKENS["lookup"]]
    api.block("198.51.100.80")
    with (tmp_path / "errors.log").open("wb") as errors:
        client = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )

    def ask(address: str) -> dict:
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(f"{address}\n")
        client.stdin.flush()
        return json.loads(client.stdout.readline())

    try:
        first = ask("198.51.100.80")
        assert (first["stream"], first["runs"]) == ("ban", True)
        assert [d["value"] for d in first["live"]] == ["198.51.100.80"]
        assert ask("198.51.100.81")["live"] is None
        api.block("198.51.100.81", type="captcha")
        api.block("198.51.100.96/28")
        assert eventually(lambda: ask("198.51.100.81")["stream"] == "captcha") is not None
        assert ask("198.51.100.100")["live"][0]["value"] == "198.51.100.96/28"
        assert eventually(lambda: ask("198.51.100.100")["stream"] == "ban") is not None
        api.lift("198.51.100.80")
        assert eventually(lambda: ask("198.51.100.80")["stream"] is None) is not None
        assert ask("198.51.100.80")["live"] is None
    finally:
        assert client.stdin is not None and client.stdout is not None
        client.stdin.close()
        client.kill()
        client.wait(10)
        client.stdout.close()
