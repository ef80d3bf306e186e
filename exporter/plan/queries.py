"""Queries, ready to run: what they are polled for each of, in which pages and packs, and how often."""

from __future__ import annotations

from exporter.config.query import ForEachList, Query, RowsOf
from exporter.model.template import references as references_in
from exporter.model.window import Window
from exporter.plan.findings import Findings
from exporter.plan.plan import Feed, LookupPlan, MetricPlan, PackPlan, PagesPlan, QueryPlan
from exporter.plan.response_paths import ParsedQuery, PathProblem, Scopes
from exporter.plan.wants import SELF, Wants


def query_plan(
    parsed: ParsedQuery,
    *,
    metrics: tuple[MetricPlan, ...],
    lookups: tuple[LookupPlan, ...],
    wants: Wants,
    findings: Findings,
) -> QueryPlan:
    """The plan of a query, with what the others want of it."""
    query = parsed.query
    window = query.window
    return QueryPlan(
        name=query.name,
        sources=parsed.sources,
        interval_seconds=query.interval.total_seconds(),
        timeout_seconds=query.timeout_seconds,
        stale_after_seconds=query.stale_after_seconds,
        document=parsed.document,
        variables=query.variables,
        feeds=tuple(_feed(name, over) for name, over in query.for_each.items()),
        needed=frozenset(wants.carried[query.name]),
        batch=query.batch,
        pack=_pack(query),
        max_calls=query.max_calls,
        window=Window(window.length, window.delay, window.align, query.timezone) if window is not None else None,
        period=query.period,
        audit_after_seconds=None if query.audit is None else query.audit.after.total_seconds(),
        zone=query.timezone,
        pages=_pages(parsed, findings),
        rows=wants.rows(parsed),
        metrics=metrics,
        lookups=lookups,
        max_series=query.max_series,
        publishes_partial=query.on_partial == "publish",
    )


def _feed(name: str, over: RowsOf | ForEachList) -> Feed:
    if isinstance(over, RowsOf):
        return Feed(name, over.query, where=over.where)
    return Feed(name, None, tuple(dict(item) if isinstance(item, dict) else {SELF: item} for item in over))


def _pack(query: Query) -> PackPlan | None:
    """A variable is the same for all targets where it refers to none; times are not, as a counter's period may end."""
    if query.pack is None:
        return None
    shared = {
        name
        for name, template in query.variables.items()
        if all(reference.root == "source" for reference in references_in(template))
    }
    return PackPlan(query.pack, frozenset(shared))


def _pages(parsed: ParsedQuery, findings: Findings) -> PagesPlan | None:
    pages, place = parsed.query.pages, (*parsed.place, "pages")
    if pages is None:
        return None
    info_path, position = pages.total or pages.info, pages.offset or pages.cursor
    assert info_path is not None  # the schema takes one of the two ways
    assert position is not None
    for key, path in (("limit", pages.limit), ("cursor" if pages.cursor else "offset", position)):
        if not path.steps or path.steps[0] not in parsed.document.variables:
            declared = ", ".join(parsed.document.variables) or "none"
            findings.add((*place, key), f"{path} begins with no variable of the document", f"it has: {declared}")
    try:
        info = Scopes((parsed.document.selection,)).below(info_path)
    except PathProblem as problem:
        findings.add((*place, "total" if pages.total else "info"), problem.wrong, problem.remedy)
        return None
    if pages.info is not None and not {"hasNextPage", "endCursor"} <= info.innermost.children.keys():
        findings.add((*place, "info"), f"{info_path} does not select hasNextPage and endCursor", "select both")
    limit, at = (tuple(str(step) for step in path.steps) for path in (pages.limit, position))
    return PagesPlan(pages.size, limit, at, info.hops, pages.cursor is not None, pages.max_rows)
