"""Which addresses a channel may send to."""

from ipaddress import ip_address

import httpx

LONGEST_URL = 2_048


def checked_url(text: str) -> str:
    """The address, if it is one that a channel may send to.

    https; http only to this machine, a private network or a name without a dot, such as a container's. Raises:
    ValueError, whose text does not repeat the address: it may be a secret.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        raise ValueError("is no address") from None
    if len(text) > LONGEST_URL or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(f"is no address: only visible ASCII characters, at most {LONGEST_URL:,}")
    if url.scheme not in ("https", "http") or not url.host:
        raise ValueError("must begin with https:// and name a host")
    if url.fragment:
        raise ValueError("must have no #fragment")
    if url.scheme == "http" and not _is_near(url.host):
        raise ValueError("must begin with https://: what it carries is nobody else's business")
    return text


def _is_near(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".localhost", ".internal", ".local"))
    return address.is_loopback or address.is_private
