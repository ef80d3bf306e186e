"""Numbers that stand in text with their unit, or as people of some place write them: durations, sizes, percentages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Final

from msgspec import Struct

from exporter.model.samples import Number

_LONGEST: Final = 100  # characters
_DIGITS: Final = r"\d{1,18}(?:\.\d{1,18})?"
_ISO_DIGITS: Final = r"\d{1,18}(?:[.,]\d{1,18})?"
# ISO 8601 durations of parts whose length is known: no years, no months.
_ISO: Final = re.compile(
    rf"(?P<sign>[+-]?)P(?=.)(?:(?P<w>{_ISO_DIGITS})W)?(?:(?P<d>{_ISO_DIGITS})D)?"
    rf"(?:T(?=.)(?:(?P<h>{_ISO_DIGITS})H)?(?:(?P<m>{_ISO_DIGITS})M)?(?:(?P<s>{_ISO_DIGITS})S)?)?",
    re.ASCII,
)
_CLOCK: Final = re.compile(
    r"(?P<sign>[+-]?)(?:(?P<d>\d{1,9}) days?,? )?(?P<h>\d{1,9}):(?P<m>[0-5]\d):(?P<s>[0-5]\d(?:\.\d{1,18})?)", re.ASCII
)
_PART: Final = re.compile(rf" ?({_DIGITS}) ?([a-zµμ]{{1,12}})", re.ASCII)
_SIZE: Final = re.compile(rf"([+-]?{_DIGITS}) ?([A-Za-z]{{0,5}})", re.ASCII)
_PERCENT: Final = re.compile(rf"([+-]?{_DIGITS}) ?%?", re.ASCII)
_NUMBER_FORM: Final = re.compile(r"1(?P<group>[.,' ]?)234(?P<point>[.,])56")

_SECONDS: Final[Mapping[str, Fraction]] = {
    name: Fraction(seconds)
    for names, seconds in (
        ("ns nanosecond nanoseconds", Fraction(1, 10**9)),
        ("us µs μs microsecond microseconds", Fraction(1, 10**6)),
        ("ms msec millisecond milliseconds", Fraction(1, 1000)),
        ("s sec secs second seconds", 1),
        ("m min mins minute minutes", 60),
        ("h hr hrs hour hours", 3600),
        ("d day days", 86400),
        ("w week weeks", 7 * 86400),
    )
    for name in names.split()
}
_PREFIXES: Final = "KMGTPE"
_BYTES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("", "B", "byte", "bytes"), 1),
    **dict.fromkeys(("k", "kB"), 1000),
    **{prefix + end: 1000**at for at, prefix in enumerate(_PREFIXES, 1) for end in ("", "B")},
    **{prefix + end: 1024**at for at, prefix in enumerate(_PREFIXES, 1) for end in ("i", "iB")},
}


def seconds_of(text: str) -> Number:
    """Seconds of a duration: ISO 8601 (`PT1H2M`, without years and months), `1h2m`, `3 days`, `01:02:03`. The sign of
    days before a clock is theirs alone, as in Python: `-1 day, 23:59:59` is a second less than none.

    Raises `ValueError`.
    """
    text = _bounded(text)
    if (match := _ISO.fullmatch(text) or _CLOCK.fullmatch(text)) is not None:
        parts = {unit: count for unit, count in match.groupdict().items() if unit != "sign" and count}
        seconds = {unit: _fraction(count) * _SECONDS[unit] for unit, count in parts.items()}
        if match.re is _CLOCK and match["d"] and match["sign"] == "-":  # as Python writes it: a clock counts up
            seconds["d"] *= -1
            return _number(sum(seconds.values(), Fraction(0)))
        return _signed(sum(seconds.values()), match["sign"])
    sign, rest = (text[0], text[1:]) if text[0] in "+-" else ("", text)
    at, total = 0, Fraction(0)
    while (part := _PART.match(rest, at)) is not None and part[2] in _SECONDS:
        total += _fraction(part[1]) * _SECONDS[part[2]]
        at = part.end()
    if at < len(rest) or not rest:
        raise ValueError("not a duration")
    return _signed(total, sign)


def bytes_of(text: str) -> Number:
    """Bytes of a size: `1.5 GiB`, `20kB`, `512Mi`; without a unit it is in bytes. Raises `ValueError`."""
    match = _SIZE.fullmatch(_bounded(text))
    if match is None or match[2] not in _BYTES:
        raise ValueError("not a size")
    return _number(_fraction(match[1]) * _BYTES[match[2]])


def ratio_of(text: str) -> Number:
    """The ratio that a percentage is: `85 %` is 0.85. Raises `ValueError`."""
    match = _PERCENT.fullmatch(_bounded(text))
    if match is None:
        raise ValueError("not a percentage")
    return _number(_fraction(match[1]) / 100)


class NumberForm(Struct, frozen=True):
    """How a number is written: what stands between groups of three digits, if anything does, and the decimal point."""

    group: str
    point: str

    def plain(self, text: str) -> str:
        """The text with its first number as computers write it. Raises `ValueError` where none is in this form."""
        found = self._number(_bounded(text))
        if found is None:
            raise ValueError("not a number in that form")
        return found

    def _number(self, text: str) -> str | None:
        for space in "\u00a0\u202f\u2009":  # which French and others have between groups
            text = text.replace(space, " ")
        match = _number_pattern(self.group, self.point).match(text.replace("’", "'"))
        if match is None or text[match.end() : match.end() + 1] in (".", ","):
            return None
        whole = match["whole"].replace(self.group, "") if self.group else match["whole"]
        return f"{match['sign']}{whole}{'.' if match['part'] else ''}{match['part'] or ''}{text[match.end() :]}"


@cache
def _number_pattern(group: str, point: str) -> re.Pattern[str]:
    groups = rf"\d{{1,3}}(?:{re.escape(group)}\d{{3}}){{1,6}}(?!\d)|" if group else ""
    return re.compile(
        rf"(?P<sign>[+-]?)(?P<whole>{groups}\d{{1,18}}(?!\d))(?:{re.escape(point)}(?P<part>\d{{1,18}}))?(?!\d)",
        re.ASCII,
    )


def parse_number_form(text: str) -> NumberForm | None:
    """The form in which 1234.56 is written as that text; None, if it is no such text."""
    match = _NUMBER_FORM.fullmatch(text)
    if match is None or match["group"] == match["point"]:
        return None
    return NumberForm(match["group"], match["point"])


def _bounded(text: str) -> str:
    stripped = text.strip()
    if not stripped or len(stripped) > _LONGEST:
        raise ValueError("not a quantity")
    return stripped


def _fraction(text: str) -> Fraction:
    return Fraction(text.replace(",", "."))


def _signed(value: Fraction | int, sign: str) -> Number:
    return _number(Fraction(-value if sign == "-" else value))


def _number(value: Fraction) -> Number:
    return value.numerator if value.denominator == 1 else float(value)
