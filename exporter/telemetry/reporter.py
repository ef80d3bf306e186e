"""What is made of what happens: a count, and a log line when something changes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

import structlog
from msgspec import Struct, field

from exporter.config.source import Source
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import PollOutcome, Result
from exporter.plan.plan import Plan
from exporter.polling.audit_finding import Finding
from exporter.polling.demand import Demand
from exporter.series.store import Owner
from exporter.telemetry.counts import Counts
from exporter.upstream.hints import likely_causes, log_fields

_log = structlog.get_logger()
_MAX_TARGET: Final = 200  # characters: a row of an API may have an id of any length


class Reporter(Struct):
    """The observer of polls and audits: counts what happens, and writes a line when something changes."""

    counts: Counts = field(default_factory=Counts)
    _sources: dict[str, Source] = {}
    _failing: dict[Owner, str] = {}
    _values_left_out: dict[Owner, frozenset[str]] = {}
    _nulls: dict[Owner, frozenset[str]] = {}
    _packs_refused: set[tuple[str, str]] = set()
    _audits_failing: dict[Owner, str] = {}
    _over_limit: set[str] = set()

    def on_poll(self, owner: Owner, outcome: PollOutcome, decreases: int) -> None:
        self.counts.of(owner.query, owner.source).add(outcome, decreases)
        about = _about(owner)
        if outcome.result is not None:
            self._say_what_is_left_out(owner, outcome.result)
            self._say_what_is_null(owner, outcome.result)
        if outcome.reason is None:
            if self._failing.pop(owner, None) is not None:
                _log.info("the poll works again", **about)
            else:
                _log.debug("polled", **about, duration_seconds=round(outcome.duration_seconds, 3))
            return
        repeated = self._failing.get(owner) == outcome.reason.value
        self._failing[owner] = outcome.reason.value
        say = _log.debug if repeated else _log.error if outcome.reason == "internal" else _log.warning
        say(
            "the poll failed; the last good values stay",
            **about,
            reason=outcome.reason.value,
            detail=outcome.detail,
            **self._hints(owner.source, outcome),
        )

    def _say_what_is_left_out(self, owner: Owner, result: Result) -> None:
        """A line for the rows of each answer; for values, which may lack for long, where the reasons are others."""
        about = _about(owner)
        if result.skipped_rows:
            _log.warning("rows of an answer were left out", **about, **_counted(result.skipped_rows),
                         first=result.first_skipped_row)  # fmt: skip
        before, now = self._values_left_out.get(owner, frozenset()), frozenset(result.skipped)
        if now:
            self._values_left_out[owner] = now
            say = _log.debug if now <= before else _log.warning
            say("values of an answer were left out", **about, **_counted(result.skipped), first=result.first_skipped)
        elif self._values_left_out.pop(owner, None) is not None:
            _log.info("all values of the answer can be read again", **about)

    def _say_what_is_null(self, owner: Owner, result: Result) -> None:
        about = _about(owner)
        before, now = self._nulls.get(owner, frozenset()), frozenset(result.nulls)
        if now:
            self._nulls[owner] = now
            say = _log.debug if now <= before else _log.warning
            counted = {"count": sum(result.nulls.values()), "path": ", ".join(sorted(now))}
            say("an answer has null where rows are expected, so these rows are missing", **about, **counted)
        elif self._nulls.pop(owner, None) is not None:
            _log.info("the answer has no null where rows are expected any more", **about)

    def _hints(self, source: str, outcome: PollOutcome) -> dict[str, str]:
        """What is likely wrong, where that can be told: a document that is refused may have any fault."""
        found = self._sources.get(source)
        if found is None or outcome.reason is None or outcome.reason is Reason.GRAPHQL:
            return {}
        return log_fields(likely_causes(UpstreamFailure(outcome.reason, outcome.detail), found))

    def on_plan(self, plan: Plan) -> None:
        """Forgets the queries and sources that the plan does not have."""
        self._sources = {source.name: source for source in plan.sources}
        pairs = {(query.name, source.name) for query in plan.queries for source in query.sources}
        self.counts.forget_all_but(pairs)
        for known in (self._failing, self._audits_failing, self._values_left_out, self._nulls):
            for owner in [owner for owner in known if (owner.query, owner.source) not in pairs]:
                del known[owner]

    def on_overrun(self, owner: Owner, ticks: int) -> None:
        self.counts.of(owner.query, owner.source).overruns += ticks

    def on_clock_jump(self, seconds: float) -> None:
        if seconds > 0:
            what = "the clock was set forward, or the machine slept; series that are stale now are dropped"
        else:
            what = "the clock was set back"
        _log.warning(what, seconds=round(abs(seconds), 1))

    def on_drop(self, owner: Owner) -> None:
        for known in (self._failing, self._audits_failing, self._values_left_out, self._nulls):
            known.pop(owner, None)

    def on_audit_failure(self, owner: Owner, outcome: PollOutcome) -> None:
        assert outcome.reason is not None
        self.counts.of(owner.query, owner.source).add_audit_failure(outcome.reason.value)
        say = _log.debug if self._audits_failing.get(owner) == outcome.reason.value else _log.warning
        self._audits_failing[owner] = outcome.reason.value
        say("an audit's call failed; it is tried again", **_about(owner), reason=outcome.reason.value,
            detail=outcome.detail)  # fmt: skip

    def on_finding(self, query: str, source: str, finding: Finding) -> None:
        for owner in [owner for owner in self._audits_failing if (owner.query, owner.source) == (query, source)]:
            del self._audits_failing[owner]
        came_late = ", ".join(f"{value:g} of {metric}" for metric, value in finding.difference.items())
        about = {"query": query, "source": source, "targets": finding.targets}
        _log.info("a period that has ended was audited", **about, came_late=came_late)

    def on_demand(self, source: str, demand: Demand) -> None:
        if demand.ratio <= 1:
            if source in self._over_limit:
                self._over_limit.remove(source)
                _log.info("the queries fit the rate limit again", source=source)
            return
        if source not in self._over_limit:
            self._over_limit.add(source)
            about = {"source": source, "calls_per_minute": round(sum(demand.calls.values()), 1)}
            say = "the queries need more calls than rate_limit allows, so they fall behind their intervals"
            _log.warning(say, **about, allowed_per_minute=round(demand.limit, 1), dearest=demand.dearest())

    def on_pack_refusal(self, query: str, source: str, size: int, detail: str) -> None:
        self.counts.of(query, source).pack_refusals += 1
        say = _log.debug if (query, source) in self._packs_refused else _log.warning
        self._packs_refused.add((query, source))
        about = {"query": query, "source": source, "targets": size}
        say("the API refused a pack; fewer targets go into one operation", **about, detail=detail)

    def on_expiry(self, owner: Owner) -> None:
        _log.warning("the last good values are stale and were dropped", **_about(owner))


def _counted(reasons: Mapping[str, int]) -> dict[str, str | int]:
    return {"count": sum(reasons.values()), "reasons": ", ".join(sorted(reasons))}


def _about(owner: Owner) -> dict[str, str]:
    target = {"target": _shorten(owner.target)} if owner.target else {}
    return {"query": owner.query, "source": owner.source, **target}


def _shorten(target: str) -> str:
    """A target in a line of the log; of a long one the beginning, and a digest that tells it from others."""
    if len(target) <= _MAX_TARGET:
        return target
    digest = hashlib.sha256(target.encode("utf-8", "replace")).hexdigest()
    return f"{target[:_MAX_TARGET]}… ({digest[:8]})"
