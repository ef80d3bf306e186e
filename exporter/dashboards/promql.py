"""Expressions: what the panels ask, held to what is chosen in the dashboard's variables."""

from __future__ import annotations

from typing import Final

OWN: Final = "insights_exporter_"
WEEK: Final = " offset 1w"
TOP: Final = 10
_SCRAPED: Final = ("job", "instance")
# words of PromQL that cannot stand where a metric's name does
_NO_METRICS: Final = frozenset({"atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"})
# labels that PromQL takes for numbers where series are grouped
_NO_LABELS: Final = frozenset({"inf", "nan"})
_PLACE: Final = ("organization", "environment")
# The windows of the catalogue that are added up are as long as this, so that they follow each other without gaps.
_WINDOW: Final = "5m"


def selector(metric: str, *variables: str, **matchers: str) -> str:
    """The series of a metric whose labels are chosen in the variables of the same names.

    `matchers` are further ones, each with its operator: `query='=~"overview|cache"'`.
    """
    return _selector(metric, (*_SCRAPED, *variables), matchers)


def series(metric: str, *variables: str, **matchers: str) -> str:
    """The series of a Choreo metric in the chosen organizations and environments."""
    return selector(metric, *_PLACE, *variables, **matchers)


def own(metric: str, *variables: str, **matchers: str) -> str:
    """The series of one of the exporter's own metrics."""
    return selector(OWN + metric, *variables, **matchers)


def recorded(record: str, *variables: str, **matchers: str) -> str:
    """The series of a recording rule, or of alerts: they have no `instance`, as replicas count once."""
    return _selector(record, ("job", *variables), matchers)


def of_exporters(expression: str, *, within: str = "") -> str:
    """Of series that every program has (`process_…`, `up`), those of exporters: a Prometheus may scrape others, too.

    A target that is down has no series of its own, and an alert may have no `instance`: for these, `within` is a
    duration, and the series are those of every job in which there was an exporter within it.
    """
    build = own("build_info")
    if within:
        return f"({expression} and on (job) last_over_time({build}[{within}]))"
    return f"({expression} and on (job, instance) {build})"


def of_apis(record: str) -> str:
    """The series of a recording rule, one for each of the chosen APIs."""
    return recorded(record, *_PLACE, "api")


def _selector(metric: str, variables: tuple[str, ...], matchers: dict[str, str]) -> str:
    chosen = {name: f'=~"${name}"' for name in variables} | matchers
    if metric.lower() in _NO_METRICS:
        metric, chosen = "", {"__name__": f'="{metric}"'} | chosen
    return f"{metric}{{{', '.join(name + matcher for name, matcher in chosen.items())}}}"


def in_range(counter: str, *variables: str, ago: str = "", **matchers: str) -> str:
    """What a counter grew by in the chosen time range (or `ago`, an offset). Its resets at midnight (UTC) are known to
    `increase()`. For counters whose series are always there: the birth of a series at 1 is no increase.
    """
    return f"increase({series(counter, *variables, **matchers)}[$__range]{ago})"


def a_week_before(counter: str, *by: str, variables: tuple[str, ...] = ()) -> str:
    """What a counter grew by in the same range a week before, for each value of these labels. Nothing where that range
    is not known from its beginning, as a part of it would be taken for the whole."""
    grown = total(in_range(counter, *variables, ago=WEEK), *by)
    first = total(f"increase({series(counter, *variables)}[15m]{WEEK}$__range)", *by)
    return f"{grown} and on ({', '.join(by)}) {first}"


def windows_in_range(window: str, *variables: str, ago: str = "", **matchers: str) -> str:
    """What the windows of five minutes in the chosen time range (or `ago`) add up to, put end to end: also of what is
    so rare that its counter's series is born by the event that is to be counted.

    A sample of the past (`backfill`) that stands at a step would be seen at the next step as well, as Prometheus looks
    back for five minutes, both ends included until version 3: so steps look at the second before them.

    The last good window stays while polls fail, until it is stale, and so is added more than once.
    """
    return f"sum_over_time(({series(window, *variables, **matchers)} offset 1s)[$__range:{_WINDOW}]{ago})"


