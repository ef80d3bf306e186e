"""A query on a source: what is polled, target by target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from exporter.config.source import Source
from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.series.store import Owner


@dataclass(frozen=True, slots=True)
class Course:
    """A query on one of its sources, by that source's clock. `key` are the names of both."""

    query: QueryPlan
    source: Source
    key: tuple[str, str] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "query", self.query.on(self.source))
        object.__setattr__(self, "key", (self.query.name, self.source.name))

    def owner(self, target: Target) -> Owner:
        """Whose series a target yields."""
        return Owner(self.query.name, self.source.name, target.key)


def courses(plan: Plan) -> Iterator[Course]:
    """Each query on each of its sources; who feeds others stands before them."""
    for query in plan.queries:
        for by_clock, source in query.on_each():
            yield Course(by_clock, source)
