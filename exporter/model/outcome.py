"""What goes up from a poll: operation, response, result, outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec

from exporter.model.errors import Reason
from exporter.model.samples import Json, Samples

ABSENT: Final = msgspec.UNSET  # stands for a key that an answer does not have, as null is a value


class Envelope(Protocol):
    """A GraphQL answer as its decoder gives it: both are `ABSENT` where it has no such key."""

    data: Any
    errors: Any


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


@dataclass(frozen=True, slots=True)
class GraphQLError:
    """One entry of the `errors` of an answer: only what is safe and useful to keep."""

    message: str
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """A GraphQL answer over HTTP: `data` as it came, and the errors beside it (GraphQL §7.1).

    `shaped` is what the operation's shape made of the data, which is None then. `share` is the memory that it counts
    for, as long as anything refers to it.
    """

    data: dict[str, Json] | None
    errors: tuple[GraphQLError, ...] = ()
    bytes_received: int = 0
    shaped: Any = None
    share: object = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """What one query and target yielded: its series, and what other queries refer to of its `row_count` rows.

    `skipped` counts the values that were left out, by reason. `window_end_time` is the end of the window that was
    asked for and `window_seconds` its length; `period_start_time` is where counters began: Unix seconds, all of them.
    `period_complete` is whether the window ends with the period, so that counters have its full total.
    """

    samples: tuple[Samples, ...] = ()
    rows: tuple[Mapping[str, Json], ...] = ()
    row_count: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    lookup_misses: int = 0
    rows_cut: int = 0
    partial: bool = False
    graphql_errors: int = 0
    window_seconds: float | None = None
    window_end_time: float | None = None
    period_start_time: float | None = None
    period_complete: bool = False

    @property
    def series_count(self) -> int:
        return sum(map(len, self.samples))


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """What happened in one poll: a result or a failure, and how long it took."""

    duration_seconds: float
    result: Result | None = None
    reason: Reason | None = None
    detail: str = ""
    retry_after_seconds: float | None = None
    graphql_errors: int = 0
