"""A query at a moment: its targets, its time ranges and the operation that is sent. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import product
from math import ceil, prod
from typing import Final

from msgspec import Struct

from exporter.config.source import Source
from exporter.model.outcome import Operation
from exporter.model.samples import Json
from exporter.model.template import bind
from exporter.model.time_format import TimeFormat
from exporter.model.window import TimeRange, period_end, period_start
from exporter.plan.plan import Feed, PagesPlan, QueryPlan, Target


class Moment(Struct, frozen=True):
    """The time ranges that a poll asks for; none for a query without window or period."""

    window: TimeRange | None = None
    period_start: datetime | None = None


class FeedingRow(Struct, frozen=True):
    """A row of a feeding query: its exports, and the values of the target that it came from."""

    exports: Mapping[str, Json]
    outer: Mapping[str, Json]

    def has(self, name: str) -> bool:
        """Whether there is such a field; a row that is left over from another configuration may lack some."""
        return name in self.outer or name in self.exports

    def value(self, name: str) -> Json:
        """The value of a field of the row, or of a row that it came from."""
        return self.outer[name] if name in self.outer else self.exports[name]


def moment_at(query: QueryPlan, now: datetime, published_end_time: float | None) -> Moment:
    """The time ranges at `now`. `published_end_time` is the window end that is on the page, in Unix seconds.

    Where the window would jump over the end of a counters' period, it ends there instead, so that the period's full
    total is published before the next begins. Where it would jump over a whole period and more, as after a long sleep
    or where the clock was wrong, only the period that was open is closed: what is older is no news.
    """
    if query.window is None:
        return Moment()
    window = query.window.at(now)
    if query.period is None:
        return Moment(window)
    if published_end_time is not None:
        boundary = _closing_end(query, window.end, datetime.fromtimestamp(published_end_time, UTC))
        window = window if boundary is None else query.window.ending_at(boundary)
    return Moment(window, period_start(window.end, query.period, query.zone))


def _closing_end(query: QueryPlan, end: datetime, published_end: datetime) -> datetime | None:
    """The end of the period to close before the window may end at `end`; None where there is none to close."""
    assert query.period is not None
    boundary = _end_instant(query, period_start(published_end, query.period, query.zone))
    is_closed = boundary <= published_end
    if is_closed:
        boundary = _end_instant(query, boundary)
    if end.astimezone(UTC) <= boundary:
        return None
    jumps_over_one = end.astimezone(UTC) > _end_instant(query, boundary)
    return None if is_closed and jumps_over_one else boundary


def _end_instant(query: QueryPlan, start: datetime) -> datetime:
    """When the period ends that begins at `start`, in UTC: Python compares the readings of the clock within one zone,
    and a reading comes twice where the clock is set back."""
    assert query.period is not None
    return period_end(start, query.period, query.zone).astimezone(UTC)


def is_at_end_of_period(query: QueryPlan, moment: Moment) -> bool:
    """Whether the window ends with the counters' period, so that they have its full total."""
    if query.period is None or moment.window is None or moment.period_start is None:
        return False
    return moment.window.end.astimezone(UTC) == _end_instant(query, moment.period_start)


async def secret_values(source: Source) -> Mapping[str, str]:
    """The secret values of a source, which are read at each use. Raises `SecretUnreadable`."""
    return {name: await secret.read() for name, secret in source.secret_values.items()}


def operation(
    query: QueryPlan, source: Source, target: Target, moment: Moment, secrets: Mapping[str, str]
) -> Operation:
    """The operation to send; `secrets` are the source's secret values."""
    values = {
        **{f"source.{name}": value for name, value in source.values.items()},
        **{f"source.{name}": text for name, text in secrets.items()},
        **target.values,
        **time_values(moment, query.time_format),
    }
    variables = {name: bind(template, values) for name, template in query.variables.items()}
    return Operation(query.document.text, variables, query.shape)


def label_values(source: Source, target: Target) -> Mapping[str, Json]:
    """What the references in labels can name."""
    return {
        **{f"source.{name}": value for name, value in source.values.items()},
        **{f"source_label.{name}": value for name, value in source.labels.items()},
        **target.values,
    }


