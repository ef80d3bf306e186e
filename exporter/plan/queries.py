"""Queries, ready to run: what they are polled for each of, in which pages and packs, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import chain, takewhile
from math import ceil, prod
from typing import Final

from exporter.config.query import DEFAULT_MAX_SERIES, ForEachList, Pages, Query, RowsOf
from exporter.document.answer_shape import EXTENSIONS, ROWS_A_SERIES, AnswerShape, Keys
from exporter.document.document import Selection, without_schema
from exporter.model.response_path import Pick, ResponsePath
from exporter.model.suggestion import suggestion
from exporter.model.template import exact_text
from exporter.model.template import references as references_in
from exporter.model.time_format import ISO
from exporter.model.window import Window
from exporter.plan.findings import Findings
from exporter.plan.plan import (
    Column,
    Feed,
    Hop,
    Hops,
    LookupPlan,
    MetricPlan,
    PackPlan,
    PagesPlan,
    QueryPlan,
    RowsPlan,
    columns_of,
)
from exporter.plan.response_paths import ParsedQuery, PathProblem, Scopes, is_unknown
from exporter.plan.wants import SELF, Wants

NOTHING: Final[frozenset[str]] = frozenset()  # one for all queries: each empty set takes 216 bytes
_ANY_VALUES: Final = 250_000  # as many values may stand in any answer


def check_query(parsed: ParsedQuery, findings: Findings) -> None:
    """Notes what is wrong with a query beside its metrics, for one that cannot be planned."""
    _pages(parsed, findings)


def query_plan(
    parsed: ParsedQuery,
    *,
    metrics: tuple[MetricPlan, ...],
    lookups: tuple[LookupPlan, ...],
    wants: Wants,
    findings: Findings,
    publishes_created: bool,
) -> QueryPlan:
    """The plan of a query, with what the others want of it."""
    query = parsed.query
    window, zone = query.window, parsed.zone
    pages, rows = _pages(parsed, findings), wants.rows(parsed)
    made = QueryPlan(
        name=query.name,
        sources=parsed.sources,
        interval_seconds=query.interval.total_seconds(),
        timeout_seconds=query.timeout_seconds,
        stale_after_seconds=query.stale_after_seconds,
        document=without_schema(parsed.document),
        variables=query.variables,
        feeds=tuple(_feed(name, over) for name, over in query.for_each.items()),
        needed=frozenset(wants.carried[query.name]) or NOTHING,
        batch=query.batch,
        pack=_pack(parsed, findings),
        max_calls=query.max_calls,
        window=Window(window.length, window.delay, window.align, zone) if window is not None else None,
        time_format=window.format if window is not None else ISO,
        period=query.period,
        audit_after_seconds=None if query.audit is None else query.audit.after.total_seconds(),
        zone=zone,
        zone_by_source=any(zone != source.timezone for source in parsed.sources) and query.timezone is None,
        pages=pages,
        rows=rows,
        metrics=metrics,
        lookups=lookups,
        max_series=query.max_series,
        publishes_partial=query.on_partial == "publish",
        skips_bad_rows=query.on_bad_row == "skip",
        fails_on_null=query.on_null == "fail",
        publishes_created=publishes_created,
        shape=_shape(parsed, metrics, rows, pages),
    )
    _warn_of_calls(parsed, made, findings)
    return made


def _warn_of_calls(parsed: ParsedQuery, made: QueryPlan, findings: Findings) -> None:
    """Warns where the lists of the file alone need more calls than there may be; several shards may have fewer each."""
    targets = prod(_distinct(feed, made.needed) for feed in made.feeds if feed.query is None)
    calls = ceil(ceil(targets / (made.batch or 1)) / made.most_in_call)
    if calls > made.max_calls:
        key = "max_calls" if "max_calls" in parsed.query.model_fields_set else "for_each"
        wrong = f"its lists need {calls} calls in a round, and max_calls is {made.max_calls}, so that it is not polled"
        findings.warn((*parsed.place, key), wrong, "raise max_calls, use batch or pack, or run several shards")


def _distinct(feed: Feed, needed: Set[str]) -> int:
    """How many items of a list differ in what is referred to; those that do not are one target."""
    names = [rest or SELF for root, _, rest in (name.partition(".") for name in needed) if root == feed.name]
    return len({exact_text([item[name] for name in names]) for item in feed.items})


def _shape(
    parsed: ParsedQuery, metrics: tuple[MetricPlan, ...], rows: RowsPlan | None, pages: PagesPlan | None
) -> AnswerShape:
    """What reads the answers: the values of metrics and labels, the rows, and what a page says of the others."""
    walks: list[tuple[Hops, list[Column]]] = [(metric.walk, list(columns_of(metric))) for metric in metrics]
    whole: set[Keys] = set()
    if rows is not None:
        walks.append((rows.walk, []))
        whole = {_keys(rows.walk, column) for column in rows.exports.values() if not column.is_key}
    if pages is not None:
        walks += [(hops, []) for hops in pages.signs]
    used = {_keys(walk, column) for walk, columns in walks for column in (Column(len(walk), ()), *columns)}
    exports = tuple(rows.exports.values()) if rows is not None else ()
    read = [(walk, columns) for walk, columns in walks] + [(rows.walk, list(exports)) for rows in [rows] if rows]
    for walk, columns in read:
        for column in (Column(len(walk), ()), *columns):
            hops = (*walk[: column.depth], *column.hops)
            used |= set(_picked_keys(hops))
            if any(hop.inside for hop in hops):
                whole.add(_names(hops))
    most = max(parsed.query.max_series, pages.max_rows if pages is not None else 0, DEFAULT_MAX_SERIES)
    selected = tuple(_selected_keys(parsed.document.selection))
    fields = len(selected)
    return AnswerShape(
        (keys for keys in selected if keys in used),
        whole,
        max_values=max(_ANY_VALUES, ROWS_A_SERIES * most * fields),
        max_values_reason=f"{ROWS_A_SERIES} rows of {fields} values for each of {most} series (max_series)",
        in_pages=pages is not None,
        rows_at=_rows_at(parsed.query, metrics, rows),
        reads_extensions=parsed.document.reads_extensions,
        texts=parsed.json_texts,
    )


def _rows_at(query: Query, metrics: tuple[MetricPlan, ...], rows: RowsPlan | None) -> Keys:
    """The response keys of the list whose items are the rows; none where that cannot be known. With
    `on_bad_row: skip` each row is looked at as an object."""
    walks = [rows.walk] if rows is not None else [metric.walk for metric in metrics]
    walk: Hops = walks[0] if walks else ()
    columns = chain(() if rows is None else rows.exports.values(), *map(columns_of, metrics))
    is_plain = all(not (hop.indexes or hop.inside or hop.mark) for hop in walk)
    is_plain = is_plain and not any(column.is_key for column in columns)  # a table has lost the nulls that count
    return _names(walk) if is_plain and query.on_bad_row != "skip" and _names(walk)[:1] != (EXTENSIONS,) else ()


def _keys(walk: Hops, column: Column) -> Keys:
    """The response keys from the data to a column, or to the value that it is inside of."""
    return _names((*walk[: column.depth], *column.hops))


def _names(hops: Hops) -> Keys:
    return tuple(hop.name for hop in takewhile(lambda hop: not hop.inside, hops) if hop.mark is None)


def _picked_keys(hops: Hops) -> Iterator[Keys]:
    """The keys from the data to the fields by which items of lists are picked."""
    for at, hop in enumerate(hops):
        for index in hop.indexes:
            if isinstance(index, Pick) and not hop.inside:
                yield (*_names(hops[: at + 1]), index.field)


def _selected_keys(selection: Selection, way: Keys = ()) -> Iterator[Keys]:
    """All response keys of a document, from the data, in its order."""
    for key, child in selection.children.items():
        yield (*way, key)
        yield from _selected_keys(child, (*way, key))


def _feed(name: str, over: RowsOf | ForEachList) -> Feed:
    if isinstance(over, RowsOf):
        return Feed(name, over.query, where=over.where, where_not=over.where_not)
    return Feed(name, None, tuple(dict(item) if isinstance(item, dict) else {SELF: item} for item in over))


def _pack(parsed: ParsedQuery, findings: Findings) -> PackPlan | None:
    """A variable is the same for all targets where it refers to none; times are not, as a counter's period may end."""
    query, document = parsed.query, parsed.document
    if query.pack is None:
        return None
    shared = frozenset(
        name
        for name in document.variables.keys() | query.variables.keys()
        if all(reference.root == "source" for reference in references_in(query.variables.get(name)))
    )
    for name in sorted(document.selection.variables - shared):
        wrong = f"a directive of the operation has ${name}, which differs from call to call"
        findings.add((*parsed.place, "pack"), wrong, "leave out pack, or move the directive to a field")
    return PackPlan(query.pack, shared)


