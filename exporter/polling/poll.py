"""One poll: operation, response (in pages, where it has any), result. It never raises."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from exporter.config.source import Source
from exporter.model.errors import Failure, Reason, ResultFailure, UpstreamFailure
from exporter.model.outcome import Operation, PollOutcome, Response, Result
from exporter.plan.operation import Moment, moment_at, operation, with_page
from exporter.plan.plan import PagesPlan, QueryPlan, Target
from exporter.series.extraction import Surroundings, extract, pages_told, row_count
from exporter.series.store import Rendered
from exporter.upstream.graphql import BIG_BYTES, Client
from exporter.upstream.rate_limit import Pace

_ATTEMPTS_AT_PAGES: Final = 3
_BIG_SERIES: Final = 5000


async def poll(
    query: QueryPlan,
    source: Source,
    target: Target,
    client: Client,
    around: Callable[[], Surroundings],
    *,
    published_end_time: float | None,
    pace: Pace | None = None,
    wall: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> PollOutcome:
    """What came of one poll, within the query's time-out. `around` is asked when the answer has come.

    Only cancellation passes through.
    """
    try:
        moment = moment_at(query, datetime.fromtimestamp(wall(), UTC), published_end_time)
    except Exception as error:
        return failed_outcome(error, 0.0)
    return await poll_over(query, source, target, moment, client, around, pace=pace, monotonic=monotonic)


async def poll_over(
    query: QueryPlan,
    source: Source,
    target: Target,
    moment: Moment,
    client: Client,
    around: Callable[[], Surroundings],
    *,
    pace: Pace | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> PollOutcome:
    """What came of a poll over these time ranges, whatever the window and period of the query."""
    started_at = monotonic()
    conversation = _Conversation(query, client, pace, started_at + query.timeout_seconds, monotonic)
    try:
        sent = operation(query, source, target, moment)
        responses, rows_cut = await conversation.answer(sent)
        result = await _extracted(query, responses, around(), moment, rows_cut)
    except Exception as error:
        return failed_outcome(error, monotonic() - started_at, conversation.graphql_errors)
    return PollOutcome(monotonic() - started_at, result=result, graphql_errors=conversation.graphql_errors)


async def rendered_ahead(outcome: PollOutcome) -> tuple[Rendered, ...]:
    """What a result that is big becomes, made beside the event loop; none of a small one, which costs no time."""
    result = outcome.result
    if result is None or result.series_count < _BIG_SERIES:
        return ()
    return await asyncio.to_thread(lambda: tuple(map(Rendered.of, result.samples)))


async def _extracted(
    query: QueryPlan, responses: list[Response], around: Surroundings, moment: Moment, rows_cut: int
) -> Result:
    """What `extract` gives, of big answers beside the event loop, so that scrapes go on meanwhile."""
    if sum(response.bytes_received for response in responses) < BIG_BYTES:
        return extract(query, responses, around, moment, rows_cut)
    return await asyncio.to_thread(extract, query, responses, around, moment, rows_cut)


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


def refuse_partial(query: QueryPlan, response: Response) -> None:
    """Raises `UpstreamFailure` for errors beside data, unless the query publishes what came."""
    if response.errors and not query.publishes_partial:
        first = response.errors[0]
        where = f" at {'.'.join(map(str, first.path))}" if first.path else ""
        detail = f"{first.message}{where} (with data beside it; on_partial: publish would take that)"
        raise UpstreamFailure(Reason.GRAPHQL, detail)


class _Conversation:
    """The requests of one poll, under one deadline."""

    def __init__(
        self,
        query: QueryPlan,
        client: Client,
        pace: Pace | None,
        deadline_at: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._query = query
        self._client = client
        self._pace = pace
        self._deadline_at = deadline_at
        self._monotonic = monotonic
        self.graphql_errors = 0

    async def answer(self, sent: Operation) -> tuple[list[Response], int]:
        """The responses, a page each, and how many rows were left behind by `max_rows`. Raises `Failure`."""
        pages = self._query.pages
        if pages is None:
            return [await self._response(sent)], 0
        for _ in range(_ATTEMPTS_AT_PAGES):
            if (found := await self._all_pages(sent, pages)) is not None:
                return found
        raise ResultFailure(Reason.SCHEMA, "the total changed while the pages were read, three times in a row")

    async def _all_pages(self, sent: Operation, pages: PagesPlan) -> tuple[list[Response], int] | None:
        """All pages of one moment; None where the total changed meanwhile, so that they do not belong together."""
        responses: list[Response] = []
        count, position, total = 0, None, None
        while True:
            response = await self._response(with_page(sent, pages, position))
            responses.append(response)
            rows = row_count(self._query, response)
            count += rows
            told = pages_told(pages, response)
            if not pages.by_cursor:
                if total is not None and told.total != total:
                    return None
                total = told.total
            if count >= pages.max_rows or not rows or not told.goes_on(count):
                left = max(0, told.total - count) if told.total is not None else int(told.goes_on(count) and rows > 0)
                return responses, left
            position = told.next_position(count)

    async def _response(self, sent: Operation) -> Response:
        if self._pace is not None:
            self._deadline_at += await self._pace.passed(
                self._query.name
            )  # what we wait for ourselves is no fault of the upstream
        remaining = self._deadline_at - self._monotonic()
        if remaining <= 0:
            raise UpstreamFailure(Reason.TIMEOUT, "the pages did not all come in time")
        response = await self._client.execute(sent, deadline_seconds=remaining)
        self.graphql_errors += len(response.errors)
        refuse_partial(self._query, response)
        return response
