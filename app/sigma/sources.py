"""The `logsource` of a Sigma rule: whether our events are what it is about, and which of them."""

from typing import Any

from app.sigma.logic import any_of, exists
from app.sigma.refusal import Refused, shown
from detectors.conditions import Condition

_WEB = any_of([exists("path"), exists("status")])
CATEGORIES: dict[str, Condition] = {
    "webserver": _WEB,
    "proxy": _WEB,
    "authentication": exists("outcome"),
}
"""What an event must have to be of the category: a rule of keywords must not read other logs."""
_LOGIN_SERVICES = frozenset({"sshd", "auth", "pam", "sudo", "su", "security", "vsftpd", "ldap", "kerberos"})
_WEB_PRODUCTS = frozenset({"apache", "nginx", "iis", "tomcat", "haproxy", "squid", "modsecurity", "zscaler"})
_CONTRADICTING = {"webserver": _LOGIN_SERVICES, "proxy": _LOGIN_SERVICES, "authentication": _WEB_PRODUCTS}


def events_of(source: Any) -> Condition:
    """What the events of this source have in common. Raises: Refused where Bartizan sees no such events."""
    if not isinstance(source, dict):
        raise Refused("it has no logsource")
    category = source.get("category")
    if not isinstance(category, str) or category not in CATEGORIES:
        named = [
            f"{key} {source[key]}" for key in ("category", "product", "service") if _is_name(source.get(key))
        ]
        raise Refused(
            f"{', '.join(named) or 'no category'}: Bartizan sees web and authentication events only"
        )
    for key in ("product", "service"):
        value = source.get(key)
        if isinstance(value, str) and value in _CONTRADICTING[category]:
            raise Refused(f"{key} {shown(value)} does not write events of the category {category}")
    return CATEGORIES[category]


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 60 and value.isprintable()
