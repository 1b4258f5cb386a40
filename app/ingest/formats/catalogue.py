"""Every line format there is. A new one is its own file here and its name in this list."""

from collections.abc import Iterator, Mapping
from typing import Any

from app.ingest.formats import (
    asterisk,
    authelia,
    aws_alb,
    caddy_console,
    combined,
    dovecot,
    envoy,
    exim,
    gitea,
    grafana,
    haproxy,
    iis,
    jellyfin,
    keycloak,
    nextcloud,
    nginx_error,
    pam,
    postfix,
    proftpd,
    sshd,
    vaultwarden,
    vsftpd,
    wordpress,
)
from app.ingest.formats.format import Format, Parser
from app.ingest.formats.record_format import has_keys
from detectors.event import Event

LINES: tuple[Format, ...] = (
    combined.FORMAT,
    sshd.FORMAT,
    nginx_error.FORMAT,
    asterisk.FORMAT,
    authelia.FORMAT,
    dovecot.FORMAT,
    exim.FORMAT,
    gitea.FORMAT,
    grafana.FORMAT,
    jellyfin.FORMAT,
    keycloak.FORMAT,
    keycloak.JSON,
    nextcloud.FORMAT,
    pam.FORMAT,
    postfix.FORMAT,
    proftpd.FORMAT,
    vaultwarden.FORMAT,
    vsftpd.FORMAT,
    wordpress.FORMAT,
    haproxy.FORMAT,
    aws_alb.FORMAT,
    envoy.FORMAT,
    iis.FORMAT,
    caddy_console.FORMAT,
)
"""In the order in which `auto` tries those that can be met as a line; the order of no two of them matters for what
they find, since each takes only what is beyond doubt its own."""


def find_marked(line: str, received_ms: int) -> Event | None:
    """A line of any format that has marks, if one of them stands in it; what is in nobody's table costs little."""
    for mark, find in _MARKED:
        if mark in line:
            event = find(line, received_ms)
            if event is not None:
                return event
    return None


def message_parser(program: str) -> Parser | None:
    """What reads the messages of a program (see `programs.program_name`); None where no format is its own."""
    return _MESSAGES.get(program)


def record_format_of(record: Mapping[str, Any]) -> Format | None:
    """The application that writes such records, by the keys that they hold."""
    if FIRST_KEYS.isdisjoint(record):
        return None
    for key, found in _RECORDS:
        if key in record and has_keys(record, found.keys):
            return found
    return None


def _message_parsers() -> Iterator[tuple[str, Parser]]:
    found: dict[str, list[Parser]] = {}
    for each in LINES:
        if each.parse_message is not None:
            for program in each.programs:
                found.setdefault(program, []).append(each.parse_message)
    for program, parsers in found.items():
        yield program, parsers[0] if len(parsers) == 1 else _first_of(tuple(parsers))


def _first_of(parsers: tuple[Parser, ...]) -> Parser:
    def parse(text: str, received_ms: int) -> Event | None:
        for each in parsers:
            event = each(text, received_ms)
            if event is not None:
                return event
        return None

    return parse


_MESSAGES = dict(_message_parsers())
_MARKED = tuple((mark, each.find) for each in LINES if each.find is not None for mark in each.marks)
UNMARKED = tuple(each.find for each in LINES if each.find is not None and not each.marks)
"""What is asked about every line."""
_RECORDS = tuple((next(iter(each.keys)), each) for each in LINES if each.keys)
FIRST_KEYS = frozenset(key for key, _ in _RECORDS)
"""A record without any of them is of no application here."""
