"""Samples -> lines, in the Prometheus text format 0.0.4 and OpenMetrics 1.0.0 at once: only their heads differ."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from exporter.exposition.block import Block
from exporter.model import Family, LabelValues, MetricType, Number, Samples

SMALL_BYTES = 4096  # less than this is deflated together with its neighbours
_PIECE_BYTES = 65536  # how much of a big body is deflated at a time; more gains less than 2 %
_FIRST_PIECE_ROWS = 256
_EXACT_INTEGERS = 2**53  # up to here every integer is a float

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Format(StrEnum):
    """What `/metrics` can be written in."""

    TEXT = "text"
    OPENMETRICS = "openmetrics"


@dataclass(frozen=True, slots=True)
class Body:
    """All lines that one owner (a query, its source and target) has in one family.

    A small body keeps its bytes alone, as it will be deflated together with its neighbours; a big one is a block.
    """

    raw: bytes = b""
    block: Block | None = None

    @property
    def length(self) -> int:
        return len(self.raw) if self.block is None else self.block.length

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> Body:
        """The body made of these pieces of whole lines; a big one is deflated here."""
        pieces = iter(pieces)
        first = next(pieces, b"")
        if len(first) < SMALL_BYTES:
            first = b"".join((first, *pieces))
        if len(first) < SMALL_BYTES:
            return cls(raw=first)
        return cls(block=Block.joined([Block.of(first), *map(Block.of, pieces)]))


def body(samples: Samples) -> Body:
    """The lines of these samples. Keeps nothing and shares nothing, so it may run in any thread."""
    return Body.of(pieces(samples))


def pieces(samples: Samples) -> Iterator[bytes]:
    """The same lines in pieces of whole lines, each about 64 KiB, for callers that have other things to do between.

    Values are finite. Integers up to 2^53 are written exactly, larger ones as the nearest float, floats as the
    shortest text that gives the same float back. Raises OverflowError for an integer that no float is near to.
    """
    family = samples.family
    labels = ",".join(f'{name}="%s"' for name in family.label_names)
    line = f"{family.name}{{{labels}}} %s\n" if labels else f"{family.name} %s\n"
    quotes = 2 * len(family.label_names)
    rows: Iterator[tuple[LabelValues, Number | str]] = iter(samples.series.items())
    if not _all_plain(samples.series.values()):
        rows = ((values, _number(number)) for values, number in samples.series.items())
    count = _FIRST_PIECE_ROWS
    while chunk := list(islice(rows, count)):
        piece = _lines(line, quotes, chunk)
        yield piece
        count = max(1, _PIECE_BYTES * len(chunk) // len(piece))


def head(family: Family, in_format: Format) -> bytes:
    """The HELP and TYPE lines of a family. In OpenMetrics a counter's family is named without `_total` there."""
    name, text = family.name, _LONE_SURROGATE.sub("\ufffd", family.help)
    if in_format is Format.OPENMETRICS:
        if family.type is MetricType.COUNTER:
            name = name.removesuffix("_total")
        text = _escaped(text)
    else:
        text = text.replace("\\", r"\\").replace("\n", r"\n")
    return f"# HELP {name} {text}\n# TYPE {name} {family.type.value}\n".encode()


def _lines(line: str, quotes: int, rows: list[tuple[LabelValues, Number | str]]) -> bytes:
    """The rows as lines. They are written as they are first; a count over the whole text shows if any needs escapes.

    Escaping each value, or looking up its escaped form, takes longer than writing it.
    """
    text = "".join([line % (*values, number) for values, number in rows])
    if text.count('"') == quotes * len(rows) and text.count("\n") == len(rows) and "\\" not in text:
        try:
            return text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can carry and UTF-8 cannot
            pass
    escaped = "".join([line % (*map(_escaped, values), number) for values, number in rows])
    return _LONE_SURROGATE.sub("\ufffd", escaped).encode()


def _escaped(text: str) -> str:
    """A label value, or a help text in OpenMetrics."""
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _all_plain(numbers: Collection[Number]) -> bool:
    """Whether Python's own text of every number is what a page says."""
    kinds = set(map(type, numbers))
    if kinds == {float} or not kinds:
        return True
    return kinds <= {int, float} and max(numbers) <= _EXACT_INTEGERS and min(numbers) >= -_EXACT_INTEGERS


def _number(number: Number) -> str:
    if isinstance(number, int) and abs(number) <= _EXACT_INTEGERS:
        return str(int(number))  # a bool is an integer
    return repr(float(number))
