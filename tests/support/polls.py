"""Polls without a network: an API in the process, an observer that keeps what happens, and a time without waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, TypeVar

from exporter.model.clock import Clock
from exporter.model.errors import Failure
from exporter.model.outcome import GraphQLError, Operation, PollOutcome, Response
from exporter.model.samples import Json
from exporter.plan.plan import Plan
from exporter.polling.audit_finding import Finding
from exporter.polling.clock_watch import ClockWatch
from exporter.polling.demand import Demand
from exporter.polling.lanes import Lanes
from exporter.polling.results import Results
from exporter.polling.scheduler import Scheduler
from exporter.polling.shard import NOT_SPLIT, Shard
from exporter.polling.targets import Targets
from exporter.series.store import Owner, Store
from exporter.upstream.graphql import Client

T = TypeVar("T")
WALL_AT_START: Final = 1_700_000_000.0  # 2023-11-14T22:13:20Z
Answer: TypeAlias = Mapping[str, Json] | Response | Failure


@dataclass(slots=True)
class Api:
    """An API in the process, which answers each operation as `answer` says, and keeps what was asked."""

    answer: Callable[[Operation], Answer]
    sent: list[Operation] = field(default_factory=list)
    deadlines: list[float] = field(default_factory=list)

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        self.sent.append(operation)
        self.deadlines.append(deadline_seconds)
        found = self.answer(operation)
        if isinstance(found, Failure):
            raise found
        return found if isinstance(found, Response) else Response(dict(found))


def partial(data: Mapping[str, Json], *messages: str) -> Response:
    """An answer with errors beside its data."""
    return Response(dict(data), tuple(GraphQLError(message, ("a", 0)) for message in messages))


@dataclass(slots=True)
class Recorder:
    """An observer that keeps what happens, in its order."""

    events: list[tuple[Any, ...]] = field(default_factory=list)

    def named(self, name: str) -> list[tuple[Any, ...]]:
        """What was said of one kind."""
        return [event[1:] for event in self.events if event[0] == name]

    def on_plan(self, plan: Plan) -> None:
        self.events.append(("plan", plan))

    def on_poll(self, owner: Owner, outcome: PollOutcome, decreases: int) -> None:
        self.events.append(("poll", owner, outcome, decreases))

    def on_overrun(self, owner: Owner, ticks: int) -> None:
        self.events.append(("overrun", owner, ticks))

    def on_clock_jump(self, seconds: float) -> None:
        self.events.append(("clock_jump", seconds))

    def on_expiry(self, owner: Owner) -> None:
        self.events.append(("expiry", owner))

    def on_drop(self, owner: Owner) -> None:
        self.events.append(("drop", owner))

    def on_demand(self, source: str, demand: Demand) -> None:
        self.events.append(("demand", source, demand))

    def on_pack_refusal(self, query: str, source: str, size: int, detail: str) -> None:
        self.events.append(("pack_refusal", query, source, size, detail))

    def on_audit_failure(self, owner: Owner, outcome: PollOutcome) -> None:
        self.events.append(("audit_failure", owner, outcome))

    def on_finding(self, query: str, source: str, finding: Finding) -> None:
        self.events.append(("finding", query, source, finding))


class _Impatient(selectors.DefaultSelector):
    """Waits for nothing: a time-out is over at once, and the time has gone on by it."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_seconds = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everybody waits for ever"
        self.passed_seconds += max(0.0, timeout)
        return super().select(0)


class _QuickLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._impatient = _Impatient()
        super().__init__(self._impatient)

    def time(self) -> float:
        return 1000.0 + self._impatient.passed_seconds


def in_quick_time(work: Callable[[Clock], Awaitable[T]]) -> T:
    """What comes of the work. Its time begins at 1000 and `WALL_AT_START`, and passes only while everybody waits."""
    with asyncio.Runner(loop_factory=_QuickLoop) as runner:
        loop = runner.get_loop()
        clock = Clock(loop.time, lambda: WALL_AT_START + loop.time() - 1000.0)

        async def begin() -> T:
            return await work(clock)

        return runner.run(begin())


async def run_for(seconds: float, *works: Coroutine[Any, Any, None]) -> None:
    """Has these run beside each other for so long, and ends them."""
    tasks = [asyncio.create_task(work) for work in works]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@dataclass(frozen=True, slots=True)
class Wired:
    """All that polls a plan on one API, by a clock. Nothing runs yet."""

    store: Store
    lanes: Lanes
    targets: Targets
    results: Results
    scheduler: Scheduler

    @classmethod
    def of(
        cls,
        plan: Plan,
        api: Client,
        recorder: Recorder,
        clock: Clock,
        shard: Shard = NOT_SPLIT,
        jitter: Callable[[], float] = lambda: 0.0,
    ) -> Wired:
        store = Store(plan.max_series)
        lanes = Lanes(store.surroundings, clock)
        lanes.follow(plan.sources, {"acme": api})
        targets = Targets(plan, store, recorder, shard, monotonic=clock.monotonic)
        clock_watch = ClockWatch(store, recorder, clock)
        results = Results(targets, store, recorder, clock_watch, clock)
        scheduler = Scheduler(targets, lanes, results, store, recorder, clock_watch, clock, jitter)
        return cls(store, lanes, targets, results, scheduler)
