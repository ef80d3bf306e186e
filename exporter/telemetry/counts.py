"""What is counted of a query on a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import dataclass, field

from exporter.model.outcome import PollOutcome
from exporter.telemetry.recent_polls import RecentPoll, RecentPolls


@dataclass(slots=True)
class QueryCounts:
    """What was counted of one query on one source since the start."""

    polls: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    duration_seconds: float | None = None
    overruns: int = 0
    graphql_errors: int = 0
    values_skipped: Counter[str] = field(default_factory=Counter)
    counter_decreases: int = 0
    lookup_misses: int = 0
    rows_cut: int = 0
    pack_refusals: int = 0
    audit_failures: Counter[str] = field(default_factory=Counter)
    rows_skipped: Counter[str] = field(default_factory=Counter)
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
            self.failures[outcome.reason.value] += 1
        if outcome.result is not None:
            self.values_skipped.update(outcome.result.skipped)
            self.rows_skipped.update(outcome.result.skipped_rows)
            self.lookup_misses += outcome.result.lookup_misses
            self.nulls += sum(outcome.result.nulls.values())
            self.rows_cut += outcome.result.rows_cut


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
