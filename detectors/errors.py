"""The errors of the house. Each is translated once, at the boundary, into a clear answer."""


class BartizanError(Exception):
    """The common parent, so that a boundary can catch ours and nothing else. Never raised itself."""


class ConfigError(BartizanError):
    """A setting or policy is wrong; the message names the key, and the line where there is one."""


class DecodeError(BartizanError):
    """A record or a body cannot be read; the message says what is wrong and where."""


class StorageError(BartizanError):
    """Redis did not answer or refused; nothing was acknowledged, and the caller may try again."""


class DeliveryError(BartizanError):
    """A message did not reach its channel."""

    def __init__(self, message: str, *, permanent: bool, retry_after_ms: int | None = None) -> None:
        """`permanent`: trying again is of no use. `retry_after_ms`: how long the receiver wants to be left alone."""
        super().__init__(message)
        self.permanent = permanent
        self.retry_after_ms = retry_after_ms
