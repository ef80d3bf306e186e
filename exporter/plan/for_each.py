"""Which query's rows are the targets of which: who feeds whom, and the order that follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from exporter.config.load import Loaded
from exporter.config.nodes import KeyPath
from exporter.config.query import RowsOf
from exporter.model.suggestion import suggestion
from exporter.plan.findings import Findings
from exporter.plan.response_paths import Feeders, ParsedQuery


def find_feeders(loaded: Loaded, queries: Mapping[str, ParsedQuery], findings: Findings) -> Feeders:
    """For each query that has one, by name: the query whose rows feed it."""
    written = loaded.names("queries")
    feeders: dict[str, ParsedQuery] = {}
    for parsed in queries.values():
        for place, name in _feeder_names(parsed):
            feeder = queries.get(name)
            if feeder is None:
                if not loaded.may_have("queries", name):
                    remedy = suggestion(name, written) or f"write one of: {', '.join(written)}"
                    findings.add(place, f"there is no query {name}", remedy)
            elif feeder.query.rows is None:
                findings.add(place, f"the query {name} has no rows", f"add rows: to {name}")
            elif check_sources(parsed, feeder, place, findings):
                feeders[parsed.query.name] = feeder
    return feeders


def check_sources(parsed: ParsedQuery, other: ParsedQuery, place: KeyPath, findings: Findings) -> bool:
    """Whether the query whose rows one needs runs wherever that one does, as far as is known. A problem at the key that
    names it, where it does not: rows of one source say nothing of another."""
    if parsed.lacks("sources") or other.lacks("sources"):
        return True
    if {source.name for source in parsed.sources} <= {source.name for source in other.sources}:
        return True
    wrong = f"the query {other.query.name} does not run on all sources of this one"
    findings.add(place, wrong, "give both the same")
    return False


def _feeder_names(parsed: ParsedQuery) -> Iterator[tuple[KeyPath, str]]:
    for name, over in parsed.query.for_each.items():
        if isinstance(over, RowsOf):
            yield (*parsed.place, "for_each", name), over.query


def in_order(queries: Mapping[str, ParsedQuery], feeders: Feeders, findings: Findings) -> list[ParsedQuery]:
    """The queries, each after the one that feeds it."""
    order: list[ParsedQuery] = []
    done: set[str] = set()
    for parsed in queries.values():
        chain: list[ParsedQuery] = []
        at: ParsedQuery | None = parsed
        while at is not None and at.query.name not in done:
            if at in chain:
                findings.add(
                    (*at.place, "for_each"), "the queries need each other's rows in a circle", "break the circle"
                )
                break
            chain.append(at)
            at = feeders.get(at.query.name)
        order.extend(item for item in reversed(chain) if item.query.name not in done)
        done.update(item.query.name for item in chain)
    return order
