"""What a page of an answer says of the others: how many rows there are, whether there is a further page, its cursor."""

from __future__ import annotations

from collections.abc import Sequence
from sys import getsizeof
from types import NoneType
from typing import Final

from msgspec import Struct, UnsetType
from msgspec.structs import astuple

from exporter.document.table import Table
from exporter.model.errors import Reason, ResultFailure
from exporter.model.outcome import Response
from exporter.plan.plan import Column, PagesPlan, QueryPlan
from exporter.series.odd_rows import OddRows
from exporter.series.records import Node, Records, hops_text, records_at

_WITHOUT_PARTS: Final = frozenset({NoneType, UnsetType, bool, int, float, str})


class PageState(Struct, frozen=True):
    """What a page says of the others: how many rows there are in all, whether there is a further one, its cursor."""

    total: int | None = None
    more: bool | None = None
    next_cursor: str | int | None = None

    def goes_on(self, pages: PagesPlan, items_before: int, items: int) -> bool:
        """Whether there is a further page after one of so many items."""
        if self.more is False or (pages.by == "cursor" and self.next_cursor is None):
            return False
        if self.total is not None:
            return items > 0 and items_before + items < self.total
        if self.more is not None:
            return items > 0
        return items >= pages.size if pages.next is None or pages.next_is_of_a_row else True


def page_state(query: QueryPlan, pages: PagesPlan, response: Response) -> PageState:
    """What a page says of the others. Raises `ResultFailure` (`schema`)."""
    record = Records(([answer_data(query, response)],))
    total, more, cursor = (
        None if hops is None else record.column(Column(0, hops))[0] for hops in (pages.total, pages.more, pages.next)
    )
    if pages.total is not None and (isinstance(total, bool) or not isinstance(total, int)):
        raise ResultFailure(Reason.SCHEMA, f"{hops_text(pages.total)} is not a number of rows")
    if pages.more is not None and not isinstance(more, bool):
        raise ResultFailure(Reason.SCHEMA, f"{hops_text(pages.more)} is not true or false")
    if pages.next is not None and more is not False and not _is_cursor(cursor):
        raise ResultFailure(Reason.SCHEMA, f"{hops_text(pages.next)} is not a cursor")
    return PageState(total, more, cursor or None if more is not False else None)


def _is_cursor(value: Node) -> bool:
    return value is None or (isinstance(value, str | int) and not isinstance(value, bool))


class PageRows(Struct, frozen=True):
    """How many rows a page has, and how many items its list has with those that are no rows, such as nulls: the API
    counts these too."""

    rows: int = 0
    items: int = 0


def page_rows(query: QueryPlan, response: Response) -> PageRows:
    """What is on a page. Raises `ResultFailure` (`schema`)."""
    if query.rows is None:
        return PageRows()
    odd = OddRows() if query.skips_bad_rows else None
    records = records_at([answer_data(query, response)], query.rows.walk, odd=odd)
    return PageRows(len(records), len(records) + records.lacking)


def page_bytes(response: Response) -> int:
    """The memory that a page takes: its data as it was read, and its errors."""
    left: list[Sequence[object]] = [[response.shaped, response.data, response.errors]]
    size = 0
    while left:
        parts = left.pop()
        size += sum(map(getsizeof, parts))
        left += [_parts(part) for part in parts if type(part) not in _WITHOUT_PARTS]
    return size


def _parts(node: object) -> Sequence[object]:
    match node:
        case Table():
            return node.columns
        case list() | tuple():
            return node
        case dict():
            return [*node, *node.values()]
        case Struct():
            return astuple(node)
    return ()


def row_count(query: QueryPlan, response: Response) -> int:
    """How many rows a page has. Raises `ResultFailure` (`schema`)."""
    return page_rows(query, response).rows


def answer_data(query: QueryPlan, response: Response) -> Node:
    """The data of a response as the query's shape reads it."""
    return query.shape.data(response.data, response.extensions) if response.shaped is None else response.shaped
