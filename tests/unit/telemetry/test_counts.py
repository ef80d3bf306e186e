"""What is counted of the polls of a query on a source."""

from __future__ import annotations

from collections import Counter

from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome, Result
from exporter.telemetry.counts import Counts, QueryCounts


def test_polls_add_up() -> None:
    """Polls, failures by reason, errors, values and rows left out add up; the duration is the last poll's."""
    counts = QueryCounts()
    assert counts == QueryCounts(0, Counter(), None, 0, 0, Counter(), 0, 0, 0, 0, Counter())
    good = Result(skipped={"null": 2, "type": 1}, lookup_misses=3, rows_cut=4)
    counts.add(PollOutcome(0.5, good, graphql_errors=2), decreases=6)
    counts.add(PollOutcome(0.25, Result(skipped={"null": 1}, lookup_misses=1, rows_cut=1)), decreases=1)
    counts.add(PollOutcome(2.0, reason=Reason.GRAPHQL, graphql_errors=3), decreases=0)
    counts.add(PollOutcome(1.0, reason=Reason.TIMEOUT), decreases=0)
    assert (counts.polls, counts.duration_seconds) == (4, 1.0)
    assert counts.failures == {"graphql": 1, "timeout": 1}
    assert counts.values_skipped == {"null": 3, "type": 1}
    assert (counts.lookup_misses, counts.rows_cut, counts.graphql_errors) == (4, 5, 5)
    assert counts.counter_decreases == 7


def test_each_query_on_each_source_has_counts_of_its_own() -> None:
    """What is counted of one is not counted of another, and is still there when it is asked for again."""
    counts = Counts()
    counts.of("traffic", "acme").polls += 1
    assert counts.of("traffic", "acme").polls == 1
    assert counts.of("traffic", "other").polls == 0
    assert counts.of("apis", "acme").polls == 0


def test_what_a_configuration_has_no_more_is_forgotten() -> None:
    """A query that comes back after a reload begins at 0; those that stayed go on."""
    counts = Counts()
    for pair in (("a", "x"), ("a", "y"), ("b", "x")):
        counts.of(*pair).polls += 1
    counts.forget_all_but({("a", "y"), ("c", "x")})
    assert [counts.of(*pair).polls for pair in (("a", "x"), ("a", "y"), ("b", "x"))] == [0, 1, 0]
