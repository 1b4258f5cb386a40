"""Ids of public standards, and the pages that explain them."""

import re

_TECHNIQUE = re.compile(r"T(\d{4})(?:\.(\d{3}))?")
_API_RISK = re.compile(r"API(\d{1,2}):2023")
_WEB_RISK = re.compile(r"A(\d{2}):2021")
_AUTOMATED_THREAT = re.compile(r"OAT-\d{3}")
_WEAKNESS = re.compile(r"CWE-(\d{1,4})")
_VERIFICATION = re.compile(r"ASVS \d{1,2}\.\d{1,2}\.\d{1,2}")

API_RISKS = (
    "broken-object-level-authorization",
    "broken-authentication",
    "broken-object-property-level-authorization",
    "unrestricted-resource-consumption",
    "broken-function-level-authorization",
    "unrestricted-access-to-sensitive-business-flows",
    "server-side-request-forgery",
    "security-misconfiguration",
    "improper-inventory-management",
    "unsafe-consumption-of-apis",
)
"""API1 to API10. Source: OWASP API Security Top 10, 2023."""


def link_of(reference: str) -> str | None:
    """The page of an id such as `T1110.004`, `API2:2023`, `OAT-008`, `CWE-307`, `A07:2021` or `ASVS 2.2.1`.

    None where it has the shape of none of them.
    """
    if match := _TECHNIQUE.fullmatch(reference):
        return "https://attack.mitre.org/techniques/T" + "/".join(filter(None, match.groups())) + "/"
    if (match := _API_RISK.fullmatch(reference)) and 1 <= int(match[1]) <= len(API_RISKS):
        number = int(match[1])
        return f"https://owasp.org/API-Security/editions/2023/en/0xa{number:x}-{API_RISKS[number - 1]}/"
    if (match := _WEB_RISK.fullmatch(reference)) and 1 <= int(match[1]) <= 10:
        return "https://owasp.org/Top10/"
    if _AUTOMATED_THREAT.fullmatch(reference):
        return "https://owasp.org/www-project-automated-threats-to-web-applications/"
    if match := _WEAKNESS.fullmatch(reference):
        return f"https://cwe.mitre.org/data/definitions/{match[1]}.html"
    if _VERIFICATION.fullmatch(reference):
        return "https://owasp.org/www-project-application-security-verification-standard/"
    return None
