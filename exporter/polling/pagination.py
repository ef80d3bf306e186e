"""The answer to one operation: in one page, or in as many as the query reads, under one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final
from weakref import WeakKeyDictionary

from msgspec import Struct

from exporter.model.errors import Reason, ResultFailure, UpstreamFailure
from exporter.model.outcome import Operation, Response
from exporter.model.samples import Json
from exporter.plan.operation import first_position, with_page
from exporter.plan.plan import PagesPlan, QueryPlan
from exporter.series.page_state import PageRows, PageState, page_bytes, page_rows, page_state
from exporter.upstream.graphql import Client
from exporter.upstream.rate_limit import Admission

_ATTEMPTS: Final = 3
_MOST_EMPTY_PAGES: Final = 100  # in a row; an API that filters after it has read may give some
_ROW_BYTES: Final = 1024  # of a page: what a row may take, of which there are `max_rows` at most
_SHARED_BYTES: Final = 16 * 2**20
_LONG_BYTES: Final = 65_536  # a page of so many may take 15 ms to be measured


class PageMemory:
    """The memory of pages that wait for the last one. Each row may take a kilobyte, and what is beyond that shares so
    many bytes with the pages of all other polls. Nobody waits for it: who has it may wait for the API for an hour."""

    def __init__(self, limit_bytes: int = _SHARED_BYTES) -> None:
        self._limit = limit_bytes
        self._beyond: WeakKeyDictionary[PageShare, int] = WeakKeyDictionary()

    def take(self, share: PageShare, size: int, rows: int) -> None:
        """Gives a share that many bytes. Raises `UpstreamFailure` (`too_large`) where there are not so many."""
        beyond = max(0, size - rows * _ROW_BYTES)
        others = sum(self._beyond.values()) - self._beyond.get(share, 0)
        if beyond and others + beyond > self._limit:
            allowed = f"1 KiB a row and {self._limit // 2**20} MiB that all polls share are allowed"
            detail = f"the pages take {size // 2**20} MiB together, with {rows} rows; {allowed}"
            raise UpstreamFailure(Reason.TOO_LARGE, detail)
        self._beyond[share] = beyond


class PageShare:
    """What the pages of one answer take, as long as anything refers to it."""

    def __init__(self, memory: PageMemory) -> None:
        self._memory = memory
        self._size = 0
        self._rows = 0

    async def add(self, page: Response, rows: int) -> None:
        """Counts a page. Raises `UpstreamFailure`."""
        is_long = page.bytes_received > _LONG_BYTES
        self._size += await asyncio.to_thread(page_bytes, page) if is_long else page_bytes(page)
        self._rows += rows
        self._memory.take(self, self._size, self._rows)


_PAGE_MEMORY: Final = PageMemory()  # of the process, as its memory is


class _Course:
    """Where the next page begins."""

    def __init__(self, pages: PagesPlan, position: Json) -> None:
        self._pages = pages
        self._cursors: set[Json] = set()
        self._empty_pages = 0
        self.position = position
        self.items_before = position if pages.by == "offset" and isinstance(position, int) else 0

    def go_on(self, state: PageState, found: PageRows) -> None:
        """Moves behind a page with that on it. Raises `ResultFailure` where the pages would have no end."""
        match self._pages.by, self.position:
            case "offset", int(offset):
                self.position = offset + found.items
            case "page", int(number):
                self.position = number + 1
            case _:
                self._follow(state.next_cursor)
        self._empty_pages = 0 if found.rows else self._empty_pages + 1
        if self._empty_pages == _MOST_EMPTY_PAGES:
            raise ResultFailure(Reason.SCHEMA, f"{_MOST_EMPTY_PAGES} pages in a row have no rows")

    def _follow(self, cursor: str | int | None) -> None:
        if cursor in self._cursors:
            raise ResultFailure(Reason.SCHEMA, "a cursor was repeated, so the pages would never end")
        self._cursors.add(cursor)
        self.position = cursor


class Pages(Struct, frozen=True):
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
        memory: PageMemory = _PAGE_MEMORY,
    ) -> None:
        self._query = query
        self._client = client
        self._pace = pace
        self._deadline_at = deadline_at
        self._monotonic = monotonic
        self._memory = memory
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
        share = PageShare(self._memory)
        course = _Course(pages, None if pages.by == "cursor" else first_position(sent, pages))
        count, items, total = 0, course.items_before, None
        while True:
            response = await self._response(with_page(sent, pages, course.position))
            responses.append(replace(response, share=share))
            found = page_rows(self._query, response)
            await share.add(response, found.rows)
            state = page_state(self._query, pages, response)
            if total is not None and state.total != total:
                return None
            total = state.total
            goes_on = state.goes_on(pages, items, found.items)
            count, items = count + found.rows, items + found.items
            if count >= pages.max_rows or not goes_on:
                unread = None if total is None else max(0, total - items)
                return _cut(responses, pages.max_rows, count, unread, goes_on=goes_on)
            course.go_on(state, found)

    async def _response(self, sent: Operation) -> Response:
        if self._pace is not None:
            # what we wait for ourselves is no fault of the upstream
            self._deadline_at += await self._pace.wait_to_pass(self._query.name)
        remaining = self._deadline_at - self._monotonic()
        if remaining <= 0:
            raise UpstreamFailure(Reason.TIMEOUT, "not all pages arrived in time")
        response = await self._client.execute(sent, deadline_seconds=remaining)
        self.graphql_errors += len(response.errors)
        refuse_partial(self._query, response)
        return response


def _cut(responses: list[Response], max_rows: int, count: int, unread: int | None, *, goes_on: bool) -> Pages:
    """These responses with `count` rows, and what is known of the rows beyond `max_rows`; `unread` is how many were not
    asked for, where that is known."""
    beyond = max(0, count - max_rows)
    if unread is not None:
        return Pages(responses, beyond + unread)
    return Pages(responses, beyond + int(goes_on), at_least=goes_on)


def refuse_partial(query: QueryPlan, response: Response) -> None:
    """Raises `UpstreamFailure` for errors beside data, unless the query publishes what came."""
    if response.errors and not query.publishes_partial:
        first = response.errors[0]
        where = f" at {'.'.join(map(str, first.path))}" if first.path else ""
        detail = f"{first.message}{where} (the answer also has data; on_partial: publish would use it)"
        raise UpstreamFailure(Reason.GRAPHQL, detail)
