"""A dashboard for whatever metrics a configuration has: a panel each, by what its values are, unit and labels."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from itertools import cycle
from typing import Final

from msgspec import Struct

from exporter.dashboards.annotations import marks
from exporter.dashboards.freshness import first_line
from exporter.dashboards.model import Dashboard, JsonObject, Panel, Row
from exporter.dashboards.panels import Column, Line, state_timeline, table, time_series
from exporter.dashboards.promql import TOP, highest, selector
from exporter.dashboards.variables import choice, scraped
from exporter.model.duration import duration_text
from exporter.model.samples import Family, MetricType
from exporter.model.value import ValueKind, ValueRule
from exporter.plan.plan import MetricPlan, Plan, StatesPlan

TAG: Final = "insights-exporter"
LONGEST_TITLE: Final = 60
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
_WORD_COLORS: Final = ("blue", "purple", "yellow", "semi-dark-blue", "light-purple", "super-light-blue")
_GOOD_WORDS: Final = frozenset({"up", "ok", "good", "online", "running", "healthy", "active", "ready", "passed"})
_BAD_WORDS: Final = frozenset(
    {
        "down",
        "bad",
        "offline",
        "fault",
        "failed",
        "failing",
        "failure",
        "error",
        "unhealthy",
        "critical",
        "broken",
        "lost",
    }
)
_TAKEN: Final = frozenset({"datasource"})  # by a variable that every dashboard has


class _Charted(Struct, frozen=True):
    """A family, the variables that choose among its series, and the interval at which it gets new values."""

    family: Family
    rule: ValueRule
    variables: tuple[str, ...]
    interval_seconds: float
    links: dict[str, tuple[JsonObject, ...]]
    states: StatesPlan | None = None


def configured(plan: Plan, title: str) -> Dashboard:
    """The dashboard of a configuration; its uid is made of the title."""
    labels = _chosen_labels(plan.families, _labels_of_states(plan))
    rows: list[Row] = []
    shown: set[str] = set()
    panels = 0
    links = _cell_links(uid_of(title), labels)
    for query in plan.queries:
        metrics: dict[str, MetricPlan] = {}
        for metric in query.metrics:
            if metric.family.name not in shown:
                metrics.setdefault(metric.family.name, metric)
        made = tuple(
            _panel(
                _Charted(
                    metric.family,
                    metric.rule,
                    _within(labels, metric.family),
                    _interval_seconds(plan, metric.family),
                    {name: links[name] for name in _within(labels, metric.family)},
                    metric.states,
                )
            )
            for metric in metrics.values()
        )
        shown |= metrics.keys()
        panels += len(made)
        if made:
            rows.append(Row(query.name, made, collapsed=panels > OPEN_PANELS))
    return Dashboard(
        uid_of(title),
        title,
        "Made by insights-exporter from a configuration: whether its figures are current, and a panel for each metric.",
        (*scraped(), *(_variable(label, labels, plan.families) for label in labels)),
        (Row("", (first_line(),)), *rows),
        tags=(TAG,),
        annotations=marks(),
    )


def _cell_links(uid: str, labels: tuple[str, ...]) -> dict[str, tuple[JsonObject, ...]]:
    """For each label the link of a cell of it: the same dashboard, for this value alone."""
    everything = ("datasource", "job", "instance", *labels)

    def link(label: str) -> JsonObject:
        kept = (f"${{{name}:queryparam}}" for name in everything if name != label)
        parameters = "&".join(("${__url_time_range}", *kept, f"var-{label}=${{__value.text:percentencode}}"))
        return {"title": "This one alone", "url": f"/d/{uid}?{parameters}"}

    return {label: (link(label),) for label in labels}


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


def _labels_of_states(plan: Plan) -> frozenset[tuple[str, str]]:
    """Families with the labels that hold their states: a panel shows all words, and so nothing is chosen by these."""
    metrics = (metric for query in plan.queries for metric in query.metrics)
    return frozenset(
        (one.family.name, one.family.label_names[one.states.position]) for one in metrics if one.states is not None
    )


def _chosen_labels(families: Iterable[Family], of_states: frozenset[tuple[str, str]]) -> tuple[str, ...]:
    """The labels that get a variable, the most frequent first, as they are chained in this order: all, save ids that
    always come with a name (`api_id` with `api`), and those of states."""
    counted = [[name for name in family.label_names if (family.name, name) not in of_states] for family in families]
    together = [set(names) for names in counted]
    counts = Counter(name for names in counted for name in names)

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


def _panel(charted: _Charted) -> Panel:
    name = charted.family.name
    if charted.states is not None:
        return _words(charted, charted.states)
    if name.endswith("_info"):
        return _table(charted, Column("Value", _highest(charted)))
    if name.endswith("_timestamp_seconds"):
        return _table(charted, Column("When", f"{_highest(charted)} * 1000", unit="dateTimeFromNow"))
    if charted.family.type is MetricType.GAUGE and charted.rule.kind in (ValueKind.BOOLEAN, ValueKind.ENUM):
        return _states(charted)
    return _lines(charted)


def _table(charted: _Charted, column: Column) -> Panel:
    labels = {name: name for name in charted.family.label_names}
    about = _description(charted, "What is known now.")
    return table(_title(charted.family), about, labels, column, links=charted.links, width=12)


def _states(charted: _Charted) -> Panel:
    """What the values mean stands in the configuration: the words of an enum, or yes and no."""
    words = _colored((f"{number:g}", word) for word, number in charted.rule.enum_values)
    return state_timeline(
        _title(charted.family),
        _description(charted, ""),
        _selector(charted),
        _legend(charted.family),
        words=words or {"1": ("yes", "green"), "0": ("no", "red")},
        width=12,
        interval=_step(charted),
    )


def _colored(words: Iterable[tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Words by their values with a colour each, as without one Grafana would draw 0 in red and all else in green: green
    and red for what they plainly say, and others for the rest."""
    others = cycle(_WORD_COLORS)
    return {value: (word, _plain_color(word) or next(others)) for value, word in words}


