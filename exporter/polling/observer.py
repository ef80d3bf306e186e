"""What is said of polls and audits, as they happen, to whoever counts and logs them."""

from __future__ import annotations

from typing import Protocol

from exporter.model.outcome import PollOutcome
from exporter.plan.plan import Plan
from exporter.polling.audit_finding import Finding
from exporter.polling.demand import Demand
from exporter.series.store import Owner


class Observer(Protocol):
    """Counts and logs what happens; it must not raise."""

    def on_plan(self, plan: Plan) -> None:
        """Another plan is followed from now on."""

    def on_poll(self, owner: Owner, outcome: PollOutcome, decreases: int) -> None:
        """A poll ended; so many counter values were held."""

    def on_overrun(self, owner: Owner, ticks: int) -> None:
        """That many ticks were missed."""

    def on_clock_jump(self, seconds: float) -> None:
        """The wall clock was set by so many seconds, back if they are negative, or the machine slept so long."""

    def on_expiry(self, owner: Owner) -> None:
        """The last good values were dropped."""

    def on_drop(self, owner: Owner) -> None:
        """A target is gone."""

    def on_demand(self, source: str, demand: Demand) -> None:
        """The calls that a source with a rate limit needs may have changed."""

    def on_pack_refusal(self, query: str, source: str, size: int, detail: str) -> None:
        """The upstream refused packs, and takes that many targets in one operation."""

    def on_audit_failure(self, owner: Owner, outcome: PollOutcome) -> None:
        """A target's total could not be asked for again."""

    def on_finding(self, query: str, source: str, finding: Finding) -> None:
        """All targets that can be compared have been audited."""
