"""What goes up from a poll: operation, response, result, outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.model.errors import Reason
from exporter.model.samples import Json, Samples


@dataclass(frozen=True, slots=True)
class Operation:
    """A document with its variables at one moment: what is sent."""

    document: str
    variables: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class GraphQLError:
    """One entry of the `errors` of an answer: only what is safe and useful to keep."""

    message: str
    path: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class Response:
    """A GraphQL answer over HTTP: `data` as it came, and the errors beside it (GraphQL §7.1)."""

    data: dict[str, Json] | None
    errors: tuple[GraphQLError, ...] = ()
    bytes_received: int = 0


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
