"""How far a long command is: a bar on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from exporter.duration import duration_text

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
