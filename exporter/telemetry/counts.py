"""What is counted of a query on a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import Final

from msgspec import Struct, field

from exporter.model.outcome import PollOutcome
from exporter.telemetry.recent_polls import RecentPoll, RecentPolls

_NONE: Final[Mapping[str, int]] = MappingProxyType({})  # most queries never count a reason


class QueryCounts(Struct):
    """What was counted of one query on one source since the start."""

    polls: int = 0
    failures: Mapping[str, int] = field(default_factory=lambda: _NONE)
    duration_seconds: float | None = None
    overruns: int = 0
    graphql_errors: int = 0
    values_skipped: Mapping[str, int] = field(default_factory=lambda: _NONE)
    counter_decreases: int = 0
    lookup_misses: int = 0
    rows_cut: int = 0
    pack_refusals: int = 0
    audit_failures: Mapping[str, int] = field(default_factory=lambda: _NONE)
    rows_skipped: Mapping[str, int] = field(default_factory=lambda: _NONE)
    nulls: int = 0
    recent: RecentPolls = field(default_factory=RecentPolls)

    def add(self, outcome: PollOutcome, decreases: int) -> None:
        """Counts a poll, in which so many counter values were held."""
        self.polls += 1
        self.duration_seconds = outcome.duration_seconds
        self.recent.add(RecentPoll(outcome.duration_seconds, failed=outcome.reason is not None))
        self.graphql_errors += outcome.graphql_errors
        self.counter_decreases += decreases
        if outcome.reason is not None:
            self.failures = _sum(self.failures, {outcome.reason.value: 1})
        if outcome.result is not None:
            self.values_skipped = _sum(self.values_skipped, outcome.result.skipped)
            self.rows_skipped = _sum(self.rows_skipped, outcome.result.skipped_rows)
            self.lookup_misses += outcome.result.lookup_misses
            self.nulls += sum(outcome.result.nulls.values())
            self.rows_cut += outcome.result.rows_cut

    def add_audit_failure(self, reason: str) -> None:
        """Counts a call of an audit that failed."""
        self.audit_failures = _sum(self.audit_failures, {reason: 1})


def _sum(counted: Mapping[str, int], more: Mapping[str, int]) -> Mapping[str, int]:
    if not more:
        return counted
    total = Counter(counted)
    total.update(more)
    return total


class Counts:
    """What was counted of each query on each source."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], QueryCounts] = {}

    def of(self, query: str, source: str) -> QueryCounts:
        """What was counted of a query on a source."""
        counts = self._counts.get((query, source))
        if counts is None:
            counts = self._counts[query, source] = QueryCounts()
        return counts

    def forget_all_but(self, pairs: Set[tuple[str, str]]) -> None:
        """Forgets what was counted of other queries and sources."""
        self._counts = {pair: counts for pair, counts in self._counts.items() if pair in pairs}
