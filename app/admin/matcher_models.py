"""What a silence or a maintenance window matches, and for how long it lasts, on the wire."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from actions.quiet.matchers import LONGEST_VALUE, MOST_MATCHERS, MOST_VALUES, Matcher, MatchField
from app.admin.models import Input, Output
from app.durations import parse_duration

MatchText = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_VALUE)]


class MatcherModel(Output):
    """Holds where the field equals one of the values, or with `glob` fits one of the patterns."""

    field: MatchField
    values: tuple[str, ...]
    glob: bool


class MatcherInput(Input):
    """One condition; all of them have to hold."""

    field: MatchField
    values: Annotated[tuple[MatchText, ...], Field(min_length=1, max_length=MOST_VALUES)]
    glob: bool = False
    """Values are patterns: `*` any text, `?` one character, `[ab]` one of these. Case counts."""

    def matcher(self) -> Matcher:
        """The same for the store."""
        return Matcher(field=self.field, values=self.values, glob=self.glob)


Matchers = Annotated[tuple[MatcherInput, ...], Field(max_length=MOST_MATCHERS)]


def _check_length(text: str) -> str:
    parse_duration(text)
    return text


Length = Annotated[str, StringConstraints(max_length=40), AfterValidator(_check_length)]
"""`30m`, `4h`, `7d`: never for good."""