def _pages(parsed: ParsedQuery, findings: Findings) -> PagesPlan | None:
    pages, place = parsed.query.pages, (*parsed.place, "pages")
    if pages is None:
        return None
    way, position = pages.way
    for key, path in (("limit", pages.limit), (way, position)):
        is_known = not is_unknown(parsed.document.selection)
        if is_known and path is not None and (not path.steps or path.steps[0] not in parsed.document.variables):
            declared = ", ".join(parsed.document.variables) or "none"
            remedy = suggestion(str(path), parsed.document.variables) or f"it has: {declared}"
            findings.add((*place, key), f"{path} begins with no variable of the document", remedy)
    told = {key: _place_of_sign(parsed, key, path, findings) for key, path in _signs(pages)}
    ends: tuple[str, str] | None = None
    if (info := told.pop("info", None)) is not None and not is_unknown(info.innermost):
        ends = next((pair for pair in _ENDS if info.innermost.children.keys() >= set(pair)), None)
        if ends is None:
            wrong = f"{pages.info} does not select hasNextPage and endCursor"
            is_object = bool(info.innermost.children)
            findings.add((*place, "info"), wrong, "select both" if is_object else "name the object that has them")
    hops = {key: scopes.hops for key, scopes in told.items() if scopes is not None}
    if info is not None and ends is not None:
        hops |= {key: (*info.hops, Hop(name)) for key, name in zip(("more", "next"), ends, strict=True)}
    return PagesPlan(
        size=pages.size,
        limit=None if pages.limit is None else _names_of(pages.limit),
        by=way,
        position=_names_of(position),
        max_rows=pages.max_rows,
        total=hops.get("total"),
        more=hops.get("more"),
        next=hops.get("next"),
        backwards=ends == _ENDS[1],
    )


