"""Samples -> lines, in the Prometheus text format 0.0.4 and OpenMetrics 1.0.0 at once: only their heads differ."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from exporter.exposition.block import Block
from exporter.model import Family, MetricType, Number, Samples

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
    names = samples.family.label_names
    fixed = [f'",{name}="' for name in names]
    if names:
        fixed[0] = f'{samples.family.name}{{{names[0]}="'
    fixed += ['"} ' if names else f"{samples.family.name} ", "\n"]
    keys, numbers = iter(samples.series), iter(samples.series.values())
    text_of = str if _all_plain(samples.series.values()) else _number
    count = _FIRST_PIECE_ROWS
    while chunk := list(islice(keys, count)):
        piece = _lines(fixed, list(zip(*chunk, strict=True)), list(map(text_of, islice(numbers, count))))
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


def _lines(fixed: Sequence[str], labels: Sequence[Sequence[str]], numbers: Sequence[str]) -> bytes:
    """A line for each number. They are written as they are first; a count over the whole shows if any needs escapes.

    Escaping each value, or looking up its escaped form, takes longer than writing it.
    """
    text = _woven(fixed, [*labels, numbers])
    if text.count('"') == 2 * len(labels) * len(numbers) and text.count("\n") == len(numbers) and "\\" not in text:
        try:
            return text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, which JSON can carry and UTF-8 cannot
            pass
    escaped = _woven(fixed, [*(list(map(_escaped, column)) for column in labels), numbers])
    return _LONE_SURROGATE.sub("\ufffd", escaped).encode()


def _woven(fixed: Sequence[str], columns: Sequence[Sequence[str]]) -> str:
    """For each row the fixed texts with the columns' texts between them; one of the fixed more than columns.

    Filling a list column by column and joining it takes two thirds of the time of formatting row by row.
    """
    rows, width = len(columns[-1]), len(fixed) + len(columns)
    cells = [""] * (rows * width)
    for at, text in enumerate(fixed):
        cells[2 * at :: width] = [text] * rows
    for at, column in enumerate(columns):
        cells[2 * at + 1 :: width] = column
    return "".join(cells)


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
