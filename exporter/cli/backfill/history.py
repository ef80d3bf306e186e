"""Samples with time stamps on disk, and the OpenMetrics file that they become.

SQLite keeps them sorted by series and time, so that a month needs no memory, and a stopped run goes on from its last
commit.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Final

from msgspec import Struct

from exporter.exposition import Format, head, pieces
from exporter.model.outcome import Result
from exporter.model.samples import LARGEST_EXACT_INTEGER, Family, LabelValues, MetricType, Number, Samples

_TABLES: Final = """
    CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT);
    CREATE TABLE family (name TEXT PRIMARY KEY, type TEXT, help TEXT, label_names TEXT);
    CREATE TABLE series (id INTEGER PRIMARY KEY, family TEXT, label_values TEXT, owner TEXT);
    CREATE TABLE sample
        (series INTEGER, time REAL, value NUMERIC, period REAL, PRIMARY KEY (series, time)) WITHOUT ROWID;
    CREATE TABLE done (owner TEXT, time REAL, PRIMARY KEY (owner, time)) WITHOUT ROWID;
"""


class DuplicateSeries(Exception):
    """Two owners have one series."""


class Written(Struct, frozen=True):
    """What an OpenMetrics file has."""

    families: int
    series: int
    samples: int


class History:
    """The samples of one run. Times are Unix seconds."""

    def __init__(self, file: Path) -> None:
        """Opens the file, or makes it. Raises `sqlite3.Error` for a file that is none."""
        fresh = not file.exists()
        self._database = sqlite3.connect(file)
        if fresh:
            self._database.executescript(_TABLES)
        self._families: set[str] = {name for (name,) in self._database.execute("SELECT name FROM family")}
        self._series: dict[tuple[str, LabelValues], tuple[int, str]] = {
            (family, tuple(json.loads(values))): (number, owner)
            for number, family, values, owner in self._database.execute("SELECT * FROM series")
        }

    def close(self) -> None:
        """Keeps everything and lets go of the file."""
        self._database.commit()
        self._database.close()

    def commit(self) -> None:
        """Keeps everything that was put so far."""
        self._database.commit()

    @property
    def about(self) -> Mapping[str, str]:
        """What the run said of itself."""
        return dict(self._database.execute("SELECT key, value FROM about"))

    def say(self, about: Mapping[str, str]) -> None:
        """Keeps what the run says of itself."""
        self._database.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())
        self.commit()

    def has(self, owner: str, time: float) -> bool:
        """Whether an owner's samples at that time are there."""
        return (
            self._database.execute("SELECT 1 FROM done WHERE owner = ? AND time = ?", (owner, time)).fetchone()
            is not None
        )

    def save(self, owner: str, time: float, result: Result) -> None:
        """Takes in what an owner yielded at that time, whole or not at all. Raises `DuplicateSeries`."""
        rows = [
            (self._number(owner, samples.family, values), time, number, result.period_start_time)
            for samples in result.samples
            for values, number in samples.items()
        ]
        self._database.executemany("INSERT OR REPLACE INTO sample VALUES (?, ?, ?, ?)", map(_storable, rows))
        self._database.execute("INSERT OR REPLACE INTO done VALUES (?, ?)", (owner, time))

    def _number(self, owner: str, family: Family, values: LabelValues) -> int:
        if family.name not in self._families:
            self._families.add(family.name)
            self._database.execute(
                "INSERT INTO family VALUES (?, ?, ?, ?)",
                (family.name, family.type.value, family.help, json.dumps(family.label_names)),
            )
        known = self._series.get((family.name, values))
        if known is None:
            known = self._series[family.name, values] = (len(self._series) + 1, owner)
            self._database.execute(
                "INSERT INTO series VALUES (?, ?, ?, ?)", (known[0], family.name, json.dumps(values), owner)
            )
        if known[1] != owner:
            raise DuplicateSeries(f"{family.name} has a series that another query or target has already")
        return known[0]

    def write(self, out: IO[bytes], labels: Mapping[str, str]) -> Written:
        """Writes OpenMetrics: families by name, the samples of each series together and in the order of time.

        `labels` stand on every series that has none of that name, as with Prometheus' `honor_labels`. Within a period
        a counter does not fall, and a series that begins is 0 before, as in the running exporter.
        """
        families = series = samples = 0
        for family in self._all_families():
            families += 1
            out.write(head(family, Format.OPENMETRICS))
            for number, values, owner in self._series_of(family):
                series += 1
                prefix = _prefix(family, values, labels)
                points = self._database.execute(
                    "SELECT time, value, period FROM sample WHERE series = ? ORDER BY time", (number,)
                )
                counts = family.type is MetricType.COUNTER
                for time, value in self._from_zero(owner, points) if counts else _plain(points):
                    samples += 1
                    out.write(b"%s %s %s\n" % (prefix, _number_text(value).encode(), _time_text(time).encode()))
        out.write(b"# EOF\n")
        return Written(families, series, samples)

    def _from_zero(
        self, owner: str, points: Iterable[tuple[float, Number, float | None]]
    ) -> Iterator[tuple[float, Number]]:
        """A counter's points, and 0 before the first of a period if the step before had no such series."""
        period, last = None, None
        for time, value, of_period in _running_maximum(points):
            if value > 0 and (last is None or of_period != period):
                query = "SELECT max(time) FROM done WHERE owner = ? AND time < ?"
                (before,) = self._database.execute(query, (owner, time)).fetchone()
                if before is not None and (last is None or last < before):
                    yield before, 0
            period, last = of_period, time
            yield time, value

    def _series_of(self, family: Family) -> list[tuple[int, LabelValues, str]]:
        query = "SELECT id, label_values, owner FROM series WHERE family = ? ORDER BY label_values"
        rows = self._database.execute(query, (family.name,)).fetchall()
        return [(number, tuple(json.loads(values)), owner) for number, values, owner in rows]

    def _all_families(self) -> list[Family]:
        rows = self._database.execute("SELECT * FROM family ORDER BY name")
        return [Family(name, MetricType(kind), help_, tuple(json.loads(names))) for name, kind, help_, names in rows]


def _running_maximum(
    points: Iterable[tuple[float, Number, float | None]],
) -> Iterator[tuple[float, Number, float | None]]:
    """A counter's points, of which none is lower than one before it in its period."""
    period, highest = None, None
    for time, value, of_period in points:
        highest = value if highest is None or of_period != period else max(highest, value)
        period = of_period
        yield time, highest, of_period


def _plain(points: Iterable[tuple[float, Number, float | None]]) -> Iterator[tuple[float, Number]]:
    return ((time, value) for time, value, _ in points)


def _prefix(family: Family, values: LabelValues, labels: Mapping[str, str]) -> bytes:
    """The series as a line begins with it: name and labels."""
    further = {name: text for name, text in labels.items() if name not in family.label_names}
    whole = Family(family.name, family.type, family.help, (*family.label_names, *further))
    line = b"".join(pieces(Samples.of(whole, {(*values, *further.values()): 0})))
    return line.removesuffix(b" 0\n")


def _storable(row: tuple[int, float, Number, float | None]) -> tuple[int, float, Number, float | None]:
    series, time, value, period = row
    return (series, time, value if abs(value) <= LARGEST_EXACT_INTEGER else float(value), period)


def _number_text(value: Number) -> str:
    return str(value) if isinstance(value, int) else repr(value)


def _time_text(time: float) -> str:
    return str(int(time)) if time.is_integer() else f"{time:.3f}"
