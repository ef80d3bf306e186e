"""What an API makes of a configuration: each operation once, and whether its totals add up."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from exporter.cli.ad_hoc import Asked, Round
from exporter.document.root_fields import root_fields
from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import Operation, PollOutcome, Response
from exporter.model.samples import Json, LabelValues, MetricType, Number
from exporter.model.window import TimeRange, floor
from exporter.plan.operation import Moment
from exporter.plan.plan import QueryPlan
from exporter.polling.course import Course

_REFUSING: Final = frozenset({Reason.GRAPHQL, Reason.FORBIDDEN, Reason.UNAUTHORIZED, Reason.HTTP_4XX})
_PART: Final = timedelta(minutes=15)
_SETTLED: Final = timedelta(hours=2)


class Verdict(StrEnum):
    """What came of an operation."""

    WORKED = "worked"
    EMPTY = "empty"
    ALONE = "worked alone"  # but not in its query
    REFUSED = "refused"
    FAILED = "failed"
    NOT_ASKED = "not asked"


class OperationReport(Struct, frozen=True):
    """One operation of a query: what came of it, and after how many seconds (of the whole query, where it was asked
    with others). `needs` is the query without whose rows it could not be asked."""

    query: str
    operation: str
    verdict: Verdict
    seconds: float = 0.0
    detail: str = ""
    needs: str = ""


class SumReport(Struct, frozen=True):
    """Whether the totals of two adjacent windows add up to those of both; `detail` says with which figures.

    `holds` is None where the API did not answer.
    """

    query: str
    holds: bool | None
    detail: str


class QueryReport(Struct, frozen=True):
    """One query: its operations, and the poll that told most."""

    operations: tuple[OperationReport, ...]
    asked: Asked | None = None

    @property
    def has_result(self) -> bool:
        return self.asked is not None and self.asked.outcome.result is not None


async def query_report(a_round: Round, course: Course, tries: int) -> QueryReport:
    """What came of one poll of a query: of the first target that has an answer with something in it, of so many."""
    query = course.query
    for needed in await a_round.prepare(course):
        if needed.outcome.result is None:
            return _not_asked(query, f"needs {needed.query.name}", needs=needed.query.name)
    try:
        targets = a_round.targets(course)
    except ResultFailure as failure:
        return _not_asked(query, failure.detail)
    if not targets:
        return _not_asked(query, f"{query.feeder} has no rows to ask it for")
    for target in targets[:tries]:
        asked = await a_round.ask(course, target)
        result = asked.outcome.result
        if result is not None and (result.series_count or result.rows):
            break
    return QueryReport(await _operations(a_round, asked), asked)


def _not_asked(query: QueryPlan, why: str, needs: str = "") -> QueryReport:
    return QueryReport(
        tuple(
            OperationReport(query.name, field.operation, Verdict.NOT_ASKED, detail=why, needs=needs)
            for field in root_fields(query.document.text)
        )
    )


async def _operations(a_round: Round, asked: Asked) -> tuple[OperationReport, ...]:
    """A report for each operation of a poll: what became of the poll, not only of the answer. What was refused as a
    whole is asked field by field."""
    fields = root_fields(asked.query.document.text)
    seconds = sum(exchange.seconds for exchange in asked.exchanges)
    outcome = asked.outcome
    if asked.responses:
        response = asked.responses[-1]
        reports = [_of_response(asked.query.name, field.key, field.operation, response, seconds) for field in fields]
        is_known = outcome.reason is Reason.GRAPHQL and any(one.verdict is Verdict.REFUSED for one in reports)
        trouble = "" if is_known else _trouble(outcome)
        return tuple(_with_trouble(report, trouble) for report in reports)
    if len(fields) == 1 or outcome.reason not in _REFUSING or not asked.exchanges:
        return tuple(_of_outcome(asked.query.name, field.operation, outcome) for field in fields)
    reports = []
    for field in fields:
        variables = {
            name: value for name, value in asked.exchanges[0].sent.variables.items() if name in field.variables
        }
        answer, took = await a_round.send(asked.course, Operation(field.document, variables))
        if isinstance(answer, Response):
            report = _of_response(asked.query.name, field.key, field.operation, answer, took)
            worked = report.verdict in (Verdict.WORKED, Verdict.EMPTY)
            reports.append(replace(report, verdict=Verdict.ALONE, detail=outcome.detail) if worked else report)
        else:
            failed = PollOutcome(took, reason=answer.reason, detail=answer.detail)
            reports.append(_of_outcome(asked.query.name, field.operation, failed))
    return tuple(reports)


def _trouble(outcome: PollOutcome) -> str:
    """Why a poll that was answered publishes nothing; nothing to say where the answer was empty."""
    if outcome.result is None:
        return f"{outcome.reason}: {outcome.detail}"
    unread = {reason: count for reason, count in outcome.result.skipped.items() if count}
    if outcome.result.series_count or not unread:
        return ""
    return f"no value can be published: {', '.join(f'{count} {reason}' for reason, count in sorted(unread.items()))}"


def _with_trouble(report: OperationReport, trouble: str) -> OperationReport:
    if not trouble or report.verdict is Verdict.REFUSED:
        return report
    return replace(report, verdict=Verdict.FAILED, detail=trouble)


def _of_response(query: str, key: str, operation: str, response: Response, seconds: float) -> OperationReport:
    for error in response.errors:
        if not error.path or error.path[0] == key:
            return OperationReport(query, operation, Verdict.REFUSED, seconds, error.message)
    verdict = Verdict.EMPTY if _is_empty((response.data or {}).get(key)) else Verdict.WORKED
    return OperationReport(query, operation, verdict, seconds)


def _of_outcome(query: str, operation: str, outcome: PollOutcome) -> OperationReport:
    verdict = Verdict.REFUSED if outcome.reason in _REFUSING else Verdict.FAILED
    return OperationReport(query, operation, verdict, outcome.duration_seconds, f"{outcome.reason}: {outcome.detail}")


def _is_empty(value: Json) -> bool:
    """Whether an answer has nothing in it: null, an empty list, or an object whose lists are all empty."""
    if isinstance(value, dict):
        lists = [item for item in value.values() if isinstance(item, list)]
        return bool(lists) and not any(lists)
    return value is None or value == []


def has_counters(query: QueryPlan) -> bool:
    """Whether a query has totals that can be asked over any time."""
    return query.window is not None and any(metric.family.type is MetricType.COUNTER for metric in query.metrics)


Totals = Mapping[tuple[str, LabelValues], Number]


async def totals(a_round: Round, asked: Asked, start: datetime, end: datetime) -> Totals:
    """The counters of a query and target from `start` to `end`. Raises `ResultFailure` where the poll fails."""
    window = TimeRange(start.astimezone(asked.query.zone), end.astimezone(asked.query.zone))
    outcome = await a_round.poll_over(asked.course, asked.target, Moment(window, window.start))
    if outcome.result is None:
        raise ResultFailure(outcome.reason or Reason.INTERNAL, outcome.detail)
    return {
        (samples.family.name, values): number
        for samples in outcome.result.samples
        if samples.family.type is MetricType.COUNTER
        for values, number in samples.items()
    }


async def sum_report(a_round: Round, asked: Asked, now: float) -> SumReport:
    """Whether the totals of two adjacent quarters of an hour, some hours ago, add up to those of both."""
    middle = floor(datetime.fromtimestamp(now, UTC) - _SETTLED, _PART, UTC)
    try:
        first = await totals(a_round, asked, middle - _PART, middle)
        second = await totals(a_round, asked, middle, middle + _PART)
        whole = await totals(a_round, asked, middle - _PART, middle + _PART)
    except ResultFailure as failure:
        return SumReport(asked.query.name, None, f"{failure.reason}: {failure.detail}")
    shown = f"{_sum(first)} + {_sum(second)} = {_sum(whole)}"
    for key in {*first, *second, *whole}:
        added = first.get(key, 0) + second.get(key, 0)
        if not math.isclose(added, whole.get(key, 0)):
            return SumReport(asked.query.name, False, f"{key[0]}: {added} in two windows, {whole.get(key, 0)} in one")
    return SumReport(asked.query.name, True, shown if whole else "no traffic in those windows")


def _sum(found: Totals) -> Number:
    return sum(found.values())
