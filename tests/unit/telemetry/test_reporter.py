"""What becomes of polls and audits: figures, and a log line whenever something changes."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome, Result
from exporter.polling.audit_finding import Finding
from exporter.polling.demand import Demand
from exporter.series.store import Owner
from exporter.telemetry.reporter import Reporter
from tests.support.logs import printed
from tests.support.plans import planned

GOOD = PollOutcome(0.12345, Result())
LATE = PollOutcome(10.0, reason=Reason.TIMEOUT, detail="no whole answer within 10 s")
DNS = PollOutcome(0.1, reason=Reason.DNS, detail="cannot resolve it")
INTERNAL = PollOutcome(0.1, reason=Reason.INTERNAL, detail="KeyError")
OWNER = Owner("traffic", "acme", "environment=e-1")
OTHER = Owner("traffic", "acme", "environment=e-2")
ABOUT = {"query": "traffic", "source": "acme", "target": "environment=e-1"}
FAILED = "the poll failed; the last good values stay"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the program prints at its lowest level."""
    with printed() as stream:
        yield stream


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    """The lines since the last look, without their time."""
    found = [json.loads(line) for line in log.getvalue().splitlines()]
    log.seek(0)
    log.truncate()
    return [{key: value for key, value in line.items() if key != "ts"} for line in found]


def levels(log: io.StringIO) -> list[tuple[str, str]]:
    return [(line["level"], line["msg"]) for line in lines(log)]


def demand(calls: float) -> Demand:
    return Demand(limit=60.0, calls={"traffic": calls, "apis": 10.0})


CHOREO = planned(
    '- {name: q, document: "query { __typename }", metrics: [{name: n, help: N., value: 1}]}',
    'sources: [{name: acme, url: "https://api.test/graphql", schema: choreo}]\n',
)


def test_a_failure_says_what_is_likely_wrong(log: io.StringIO) -> None:
    """What `init` would say of it, the log says, too; a scope is told from a subscription."""
    reporter = Reporter()
    reporter.on_plan(CHOREO)
    owner = Owner("q", "acme", "")
    for detail, likely in (
        ("the API answered 403", "the application is not subscribed"),
        ("the API answered 403: insufficient_scope", "the access token lacks a scope"),
    ):
        reporter.on_poll(owner, PollOutcome(0.1, reason=Reason.FORBIDDEN, detail=detail), 0)
        (line,) = lines(log)
        assert line["likely"].startswith(likely)
        reporter.on_poll(owner, GOOD, 0)
        lines(log)
    reporter.on_poll(owner, PollOutcome(0.1, reason=Reason.GRAPHQL, detail="no field x"), 0)
    assert "likely" not in lines(log)[0]


def test_a_failure_is_a_warning_once_and_its_end_a_line(log: io.StringIO) -> None:
    """A poll that fails in the same way again and again is no line again and again; another reason, and the first poll
    that works again, are."""
    reporter = Reporter()
    reporter.on_poll(OWNER, LATE, 0)
    assert lines(log) == [
        {**ABOUT, "reason": "timeout", "detail": "no whole answer within 10 s", "level": "warning", "msg": FAILED}
    ]
    reporter.on_poll(OWNER, LATE, 0)
    reporter.on_poll(OWNER, DNS, 0)
    reporter.on_poll(OWNER, LATE, 0)
    reporter.on_poll(OWNER, GOOD, 0)
    reporter.on_poll(OWNER, GOOD, 0)
    assert levels(log) == [
        ("debug", FAILED),
        ("warning", FAILED),
        ("warning", FAILED),
        ("info", "the poll works again"),
        ("debug", "polled"),
    ]
    assert reporter.counts.of("traffic", "acme").polls == 6
    assert reporter.counts.of("traffic", "acme").failures == {"timeout": 3, "dns": 1}