def first_position(sent: Operation, pages: PagesPlan) -> int:
    """The offset or the number of the first page: what the variables have there, or else 0 or 1."""
    found: Json = dict(sent.variables)
    for key in pages.position:
        found = found.get(key) if isinstance(found, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return found
    return 1 if pages.by == "page" else 0


def with_page(sent: Operation, pages: PagesPlan, position: Json) -> Operation:
    """The operation for the page at that offset, number or cursor (none: the first)."""
    variables = {**sent.variables}
    if pages.limit is not None:
        _set(variables, pages.limit, pages.size)
    if position is not None:
        _set(variables, pages.position, position)
    return Operation(sent.document, variables, sent.shape)


def _set(tree: dict[str, Json], path: tuple[str, ...], value: Json) -> None:
    """Sets the value at a key path; what is on the way is copied, not changed."""
    for key in path[:-1]:
        inner = tree.get(key)
        below: dict[str, Json] = dict(inner) if isinstance(inner, dict) else {}
        tree[key] = below
        tree = below
    tree[path[-1]] = value


class TooManyTargets(Exception):
    """A query needs more calls than it may make: `calls`, about so many where several share its targets."""

    def __init__(self, calls: int) -> None:
        super().__init__(calls)
        self.calls = calls


def targets(
    query: QueryPlan,
    rows: Iterable[FeedingRow],
    most_calls: int,
    is_ours: Callable[[str], bool] = lambda _: True,
    shares: int = 1,
) -> tuple[Target, ...]:
    """The targets of a query: one for each row of the query that feeds it, for each item of its lists.

    With `batch` the rows that came from one outer target are grouped, sorted by their values. `is_ours` chooses, by
    its key, what becomes a target, or a part of one; of `shares` such choices each takes about as many. Raises
    `TooManyTargets` where they need more calls than `most_calls`, of which a pack is one, before they are made.
    """
    most = most_calls * query.most_in_call

    def too_many(count: int) -> TooManyTargets:
        return TooManyTargets(ceil(count / query.most_in_call))

    by_feed = [_distinct(_feed_values(query, feed, rows, is_ours)) for feed in query.feeds]
    count = prod(map(len, by_feed))
    if query.batch is not None or shares == 1:
        if count > most:
            raise too_many(count)
    elif count > 2 * most * shares:  # no choice is so uneven
        raise too_many(count // shares)
    found = (_target({name: value for part in values for name, value in part.items()}) for values in product(*by_feed))
    chosen = tuple(target for target in found if query.batch is not None or is_ours(target.key))
    if len(chosen) > most:
        raise too_many(len(chosen))
    return chosen


def _distinct(values: Iterable[dict[str, Json]]) -> tuple[dict[str, Json], ...]:
    found: dict[str, dict[str, Json]] = {}
    for each in values:
        found.setdefault(_key(each), each)
    return tuple(found.values())


def _feed_values(
    query: QueryPlan, feed: Feed, rows: Iterable[FeedingRow], is_ours: Callable[[str], bool]
) -> Iterator[dict[str, Json]]:
    """The values of the references that begin with this feed's name, row by row or batch by batch."""
    needed = {name: rest for name in query.needed if (rest := _rest(name, feed.name)) is not None}
    pairs: list[tuple[dict[str, Json], dict[str, Json]]]
    if feed.query is None:
        pairs = [({}, {name: item[rest] for name, rest in needed.items()}) for item in feed.items]
    else:
        pairs = [
            (
                {name: row.outer[rest] for name, rest in needed.items() if rest in row.outer},
                {name: row.exports[rest] for name, rest in needed.items() if rest not in row.outer},
            )
            for row in rows
            if all(row.has(rest) for rest in (*needed.values(), *feed.where, *feed.where_not))
            and all(is_one_of(row.value(rest), wanted) for rest, wanted in feed.where.items())
            and not any(is_one_of(row.value(rest), unwanted) for rest, unwanted in feed.where_not.items())
        ]
    if query.batch is None:
        yield from ({**outer, **own} for outer, own in pairs)
        return
    distinct: dict[str, dict[str, tuple[dict[str, Json], dict[str, Json]]]] = {_key(outer): {} for outer, _ in pairs}
    for outer, own in pairs:
        if is_ours(_key({**outer, **own})):  # before they are grouped, so that shards group each for itself
            distinct[_key(outer)].setdefault(_key(own), (outer, own))
    for group in distinct.values():
        members = [group[key] for key in sorted(group)]
        for start in range(0, len(members), query.batch):
            chunk = members[start : start + query.batch]
            yield {**chunk[0][0], **{name: [own[name] for _, own in chunk] for name in chunk[0][1]}}


def is_one_of(value: Json, wanted: Iterable[Json]) -> bool:
    """Whether a value is among others; JSON's true is not 1."""
    return any(value == other and isinstance(value, bool) == isinstance(other, bool) for other in wanted)


def _rest(reference: str, root: str) -> str | None:
    first, _, rest = reference.partition(".")
    return (rest or ".") if first == root else None


def _target(values: Mapping[str, Json]) -> Target:
    return Target(values, _key(values))


def _key(values: Mapping[str, Json]) -> str:
    return json.dumps(values, sort_keys=True) if values else ""


_FORMS: Final[Mapping[str, Callable[[datetime], Json]]] = {
    "unix": TimeFormat("unix").write,
    "unix_ms": TimeFormat("unix_ms").write,
    "date": TimeFormat("date").write,
    "year": lambda moment: moment.year,
    "month": lambda moment: moment.month,
    "day": lambda moment: moment.day,
}


def time_names(*ends: str) -> tuple[str, ...]:
    """What a time can be referred to as: by itself, in the form that is set for it, and in each other form."""
    return (*ends, *(f"{end}_{form}" for end in ends for form in _FORMS))


def time_values(moment: Moment, time_format: TimeFormat) -> dict[str, Json]:
    """The values of all references to times."""
    times = {"period.start": moment.period_start}
    if moment.window is not None:
        times |= {"window.start": moment.window.start, "window.end": moment.window.end}
    values: dict[str, Json] = {}
    for name, time in times.items():
        if time is not None:
            values[name] = time_format.write(time)
            values |= {f"{name}_{form}": write(time) for form, write in _FORMS.items()}
    return values
