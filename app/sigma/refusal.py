"""Why a Sigma rule cannot be loaded. A refused rule never keeps the others from loading."""

from dataclasses import dataclass


class Refused(ValueError):
    """This part of a rule cannot be taken; the message is for people."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One document that was not loaded."""

    file: str
    """Relative to the folder."""
    rule: str
    """Its title, else its id, else which document of the file it is."""
    reason: str


def shown(value: object) -> str:
    """A value of a rule as it may stand in a reason: short, whatever the file holds."""
    if isinstance(value, str | int | float | bool) or value is None:
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."
    return f"a {type(value).__name__}"
