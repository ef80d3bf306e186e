"""Writes the results of a run of the fault matrix into docs/reliability.md: `make reliability`.

    python -m tests.faults.report build/faults.xml

It ends with 1, writing nothing, where a row did not pass or has no test.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.faults.rows import ROWS, Row

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN: Final = "<!-- The table is written by `make reliability`, from the results of the tests. -->"
HEAD: Final = (
    "| # | what goes wrong | what happens | how it shows | test | result |\n| --- | --- | --- | --- | --- | --- |"
)
_IN_FULL: Final = re.compile(r"[\[-]full[\]-]")
_ROW_ID: Final = re.compile(r"(?:test_|-|\[)(row_(\d{2,3})_\w+)")


@dataclass(frozen=True, slots=True)
class Test:
    """One test of a row, as pytest names it."""

    file: str
    row_id: str
    number: int
    in_full: bool


def test_named(file: str, name: str) -> Test | None:
    """The test of a row that has this name; None for tests of no row."""
    match = _ROW_ID.search(name)
    if match is None:
        return None
    return Test(file, match[1], int(match[2]), _IN_FULL.search(name) is not None)


def table(tests: Iterable[Test]) -> str:
    """The table, one line a row. Raises `ValueError` where a row has no test, or a test no row."""
    by_row: dict[int, list[Test]] = {}
    for test in tests:
        row = ROWS.get(test.number)
        if row is None or not test.row_id.startswith(row.id):
            raise ValueError(f"{test.row_id} is no row of the matrix")
        by_row.setdefault(test.number, []).append(test)
    if missing := ROWS.keys() - by_row.keys():
        raise ValueError(f"rows without a test: {sorted(missing)}")
    return "\n".join([BEGIN, "", HEAD, *(_line(row, by_row[number]) for number, row in ROWS.items())])


def _line(row: Row, tests: list[Test]) -> str:
    in_full = any(test.in_full for test in tests)
    (file,) = {test.file for test in tests}
    result = "passed, also in full" if in_full else "passed"
    return f"| {row.number} | {row.fault} | {row.happens} | {row.shows} | `{row.id}` in `{file}` | {result} |"


def passed(results: Iterable[Path]) -> list[Test]:
    """The tests of rows in files of JUnit's XML, of which the last that has a test tells how it went.

    Raises `ValueError` for one that did not pass.
    """
    cases = {
        (case.attrib["classname"], case.attrib["name"]): case
        for file in results
        for case in ElementTree.parse(file).iter("testcase")
    }
    found = []
    for (module, name), case in cases.items():
        test = test_named(f"{module.rpartition('.')[2]}.py", name)
        if test is None:
            continue
        if any(case.find(outcome) is not None for outcome in ("failure", "error", "skipped")):
            raise ValueError(f"{test.row_id} did not pass")
        found.append(test)
    return found


def with_table(document: str, made: str) -> str:
    """The document with that table in place of its own."""
    before, _, after = document.partition(BEGIN)
    rest = after.partition("\n\n## ")
    return f"{before}{made}\n{rest[1][1:]}{rest[2]}"


def main(arguments: list[str]) -> int:
    try:
        made = table(passed(map(Path, arguments)))
    except ValueError as error:
        print(f"docs/reliability.md stays as it is: {error}", file=sys.stderr)
        return 1
    DOCUMENT.write_text(with_table(DOCUMENT.read_text("utf-8"), made), "utf-8")
    return 0


def collected(ids: Iterable[str]) -> list[Test]:
    """The tests of rows among the ids that `pytest --collect-only -q` prints."""
    parts = [line.partition("::") for line in ids]
    tests = [test_named(Path(file).name, name) for file, _, name in parts]
    return [test for test in tests if test is not None]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
