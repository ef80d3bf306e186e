"""The answer to one operation: in one page, or in as many as the query reads, under one deadline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from exporter.model.errors import Reason, ResultFailure, UpstreamFailure
from exporter.model.outcome import Operation, Response
from exporter.plan.operation import with_page
from exporter.plan.plan import PagesPlan, QueryPlan
from exporter.series.extraction import PagesTold, pages_told, row_count
from exporter.upstream.graphql import Client
from exporter.upstream.rate_limit import Admission

_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Pages:
    """The responses, a page each, and how many of their rows, and of those that were not asked for, are beyond
    `max_rows`: so many, or (`at_least`) so many and perhaps more."""

    responses: list[Response]
    rows_cut: int = 0
    at_least: bool = False


class Conversation:
    """The requests of one poll, under one deadline. `graphql_errors` counts those of all answers."""

    def __init__(
        self,
        query: QueryPlan,
        client: Client,
        pace: Admission | None,
        deadline_at: float,
        monotonic: Callable[[], float],
    ) -> None:
        self._query = query
        self._client = client
        self._pace = pace
        self._deadline_at = deadline_at
        self._monotonic = monotonic
        self.graphql_errors = 0

    async def answer(self, sent: Operation) -> Pages:
        """The whole answer, or what `max_rows` lets in. Raises `Failure`."""
        pages = self._query.pages
        if pages is None:
            return Pages([await self._response(sent)])
        for _ in range(_ATTEMPTS):
            if (found := await self._all_pages(sent, pages)) is not None:
                return found
        raise ResultFailure(Reason.SCHEMA, "the total changed while the pages were read, three times in a row")

    async def _all_pages(self, sent: Operation, pages: PagesPlan) -> Pages | None:
        """All pages of one moment; None where the total changed meanwhile, so that they do not belong together."""
        responses: list[Response] = []
        count, position, total = 0, None, None
        while True:
            response = await self._response(with_page(sent, pages, position))
            responses.append(response)
            rows = row_count(self._query, response)
            count += rows
            told = pages_told(self._query, pages, response)
            if not pages.by_cursor:
                if total is not None and told.total != total:
                    return None
                total = told.total
            if count >= pages.max_rows or not rows or not told.goes_on(count):
                return _cut(responses, pages.max_rows, count, told, goes_on=rows > 0 and told.goes_on(count))
            position = told.next_position(count)

    async def _response(self, sent: Operation) -> Response:
        if self._pace is not None:
            # what we wait for ourselves is no fault of the upstream
            self._deadline_at += await self._pace.passed(self._query.name)
        remaining = self._deadline_at - self._monotonic()
        if remaining <= 0:
            raise UpstreamFailure(Reason.TIMEOUT, "the pages did not all come in time")
        response = await self._client.execute(sent, deadline_seconds=remaining)
        self.graphql_errors += len(response.errors)
        refuse_partial(self._query, response)
        return response


def _cut(responses: list[Response], max_rows: int, count: int, told: PagesTold, *, goes_on: bool) -> Pages:
    """These responses with `count` rows, and what is known of the rows beyond `max_rows`."""
    beyond = max(0, count - max_rows)
    if told.total is not None:
        return Pages(responses, beyond + max(0, told.total - count))
    return Pages(responses, beyond + int(goes_on), at_least=goes_on)


def refuse_partial(query: QueryPlan, response: Response) -> None:
    """Raises `UpstreamFailure` for errors beside data, unless the query publishes what came."""
    if response.errors and not query.publishes_partial:
        first = response.errors[0]
        where = f" at {'.'.join(map(str, first.path))}" if first.path else ""
        detail = f"{first.message}{where} (with data beside it; on_partial: publish would take that)"
        raise UpstreamFailure(Reason.GRAPHQL, detail)
