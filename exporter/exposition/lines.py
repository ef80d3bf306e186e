"""Samples -> lines, in the Prometheus text format 0.0.4 and OpenMetrics 1.0.0 at once.

Their heads differ, and the counters of which is known when they began: OpenMetrics has a `_created` line for each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import chain

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from exporter.exposition.block import Block
from exporter.model.samples import LARGEST_EXACT_INTEGER, Family, MetricType, Number, Samples

SMALL_BYTES = 4096  # less than this is deflated together with its neighbours
_PIECE_BYTES = 65536
_FIRST_PIECE_ROWS = 256

_UNITS = frozenset(("seconds", "bytes", "ratio", "celsius", "meters", "grams", "joules", "volts", "amperes"))
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Format(StrEnum):
    """What `/metrics` can be written in."""

    TEXT = "text"
    OPENMETRICS = "openmetrics"


class Body(Struct, frozen=True):
    """All lines that one owner (a query, its source and target) has in one family.

    A small body keeps its bytes alone, as it will be deflated together with its neighbours; a big one is a block.
    `openmetrics` are the lines in that format, where they are others than in the text format.
    """

    raw: bytes = b""
    block: Block | None = None
    openmetrics: Body | None = None

    @property
    def length(self) -> int:
        """The bytes in the format that needs more of them."""
        length = len(self.raw) if self.block is None else self.block.length
        return length if self.openmetrics is None else max(length, self.openmetrics.length)

    def in_format(self, in_format: Format) -> Body:
        """The body in one format alone."""
        return self if self.openmetrics is None or in_format is Format.TEXT else self.openmetrics

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> Body:
        """The body made of these pieces of whole lines; a big one is deflated here."""
        pieces = iter(pieces)
        first = next(pieces, b"")
        if len(first) < SMALL_BYTES:
            first = b"".join((first, *pieces))
        if len(first) < SMALL_BYTES:
            return cls(raw=first)
        return cls(block=Block.of(chain((first,), pieces)))


def body(samples: Samples, created: Sequence[float] = ()) -> Body:
    """The lines of these samples. Keeps nothing and shares nothing, so it may run in any thread.

    `created` is when each series of a counter began, in Unix seconds, or nothing where that is not to be said.
    """
    text = Body.of(pieces(samples))
    return replace(text, openmetrics=Body.of(pieces(samples, created))) if created else text


def pieces(samples: Samples, created: Sequence[float] = ()) -> Iterator[bytes]:
    """The same lines in pieces of whole lines, each about 64 KiB, for callers that have other things to do between.

    With `created`, those of OpenMetrics: the `_created` line of a series follows its `_total`, as the format does not
    allow the lines of two series to be mixed.

    Values are finite. Integers up to 2^53 are written exactly, larger ones as the nearest float, floats as the
    shortest text that gives the same float back. Raises OverflowError for an integer that no float is near to.
    """
    fixed, columns = _constants_and_columns(samples)
    texts_of = _texts_of(samples)
    times = _times(created)
    if times:
        fixed = _with_created(fixed, samples.family.name)
    begin, end = 0, _FIRST_PIECE_ROWS
    while numbers := samples.numbers[begin:end]:
        labels = [column[begin:end] for column in columns]
        cells = [*labels, texts_of(numbers)]
        piece = _weave(fixed, [*cells, *labels, times[begin:end]] if times else cells).encode()
        yield piece
        begin, end = end, end + max(1, _PIECE_BYTES * len(numbers) // len(piece))


def head(family: Family, in_format: Format) -> bytes:
    """The HELP and TYPE lines of a family. In OpenMetrics a counter's family is named without `_total` there, and the
    unit that a name ends in has a UNIT line."""
    name, text, unit = family.name, _on_one_line(family.help), ""
    if in_format is Format.OPENMETRICS:
        name = name.removesuffix("_total") if family.type is MetricType.COUNTER else name
        text = _escape(family.help)
        unit = _unit_line(name)
    return f"# HELP {name} {text}\n# TYPE {name} {family.type.value}\n{unit}".encode()


def _unit_line(name: str) -> str:
    """The UNIT line of a family: its name ends in one of OpenMetrics' base units, or there is no line."""
    before, _, unit = name.rpartition("_")
    return f"# UNIT {name} {unit}\n" if before and unit in _UNITS else ""


