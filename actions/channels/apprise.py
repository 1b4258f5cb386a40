"""Any service that apprise knows, by its URL. An extra: `pip install bartizan[apprise]`.

apprise says neither why a message was not delivered nor when to try again, so every failure counts as temporary.
"""

import asyncio
import logging
from typing import TYPE_CHECKING

from actions.channels.wording import IncidentUrl, worded
from actions.delivery.message import Letter, Rate
from detectors.errors import ConfigError, DeliveryError

if TYPE_CHECKING:
    from apprise import Apprise

DEADLINE_S = 30.0


class AppriseChannel:
    """Tells what one apprise URL leads to."""

    type = "apprise"
    groups = True
    rate: Rate | None = None

    def __init__(self, name: str, target: "Apprise", incident_url: IncidentUrl) -> None:
        self.name = name
        self._target = target
        self._incident_url = incident_url

    async def send(self, letter: Letter) -> str:
        """One notification, from a thread: apprise blocks. Raises: DeliveryError."""
        said = worded(letter, self._incident_url)
        facts = [f"{fact.name}: {fact.value}" for fact in said.facts]
        body = "\n".join([said.text, *facts, *(link.href for link in said.links)])
        try:
            async with asyncio.timeout(DEADLINE_S):
                is_sent = await asyncio.to_thread(
                    self._target.notify, title=said.headline, body=body, body_format="text"
                )
        except TimeoutError:
            raise DeliveryError("no answer in time", permanent=False) from None
        if not is_sent:
            raise DeliveryError("apprise could not deliver it; the service's log says more", permanent=False)
        return ""


def target_of(url: str) -> "Apprise":
    """The service behind an apprise URL, without retries of its own. Raises: ConfigError, never with the URL."""
    try:
        from apprise import Apprise
    except ImportError:
        raise ConfigError("needs apprise, which is not installed: pip install 'bartizan[apprise]'") from None
    found = Apprise()
    apprise_log = logging.getLogger("apprise")
    apprise_log.disabled = True  # it would log a URL that it cannot read, with the secrets in it
    try:
        is_known = found.add(url)
    finally:
        apprise_log.disabled = False
    if not is_known or len(found) != 1:
        raise ConfigError("is no URL that apprise knows, or more than one")
    for service in found:
        service.retry = 0  # whatever the URL says: the outbox does that
    return found
