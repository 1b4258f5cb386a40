"""How long to wait before something that failed is tried again."""

from __future__ import annotations

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 15.0


def pause_s(failures: int, retry_after_s: float, jitter: float) -> float:
    """Seconds to wait after so many failures in a row; `jitter` is 0 to 1."""
    pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 10))
    return max(pause * (0.5 + jitter / 2), retry_after_s * (1 + jitter / 4))
