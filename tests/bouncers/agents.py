"""A CrowdSec agent and `cscli`, with a parser and a scenario of our own, so that nothing is fetched from the hub."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from real import eventually, program, running

from benchmarks.service import Service

FILES = {
    "etc/parsers/s00-raw/raw.yaml": """\
filter: "evt.Line.Labels.type == 'own'"
onsuccess: next_stage
name: bartizan/own-raw
statics:
  - parsed: message
    expression: evt.Line.Raw
  - parsed: program
    value: own
""",
    "etc/parsers/s01-parse/own.yaml": """\
filter: "evt.Parsed.program == 'own'"
onsuccess: next_stage
name: bartizan/own-login
grok:
  pattern: 'login failed for %{WORD:user} from %{IP:source_ip}'
  apply_on: message
statics:
  - {meta: log_type, value: own_failed}
  - {meta: service, value: own}
  - {meta: source_ip, expression: evt.Parsed.source_ip}
  - {meta: username, expression: evt.Parsed.user}
""",
    "etc/scenarios/own.yaml": """\
type: leaky
name: bartizan/own-bf
description: "Detect failed logins"
filter: "evt.Meta.log_type == 'own_failed'"
leakspeed: "10s"
capacity: 5
groupby: evt.Meta.source_ip
blackhole: 1m
labels:
  remediation: true
""",
    "etc/simulation.yaml": "exclusions: []\n",
    "etc/acquis.yaml": "filenames: ['{folder}/own.log']\nlabels: {{type: own}}\n",
    "etc/credentials.yaml": "url: {url}/\nlogin: {login}\npassword: {password}\n",
    "hub/.index.json": '{"parsers":{},"postoverflows":{},"scenarios":{},"collections":{}}',
    "own.log": "",
    "config.yaml": """\
common: {{daemonize: false, log_media: stdout, log_level: info, working_dir: .}}
config_paths:
  config_dir: {folder}/etc/
  data_dir: {folder}/data/
  simulation_path: {folder}/etc/simulation.yaml
  hub_dir: {folder}/hub/
  index_path: {folder}/hub/.index.json
  notification_dir: {folder}/etc/notifications/
  plugin_dir: {folder}/plugins/
crowdsec_service: {{acquisition_path: '{folder}/etc/acquis.yaml', parser_routines: 1}}
cscli: {{output: json}}
db_config: {{type: sqlite, db_path: '{folder}/data/crowdsec.db'}}
api:
  client: {{credentials_path: '{folder}/etc/credentials.yaml'}}
prometheus: {{enabled: false}}
""",
}
"""`{{` only where the text is filled in."""
_FILLED = ("etc/acquis.yaml", "etc/credentials.yaml", "config.yaml")


@dataclass
class Agent:
    """A folder that crowdsec and cscli run from."""

    folder: Path

    def log(self, address: str, times: int) -> None:
        """Failed logins in the file that the agent reads."""
        with (self.folder / "own.log").open("a") as file:
            file.writelines(f"login failed for root from {address}\n" for _ in range(times))

    def cscli(self, *arguments: str, check: bool = True) -> str:
        """What cscli says, its log included."""
        command = [program("cscli"), "-c", str(self.folder / "config.yaml"), *arguments]
        said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        text = said.stdout + said.stderr
        assert not check or said.returncode == 0, text
        return text


def agent_in(folder: Path, service: Service, password: str, login: str = "sensor-1") -> Agent:
    """Its configuration, with a token of the service for its password."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name in _FILLED:
            text = text.format(folder=folder, url=service.url, login=login, password=password)
        path.write_text(text)
    for name in ("data", "etc/patterns", "etc/notifications", "etc/postoverflows", "plugins"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return Agent(folder)


@contextmanager
def running_agent(agent: Agent) -> Iterator[None]:
    """The agent at work, reading its file."""
    command = [program("crowdsec"), "-c", str(agent.folder / "config.yaml"), "-no-api"]
    output = agent.folder / "agent.log"
    with running(command, agent.folder, "agent") as process:
        assert eventually(lambda: "Starting processing data" in output.read_text()) is not None
        assert process.poll() is None, output.read_text()
        yield
        assert process.poll() is None, output.read_text()