def _times(created: Sequence[float]) -> Sequence[str]:
    """The texts of these Unix seconds, of which few are different."""
    texts = {time: _number(int(time) if float(time).is_integer() else time) for time in set(created)}
    return list(map(texts.__getitem__, created))


def _with_created(fixed: Sequence[str], name: str) -> Sequence[str]:
    """The fixed texts of a counter's line, and behind them those of the `_created` line of the same series."""
    again = f"{name.removesuffix('_total')}_created{fixed[0].removeprefix(name)}"
    return [*fixed[:-1], f"{fixed[-1]}{again}", *fixed[1:]]


def _constants_and_columns(samples: Samples) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
    """What all lines have in common, and between it the label values that differ, escaped. A label that has one value
    is in common. To look at each value once is less work than to look at each line."""
    fixed, columns, text = [], [], samples.family.name
    each = zip(samples.family.label_names, samples.labels, samples.label_sets(), strict=True)
    for at, (name, column, values) in enumerate(each):
        text += f'{"," if at else "{"}{name}="'
        if len(values) == 1:
            text += _escape(*values)
        else:
            fixed.append(text)
            columns.append(_escape_column(column, values))
            text = ""
        text += '"'
    return [*fixed, f"{text}}} " if samples.labels else f"{text} ", "\n"], columns


def _weave(fixed: Sequence[str], columns: Sequence[Sequence[str]]) -> str:
    """For each row the fixed texts with the columns' texts between them; one of the fixed more than columns.

    Filling a list column by column and joining it takes two thirds of the time of formatting row by row.
    """
    rows, width = len(columns[-1]), 2 * len(columns)
    ends = [fixed[-1] + fixed[0], *fixed[1:-1]]  # a row's end and the next one's beginning are one text
    cells = [cell for text in ends for cell in (text, "")] * rows
    cells[0] = fixed[0]
    for at, column in enumerate(columns):
        cells[2 * at + 1 :: width] = column
    cells.append(fixed[-1])
    return "".join(cells)


def _escape_column(column: Sequence[str], values: Collection[str]) -> Sequence[str]:
    """The column as a page has it; `values` are those that are in it."""
    if _is_fit("".join(values)):
        return column
    escaped = {value: _escape(value) for value in values}
    return list(map(escaped.__getitem__, column))


def _is_fit(text: str) -> bool:
    """Whether a page has a text as it is. To look for one character after the other is quicker than for any."""
    if '"' in text or "\\" in text or "\n" in text:
        return False
    return text.isascii() or not _LONE_SURROGATE.search(text)


def _escape(text: str) -> str:
    """A label value, or a help text in OpenMetrics."""
    return _on_one_line(text).replace('"', r"\"")


def _on_one_line(text: str) -> str:
    """A help text in the text format. Half of a surrogate pair, which JSON can carry, is not in UTF-8."""
    return _LONE_SURROGATE.sub("\ufffd", text.replace("\\", r"\\").replace("\n", r"\n"))


def _texts_of(samples: Samples) -> Callable[[Sequence[Number]], list[str]]:
    """What writes the numbers of these samples."""
    if samples.exact_integers:
        return _integer_texts
    text_of = str if _all_plain(samples.numbers) else _number
    return lambda numbers: list(map(text_of, numbers))


def _integer_texts(numbers: Sequence[Number]) -> list[str]:
    """As `str` of each, in a third of the time."""
    return msgspec.json.encode(numbers)[1:-1].decode().split(",")


def _all_plain(numbers: Collection[Number]) -> bool:
    """Whether Python's own text of every number is what a page says."""
    kinds = set(map(type, numbers))
    if kinds == {float} or not kinds:
        return True
    return kinds <= {int, float} and max(numbers) <= LARGEST_EXACT_INTEGER and min(numbers) >= -LARGEST_EXACT_INTEGER


def _number(number: Number) -> str:
    if isinstance(number, int) and abs(number) <= LARGEST_EXACT_INTEGER:
        return str(int(number))  # a bool is an integer
    return repr(float(number))
