"""Makes an incident of a finding that people must deal with, and tells them."""

from actions.incidents.incident import Incident
from actions.world import World
from detectors.finding import Finding


async def run(finding: Finding, incident: Incident, world: World) -> None:
    """Sees that people are told of the incident that the responder has opened or joined, once per finding.

    Raises: UnknownError, StorageError.
    """
    await world.incidents.tell(finding, incident.id)


async def run_immediate(finding: Finding, incident: Incident, world: World) -> None:
    """The same at P0 and critical, with a message that no quiet time holds back.

    Raises: UnknownError, StorageError.
    """
    await world.incidents.make_immediate(incident.id)
    await world.incidents.tell(finding, incident.id)
