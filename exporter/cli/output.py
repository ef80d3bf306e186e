"""What commands print: colours and tables on a terminal, plain lines in a pipe, and how far a long command is."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Final, TypeVar

import click

from exporter.model.censor import EVERYTHING
from exporter.model.duration import duration_text
from exporter.model.samples import Json
from exporter.model.template import scalar_text

_SHOWN_LINES: Final = 60  # of one text on a terminal; a pipe takes all
_LINE_SECONDS: Final = 30.0
# A terminal obeys control characters, and shows text behind a bidi mark in another order; APIs send both.
_UNFIT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_Item = TypeVar("_Item")


class Output:
    """Where a command writes. On a terminal long texts are cut; in a pipe nothing is.

    Control characters and bidi marks are written as escapes.
    """

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()

    def heading(self, text: str) -> None:
        """A title of what follows."""
        self.line("")
        self.line(f"== {text}", "cyan")

    def line(self, text: str, colour: str = "") -> None:
        """Some lines, in a colour on a terminal; `bold` is one."""
        is_bold = colour == "bold"
        click.secho(fit(text), fg=None if is_bold or not colour else colour, bold=is_bold or None)

    def code(self, title: str, text: str) -> None:
        """A text of some lines, under a title."""
        lines = text.strip("\n").splitlines()
        self.line(f"{title}:", "bold")
        shown = self._shown(lines)
        self.line("\n".join(f"  {line}" for line in shown))
        self._tell_left("lines", len(lines) - len(shown))

    def json(self, title: str, value: Json) -> None:
        """A JSON value, under a title."""
        self.code(title, json.dumps(value, indent=2, ensure_ascii=False))

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Sequence[Sequence[Json]],
        colours: Sequence[str] = (),
        *,
        whole: bool = False,
    ) -> None:
        """Rows of scalars under a title, each in its colour on a terminal."""
        self.line(f"{title}:", "bold")
        shown = rows if whole else self._shown(rows)
        lines = _align([list(columns), *([_cell(value) for value in row] for row in shown)])
        for text, colour in zip_longest(lines, ["bold", *colours[: len(shown)]], fillvalue=""):
            self.line(f"  {text}", colour)
        self._tell_left("rows", len(rows) - len(shown))

    def _shown(self, items: Sequence[_Item]) -> Sequence[_Item]:
        return items[:_SHOWN_LINES] if self._is_terminal else items

    def _tell_left(self, what: str, count: int) -> None:
        if count:
            self.line(f"  … {count} {what} more")


@contextmanager
def show_progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Gives a function that takes how many are done, of how many: a bar on a terminal, a line now and then in a
    pipe."""
    if not sys.stderr.isatty():
        yield _write_lines(what)
        return
    with click.progressbar(length=1, label=what, show_pos=True, file=sys.stderr) as bar:

        def update(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield update


def fit(text: str) -> str:
    """The text without credentials, and with escapes such as `\\x1b` in place of what a terminal would obey."""
    return _UNFIT.sub(lambda match: match[0].encode("unicode_escape").decode(), EVERYTHING.clean(text))


def _write_lines(what: str) -> Callable[[int, int], None]:
    began_at = written_at = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal written_at
        now = time.monotonic()
        if done and now - written_at >= _LINE_SECONDS:
            written_at = now
            left = (now - began_at) / done * (total - done)
            click.echo(f"{what}: {done} of {total}, about {duration_text(round(left))} left", err=True)

    return update


def _cell(value: Json) -> str:
    return fit(json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else scalar_text(value))


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
