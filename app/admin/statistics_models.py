"""How well incidents were answered, on the wire."""

from app.admin.models import Output


class TimesModel(Output):
    """A distribution of durations."""

    count: int
    median_ms: int | None
    p90_ms: int | None


class TargetModel(Output):
    """The response target of one priority, and how often it was met."""

    response_ms: int
    met: int
    missed: int
    waiting: int


class JudgedModel(Output):
    """Verdicts about one rule."""

    judged: int
    false_positives: int
    rate: float


class StatisticsModel(Output):
    """The incidents that were triggered in a time; merged ones count with those that took them in."""

    opened: int
    merged: int
    by_severity: dict[str, int]
    by_priority: dict[str, int]
    by_status: dict[str, int]
    by_rule: dict[str, int]
    to_acknowledge: TimesModel
    to_resolve: TimesModel
    targets: dict[str, TargetModel]
    judged: dict[str, JudgedModel]
    """By rule: incidents that have a verdict."""
    escalated: dict[int, int]
    """By the highest level that was told."""


class WindowStatisticsModel(StatisticsModel):
    """The same of the last days, and what people said of blocks."""

    rejected_blocks: dict[str, int]
    """By rule: blocks that people rejected, however long ago."""
    is_cut: bool
    """There were more incidents than could be read: the newest 5,000 count."""
