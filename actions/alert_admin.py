"""Tells people about a finding."""

from actions.incidents.incident import Incident
from actions.world import World
from detectors.finding import Finding


async def run(finding: Finding, incident: Incident, world: World) -> None:
    """Sees that the message of this finding is in the outbox, once.

    The responder has it written together with the incident; this completes an incident that was opened without
    one. Joining findings are limited, see Incidents.open_or_join. Raises: UnknownError, StorageError.
    """
    await world.incidents.tell(finding, incident.id)
