"""A dashboard for whatever metrics a configuration has: a panel each, by type, unit and labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from exporter.dashboards.model import Dashboard, JsonObject, Panel, Row
from exporter.dashboards.panels import AGE, ALL_IS_WELL, SOME_IS_BAD, Column, stat, table, time_series
from exporter.dashboards.promql import added, highest, largest, own, selector
from exporter.dashboards.variables import choice, scraped
from exporter.model.duration import duration_text
from exporter.model.samples import Family, MetricType
from exporter.plan.plan import Plan

TAG: Final = "insights-exporter"
LINES: Final = 50
OPEN_PANELS: Final = 40
# Grafana's units for what the names of metrics end in (Prometheus' base units); else it is a number
UNITS: Final = {
    "seconds": "s",
    "bytes": "bytes",
    "ratio": "percentunit",
    "percent": "percent",
    "celsius": "celsius",
    "volts": "volt",
    "amperes": "amp",
    "joules": "joule",
    "watts": "watt",
    "hertz": "hertz",
    "pascals": "pascals",
    "meters": "lengthm",
    "grams": "massg",
}
_RATE_UNITS: Final = {"bytes": "binBps", "seconds": "none"}
_TAKEN: Final = frozenset({"datasource"})  # by a variable that every dashboard has


@dataclass(frozen=True, slots=True)
class _Charted:
    """A family, the variables that choose among its series, and the interval at which it gets new values."""

    family: Family
    variables: tuple[str, ...]
    interval_seconds: float


def configured(plan: Plan, title: str) -> Dashboard:
    """The dashboard of a configuration; its uid is made of the title."""
    labels = _chosen_labels(plan.families)
    rows: list[Row] = []
    shown: set[str] = set()
    panels = 0
    for query in plan.queries:
        families = [metric.family for metric in query.metrics if metric.family.name not in shown]
        made = tuple(
            _panel(_Charted(family, _within(labels, family), _interval_seconds(plan, family)))
            for family in dict.fromkeys(families)
        )
        shown |= {family.name for family in families}
        panels += len(made)
        if made:
            rows.append(Row(query.name, made, collapsed=panels > OPEN_PANELS))
    return Dashboard(
        uid_of(title),
        title,
        "Made by insights-exporter from a configuration: a panel for each of its metrics.",
        (*scraped(), *(_variable(label, labels, plan.families) for label in labels)),
        (Row("Headlines", _headlines()), *rows),
        tags=(TAG,),
    )


def uid_of(title: str) -> str:
    """An address that a title always gives: at most 40 letters, digits, `_` and `-`."""
    return re.sub(r"[^a-zA-Z0-9_]+", "-", title).strip("-").lower()[:40].strip("-") or TAG


def _interval_seconds(plan: Plan, family: Family) -> float:
    """The longest interval of the queries that publish the family."""
    return max(
        query.interval_seconds
        for query in plan.queries
        if any(metric.family.name == family.name for metric in query.metrics)
    )


def _chosen_labels(families: Iterable[Family]) -> tuple[str, ...]:
    """The labels that get a variable, the most frequent first, as they are chained in this order: all, save ids that
    always come with a name (`api_id` with `api`)."""
    together = [set(family.label_names) for family in families]
    counts = Counter(name for family in families for name in family.label_names)

    def has_name(label: str) -> bool:
        name = label.removesuffix("_id")
        return name != label and all(name in labels for labels in together if label in labels)

    return tuple(name for name, _ in counts.most_common() if name not in _TAKEN and not has_name(name))


def _within(labels: Iterable[str], family: Family) -> tuple[str, ...]:
    return tuple(label for label in labels if label in family.label_names)


def _variable(label: str, labels: tuple[str, ...], families: Iterable[Family]) -> JsonObject:
    """The values of a label, given what is chosen in the variables before it that all its families have."""
    having = [family for family in families if label in family.label_names]
    before = labels[: labels.index(label)]
    chained = [name for name in before if all(name in family.label_names for family in having)]
    if len(having) == 1:
        asked = selector(having[0].name, *chained)
    else:
        asked = selector("", *chained, __name__=f'=~"{"|".join(family.name for family in having)}"')
    return choice(label, label.replace("_", " ").strip().capitalize() or label, asked)


def _headlines() -> tuple[Panel, ...]:
    up, success = own("query_up"), own("query_last_success_timestamp_seconds")
    return (
        stat(
            "Queries up",
            "Share of the queries whose last polls all succeeded, as of now.",
            f"sum({up}) / count({up})",
            unit="percentunit",
            thresholds=ALL_IS_WELL,
            decimals=0,
            width=6,
        ),
        stat(
            "Failing queries",
            "Queries of which a last poll failed, as of now.",
            f"count({up} == 0) or vector(0)",
            thresholds=SOME_IS_BAD,
            width=6,
        ),
        stat(
            "Oldest success",
            "The longest time since a query last succeeded, as of now.",
            f"time() - min({success})",
            unit="s",
            thresholds=AGE,
            width=6,
        ),
        stat("Series", "Series that the queries publish now.", added(own("query_series")), width=6),
    )


def _panel(charted: _Charted) -> Panel:
    name = charted.family.name
    if name.endswith("_info"):
        return _table(charted, Column("Value", _highest(charted)))
    if name.endswith("_timestamp_seconds"):
        return _table(charted, Column("Time", f"{_highest(charted)} * 1000", unit="dateTimeAsIso"))
    return _lines(charted)


def _table(charted: _Charted, column: Column) -> Panel:
    labels = {name: name for name in charted.family.label_names}
    return table(charted.family.name, _described(charted, "What is known now."), labels, column, width=12, height=8)


def _lines(charted: _Charted) -> Panel:
    family = charted.family
    asked = _selector(charted)
    unit = UNITS.get(_ending(family.name), "short")
    about = f"The {LINES} largest at each moment." if family.label_names else ""
    if family.type is MetricType.COUNTER:
        ending = _ending(family.name.removesuffix("_total"))
        unit = _RATE_UNITS.get(ending, "cps")
        asked = f"rate({asked}[$__rate_interval])"
        about = f"What it grows by in a second. {about}".strip()
    legend = " ".join(f"{{{{{name}}}}}" for name in family.label_names) or family.name
    return time_series(
        family.name,
        _described(charted, about),
        (largest(asked, LINES) if family.label_names else asked, legend),
        unit=unit,
        signed=family.type is MetricType.GAUGE and unit != "percentunit",
        # no shorter, so that each point of a rate has a new value to go by
        interval=duration_text(max(60.0, charted.interval_seconds)),
    )


def _described(charted: _Charted, about: str) -> str:
    polled = f"Polled every {duration_text(charted.interval_seconds)}."
    return " ".join(part for part in (charted.family.help, about, polled) if part.strip())


def _ending(name: str) -> str:
    return name.rpartition("_")[2]


def _selector(charted: _Charted) -> str:
    return selector(charted.family.name, *charted.variables)


def _highest(charted: _Charted) -> str:
    return highest(_selector(charted), *charted.family.label_names)
