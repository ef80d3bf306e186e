"""Metric families: several entries, of several queries, may publish one, and then have to agree on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from exporter.config.nodes import KeyPath
from exporter.config.query import Query
from exporter.model.duration import duration_text
from exporter.model.samples import Family, MetricType
from exporter.plan.findings import Findings
from exporter.plan.response_paths import ParsedQuery


class Published(Struct, frozen=True):
    """A family as a metric publishes it. `unknown` are its properties that a fault leaves open."""

    query: Query
    place: KeyPath
    family: Family
    unknown: frozenset[str]


def families_of(parsed: ParsedQuery) -> Iterator[Published]:
    """The families of a query, as far as they have a name."""
    of_source = parsed.sources[0] if parsed.sources else None
    for place, metric in parsed.metrics():
        unknown = {key for key in ("help", "labels", "type") if parsed.lacks_at(place, key)}
        if of_source is None or parsed.source_lacks(of_source, "labels") or parsed.lacks("labels", "sources"):
            unknown.add("labels")
        if parsed.lacks_at(place, "states"):
            unknown.add("labels")
        names = {*(of_source.labels if of_source else ()), *parsed.query.labels, *metric.labels}
        names |= {metric.states.label} if metric.states is not None else set()
        family = Family(metric.name, metric.type, metric.help, tuple(sorted(names)))
        if not parsed.lacks_at(place, "name"):
            yield Published(parsed.query, place, family, frozenset(unknown))


def agree_on_families(published: Iterable[Published], findings: Findings) -> dict[str, Family]:
    """The families by name, one for all that publish it; its help ends with how it is made."""
    first: dict[str, Published] = {}
    made: dict[str, list[str]] = defaultdict(list)
    for one in published:
        query, family = one.query, one.family
        _check_agreement(one, first.setdefault(family.name, one), findings)
        if (how := _how_made(query, family.type)) not in made[family.name]:
            made[family.name].append(how)
    _check_openmetrics_names(first, findings)
    return {
        name: replace(one.family, help=f"{one.family.help} ({'; '.join(made[name])})") for name, one in first.items()
    }


def _check_agreement(one: Published, known: Published, findings: Findings) -> None:
    for key, what, mine, theirs in (
        ("help", "another help", one.family.help, known.family.help),
        ("labels", "other label names", ", ".join(one.family.label_names), ", ".join(known.family.label_names)),
    ):
        if mine != theirs and key not in one.unknown | known.unknown:
            wrong = f"{one.family.name} has {what} than {findings.line_text(known.place, one.place)}"
            findings.add((*one.place, "name"), wrong, f"use the same ({theirs or 'none'}), or another name")


def _check_openmetrics_names(first: Mapping[str, Published], findings: Findings) -> None:
    for name, one in first.items():
        base = name.removesuffix("_total")
        if one.family.type is MetricType.COUNTER and base in first and "type" not in one.unknown:
            wrong = f"{name} and {base} are one family in OpenMetrics"
            findings.add((*one.place, "name"), wrong, "rename one of the two")


def _how_made(query: Query, kind: MetricType) -> str:
    """How a family's values come about, for its help."""
    parts = [f"polled every {duration_text(query.interval.total_seconds())}"]
    if query.window is not None:
        if kind is MetricType.COUNTER and query.period is not None:
            period = query.period
            length = period if isinstance(period, str) else duration_text(period.total_seconds())
            parts.append(f"counted from the start of each {length}")
        else:
            parts.append(f"window {duration_text(query.window.length.total_seconds())}")
        if query.window.delay:
            parts.append(f"{duration_text(query.window.delay.total_seconds())} late")
    return ", ".join(parts)
