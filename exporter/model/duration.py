"""Durations as Prometheus writes them: `30s`, `1h30m`, `500ms`."""

from __future__ import annotations

import re
from typing import Final

# The grammar of Prometheus' own model.ParseDuration: units in falling order, each at most once.
_DURATION: Final = re.compile(
    r"(?:(?P<y>\d+)y)?(?:(?P<w>\d+)w)?(?:(?P<d>\d+)d)?(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)s)?(?:(?P<ms>\d+)ms)?",
    re.ASCII,
)
_SECONDS: Final = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1, "ms": 0.001}
_LONGEST: Final = 100  # characters; so that no count is too big for a float
_SHOWN: Final = ("d", "h", "m", "s")


def duration_seconds(text: str) -> float:
    """Seconds of a Prometheus duration such as `1h30m`. Raises `ValueError` with the remedy."""
    match = _DURATION.fullmatch(text)
    if text == "0":
        return 0.0
    if not match or not text or len(text) > _LONGEST:
        raise ValueError("not a duration; write a number with a unit, such as 500ms, 30s, 5m, 1h30m or 1d")
    seconds = sum(int(count) * _SECONDS[unit] for unit, count in match.groupdict().items() if count)
    if seconds > 100 * _SECONDS["y"]:
        raise ValueError("longer than 100 years")
    return float(seconds)


def duration_text(seconds: float) -> str:
    """The shortest Prometheus duration of that many seconds, to the millisecond: 5400 is `1h30m`."""
    milliseconds = round(seconds * 1000)
    parts = []
    for unit in _SHOWN:
        count, milliseconds = divmod(milliseconds, int(_SECONDS[unit] * 1000))
        if count:
            parts.append(f"{count}{unit}")
    if milliseconds:
        parts.append(f"{milliseconds}ms")
    return "".join(parts) or "0s"


def seconds_text(seconds: float) -> str:
    """Seconds for a message, rounded to tenths; less than that to thousandths."""
    return f"{round(seconds, 1 if seconds >= 0.1 else 3):g} s"
