"""One poll: moment, operation, response (in pages or in packs, where it has any), result. It never raises."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from exporter.config.source import Source
from exporter.model.clock import CLOCK, Clock
from exporter.model.errors import Failure, Reason, SecretUnreadable
from exporter.model.outcome import Operation, PollOutcome, Response, Result
from exporter.plan.operation import Moment, moment_at, operation, secret_values
from exporter.plan.plan import PackPlan, QueryPlan, Target
from exporter.polling.course import Course
from exporter.polling.pack import Answer, PackedCalls
from exporter.polling.pagination import Conversation, refuse_partial
from exporter.series.extraction import extract
from exporter.series.label_texts import Surroundings
from exporter.series.store import Rendered
from exporter.upstream.graphql import BIG_BYTES, Client
from exporter.upstream.rate_limit import Admission

_BIG_SERIES: Final = 5000

# What an answer is read with, asked when it has come: `Store.surroundings`.
Around: TypeAlias = Callable[[QueryPlan, Source, Target], Surroundings]


class PackOutcome(Struct, frozen=True):
    """What came of each target, and how many targets in one operation the server takes, as far as it is known now.

    `refusal` says how it refused more, `extra_requests` how many requests were sent to find out.
    """

    outcomes: Mapping[Target, PollOutcome]
    accepted: int
    refusal: str = ""
    extra_requests: int = 0


class _Call(Struct, frozen=True):
    target: Target
    moment: Moment
    operation: Operation


class Poller:
    """Polls a source through its client, within its rate limit. Only cancellation passes through."""

    def __init__(self, client: Client, around: Around, pace: Admission | None = None, clock: Clock = CLOCK) -> None:
        self._client = client
        self._around = around
        self._pace = pace
        self._clock = clock

    async def poll(
        self, course: Course, published_end_times: Mapping[Target, float | None], size: int = 1, *, splits: bool = True
    ) -> PackOutcome:
        """What came of one poll of these targets: in packs of `size` where the query has them, else one call after the
        other. Each operation has the query's time-out.

        With each target stands the end of its window that is on the page, in Unix seconds. Without `splits`, it is not
        found out whether smaller packs work where one is refused.
        """
        pack = course.query.pack
        if pack is not None and len(published_end_times) > 1:
            return await self._poll_in_packs(course, pack, published_end_times, size, splits=splits)
        outcomes = {target: await self._poll_one(course, target, end) for target, end in published_end_times.items()}
        return PackOutcome(outcomes, size)

    async def poll_over(self, course: Course, target: Target, moment: Moment) -> PollOutcome:
        """What came of a poll over these time ranges, whatever the window and period of the query."""
        query, monotonic = course.query, self._clock.monotonic
        started_at = monotonic()
        conversation = Conversation(query, self._client, self._pace, started_at + query.timeout_seconds, monotonic)
        try:
            secrets = await _secrets(query, course.source)
            sent = operation(query, course.source, target, moment, secrets)
            pages = await conversation.answer(sent)
            result = await _extract(query, pages.responses, self._around(query, course.source, target), moment)
            result = replace(result, rows_cut=pages.rows_cut, rows_cut_at_least=pages.at_least)
        except Exception as error:
            return failed_outcome(error, monotonic() - started_at, conversation.graphql_errors)
        return PollOutcome(monotonic() - started_at, result=result, graphql_errors=conversation.graphql_errors)

    async def _poll_one(self, course: Course, target: Target, published_end_time: float | None) -> PollOutcome:
        try:
            moment = moment_at(course.query, self._now(), published_end_time)
        except Exception as error:
            return failed_outcome(error, 0.0)
        return await self.poll_over(course, target, moment)

    async def _poll_in_packs(
        self,
        course: Course,
        pack: PackPlan,
        published_end_times: Mapping[Target, float | None],
        size: int,
        *,
        splits: bool,
    ) -> PackOutcome:
        query, monotonic = course.query, self._clock.monotonic
        started_at, now = monotonic(), self._now()
        outcomes: dict[Target, PollOutcome] = {}
        calls: list[_Call] = []
        try:
            secrets = await _secrets(query, course.source)
        except Failure as failure:
            failed = failed_outcome(failure, monotonic() - started_at)
            return PackOutcome(dict.fromkeys(published_end_times, failed), size)
        for target, published_end_time in published_end_times.items():
            try:
                moment = moment_at(query, now, published_end_time)
                calls.append(_Call(target, moment, operation(query, course.source, target, moment, secrets)))
            except Exception as error:
                outcomes[target] = failed_outcome(error, monotonic() - started_at)

        async def take(position: int, answer: Answer) -> None:
            call = calls[position]
            outcomes[call.target] = await self._outcome(course, call, answer, monotonic() - started_at)
            await asyncio.sleep(0)  # so that scrapes go on between the targets of a big pack

        packed = PackedCalls(query, pack, self._client, self._pace, size, splits=splits)
        try:
            await packed.ask([call.operation for call in calls], take)
        except Exception as error:
            outcomes |= {call.target: failed_outcome(error, monotonic() - started_at) for call in calls}
            return PackOutcome(outcomes, size)
        return PackOutcome(outcomes, packed.accepted, packed.refusal, packed.extra_requests)

    async def _outcome(self, course: Course, call: _Call, answer: Answer, duration_seconds: float) -> PollOutcome:
        query, errors = course.query, 0
        try:
            if isinstance(answer, Failure):
                raise answer
            errors = len(answer.errors)
            refuse_partial(query, answer)
            result = await _extract(query, [answer], self._around(query, course.source, call.target), call.moment)
        except Exception as error:
            return failed_outcome(error, duration_seconds, errors)
        return PollOutcome(duration_seconds, result=result, graphql_errors=errors)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall(), UTC)


async def _secrets(query: QueryPlan, source: Source) -> Mapping[str, str]:
    """The source's secret values, within the query's time. Raises `SecretUnreadable`."""
    try:
        async with asyncio.timeout(query.timeout_seconds):
            return await secret_values(source)
    except TimeoutError:
        raise SecretUnreadable(f"secret_values could not be read within {query.timeout_seconds:g} s") from None


async def render_ahead(outcome: PollOutcome) -> tuple[Rendered, ...]:
    """What a result that is big becomes, made beside the event loop; none of a small one, which costs no time, and none
    where that failed: whoever takes the result in makes it again, and fails the poll. It never raises."""
    result = outcome.result
    if result is None or result.series_count < _BIG_SERIES:
        return ()
    try:
        return await asyncio.to_thread(Rendered.of_result, result)
    except Exception:  # such as no memory, or no thread that can be started
        return ()


async def _extract(query: QueryPlan, responses: list[Response], around: Surroundings, moment: Moment) -> Result:
    """What `extract` gives, of big answers beside the event loop, so that scrapes go on meanwhile."""
    if sum(response.bytes_received for response in responses) < BIG_BYTES:
        return extract(query, responses, around, moment)
    return await asyncio.to_thread(extract, query, responses, around, moment)


def failed_outcome(error: Exception, duration_seconds: float, graphql_errors: int = 0) -> PollOutcome:
    """The outcome of a poll that ended with this; a fault of ours must not end the polling of everything else."""
    if not isinstance(error, Failure):
        detail = f"{type(error).__name__} in a poll"
        return PollOutcome(duration_seconds, reason=Reason.INTERNAL, detail=detail)
    return PollOutcome(
        duration_seconds,
        reason=error.reason,
        detail=error.detail,
        retry_after_seconds=error.retry_after_seconds,
        graphql_errors=graphql_errors or int(error.reason is Reason.GRAPHQL),
    )