def test_each_target_fails_and_works_for_itself(log: io.StringIO) -> None:
    """The line names the target; a query without targets has none to name."""
    reporter = Reporter()
    reporter.on_poll(OWNER, LATE, 0)
    reporter.on_poll(OTHER, LATE, 0)
    reporter.on_poll(OTHER, GOOD, 0)
    reporter.on_poll(OWNER, LATE, 0)
    assert [(line["level"], line["target"]) for line in lines(log)] == [
        ("warning", OWNER.target),
        ("warning", OTHER.target),
        ("info", OTHER.target),
        ("debug", OWNER.target),
    ]
    reporter.on_poll(Owner("apis", "acme", ""), GOOD, 3)
    (line,) = lines(log)
    assert line == {"query": "apis", "source": "acme", "duration_seconds": 0.123, "level": "debug", "msg": "polled"}
    assert reporter.counts.of("apis", "acme").counter_decreases == 3


def test_a_fault_of_ours_is_an_error(log: io.StringIO) -> None:
    """What the exporter itself did wrong stands above what the API did wrong."""
    Reporter().on_poll(OWNER, INTERNAL, 0)
    assert levels(log) == [("error", FAILED)]


def test_a_target_that_is_gone_is_forgotten(log: io.StringIO) -> None:
    """A target that comes back and fails is told as a new failure, of polls and of audits."""
    reporter = Reporter()
    for _ in range(2):
        reporter.on_poll(OWNER, LATE, 0)
        reporter.on_audit_failure(OWNER, LATE)
        reporter.on_drop(OWNER)
    assert [level for level, _ in levels(log)] == ["warning"] * 4
    reporter.on_drop(OTHER)  # which never failed


def test_a_new_plan_keeps_what_it_has(log: io.StringIO) -> None:
    """After a reload the queries that stayed go on counting and failing quietly; the others are forgotten."""
    reporter = Reporter()
    gone = Owner("gone", "acme", "")
    for owner in (OWNER, gone):
        reporter.on_poll(owner, LATE, 0)
        reporter.on_audit_failure(owner, LATE)
    lines(log)
    reporter.on_plan(planned('- {name: traffic, document: "{ n }", metrics: [{name: n, help: N., value: n}]}'))
    for owner in (OWNER, gone):
        reporter.on_poll(owner, LATE, 0)
        reporter.on_audit_failure(owner, LATE)
    assert [level for level, _ in levels(log)] == ["debug", "debug", "warning", "warning"]
    assert reporter.counts.of("traffic", "acme").failures == {"timeout": 2}
    assert reporter.counts.of("gone", "acme").failures == {"timeout": 1}


def test_audits_that_fail_are_counted_and_told_once(log: io.StringIO) -> None:
    """An audit's failure is told once for each reason, until the audit has found something."""
    reporter = Reporter()
    for outcome in (LATE, LATE, DNS):
        reporter.on_audit_failure(OWNER, outcome)
    reporter.on_audit_failure(Owner("apis", "acme", ""), LATE)
    said = "an audit's call failed; it is tried again"
    assert levels(log) == [("warning", said), ("debug", said), ("warning", said), ("warning", said)]
    assert reporter.counts.of("traffic", "acme").audit_failures == {"timeout": 2, "dns": 1}
    reporter.on_finding("traffic", "acme", Finding(0.0, 2, {"a_total": 10.0}, {"a_total": 3.0, "b_total": 0.5}))
    (line,) = lines(log)
    assert line == {
        "query": "traffic",
        "source": "acme",
        "targets": 2,
        "came_late": "3 of a_total, 0.5 of b_total",
        "level": "info",
        "msg": "a period that has ended was audited",
    }
    reporter.on_audit_failure(OWNER, DNS)
    reporter.on_audit_failure(Owner("apis", "acme", ""), LATE)
    assert [level for level, _ in levels(log)] == ["warning", "debug"]


def test_a_rate_limit_that_is_too_low_is_told_once_and_its_end_too(log: io.StringIO) -> None:
    """The line says how many calls a minute are needed, how many are allowed, and which query is the dearest."""
    reporter = Reporter()
    reporter.on_demand("acme", demand(50.0))
    assert lines(log) == []
    reporter.on_demand("acme", demand(50.04))
    (line,) = lines(log)
    assert (line["level"], line["source"]) == ("warning", "acme")
    assert (line["calls_per_minute"], line["allowed_per_minute"]) == (60.0, 60.0)
    assert "traffic" in line["dearest"]
    reporter.on_demand("acme", demand(500.0))
    assert lines(log) == []
    reporter.on_demand("other", demand(500.0))
    assert [line["source"] for line in lines(log)] == ["other"]
    reporter.on_demand("acme", demand(50.0))
    assert lines(log) == [{"source": "acme", "level": "info", "msg": "the queries fit the rate limit again"}]
    reporter.on_demand("acme", demand(50.0))
    assert lines(log) == []


