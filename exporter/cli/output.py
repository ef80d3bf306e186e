"""What commands print: colours and tables on a terminal, plain lines in a pipe."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Final

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from exporter.model.duration import duration_text
from exporter.model.samples import Json
from exporter.model.template import scalar_text

_SHOWN_LINES = 60  # of one text on a terminal; a pipe takes all


class Paper:
    """Where a command writes. On a terminal long texts are cut; in a pipe nothing is."""

    def __init__(self, *, stderr: bool = False) -> None:
        self.console = Console(stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def heading(self, text: str) -> None:
        """A title of what follows."""
        self.console.print()
        self.line(f"== {text}", "bold cyan")

    def line(self, text: str, style: str = "") -> None:
        """One line, in a colour on a terminal."""
        self.console.print(Text(text, style=style))

    def code(self, title: str, text: str, language: str) -> None:
        """A text in a language, under a title."""
        lines = text.strip("\n").splitlines()
        shown = lines[:_SHOWN_LINES] if self.console.is_terminal else lines
        self.line(f"{title}:", "bold")
        content = "\n".join(f"  {line}" for line in shown)
        self.console.print(_coloured(content, language) if self.console.is_terminal else content)
        if len(shown) < len(lines):
            self.line(f"  … {len(lines) - len(shown)} lines more", "dim")

    def json(self, title: str, value: Json) -> None:
        """A JSON value, under a title."""
        self.code(title, json.dumps(value, indent=2, ensure_ascii=False), "json")

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Json]],
        styles: Sequence[str] = (),
        *,
        whole: bool = False,
    ) -> None:
        """Rows of scalars under a title, each in its style on a terminal."""
        shown = rows[:_SHOWN_LINES] if self.console.is_terminal and not whole else rows
        self.line(f"{title}:", "bold")
        texts = [[_cell(value) for value in row] for row in shown]
        if self.console.is_terminal:
            table = Table(*columns, box=SIMPLE_HEAD, pad_edge=True)
            for row, style in zip_longest(texts, styles[: len(texts)], fillvalue=""):
                table.add_row(*(Text(text) for text in row), style=style)
            self.console.print(table)
        else:
            for text_line in _aligned([list(columns), *texts]):
                self.console.print(f"  {text_line}")
        if len(shown) < len(rows):
            self.line(f"  … {len(rows) - len(shown)} rows more", "dim")


def _coloured(text: str, language: str) -> Text:
    highlighted = Syntax("", language, theme="ansi_dark", background_color="default").highlight(text)
    highlighted.rstrip()
    return highlighted


def _cell(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else scalar_text(value)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


_LINE_SECONDS: Final = 30.0


@contextmanager
def shown_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A function that is told how many are done, of how many."""
    if not sys.stderr.isatty():
        yield _lines(what)
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(what: str) -> Callable[[int, int], None]:
    began_at = said_at = time.monotonic()

    def told(done: int, total: int) -> None:
        nonlocal said_at
        now = time.monotonic()
        if done and now - said_at >= _LINE_SECONDS:
            said_at = now
            left = (now - began_at) / done * (total - done)
            click.echo(f"{what}: {done} of {total}, about {duration_text(round(left))} left", err=True)

    return told
