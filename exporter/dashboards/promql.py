"""Expressions: what the panels ask, held to what is chosen in the dashboard's variables."""

from __future__ import annotations

from typing import Final

OWN: Final = "insights_exporter_"
_SCRAPED: Final = ("job", "instance")
# words of PromQL that cannot stand where a metric's name does
_NO_METRICS: Final = frozenset({"atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"})
# labels that PromQL takes for numbers where series are grouped
_NO_LABELS: Final = frozenset({"inf", "nan"})
_PLACE: Final = ("organization", "environment")


def selector(metric: str, *variables: str, **matchers: str) -> str:
    """The series of a metric whose labels are chosen in the variables of the same names.

    `matchers` are further ones, each with its operator: `query='=~"overview|cache"'`.
    """
    chosen = {name: f'=~"${name}"' for name in (*_SCRAPED, *variables)} | matchers
    if metric.lower() in _NO_METRICS:
        metric, chosen = "", {"__name__": f'="{metric}"'} | chosen
    return f"{metric}{{{', '.join(name + matcher for name, matcher in chosen.items())}}}"


def series(metric: str, *variables: str, **matchers: str) -> str:
    """The series of a Choreo metric in the chosen organizations and environments."""
    return selector(metric, *_PLACE, *variables, **matchers)


def own(metric: str, *variables: str, **matchers: str) -> str:
    """The series of one of the exporter's own metrics."""
    return selector(OWN + metric, *variables, **matchers)


def in_range(counter: str, *variables: str, **matchers: str) -> str:
    """What a counter grew by in the chosen time range. Its resets at midnight (UTC) are known to `increase()`."""
    return f"increase({series(counter, *variables, **matchers)}[$__range])"


def total(expression: str, *by: str) -> str:
    """The sum of Choreo's figures, or one for each value of these labels. Replicas of the exporter, which agree, count
    once."""
    return added(f"max without (instance, pod) ({expression})", *by)


def added(expression: str, *by: str) -> str:
    """The sum over everything, or one for each value of these labels."""
    return f"sum{_by(by)}({expression})"


def highest(expression: str, *by: str) -> str:
    """The highest, or one for each value of these labels. Percentiles cannot be added or averaged; this they allow."""
    return f"max{_by(by)}({expression})"


def largest(expression: str, count: int = 20) -> str:
    """The largest of many series, so that a panel stays readable."""
    return f"topk({count}, {expression})"


def ratio(part: str, whole: str) -> str:
    """A part of a whole; no sample where the whole is 0, as nothing can be said of it then."""
    return f"{part} / ({whole} > 0)"


def named(expression: str, label: str, *of: str) -> str:
    """The series with a further label, which joins these ones: `Orders` and `1.0.0` to `Orders 1.0.0`."""
    return f"""label_join({expression}, "{label}", " ", {", ".join(f'"{name}"' for name in of)})"""


def data_age(*queries: str) -> str:
    """Seconds since the end of the window that is shown; of these queries, the oldest."""
    ends = own("query_window_end_timestamp_seconds", query=f'=~"{"|".join(queries)}"')
    return f"time() - min({ends})"


def _by(labels: tuple[str, ...]) -> str:
    labels = tuple(name for name in labels if name.lower() not in _NO_LABELS)
    return f" by ({', '.join(labels)}) " if labels else ""
