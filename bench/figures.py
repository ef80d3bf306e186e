"""What a comparison says, and the table of them."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: ours, what it is measured against, their ratio (or the figure itself), and the goal."""

    what: str
    ours: str
    other: str
    ratio: str
    goal: str
    met: bool | None  # None: there is no goal

    @property
    def cells(self) -> tuple[str, ...]:
        return (self.what, self.ours, self.other, self.ratio, self.goal, {True: "yes", False: "no", None: ""}[self.met])


def at_least(what: str, ours: float, other: float, goal: float, unit: str, beside: str) -> Figure:
    """Ours to the other's, which should be this much or more."""
    ratio = ours / other
    cells = (f"{number(ours)} {unit}", f"{number(other)} {unit} ({beside})", number(ratio))
    return Figure(what, *cells, f"≥ {goal:g}", ratio >= goal)


def at_most(what: str, ours: float, other: float, goal: float, unit: str, beside: str) -> Figure:
    """Ours to the other's, which should be this much or less."""
    ratio = ours / other
    cells = (f"{number(ours)} {unit}", f"{number(other)} {unit} ({beside})", number(ratio))
    return Figure(what, *cells, f"≤ {goal:g}", ratio <= goal)


def compared(what: str, ours: float, other: float, unit: str, beside: str) -> Figure:
    """Ours and the other's, without a goal."""
    return told(what, f"{number(ours)} {unit}", f"{number(other)} {unit} ({beside})", number(ours / other))


def limit(what: str, ours: float, goal: float, unit: str) -> Figure:
    """A figure of ours that should not be above a limit."""
    return Figure(what, f"{number(ours)} {unit}", "", "", f"≤ {goal:g} {unit}", ours <= goal)


def told(what: str, ours: str, other: str = "", ratio: str = "") -> Figure:
    """A figure without a goal."""
    return Figure(what, ours, other, ratio, "", None)


def number(value: float) -> str:
    """Three digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def table(figures: Iterable[Figure]) -> str:
    """The figures as a table in Markdown."""
    heads = ("what", "ours", "compared with", "ratio", "goal", "met")
    rows = [heads, ("---",) * len(heads), *(figure.cells for figure in figures)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in rows)


def machine() -> str:
    """What it was measured on, in one line."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"Linux {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} × {model}, {memory:.0f} GiB, {system}; load {os.getloadavg()[2]:.1f} in the 15 min before"


def alternating(*actions: Callable[[], object], rounds: int) -> list[float]:
    """Median seconds of CPU time (this thread's and all others' of the process) of each, taken in turns."""
    seconds: list[list[float]] = [[] for _ in actions]
    for _ in range(rounds):
        for action, taken in zip(actions, seconds, strict=True):
            began = time.process_time()
            action()
            taken.append(time.process_time() - began)
    return [statistics.median(taken) for taken in seconds]


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
