"""The series that a filter finds on the page of metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

MAX_SERIES: Final = 500  # on the page
UNASKED_SERIES: Final = 5  # of each family, without a filter


class FamilyView(Struct, frozen=True):
    """A metric family with some of the series that the filter finds (text and value, as `/metrics` has them).

    `found` is how many it finds.
    """

    name: str
    type: str
    help: str
    series: tuple[tuple[str, str], ...]
    found: int


def families_found(pieces: Iterable[bytes], sought: str) -> tuple[FamilyView, ...]:
    """The families of a page in the text format, with those series in whose line every word of `sought` occurs.

    `pieces` are of whole lines. Without words, the first series of each family. Upper and lower case are the same.
    """
    words = {word.encode() for word in sought.lower().split()}
    found: list[FamilyView] = []
    lines: list[bytes] = []
    room, count = MAX_SERIES, 0
    name = about = kind = b""

    def finish() -> None:
        if count:
            texts = (line.decode().rpartition(" ") for line in lines)
            series = tuple((text, value) for text, _, value in texts)
            found.append(FamilyView(name.decode(), kind.decode(), about.decode(), series, count))

    for line in (line for piece in pieces for line in piece.split(b"\n") if line):  # labels may have \r
        if line.startswith(b"# HELP "):
            finish()
            name, _, about = line[7:].partition(b" ")
            lines, count = [], 0
        elif line.startswith(b"# TYPE "):
            kind = line.rpartition(b" ")[2]
        elif not words or _has_all(line.lower(), words):
            count += 1
            if room and (words or count <= UNASKED_SERIES):
                lines.append(line)
                room -= 1
    finish()
    return tuple(found)


def _has_all(line: bytes, words: set[bytes]) -> bool:
    return all(word in line for word in words)
