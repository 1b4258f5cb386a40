"""How long something took, for people."""

NOTHING = "n/a"


def elapsed(ms: int | None) -> str:
    """A duration for people: `48 s`, `12 min`, `3 h 20 min`, `2 d 4 h`; `n/a` where there is none."""
    if ms is None:
        return NOTHING
    seconds = ms // 1000
    if seconds < 120:
        return f"{seconds} s"
    minutes = seconds // 60
    if minutes < 120:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
