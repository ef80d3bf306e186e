"""What goes up from a poll: operation, response, result, outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from exporter.model.budget import Budget
from exporter.model.errors import Reason
from exporter.model.samples import Family, Json, Samples

# By what servers class an error: in its `extensions`, or as a field of its own, as GitHub's `type`.
CODE_KEYS: Final = ("code", "errorCode", "type", "errorType", "classification", "status", "statusCode")
WAIT_KEYS: Final[Mapping[str, float]] = {  # of `extensions`, with the seconds of their unit
    "retryAfter": 1.0,
    "retry_after": 1.0,
    "retryAfterSeconds": 1.0,
    "retry_after_seconds": 1.0,
    "retryInSeconds": 1.0,
    "retry_in_seconds": 1.0,
    "retryAfterMs": 0.001,
    "retry_after_ms": 0.001,
}
ABSENT: Final = msgspec.UNSET  # stands for a key that an answer does not have, as null is a value


class Envelope(Protocol):
    """A GraphQL answer as its decoder gives it: each is `ABSENT` where it has no such key."""

    data: Any
    errors: Any
    extensions: Any


class Shape(Protocol):
    """What reads the answers to a document (`AnswerShape`), and how many values one may have."""

    max_values: int
    max_values_reason: str
    in_pages: bool

    def decode(self, body: bytes | memoryview) -> Envelope:
        """The answer in these bytes. Raises `ValueError` or `RecursionError`."""

    def convert(self, content: Mapping[str, Any]) -> Envelope:
        """The same of an answer that was read as any JSON."""

    def in_pack(self, size: int) -> Shape:
        """What reads the answer to a pack of so many calls."""

    def unpack(self, data: object, position: int) -> object:
        """The data of the call at that position of a pack."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A document with its variables at one moment: what is sent, and what reads the answer; any JSON without it."""

    document: str
    variables: Mapping[str, Json]
    shape: Shape | None = field(default=None, compare=False)


class GraphQLError(Struct, frozen=True):
    """One entry of the `errors` of an answer: only what is safe and useful to keep.

    `codes` are the words by which servers class it, the most telling first; `retry_after_seconds` is its own wish.
    """

    message: str
    path: tuple[str | int, ...] = ()
    codes: tuple[str, ...] = ()
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """A GraphQL answer over HTTP: `data` as it came, and the errors beside it (GraphQL §7.1).

    `shaped` is what the operation's shape made of the data, which is None then; `extensions` is what stood beside data
    that no shape read. `share` is the memory that it counts
    for, as long as anything refers to it. `retry_after_seconds` is how long the server wants to be left alone now, and
    `budget` what it says is left.
    """

    data: dict[str, Json] | None
    errors: tuple[GraphQLError, ...] = ()
    bytes_received: int = 0
    shaped: Any = None
    extensions: Any = None
    share: object = field(default=None, compare=False, repr=False)
    retry_after_seconds: float | None = None
    budget: Budget | None = None


Names: TypeAlias = Mapping[str, Mapping[str, str]]
"""What a lookup knows: key -> field -> text."""


class Result(Struct, frozen=True):
    """What one query and target yielded: its series, and what other queries refer to of its `row_count` rows.

    `skipped` counts the values that were left out, by reason, and `skipped_rows` the rows; `first_skipped` quotes the
    first of the values and `first_skipped_row` that of the rows. `nulls` counts the nulls on the way to the rows, by
    path. `window_end_time` is the end of the window that was asked for and `window_seconds` its length;
    `period_start_time` is where counters began: Unix seconds, all of them. `publishes_created` is whether the page says
    it with each of them.
    `period_complete` is whether the window ends with the period, so that counters have its full total.
    `rows_cut` is how many rows `max_rows` left behind; with `rows_cut_at_least`, there are so many or more of them.
    `names` is what its lookups knew: lookup -> key -> field -> text.
    `largest_only` are the families of which the configuration keeps the largest series alone (`top`).
    """

    samples: tuple[Samples, ...] = ()
    rows: tuple[Mapping[str, Json], ...] = ()
    row_count: int = 0
    skipped: Mapping[str, int] = {}
    first_skipped: str = ""
    skipped_rows: Mapping[str, int] = {}
    first_skipped_row: str = ""
    lookup_misses: int = 0
    names: Mapping[str, Names] = {}
    rows_cut: int = 0
    rows_cut_at_least: bool = False
    nulls: Mapping[str, int] = {}
    partial: bool = False
    graphql_errors: int = 0
    window_seconds: float | None = None
    window_end_time: float | None = None
    period_start_time: float | None = None
    period_complete: bool = False
    publishes_created: bool = False
    largest_only: frozenset[Family] = frozenset()

    @property
    def series_count(self) -> int:
        return sum(map(len, self.samples))


class PollOutcome(Struct, frozen=True):
    """What happened in one poll: a result or a failure, and how long it took."""

    duration_seconds: float
    result: Result | None = None
    reason: Reason | None = None
    detail: str = ""
    retry_after_seconds: float | None = None
    graphql_errors: int = 0