def _plain_color(word: str) -> str:
    parts = set(re.split(r"[^a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", word).lower()))
    return "red" if parts & _BAD_WORDS else "green" if parts & _GOOD_WORDS else ""


def _words(charted: _Charted, states: StatesPlan) -> Panel:
    """A row for each thing, with the word that it is: of its series, one for each word, the one that is 1."""
    label = charted.family.label_names[states.position]
    rest = tuple(name for name in charted.family.label_names if name != label)
    those = (_selector(charted, **{label: f"={json.dumps(word)}"}) for word in states.words)
    numbered = (f"({highest(one, *rest, label)} == 1) * {number}" for number, one in enumerate(those))
    return state_timeline(
        _title(charted.family),
        _description(charted, ""),
        highest(" or ".join(numbered), *rest),
        " ".join(f"{{{{{name}}}}}" for name in rest) or charted.family.name,
        words=_colored((str(number), word) for number, word in enumerate(states.words)),
        width=12,
        interval=_step(charted),
    )


def _lines(charted: _Charted) -> Panel:
    family, asked = charted.family, _selector(charted)
    unit = UNITS.get(_ending(family.name), "short")
    about, rank = "", f"avg_over_time({asked}[$__range] @ end())"
    if family.type is MetricType.COUNTER:
        unit = _RATE_UNITS.get(_ending(family.name.removesuffix("_total")), "cps")
        rank = f"increase({asked}[$__range] @ end())"
        asked = f"rate({asked}[$__rate_interval])"
        about = "What it grows by in a second."
    if family.label_names:
        asked = f"{asked} and topk({TOP}, {rank})"
        about = f"{about} The {TOP} largest over the whole range.".strip()
    return time_series(
        _title(family),
        _description(charted, about),
        Line(asked, _legend(family)),
        unit=unit,
        signed=family.type is MetricType.GAUGE and unit != "percentunit",
        interval=_step(charted),
    )


def _title(family: Family) -> str:
    """The first sentence of the help, if it is short; else the metric's name."""
    sentence = " ".join(family.help.split()).partition(". ")[0].rstrip(".").strip()
    return sentence if 0 < len(sentence) <= LONGEST_TITLE else family.name


def _legend(family: Family) -> str:
    return " ".join(f"{{{{{name}}}}}" for name in family.label_names) or family.name


def _step(charted: _Charted) -> str:
    """No shorter than the interval, so that each point of a rate has a new value to go by."""
    return duration_text(max(60.0, charted.interval_seconds))


def _description(charted: _Charted, about: str) -> str:
    polled = f"Metric {charted.family.name}, polled every {duration_text(charted.interval_seconds)}."
    return " ".join(part for part in (charted.family.help, about, polled) if part.strip())


def _ending(name: str) -> str:
    return name.rpartition("_")[2]


def _selector(charted: _Charted, **matchers: str) -> str:
    return selector(charted.family.name, *charted.variables, **matchers)


def _highest(charted: _Charted) -> str:
    return highest(_selector(charted), *charted.family.label_names)