def steps_in_range(counter: str, *variables: str, **matchers: str) -> str:
    """What a counter without windows grew by in the chosen time range, its birth included: a series that was not there
    in the hour before, from any replica or pod, or was above what it is now, has grown from 0."""
    those = series(counter, *variables, **matchers)
    now = f"max without (instance, pod) ({those})"
    before = f"max without (instance, pod) (last_over_time({those}[1h] offset {_WINDOW}))"
    return f"sum_over_time(({now} - ({before} <= {now} or 0 * {now}))[$__range:{_WINDOW}])"


def total(expression: str, *by: str) -> str:
    """The sum of Choreo's figures, or one for each value of these labels. Replicas of the exporter, which agree, count
    once."""
    return added(f"max without (instance, pod) ({expression})", *by)


def a_minute(window: str, *by: str, variables: tuple[str, ...] = (), ago: str = "", **matchers: str) -> str:
    """Requests per minute, from windows of five minutes; `ago` is an offset."""
    return f"{total(series(window, *variables, **matchers) + ago, *by)} / 5"


def or_zero(expression: str, *, like: str = "vector(0)") -> str:
    """The expression, and 0 where there is nothing; `like` has the series that shall be there, if they are many."""
    return f"({expression} or {like if like == 'vector(0)' else f'0 * {like}'})"


def added(expression: str, *by: str) -> str:
    """The sum over everything, or one for each value of these labels."""
    return f"sum{_by(by)}({expression})"


def highest(expression: str, *by: str) -> str:
    """The highest, or one for each value of these labels. Percentiles cannot be added or averaged; this they allow."""
    return f"max{_by(by)}({expression})"


def largest(expression: str, count: int = TOP) -> str:
    """The largest of many series at one moment."""
    return f"topk({count}, {expression})"


def leading(expression: str, by: tuple[str, ...], rank: str, count: int = TOP) -> str:
    """The series that are largest by `rank`, which is over the range and the same at each step: so lines do not come
    and go. `expression` is one series for each value of these labels."""
    return f"{expression} and on ({', '.join(by)}) topk({count}, {rank})"


def leading_a_minute(windows: str, *by: str) -> str:
    """Requests per minute of those that are largest over the range, from windows of five minutes.

    By several labels there are many, and they are chosen before they are added up, as adding up all of them at each
    step is what takes long; by one there are few, and choosing at each step takes longer.
    """
    rank = over_range(windows, *by)
    if len(by) == 1:
        return leading(f"{total(windows, *by)} / 5", by, rank)
    return f"{total(leading(windows, by, rank), *by)} / 5"


def others_a_minute(windows: str, *by: str) -> str:
    """Requests per minute of all but the largest over the range, in one; nothing where there are no others."""
    rest = f"{windows} unless on ({', '.join(by)}) {largest(over_range(windows, *by))}"
    return f"{total(rest)} / 5 > 0"


def over_range(expression: str, *by: str) -> str:
    """What windows add up to over the chosen time range, as a rank: at each step of a chart that of its end."""
    return added(f"sum_over_time({expression}[$__range] @ end())", *by)


def highest_over_range(expression: str, *by: str) -> str:
    """The mean over the chosen time range of the highest, as a rank."""
    return highest(f"avg_over_time({expression}[$__range] @ end())", *by)


def ratio(part: str, whole: str) -> str:
    """A part of a whole; no sample where the whole is 0, as nothing can be said of it then."""
    return f"{part} / ({whole} > 0)"


def named(expression: str, label: str, *of: str) -> str:
    """The series with a further label, which joins these ones: `Orders` and `1.0.0` to `Orders 1.0.0`."""
    return f"""label_join({expression}, "{label}", " ", {", ".join(f'"{name}"' for name in of)})"""


def _by(labels: tuple[str, ...]) -> str:
    labels = tuple(name for name in labels if name.lower() not in _NO_LABELS)
    return f" by ({', '.join(labels)}) " if labels else ""
