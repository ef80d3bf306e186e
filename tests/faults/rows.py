"""The rows of the fault matrix: what goes wrong, what happens then, and how it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("rows.txt")


@dataclass(frozen=True, slots=True)
class Row:
    """One row. Its texts are those of `docs/reliability.md`."""

    number: int
    name: str
    fault: str
    happens: str
    shows: str

    @property
    def id(self) -> str:
        """The part of a test's id by which its row is known."""
        return f"row_{self.number:02}_{self.name}"


def _rows() -> Mapping[int, Row]:
    lines = [line for line in _FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    cells = [[cell.strip() for cell in line.split(" | ")] for line in lines]
    return {int(number): Row(int(number), *texts) for number, *texts in cells}


ROWS: Final = _rows()
