"""How an API writes times, both ways: ISO 8601, a date, Unix time, or a text of strftime."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final

from msgspec import Struct

from exporter.model.samples import Json, Number

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TIMESTAMP: Final = re.compile(
    r"(?P<clock>\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d(?:[.,](?P<fraction>\d{1,9}))?)?)"
    r" ?(?P<offset>[Zz]|[+-]\d\d(?::?[0-5]\d)?)?",
    re.ASCII,
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER: Final = re.compile(r"-?\d{1,20}(?:\.\d{1,20})?", re.ASCII)
_DIRECTIVE: Final = re.compile(r"%(.?)", re.DOTALL)
_DIRECTIVES: Final = frozenset("YmdHMSfzjyIpbBaAGVuUW%")
_UNIX: Final = {"unix": 1, "unix_ms": 1000}
_WORDS: Final = ("iso", "date", *_UNIX)


class TimeFormat(Struct, frozen=True):
    """A form of times: a word, or a text of strftime."""

    text: str

    def write(self, moment: datetime) -> Json:
        """The moment in that form, by the clock of its own time zone."""
        match self.text:
            case "iso":
                return iso_text(moment)
            case "date":
                return f"{moment:%Y-%m-%d}"
            case "unix":
                seconds = moment.timestamp()  # whole ones as a whole number, as servers take a variable of type Int
                return int(seconds) if seconds.is_integer() else seconds
            case "unix_ms":
                return (moment - _EPOCH) // _MILLISECOND
        return moment.strftime(self.text)

    def read(self, value: Json, zone: tzinfo) -> Number:
        """Unix time of what is in that form; a date, or a time without offset, is by the zone's clock.

        Raises `ValueError` and `OverflowError`.
        """
        if self.text in _UNIX:
            return _unix(value) / _UNIX[self.text]
        if not isinstance(value, str):
            raise ValueError("not a time in that form")
        if self.text in ("iso", "date") and _DATE.fullmatch(value.strip()):
            return datetime.fromisoformat(value.strip()).replace(tzinfo=zone).timestamp()
        if self.text == "iso":
            return unix_seconds(value, zone)
        if self.text == "date":
            raise ValueError("not a time in that form")
        moment = datetime.strptime(value.strip(), self.text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)).timestamp()


ISO: Final = TimeFormat("iso")


def parse_time_format(text: str) -> TimeFormat:
    """The form that `text` names. Raises `ValueError` with the remedy."""
    if text in _WORDS:
        return TimeFormat(text)
    directives = _DIRECTIVE.findall(text)
    if not directives or not _DIRECTIVES.issuperset(directives) or "" in directives:
        raise ValueError("not a form of times; write iso, date, unix, unix_ms, or a strftime text such as %d.%m.%Y")
    return TimeFormat(text)


def iso_text(moment: datetime) -> str:
    """ISO 8601 with milliseconds and an offset: `2021-08-16T12:00:00.000+05:30`."""
    return moment.isoformat(timespec="milliseconds")


def unix_seconds(text: str, zone: tzinfo = UTC) -> float:
    """Unix time of an ISO 8601 time stamp, any offset (the zone's without one), up to nine fractional digits.

    Raises `ValueError` and `OverflowError`.
    """
    match = _TIMESTAMP.fullmatch(text.strip())
    if not match:
        raise ValueError("not an ISO 8601 time stamp")
    clock = match["clock"].replace(",", ".").partition(".")[0]
    moment = datetime.fromisoformat(clock.upper()).replace(tzinfo=_offset(match["offset"], zone))
    seconds = (moment.astimezone(UTC) - _EPOCH) // timedelta(seconds=1)
    return seconds + int((match["fraction"] or "0").ljust(9, "0")) / 10**9


def _unix(value: Json) -> Number:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value) if "." in value else int(value)
    raise ValueError("not a time in that form")


def _offset(text: str | None, zone: tzinfo) -> tzinfo:
    if text is None:
        return zone
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "")
    delta = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or "0"))
    return timezone(-delta if text[0] == "-" else delta)
