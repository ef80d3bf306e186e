"""How many calls a minute a plan makes: as a function of its fan-out before it runs, and as a figure while it does.

What further pages take comes on top. Polls that fail take no more than those that work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from math import ceil

from msgspec import Struct

from exporter.config.source import Source
from exporter.model.samples import Json
from exporter.model.window import Period
from exporter.plan.plan import Plan, QueryPlan


class Term(Struct, frozen=True):
    """Calls a minute of a query: so many, for each of `unit` (`tenant`), or in all where there is none."""

    query: str
    calls: float
    unit: str | None
    paged: bool
    audited: bool

    def __str__(self) -> str:
        audit, pages = ", with its audit" * self.audited, ", and further pages" * self.paged
        return f"{_amount(self.calls, self.unit)}{audit}{pages}"


def terms(plan: Plan) -> dict[str, tuple[Term, ...]]:
    """The calls a minute of each query that runs on a source, by the name of the source."""
    units = _units(plan)
    found: dict[str, list[Term]] = {source.name: [] for source in plan.sources}
    for query in plan.queries:
        term = Term(
            query.name,
            _calls(query),
            units.get(query.name),
            paged=query.pages is not None,
            audited=query.audit_after_seconds is not None,
        )
        for source in query.sources:
            found[source.name].append(term)
    return {name: tuple(each) for name, each in found.items()}


def sum_text(found: Sequence[Term]) -> str:
    """The sum of terms, such as `12 + 3 per environment + 0.2 per api`."""
    by_unit: dict[str | None, float] = {}
    for term in found:
        by_unit[term.unit] = by_unit.get(term.unit, 0.0) + term.calls
    parts = [_amount(by_unit[unit], unit) for unit in sorted(by_unit, key=lambda unit: unit is not None)]
    return " + ".join(parts) or "0"


def _amount(calls: float, unit: str | None) -> str:
    return f"{calls:.3g}" if unit is None else f"{calls:.3g} per {unit}"


def _rounds(query: QueryPlan) -> float:
    """Rounds a minute; that of an audit, one in each period, is spread over the period."""
    if query.audit_after_seconds is None or query.period is None:
        return 60 / query.interval_seconds
    return 60 / query.interval_seconds + 60 / _usual_seconds(query.period)


def _usual_seconds(period: Period) -> float:
    """The length of a period, whatever its clock or its month."""
    if isinstance(period, timedelta):
        return period.total_seconds()
    return 86_400 if period == "day" else 30 * 86_400


def _calls(query: QueryPlan) -> float:
    """Calls a minute, for each row of the feeding query if there is one."""
    each = _rounds(query)
    pack = query.most_in_call
    batch = query.batch or 1
    items = 1
    for feed in query.feeds:
        if feed.query is None:
            items *= len(feed.items)
    if query.feeder is None:
        return each * ceil(ceil(items / batch) / pack)
    return each * items / batch / pack


def _units(plan: Plan) -> dict[str, str]:
    """What the calls of each fed query are per: the first name that a `for_each` gives to the rows, with the feeding
    query's name where the rows of two are called alike."""
    fed = [(query.name, feed) for query in plan.queries for feed in query.feeds if feed.query is not None]
    names: dict[str | None, str] = {}
    for _, feed in fed:
        names.setdefault(feed.query, feed.name)
    counts = Counter(names.values())
    words = {feeder: name if counts[name] == 1 else f"{name} of {feeder}" for feeder, name in names.items()}
    return {query: words[feed.query] + _where(feed.where) for query, feed in fed}


def _where(where: Mapping[str, Sequence[Json]]) -> str:
    conditions = [f"{field} {' or '.join(map(str, wanted))}" for field, wanted in where.items()]
    return f" with {' and '.join(conditions)}" if conditions else ""


class Demand(Struct, frozen=True):
    """What a source with a `rate_limit` is asked, by query, and what the limit allows: calls a minute."""

    calls: Mapping[str, float]
    limit: float

    @property
    def ratio(self) -> float:
        """Above 1, polls fall behind their intervals."""
        return sum(self.calls.values()) / self.limit

    def dearest(self, count: int = 3) -> str:
        """The queries with the most calls a minute, and how many these are."""
        ranked = sorted(self.calls.items(), key=lambda item: (-item[1], item[0]))
        return ", ".join(f"{query} {calls:.3g}" for query, calls in ranked[:count])


def present_demand(
    queries: Iterable[QueryPlan], source: Source, round_calls: Callable[[str, str], int]
) -> Demand | None:
    """The demand of the queries that run on a source with a `rate_limit`; `round_calls` tells how many calls a query's
    round has now."""
    if (limit := _limit(source)) is None:
        return None
    return Demand({query.name: _rounds(query) * round_calls(query.name, source.name) for query in queries}, limit)


def _limit(source: Source) -> float | None:
    """Calls a minute that a source's `rate_limit` allows."""
    limit = source.rate_limit
    return None if limit is None else limit.requests * 60 / limit.per.total_seconds()


def demand_report(plan: Plan) -> Iterator[str]:
    """The demand in lines for a person, once for sources that are asked the same under the same limit."""
    alike: dict[tuple[tuple[Term, ...], float | None], list[str]] = {}
    by_source = terms(plan)
    for source in plan.sources:
        alike.setdefault((by_source[source.name], _limit(source)), []).append(source.name)
    for (found, limit), names in alike.items():
        yield f"calls per minute to {', '.join(names)}{', to each' if len(names) > 1 else ''}:"
        width = max((len(term.query) for term in found), default=0)
        for term in found:
            yield f"  {term.query:{width}}  {term}"
        yield f"  {'in all':{width}}  {sum_text(found)}, at least"
        if limit is not None:
            yield f"  {'rate_limit':{width}}  {limit:.3g}"
