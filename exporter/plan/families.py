"""Metric families: several entries, of several queries, may publish one, and then have to agree on it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from exporter.config.nodes import KeyPath
from exporter.config.query import Query
from exporter.model.duration import duration_text
from exporter.model.samples import Family, MetricType
from exporter.plan.findings import Findings


def agree_on_families(published: Iterable[tuple[Query, KeyPath, Family]], findings: Findings) -> dict[str, Family]:
    """The families by name, one for all that publish it; its help ends with how it is made."""
    first: dict[str, tuple[Family, KeyPath]] = {}
    made: dict[str, list[str]] = defaultdict(list)
    for query, place, family in published:
        known, known_place = first.setdefault(family.name, (family, place))
        _check_agreement(family, place, known, known_place, findings)
        if (how := _how_made(query, family.type)) not in made[family.name]:
            made[family.name].append(how)
    _check_openmetrics_names(first, findings)
    return {
        name: replace(family, help=f"{family.help} ({'; '.join(made[name])})") for name, (family, _) in first.items()
    }


def _check_agreement(family: Family, place: KeyPath, known: Family, known_place: KeyPath, findings: Findings) -> None:
    for what, mine, theirs in (
        ("another help", family.help, known.help),
        ("other label names", ", ".join(family.label_names), ", ".join(known.label_names)),
    ):
        if mine != theirs:
            wrong = f"{family.name} has {what} than on line {findings.line(known_place)}"
            findings.add((*place, "name"), wrong, f"use the same ({theirs or 'none'}), or another name")


def _check_openmetrics_names(first: Mapping[str, tuple[Family, KeyPath]], findings: Findings) -> None:
    for name, (family, place) in first.items():
        base = name.removesuffix("_total")
        if family.type is MetricType.COUNTER and base in first:
            wrong = f"{name} and {base} are one family in OpenMetrics"
            findings.add((*place, "name"), wrong, "rename one of the two")


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
