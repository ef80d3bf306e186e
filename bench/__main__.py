"""`python -m bench [ROW …] [--write]`: measures, prints the table and, if told, writes it into docs/performance.md."""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Figure, machine, table
from bench.great import honest_answers, ten_thousand_queries, weight
from bench.polls import growth, neighbours, poll_to_page
from bench.scrape import cpu, scrape
from bench.service import event_loop, keeping_up, memory, start

ROWS: dict[str, Callable[[Path], Iterator[Figure]]] = {
    "scrape": scrape,
    "cpu": cpu,
    "poll": poll_to_page,
    "neighbours": neighbours,
    "keeping-up": keeping_up,
    "loop": event_loop,
    "memory": memory,
    "start": start,
    "honest-answers": honest_answers,
    "ten-thousand-queries": ten_thousand_queries,
    "weight": weight,
    "growth": growth,
}
_DOCS = Path(__file__).resolve().parents[1] / "docs"
_MARKED = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)


def main() -> None:
    """Measures the rows that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--write", action="store_true", help="write the whole table into docs/performance.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - ROWS.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    if arguments.write and arguments.rows:
        parser.error("--write needs all rows")
    on = machine()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for row in arguments.rows or ROWS:
            began = time.monotonic()
            for figure in ROWS[row](folder):
                figures.append(figure)
                print(*filter(None, figure.cells), sep="  |  ", flush=True)
            print(f"({row}: {time.monotonic() - began:.0f} s)", flush=True)
        text = f"Measured on {datetime.now(UTC):%Y-%m-%d}: {on}.\n\n{table(figures)}"
        print(f"\n{text}")
        if arguments.write:
            shutil.copy(folder / "growth.svg", _DOCS / "pictures" / "growth.svg")
            _write(text)


def _write(text: str) -> None:
    file = _DOCS / "performance.md"
    written, count = _MARKED.subn(lambda marks: f"{marks[1]}\n{text}\n{marks[2]}", file.read_text())
    if count != 1:
        raise SystemExit(f"{file} has no place for the table, <!-- bench --> to <!-- /bench -->")
    file.write_text(written)


if __name__ == "__main__":
    main()
