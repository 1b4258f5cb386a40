"""OpenSSH's authentication lines in syslog.

One attempt is one `Failed <method> for` line; the `Invalid user` line of the same attempt is a plain message.
The user name is the attacker's text: it may be empty, hold blanks, or look like the end of the line.
Source: OpenSSH auth.c, auth_log(); rsyslog's and syslogd's `message repeated N times: [ ... ]`.
"""

import re

from app.ingest.formats.format import Format, Parser
from app.ingest.formats.programs import parse_program_line, without_repeat
from detectors.event import Event

NAME = "sshd"

_WHO = r"(Failed|Accepted) [a-z0-9/_-]{1,64}+ for (?:(?:invalid|illegal) user )?"
_FROM = r" from ([0-9A-Fa-f.:]{2,45}+(?:%[A-Za-z0-9._-]{1,15}+)?+|UNKNOWN) port [0-9]{1,5}+"
_KEY = r" ssh[12]: [A-Za-z0-9@._-]{1,64}+ [^ ,\"]{1,160}+"
_ATTEMPT = re.compile(rf"{_WHO}(.*){_FROM}(?:{_KEY}|(?: ssh[12])?+)\s*+\Z", re.DOTALL)
_ATTEMPT_WITH_NAMES = re.compile(rf"{_WHO}(.*?){_FROM}{_KEY}(?: ID |, client user ).*\Z", re.DOTALL)
"""A certificate's ID or a hostbased client's user follows, both the attacker's text too."""
_ADDRESS = re.compile(_FROM)


def parse(line: str, received_ms: int) -> Event | None:
    """One syslog line as an Event; None where it is no syslog line.

    Lines of sshd that are no attempt, and of other programs, are plain messages.
    """
    return parse_program_line(line, received_ms, _parser_of)


def parse_message(text: str, received_ms: int) -> Event | None:
    """What sshd said, without the syslog header; None where it is no attempt to log in.

    The address is that of the last `from <address> port <n>`, at the end of the line. Where further text of
    the attacker follows and names another address, nobody can tell which is his: it is None.
    """
    repeat, text = without_repeat(text)
    if not text.startswith(("Failed ", "Accepted ")):
        return None
    found = _ATTEMPT.match(text) or _ATTEMPT_WITH_NAMES.match(text)
    if found is None:
        return None
    verb, user, address = found.groups()
    if address == "UNKNOWN" or (found.re is _ATTEMPT_WITH_NAMES and len(_ADDRESS.findall(text)) > 1):
        address = None
    return Event(
        client_ip=address,
        user=user,
        message=text,
        outcome="failure" if verb == "Failed" else "success",
        category="authentication",
        repeat=repeat,
    )


def _parser_of(program: str) -> Parser | None:
    return parse_message if program == NAME else None


FORMAT = Format(
    NAME,
    "OpenSSH's attempts in syslog lines",
    "OpenSSH auth.c",
    parse,
    programs=(NAME,),
    parse_message=parse_message,
)
