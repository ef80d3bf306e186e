"""History from the API: each query polled as at moments of the past, into a `History`."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct, field

from exporter.cli.ad_hoc import Round
from exporter.cli.backfill.history import DuplicateSeries, History
from exporter.config.source import Source
from exporter.model.errors import ExporterError, Reason
from exporter.model.outcome import PollOutcome
from exporter.plan.operation import moment_at
from exporter.plan.plan import Plan, QueryPlan, Target
from exporter.polling.course import Course

_ATTEMPTS: Final = 8  # with waits of two minutes in all
_LONGEST_WAIT_SECONDS: Final = 60.0
_GIVEN_UP_AFTER: Final = 3  # failures in a row of one target, each for a reason that waiting does not mend
_COMMIT_SECONDS: Final = 2.0
_PASSING: Final = frozenset(
    {
        *(Reason.DNS, Reason.CONNECT, Reason.TLS, Reason.TIMEOUT, Reason.RESET, Reason.PROTOCOL),
        *(Reason.HTTP_429, Reason.HTTP_5XX, Reason.UNAUTHORIZED, Reason.TOKEN),
    }
)


class Interrupted(ExporterError):
    """The upstream did not answer for so long that going on makes no sense now; what came is kept."""


class Span(Struct, frozen=True):
    """From `start` to before `end`: Unix seconds. `step_seconds` is each query's interval where it is None."""

    start: float
    end: float
    step_seconds: float | None = None

    def times(self, query: QueryPlan) -> Iterator[float]:
        """The moments at which a query is polled: multiples of the step."""
        step = self.step_seconds or query.interval_seconds
        number = -(-self.start // step)
        while (at := number * step) < self.end:
            yield at
            number += 1


class FanOut(Struct, frozen=True):
    """A query on a source, with the targets that it has now. `is_first`: it is asked before those that are not."""

    course: Course
    targets: tuple[Target, ...]
    is_first: bool = False

    @property
    def packs(self) -> list[tuple[Target, ...]]:
        """The targets of each operation."""
        size = self.course.query.most_in_call
        return [self.targets[start : start + size] for start in range(0, len(self.targets), size)]

    def owner(self, target: Target) -> str:
        """Whose samples they are."""
        return "\0".join(self.course.owner(target))


class Progress(Struct):
    """How far a run is: requests that are done, of all; and what failed, by query and failure."""

    total: int
    done: int = 0
    asked: int = 0
    failures: Counter[tuple[str, str]] = field(default_factory=Counter)


class _Step(Struct, frozen=True):
    """One operation: these targets at that time. `published_end_time` is the end of the window of the step before."""

    fan_out: FanOut
    targets: tuple[Target, ...]
    time: float
    published_end_time: float | None


def with_history(plan: Plan, names: Sequence[str]) -> list[QueryPlan]:
    """The queries whose past the API knows: those with a window and metrics, of these names where there are any."""
    return [
        query
        for query in plan.queries
        if query.window is not None and query.metrics and (not names or query.name in names)
    ]


async def fan_outs(
    a_round: Round, queries: Sequence[QueryPlan], shown: Collection[str] = frozenset()
) -> tuple[FanOut, ...]:
    """The queries with the targets that they have now; what they need is asked. Those with a metric of these names come
    first. Raises `Interrupted`."""
    found = []
    for query in queries:
        for source in query.sources:
            course = Course(query, source)
            for asked in await a_round.prepare(course):
                if (reason := asked.outcome.reason) is not None:
                    raise Interrupted(f"{asked.query.name}, which {query.name} needs: {reason}: {asked.outcome.detail}")
            is_first = any(metric.family.name in shown for metric in query.metrics)
            found.append(FanOut(course, a_round.targets(course), is_first))
    return tuple(found)


def request_count(found: Sequence[FanOut], span: Span) -> int:
    """How many requests the whole span takes; further pages come on top."""
    return sum(len(one.packs) * sum(1 for _ in span.times(one.course.query)) for one in found)


async def fill(
    a_round: Round, found: Sequence[FanOut], span: Span, history: History, report: Callable[[Progress], None]
) -> Progress:
    """Asks for what the history does not have yet: first the queries that come first, of each the oldest. Raises
    `Interrupted`; what came is kept."""
    run = _Run(a_round, history, Progress(request_count(found, span)), report)
    steps = _steps(found, span)
    workers = max(source.concurrency for source in a_round.plan.sources)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(run.work(steps))
    except ExceptionGroup as group_of_errors:  # what is raised within `except*` comes as a group on Python 3.11.2
        interrupted, others = group_of_errors.split(Interrupted)
        if interrupted is None or others is not None:
            raise
        raise Interrupted(str(interrupted.exceptions[0])) from None
    finally:
        history.commit()
        report(run.progress)
    return run.progress


def _steps(found: Sequence[FanOut], span: Span) -> Iterator[_Step]:
    """Every operation: those of the queries that come first, then the others, each in the order of time."""
    steps = (_steps_of(one, span) for one in found)
    return heapq.merge(*steps, key=lambda step: (not step.fan_out.is_first, step.time))


def _steps_of(fan_out: FanOut, span: Span) -> Iterator[_Step]:
    query = fan_out.course.query
    published_end_time: float | None = None
    for at in span.times(query):
        for members in fan_out.packs:
            yield _Step(fan_out, members, at, published_end_time)
        window = moment_at(query, datetime.fromtimestamp(at, UTC), published_end_time).window
        published_end_time = window.end.timestamp() if window is not None else None


class _Run:
    """The workers of one run, and what they share."""

    def __init__(
        self, a_round: Round, history: History, progress: Progress, report: Callable[[Progress], None]
    ) -> None:
        self._round = a_round
        self._history = history
        self._report = report
        self._refused: Counter[str] = Counter()
        self._committed_at = time.monotonic()
        self.progress = progress

    async def work(self, steps: Iterator[_Step]) -> None:
        """Takes steps until there are no more. Raises `Interrupted`."""
        for step in steps:
            fan_out = step.fan_out
            members = [
                target
                for target in step.targets
                if self._refused[fan_out.owner(target)] < _GIVEN_UP_AFTER
                and not self._history.has(fan_out.owner(target), step.time)
            ]
            if members:
                await self._take(step, members)
            self.progress.done += 1
            self._report(self.progress)
            if not self.progress.done % 1000:
                await asyncio.sleep(0)  # a resumed run has much to pass over

    async def _take(self, step: _Step, members: Sequence[Target]) -> None:
        for target, outcome in (await self._outcomes(step, members)).items():
            owner = step.fan_out.owner(target)
            if outcome.result is None:
                self._refused[owner] += 1
                self._fail(step, f"{outcome.reason}: {outcome.detail}")
                continue
            self._refused[owner] = 0
            try:
                self._history.save(owner, step.time, outcome.result)
            except DuplicateSeries as error:
                self._refused[owner] = _GIVEN_UP_AFTER
                self._fail(step, str(error))
        if time.monotonic() - self._committed_at > _COMMIT_SECONDS:
            self._history.commit()
            self._committed_at = time.monotonic()

    async def _outcomes(self, step: _Step, members: Sequence[Target]) -> dict[Target, PollOutcome]:
        """What came of each target. What may pass is tried again for some minutes. Raises `Interrupted`."""
        course = step.fan_out.course
        found: dict[Target, PollOutcome] = {}
        waiting = list(members)
        for attempt in range(_ATTEMPTS):
            self.progress.asked += 1
            outcomes = await self._round.poll_at(course, waiting, step.time, step.published_end_time)
            found.update(outcomes)
            waiting = [target for target in waiting if outcomes[target].reason in _PASSING]
            if not waiting:
                return found
            last = outcomes[waiting[0]]
            if attempt + 1 < _ATTEMPTS:
                await self._wait(course.source, min(_LONGEST_WAIT_SECONDS, last.retry_after_seconds or 2.0**attempt))
        raise Interrupted(f"{course.query.name}: {last.reason}: {last.detail}")

    async def _wait(self, source: Source, seconds: float) -> None:
        """Leaves the source alone for so long, with everything that is asked of it."""
        self._round.gates[source.name].pause(time.monotonic(), seconds)
        await asyncio.sleep(seconds)

    def _fail(self, step: _Step, what: str) -> None:
        self.progress.failures[step.fan_out.course.query.name, what] += 1
