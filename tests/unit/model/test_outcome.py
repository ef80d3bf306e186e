"""Operations, results and outcomes: what makes two of them equal, and what they count."""

from __future__ import annotations

import pickle

from exporter.document.answer_shape import AnswerShape
from exporter.model.outcome import ABSENT, Operation, PollOutcome, Response, Result
from exporter.model.samples import Family, MetricType, Samples


def test_an_operation_is_what_is_sent() -> None:
    """Two that send the same are equal, whatever reads their answers; another variable makes another operation."""
    shape = AnswerShape([("n",)], max_values=10)
    assert Operation("{ n }", {"a": 1}, shape) == Operation("{ n }", {"a": 1})
    assert Operation("{ n }", {"a": 1}) != Operation("{ n }", {"a": 2})
    assert Operation("{ n }", {"a": 1}) != Operation("{ m }", {"a": 1})


def test_a_response_is_what_came_and_not_the_memory_that_it_counts_for() -> None:
    """The share of the memory decides nothing, and is not printed."""
    response = Response({"n": 1}, share="a share")
    assert response == Response({"n": 1}, share="another")
    assert response != Response({"n": 2})
    assert "share" not in repr(response)


def test_an_absent_key_is_no_null() -> None:
    """Null is a value of GraphQL; a key that an answer does not have is something else, in every process."""
    assert ABSENT is not None
    assert {"a": None}.get("b", ABSENT) is ABSENT
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT


def test_a_result_counts_the_series_of_all_its_families() -> None:
    """Limits are held against the sum."""
    one, two = (Family(name, MetricType.GAUGE, "N.", ("a",)) for name in ("one", "two"))
    samples = Samples.of(one, {("x",): 1, ("y",): 2}), Samples.of(two, {("x",): 1})
    assert Result(samples).series_count == 3
    assert Result().series_count == 0


def test_a_result_of_nothing_counts_nothing() -> None:
    """What an extraction does not mention did not happen: no rows, nothing left out, no errors, no period."""
    empty = Result()
    assert (empty.row_count, empty.lookup_misses, empty.rows_cut, empty.graphql_errors) == (0, 0, 0, 0)
    assert (empty.partial, empty.period_complete) == (False, False)
    assert Response({}).bytes_received == 0


def test_results_do_not_share_what_they_count() -> None:
    """What one leaves out is not counted for another."""
    assert Result().skipped == {}
    assert Result().skipped is not Result().skipped


def test_an_outcome_of_which_nothing_is_known_is_neither_result_nor_failure() -> None:
    """Only its time is known; whoever makes one says which of the two it is."""
    outcome = PollOutcome(1.5)
    assert (outcome.duration_seconds, outcome.result, outcome.reason, outcome.graphql_errors) == (1.5, None, None, 0)
