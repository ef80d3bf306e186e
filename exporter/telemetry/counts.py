"""What is counted of a query on a source."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


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
