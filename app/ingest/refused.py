"""A request with events that is not taken, and what its sender had sent."""

from app.ingest.shippers.shipper import Refusal

_REASONS = {
    Refusal.ANONYMOUS: "unauthorized", Refusal.UNKNOWN_CALLER: "unauthorized", Refusal.WRONG_ROLE: "unauthorized",
    Refusal.FORBIDDEN: "unauthorized", Refusal.TOO_LARGE: "too_large", Refusal.UNDECODABLE: "undecodable",
    Refusal.TRY_AGAIN: "overloaded",
}  # fmt: skip
"""The metric's word for each refusal."""


class Refused(Exception):
    """The request is not taken."""

    def __init__(self, refusal: Refusal, detail: str, reason: str | None = "", sent: bytes = b"") -> None:
        """`reason`: the metric's word for it, where it is not the refusal's own; None where it is counted already.

        `sent`: what came of its body, as it came over the wire.
        """
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail
        self.reason = _REASONS[refusal] if reason == "" else reason
        self.sent = sent
