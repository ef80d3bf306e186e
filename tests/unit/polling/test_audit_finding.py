"""What an audit has found: how far the totals of a period are above what was published."""

from __future__ import annotations

from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import Operation
from exporter.polling.audit_finding import Finding
from tests.support.audits import LATE, asked_late, audited
from tests.support.polls import Answer


def test_a_finding_has_what_was_published_and_what_came_later() -> None:
    """Summed over all targets, by metric, with when it was and how many targets there were."""

    def answer(operation: Operation, now: float) -> Answer:
        late = asked_late(operation, now)
        return {"total": 12 if late else 5, "other": 3}

    ((query, source, finding),) = audited(answer, 700.0).recorder.named("finding")
    assert (query, source) == ("q", "acme")
    assert isinstance(finding, Finding)
    assert finding.published == {"other_total": 6.0, "value_total": 10.0}
    assert finding.difference == {"other_total": 0.0, "value_total": 14.0}
    assert finding.targets == 2
    assert LATE + 120 <= finding.time < LATE + 130


def test_a_total_that_has_fallen_is_a_difference_below_zero() -> None:
    """The API took something back."""
    ((_, _, finding),) = audited(
        lambda operation, now: {"total": 4 if asked_late(operation, now) else 5, "other": 3}, 700.0
    ).recorder.named("finding")
    assert finding.difference == {"other_total": 0.0, "value_total": -2.0}


def test_a_total_that_is_missing_on_one_side_counts_as_nothing() -> None:
    """A counter that an answer does not have is 0 in the sum, not a failure."""
    ((_, _, finding),) = audited(
        lambda operation, now: {"total": None if asked_late(operation, now) else 5, "other": 3}, 700.0
    ).recorder.named("finding")
    assert finding.published["value_total"] == 10.0
    assert finding.difference["value_total"] == -10.0


def test_only_targets_that_answered_are_compared() -> None:
    """While one of two fails, what is known so far is that of the other."""

    def answer(operation: Operation, now: float) -> Answer:
        if asked_late(operation, now) and operation.variables["x"] == "a":
            return UpstreamFailure(Reason.HTTP_5XX, "no")
        return {"total": 12 if asked_late(operation, now) else 5, "other": 3}

    found = audited(answer, 700.0)
    finding = found.auditor.findings["q", "acme"]
    assert (finding.targets, finding.published["value_total"], finding.difference["value_total"]) == (1, 5.0, 7.0)
    assert found.recorder.named("finding") == []


def test_a_total_that_no_float_can_hold_ends_nothing() -> None:
    """Two targets whose totals are too large together: the metric is left out of the finding, and others are not."""

    def answer(operation: Operation, _now: float) -> Answer:
        return {"total": 10**308, "other": 3}

    ((_, _, finding),) = audited(answer, 700.0).recorder.named("finding")
    assert finding.difference == {"other_total": 0.0}
