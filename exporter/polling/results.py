"""What becomes of a poll: it goes into the store, to the queries that its rows feed, and onto the page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from exporter.model.clock import CLOCK, Clock
from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome
from exporter.plan.plan import Target
from exporter.polling.clock_watch import ClockWatch
from exporter.polling.course import Course
from exporter.polling.observer import Observer
from exporter.polling.targets import Targets
from exporter.series.store import Rendered, Store

_EXPIRY_CHECK_SECONDS: Final = 1.0
_PAGE_DELAY_SECONDS: Final = 0.05


class Results:
    """Takes in what polls yield, and drops what has become stale."""

    def __init__(
        self, targets: Targets, store: Store, observer: Observer, clock_watch: ClockWatch, clock: Clock = CLOCK
    ) -> None:
        self._clock_watch = clock_watch
        self._targets = targets
        self._store = store
        self._observer = observer
        self._clock = clock
        self._page_timer: asyncio.TimerHandle | None = None

    def take_in(self, course: Course, target: Target, outcome: PollOutcome, ahead: Sequence[Rendered]) -> PollOutcome:
        """The outcome as it stands in the store; `ahead` is what its samples become, where that was made ahead."""
        owner = course.owner(target)
        first = not self._store.state(owner).tried
        rows = self._store.feeding_rows(*course.key)
        try:
            outcome = self._store.fold(owner, target, outcome, self._clock.monotonic(), self._clock.wall(), ahead)
            if first or self._store.feeding_rows(*course.key) is not rows:
                self._targets.feed(course)
            if outcome.result is not None:
                self._targets.settle(course)
        except Exception as error:  # a fault of ours must not end the polling of everything else
            outcome = PollOutcome(
                outcome.duration_seconds, reason=Reason.INTERNAL, detail=f"{type(error).__name__} after a poll"
            )
        self._observer.on_poll(owner, outcome, self._store.state(owner).decreases)
        self.make_page_soon()
        return outcome

    def make_page_soon(self) -> None:
        """Makes the page once for all polls that end within a moment, so that no scrape has to."""
        if self._page_timer is None:
            self._page_timer = asyncio.get_running_loop().call_later(_PAGE_DELAY_SECONDS, self._make_page)

    def _make_page(self) -> None:
        self._page_timer = None
        self._store.page()

    async def keep_expiring(self) -> None:
        """Drops what has become stale, also of polls that wait or hang, for ever."""
        while True:
            await asyncio.sleep(_EXPIRY_CHECK_SECONDS)
            self._clock_watch.look()
            now = self._clock.monotonic()
            for owner in [owner for owner, _ in self._store.states()]:
                course = self._targets.course(owner)
                if self._store.expire(course.query, owner, now):
                    self._observer.on_expiry(owner)
                    self._targets.feed(course)
