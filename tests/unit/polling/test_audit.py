"""The audit of a period that is over: when its totals are asked for again, and of whom."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import Operation
from exporter.polling.audit_finding import Finding
from tests.support.audits import LATE, Audited, asked_late, audited
from tests.support.polls import Answer, Recorder


def test_totals_are_asked_for_again_once_a_period_when_it_was_over_for_so_long() -> None:
    """Each target once, over the times of its period's last poll; nothing of it is published."""
    times: list[tuple[float, datetime, datetime]] = []

    def answer(operation: Operation, now: float) -> Answer:
        if asked_late(operation, now):
            start, end = (datetime.fromisoformat(str(operation.variables[name])) for name in ("start", "end"))
            times.append((now, start, end))
        return {"total": 5}

    found = audited(answer, 1500.0)
    ends = sorted({end.timestamp() for _, _, end in times})
    assert len(ends) == 2
    assert all(
        end % 600 == 0 and (end - start.timestamp()) == 600 for _, start, stop in times for end in [stop.timestamp()]
    )
    assert all(120 <= now - end.timestamp() < 125 for now, _, end in times)
    assert len(times) == 2 * 2
    assert not any(outcome.result is None for _, outcome, _ in found.recorder.named("poll"))


def test_a_target_that_fails_is_asked_again_until_it_answers() -> None:
    """Ever more rarely; each failure is told, and the finding has all targets then."""
    failed: list[float] = []

    def answer(operation: Operation, now: float) -> Answer:
        if asked_late(operation, now) and operation.variables["x"] == "a" and len(failed) < 4:
            failed.append(now)
            return UpstreamFailure(Reason.HTTP_5XX, "no")
        return {"total": 5}

    found = audited(answer, 700.0)
    assert [owner.query for owner, _ in found.recorder.named("audit_failure")] == ["q"] * 4
    assert [round(later - earlier) for earlier, later in pairwise(failed)] == [2, 4, 8]
    ((_, _, finding),) = found.recorder.named("finding")
    assert finding.targets == 2


def test_what_failed_at_the_end_of_a_period_is_not_waited_for() -> None:
    """A target whose polls fail has published no full total, so there is nothing to compare."""

    def answer(operation: Operation, now: float) -> Answer:
        if operation.variables["x"] == "a" and now > LATE:
            return UpstreamFailure(Reason.CONNECT, "no")
        return {"total": 5}

    found = audited(answer, 700.0)
    ((_, _, finding),) = found.recorder.named("finding")
    assert finding.targets == 1


def test_an_audit_that_never_ends_is_given_up_for_the_next() -> None:
    """The next period is audited in its turn, whatever happened to the one before."""

    def answer(operation: Operation, now: float) -> Answer:
        end = datetime.fromisoformat(str(operation.variables["end"])).timestamp()
        if asked_late(operation, now) and end < LATE + 60:
            return UpstreamFailure(Reason.HTTP_5XX, "no")
        return {"total": 5}

    found = audited(answer, 1900.0)
    assert [finding.targets for _, _, finding in found.recorder.named("finding")] == [2, 2]


def test_an_audit_ends_when_its_period_can_no_longer_be_asked_for() -> None:
    """A target that failed for so long is left out: the total of another period says nothing of this one."""

    def answer(operation: Operation, now: float) -> Answer:
        start, end = (datetime.fromisoformat(str(operation.variables[name])) for name in ("start", "end"))
        if operation.variables["x"] == "a" and LATE + 150 <= now < LATE + 650 and end.timestamp() == LATE:
            return UpstreamFailure(Reason.HTTP_5XX, "no")
        return {"total": (end - start).total_seconds()}

    found = audited(answer, 1140.0, audit="audit: {after: 150s}")
    assert len(found.recorder.named("audit_failure")) == 8
    ((_, _, finding),) = found.recorder.named("finding")
    assert (finding.targets, finding.difference) == (1, {"other_total": 0.0, "value_total": 0.0})
    assert found.auditor.findings == {("q", "acme"): finding}


def test_nothing_is_audited_where_nobody_asks_for_it() -> None:
    """Nor before a period has ended."""
    calls: list[float] = []

    def answer(operation: Operation, now: float) -> Answer:
        calls.append(now)
        return {"total": 5}

    assert audited(answer, 1500.0, audit="").recorder.named("finding") == []
    assert audited(answer, 300.0).recorder.named("finding") == []


def test_a_reload_that_changes_the_query_forgets_what_was_found() -> None:
    """What did not change keeps it."""
    found: list[dict[tuple[str, str], object]] = []

    def look(run: Audited) -> None:
        found.append(dict(run.auditor.findings))
        run.auditor.follow(run.plan)
        found.append(dict(run.auditor.findings))
        run.auditor.follow(run.changed)
        found.append(dict(run.auditor.findings))

    audited(lambda *_: {"total": 5}, 700.0, at_end=look)
    before, same, changed = found
    assert before.keys() == {("q", "acme")}
    assert same == before
    assert changed == {}


class FailsOnce(Recorder):
    """An observer that fails at the first finding."""

    def on_finding(self, query: str, source: str, finding: Finding) -> None:
        super().on_finding(query, source, finding)
        if len(self.named("finding")) == 1:
            raise RuntimeError("a fault of ours")


def test_a_fault_of_ours_ends_that_audit_alone() -> None:
    """It counts as a failure of each target; polls and the next audits go on."""
    found = audited(lambda _operation, _now: {"total": 5}, 1900.0, recorder=FailsOnce())
    assert [outcome.reason for _, outcome in found.recorder.named("audit_failure")] == [Reason.INTERNAL] * 2
    assert len(found.recorder.named("finding")) == 3