def test_refused_packs_stale_values_and_missed_ticks(log: io.StringIO) -> None:
    """A refused pack is a warning once for each query and counted always; values that are dropped are told each time;
    ticks that passed are counted alone."""
    reporter = Reporter()
    reporter.on_pack_refusal("traffic", "acme", 40, "too many aliases")
    (line,) = lines(log)
    assert (line["level"], line["targets"], line["detail"]) == ("warning", 40, "too many aliases")
    reporter.on_pack_refusal("traffic", "acme", 20, "too many aliases")
    reporter.on_pack_refusal("traffic", "other", 20, "too many aliases")
    assert [level for level, _ in levels(log)] == ["debug", "warning"]
    assert reporter.counts.of("traffic", "acme").pack_refusals == 2
    reporter.on_expiry(OWNER)
    assert levels(log) == [("warning", "the last good values are stale and were dropped")]
    reporter.on_overrun(OWNER, 3)
    reporter.on_overrun(OWNER, 2)
    assert reporter.counts.of("traffic", "acme").overruns == 5
    assert lines(log) == []


def test_what_is_left_out_has_a_line(log: io.StringIO) -> None:
    """Of rows one a poll; of values, which may lack for long, one when it begins, when the reasons change and when it
    ends. Each quotes the first."""
    reporter = Reporter()
    values = Result(skipped={"not_a_number": 2}, first_skipped='"n/a"')
    rows = Result(skipped_rows={"absent_field": 3, "wrong_form": 1}, first_skipped_row='{"id":"a"}')
    reporter.on_poll(OWNER, PollOutcome(0.1, values), 0)
    reporter.on_poll(OWNER, PollOutcome(0.1, values), 0)
    about = {**ABOUT, "count": 2, "reasons": "not_a_number", "first": '"n/a"'}
    said = [line for line in lines(log) if line["msg"] != "polled"]
    assert [(line["level"], {key: line[key] for key in about}) for line in said] == [
        ("warning", about),
        ("debug", about),
    ]
    for outcome in (PollOutcome(0.1, rows), PollOutcome(0.1, rows)):
        reporter.on_poll(OWNER, outcome, 0)
    said = [line for line in lines(log) if line["msg"] != "polled"]
    assert [(line["level"], line["msg"]) for line in said] == [
        ("warning", "rows of an answer were left out"),
        ("info", "all values of the answer can be read again"),
        ("warning", "rows of an answer were left out"),
    ]
    assert (said[0]["count"], said[0]["reasons"], said[0]["first"]) == (4, "absent_field, wrong_form", '{"id":"a"}')
    assert reporter.counts.of("traffic", "acme").rows_skipped == {"absent_field": 6, "wrong_form": 2}


def test_a_null_where_rows_were_to_be_has_a_line_when_it_begins_and_ends(log: io.StringIO) -> None:
    """The line names the path; while it is so, nothing more is said. Another path is news."""
    reporter = Reporter()
    for nulls in ({"things": 1}, {"things": 1}, {"things": 1, "more": 2}, {}, {}):
        reporter.on_poll(OWNER, PollOutcome(0.1, Result(nulls=nulls)), 0)
    said = [line for line in lines(log) if line["level"] != "debug"]
    assert [(line["level"], line.get("path"), line.get("count")) for line in said] == [
        ("warning", "things", 1), ("warning", "more, things", 3), ("info", None, None)
    ]  # fmt: skip
    assert reporter.counts.of("traffic", "acme").nulls == 5


def test_a_target_of_any_length_makes_a_short_line(log: io.StringIO) -> None:
    """A row of an API may have an id of a megabyte; two that begin alike differ in the log."""
    reporter = Reporter()
    for end in ("1", "2"):
        outcome = PollOutcome(0.1, reason=Reason.TIMEOUT)
        reporter.on_poll(Owner("q", "acme", '{"x":"' + "a" * 2**20 + end), outcome, 0)
    one, other = (line["target"] for line in lines(log))
    assert one != other
    assert max(map(len, (one, other))) < 250
