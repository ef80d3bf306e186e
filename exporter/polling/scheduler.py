"""When each pack is polled: a task for each, in one task group."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

from exporter.model.clock import CLOCK, Clock
from exporter.model.outcome import PollOutcome
from exporter.plan.plan import Target
from exporter.polling.clock_watch import ClockWatch
from exporter.polling.course import Course
from exporter.polling.due import FanOut, Member, Pack
from exporter.polling.lanes import Lanes
from exporter.polling.observer import Observer
from exporter.polling.poll import PackOutcome, render_ahead
from exporter.polling.results import Results
from exporter.polling.targets import Targets
from exporter.polling.ticks import next_tick_at, phase_of, retry_at, spread_phase, ticks_between
from exporter.series.store import Owner, Store

_FIRST_ROUND_CHECK_SECONDS: Final = (0.02, 0.5)  # the first, and the longest: thousands of queries may wait
_ROUNDING_SECONDS: Final = 1e-6


class Scheduler:
    """Polls what is due until it is cancelled."""

    def __init__(
        self,
        targets: Targets,
        lanes: Lanes,
        results: Results,
        store: Store,
        observer: Observer,
        clock_watch: ClockWatch,
        clock: Clock = CLOCK,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._targets = targets
        self._lanes = lanes
        self._results = results
        self._store = store
        self._observer = observer
        self._clock_watch = clock_watch
        self._clock = clock
        self._jitter = jitter

    async def run(self) -> None:
        """Polls for ever; ends only by being cancelled."""
        async with asyncio.TaskGroup() as group:
            self._targets.begin(
                lambda course, fan_out, pack: group.create_task(self._keep_polling(course, fan_out, pack))
            )
            try:
                await asyncio.Event().wait()
            finally:
                self._targets.end()

    async def _keep_polling(self, course: Course, fan_out: FanOut, pack: Pack) -> None:
        await self._until_names_are_known(course)
        pack.begin(self._clock.monotonic())
        phase = _phase(course, pack)
        while True:
            await pack.until_due(self._clock.monotonic)
            await self._poll_once(course, fan_out, pack, phase)

    async def _until_names_are_known(self, course: Course) -> None:
        """Waits, an interval at most, for the first round of the queries whose rows the labels are looked up in."""
        until = self._clock.monotonic() + course.query.interval_seconds
        seconds, longest = _FIRST_ROUND_CHECK_SECONDS
        while self._clock.monotonic() < until and not self._targets.names_are_known(course):
            await asyncio.sleep(seconds)
            seconds = min(2 * seconds, longest)

    async def _poll_once(self, course: Course, fan_out: FanOut, pack: Pack, phase: float) -> None:
        """Polls the targets that are due. When it is over, nothing holds the answers."""
        async with self._lanes.place(course):
            ticks = fan_out.take_due(pack, self._clock.monotonic())
            if not ticks:  # who was due went to another pack while this one waited for its place
                return
            jumps = self._clock_watch.look()
            try:
                ends = {target: self._store.state(course.owner(target)).published_end_time for target in ticks}
                polled = await self._lanes.poll(course, ends, fan_out.size.present, splits=pack.splits(ticks))
            finally:
                fan_out.give_back(pack, ticks, self._clock.monotonic())
        if self._clock_watch.look() != jumps:  # asked at a time that it is not: everybody is due still
            return
        closing: list[Member] = []
        ended_at, jitter = self._clock.monotonic(), self._jitter()  # one of each, so that a pack stays together
        for target, outcome in polled.outcomes.items():
            taken = await self._take_in(course, fan_out, target, outcome)
            member = fan_out.members.get(target)
            if taken is None or member is None:
                continue
            member.due_at = self._next_at(course, target, ticks[target], ended_at, phase)
            if taken.reason is None:
                member.take_success()
            elif member.take_failure(polled.extra_requests):
                member.due_at += course.query.interval_seconds
            elif self._targets.is_awaited(course, target):
                interval = course.query.interval_seconds
                member.due_at = retry_at(member.failures, ended_at, interval, phase, jitter)
            if _closes_period(taken, ends[target]):
                closing.append(member)
        stands_until = self._clock.monotonic() + course.query.interval_seconds
        for member in closing:  # a full total stands for an interval, however late it came
            member.due_at = max(member.due_at, stands_until)
        self._adapt(course, fan_out, polled)

    async def _take_in(
        self, course: Course, fan_out: FanOut, target: Target, outcome: PollOutcome
    ) -> PollOutcome | None:
        """What became of an outcome; None where its target is gone meanwhile."""
        to_publish = self._targets.part_to_publish(course, target, outcome)
        ahead = await render_ahead(to_publish)
        return self._results.take_in(course, target, to_publish, ahead) if target in fan_out.members else None

    def _adapt(self, course: Course, fan_out: FanOut, polled: PackOutcome) -> None:
        """Makes packs of the size that the server takes."""
        if fan_out.size.adapt(polled.accepted, self._clock.monotonic()):
            if polled.refusal:
                self._observer.on_pack_refusal(*course.key, polled.accepted, polled.refusal)
            self._targets.regroup(course, fan_out, tuple(fan_out.members))

    def _next_at(self, course: Course, target: Target, tick_at: float, ended_at: float, phase: float) -> float:
        """When a target is polled next: at the first tick after its poll ended, and after the one that it was polled
        for, which may be still to come, as polls begin a little early. Ticks that passed are told."""
        interval = course.query.interval_seconds
        next_at = next_tick_at(max(ended_at, tick_at + _ROUNDING_SECONDS), interval, phase)
        if missed := ticks_between(tick_at, next_at, interval):
            self._observer.on_overrun(course.owner(target), missed)
        return next_at


def _phase(course: Course, pack: Pack) -> float:
    interval = course.query.interval_seconds
    if course.query.pack is None:
        return phase_of(course.owner(next(iter(pack.members))), interval)
    return spread_phase(Owner(*course.key, ""), pack.number, interval)


def _closes_period(outcome: PollOutcome, before: float | None) -> bool:
    """Whether it brought the full total of a period, where the window had ended before, Unix seconds, elsewhere."""
    result = outcome.result
    return result is not None and result.period_complete and result.window_end_time != before