_ENDS: Final = (("hasNextPage", "endCursor"), ("hasPreviousPage", "startCursor"))


def _signs(pages: Pages) -> Iterator[tuple[str, ResponsePath]]:
    """The keys that say where a page tells of the others."""
    for key in ("total", "more", "info", "next"):
        if (path := getattr(pages, key)) is not None:
            yield key, path


def _place_of_sign(parsed: ParsedQuery, key: str, path: ResponsePath, findings: Findings) -> Scopes | None:
    """Where a page tells of the others; None where it is nowhere, which is said."""
    try:
        found = Scopes((parsed.document.selection,)).below(path)
    except PathProblem as problem:
        findings.add((*parsed.place, "pages", key), problem.wrong, problem.remedy)
        return None
    if any(hop.mark is not None for hop in found.hops):
        findings.add((*parsed.place, "pages", key), f"{path} has several values", "name one, without .*")
        return None
    kind, wanted = found.innermost.type, _TOLD_TYPES.get(key)
    if wanted is not None and kind is not None and kind.name in _OTHER_TYPES and kind.name != wanted:
        findings.add((*parsed.place, "pages", key), f"{path} is {kind.name}", f"name a field that is {wanted}")
    return found


_TOLD_TYPES: Final = {"total": "Int", "more": "Boolean"}
_OTHER_TYPES: Final = frozenset({"Int", "Float", "String", "Boolean", "ID"})


def _names_of(path: ResponsePath) -> tuple[str, ...]:
    return tuple(str(step) for step in path.steps)
