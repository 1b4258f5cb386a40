"""The proxies that ask about each request, with the configurations of docs/enforcement.md."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.service import TOKENS, free_port
from tests.proxies.page import configuration
from tests.proxies.parts import is_open, program, request, until
from tests.proxies.private_network import PROXY
from tests.senders.sending import running

STRANGER = "203.0.113.250"
TOKEN = TOKENS["lookup"]
NGINX_AROUND = """
user root;
error_log stderr;
pid {folder}/nginx.pid;
events {{}}
http {{
access_log {folder}/access.log combined;
client_body_temp_path {folder}/1;
proxy_temp_path {folder}/2;
fastcgi_temp_path {folder}/3;
uwsgi_temp_path {folder}/4;
scgi_temp_path {folder}/5;
{inside}
}}
"""


@dataclass(frozen=True)
class Ports:
    """Where everything listens."""

    proxy: int
    bartizan: int
    application: int


Command = Callable[[Path, Ports], Sequence[str]]


def nginx(folder: Path, ports: Ports, heading: str = "nginx", **more: str) -> Sequence[str]:
    """With the page's server; `more` are further replacements."""
    replacements = {"listen 80;": f"listen {PROXY}:{ports.proxy};", "127.0.0.1:9000": _at(ports.application)}
    if heading == "nginx":
        replacements |= {"127.0.0.1:8000": _at(ports.bartizan), "TOKEN": TOKEN}
    inside = configuration(heading, {**replacements, **more})
    (folder / "nginx.conf").write_text(NGINX_AROUND.format(folder=folder, inside=inside))
    return [program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]


def nginx_appending(folder: Path, ports: Ports) -> Sequence[str]:
    """The same, which hands the client's own header on."""
    return nginx(folder, ports, **{"$remote_addr": "$proxy_add_x_forwarded_for"})


def nginx_finding(folder: Path, ports: Ports) -> Sequence[str]:
    """The same, which finds the client behind a load balancer itself."""
    real_ip = f"set_real_ip_from {PROXY}; real_ip_header X-Forwarded-For; real_ip_recursive on;"
    return nginx(folder, ports, **{"auth_request /bartizan;": f"auth_request /bartizan; {real_ip}"})


def caddy(folder: Path, ports: Ports) -> Sequence[str]:
    """The page's Caddyfile, without the administration port."""
    text = configuration(
        "Caddy",
        {
            ":80 {": f"http://:{ports.proxy} {{\n\tbind {PROXY}",
            "127.0.0.1:8000": _at(ports.bartizan),
            "127.0.0.1:9000": _at(ports.application),
            "TOKEN": TOKEN,
        },
    )
    (folder / "Caddyfile").write_text("{\n\tadmin off\n\tauto_https off\n}\n" + text)
    return [program("caddy"), "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def traefik(folder: Path, ports: Ports) -> Sequence[str]:
    """The page's dynamic configuration in a file."""
    text = configuration(
        "Traefik",
        {
            "127.0.0.1:8000": _at(ports.bartizan),
            "127.0.0.1:9000": _at(ports.application),
            "TOKEN": TOKEN,
        },
    )
    (folder / "dynamic.yaml").write_text(text)
    return [
        program("traefik"),
        f"--entryPoints.web.address={PROXY}:{ports.proxy}",
        f"--providers.file.filename={folder / 'dynamic.yaml'}",
        "--providers.file.watch=false",
        "--global.checkNewVersion=false",
        "--global.sendAnonymousUsage=false",
    ]


def traefik_with_all_headers(folder: Path, ports: Ports) -> Sequence[str]:
    """The same, which hands all of the client's headers on, its Authorization too: what Traefik does by itself."""
    command = traefik(folder, ports)
    file = folder / "dynamic.yaml"
    file.write_text(re.sub(r" +authRequestHeaders:.*\n", "", file.read_text()))
    return command


def envoy(folder: Path, ports: Ports) -> Sequence[str]:
    """The page's whole configuration."""
    text = configuration(
        "Envoy",
        {
            "address: 0.0.0.0, port_value: 80}": f"address: {PROXY}, port_value: {ports.proxy}}}",
            "http://127.0.0.1:8000": f"http://{_at(ports.bartizan)}",
            "port_value: 8000": f"port_value: {ports.bartizan}",
            "port_value: 9000": f"port_value: {ports.application}",
            "TOKEN": TOKEN,
        },
    )
    (folder / "envoy.yaml").write_text(text)
    return [
        *(program("envoy"), "-c", str(folder / "envoy.yaml")),
        *("--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"),
    ]


ASKING: dict[str, Command] = {
    "nginx": nginx,
    "nginx-appending": nginx_appending,
    "caddy": caddy,
    "traefik": traefik,
    "traefik-with-all-headers": traefik_with_all_headers,
    "envoy": envoy,
}


def _at(port: int) -> str:
    return f"127.0.0.1:{port}"


@contextmanager
def started(command: Command, folder: Path, bartizan: int, application: int) -> Iterator[int]:
    """The proxy at work; its port."""
    ports = Ports(free_port(), bartizan, application)
    with running(command(folder, ports), folder, {"HOME": str(folder)}) as process:
        until(lambda: is_open(ports.proxy) or process.poll() is not None, 30)
        assert process.poll() is None, (folder / "output.log").read_text()
        until(lambda: request(ports.proxy, STRANGER).status != 404)  # Traefik listens before it has routes
        yield ports.proxy
