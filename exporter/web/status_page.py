"""The page for people: whether all is well, what to do if not, and which figures come through. Pure: a view to HTML.

It needs no script, loads nothing from elsewhere, and all of its links are relative, so that it works behind any proxy.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from exporter.telemetry.recent_polls import RecentPolls
from exporter.web.found_series import FamilyView
from exporter.web.sparkline import sparkline
from exporter.web.verdict import Trouble, verdict
from exporter.web.view import QueryView, SourceView, View, WindowView

MAX_QUERIES: Final = 500  # on the page, those that fail first
MAX_SOURCES: Final = 100
MAX_TROUBLES: Final = 10  # at its head
MAX_LINKS: Final = 8  # to queries with the same trouble
MAX_SOUGHT: Final = 200  # characters of the filter
REFRESH_SECONDS: Final = 10
_AT_ONCE_SECONDS: Final = 0.05

STYLE: Final = files("exporter.web").joinpath("status.css").read_text("utf-8")
SCRIPT: Final = files("exporter.web").joinpath("status.js").read_text("utf-8")


class Column(Struct, frozen=True):
    """A column of a table: its head, and whether it holds numbers, which are aligned on the right."""

    name: str
    is_number: bool = False


QUERY_COLUMNS: Final = (
    *(Column("Query"), Column("State"), Column("Last poll"), Column("Took", is_number=True)),
    *(Column("Rows", is_number=True), Column("Series", is_number=True), Column("Next poll"), Column("Window")),
)
SOURCE_COLUMNS: Final = (
    *(Column("Source"), Column("Polls"), Column("Access token"), Column("Valid for", is_number=True)),
    *(Column("Renewed"), Column("Renewals", is_number=True)),
)


def status_page(view: View) -> str:
    """The HTML of the page."""
    found = verdict(view)
    title = "" if found.mark == "well" else f"{found.headline} · "
    refresh = f'<noscript><meta http-equiv="refresh" content="{REFRESH_SECONDS}"></noscript>\n' if view.refresh else ""
    seconds = f' data-refresh="{REFRESH_SECONDS}"' if view.refresh else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<title>{_escape(title)}Insights Exporter</title>
<style>{STYLE}</style>
</head>
<body{seconds}>
<header>
<h1>Insights Exporter</h1>
<nav>
<a href="{_escape(view.metrics_path)}">Metrics</a>
<a href="config">Configuration</a>
<a href="-/healthy">Healthy</a>
<a href="-/ready">Ready</a>
<a href="{_address(view, refresh=not view.refresh)}">{_switch(view)}</a>
</nav>
</header>
<main>
{_head(view)}{_sources(view)}{_queries(view)}{_metrics(view)}</main>
<footer>
<p>Version {_escape(view.version)} · <span id="zone">Times are UTC.</span></p>
</footer>
<script>{SCRIPT}</script>
</body>
</html>
"""


def duration_in_words(seconds: float) -> str:
    """A duration for people: `20 ms`, `0.12 s`, `2.5 s`, `42 s`, `5 min 10 s`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 0.1:
        return f"{max(round(seconds * 1000), 0)} ms"
    if seconds < 10:
        return f"{seconds:.{2 if seconds < 1 else 1}f} s"
    whole = round(seconds)
    for unit, size, part, part_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part_size
            return f"{whole // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def _switch(view: View) -> str:
    return "Stop refreshing" if view.refresh else f"Refresh every {REFRESH_SECONDS} s"


def _address(view: View, *, refresh: bool) -> str:
    """The page with the same filter, refreshing itself or not."""
    asked = {**({"q": view.sought} if view.sought else {}), **({"refresh": "on"} if refresh else {})}
    return _escape(f"./?{urlencode(asked)}" if asked else "./")


def _head(view: View) -> str:
    found = verdict(view)
    series = sum(query.series for query in view.queries)
    sum_ = (
        f"{_counted(len(view.queries), 'query', 'queries')} on {_counted(len(view.sources), 'source', 'sources')},"
        f" {_counted(series, 'series', 'series')}"
    )
    places = {(query.name, query.source): place for place, query in enumerate(_in_order(view.queries)[:MAX_QUERIES])}
    troubles = "".join(_trouble(trouble, places, view.now) for trouble in found.troubles[:MAX_TROUBLES])
    more = len(found.troubles) - MAX_TROUBLES
    rest = f'<p class="more">and {more} more causes; <a href="#queries">see the queries</a></p>\n' if more > 0 else ""
    paused = "".join(_pause(source, view.now) for source in view.sources[:MAX_SOURCES])
    return f"""<section id="verdict">
<p class="verdict"><span class="mark {found.mark}">{_escape(found.headline)}</span>
<small>at {_at(view.now, view.now)}; {sum_}</small></p>
<p id="lost" hidden>The exporter does not answer. This is what it said last.</p>
{troubles}{rest}{paused}</section>
"""


def _pause(source: SourceView, now: float) -> str:
    if source.paused_until_time is None:
        return ""
    return (
        f'<div class="pause"><p><b>{_escape(source.name)}</b> asked for a pause until'
        f" {_at(source.paused_until_time, now)}. Its queries are polled again then, by themselves.</p></div>\n"
    )


def _trouble(trouble: Trouble, places: dict[tuple[str, str], int], now: float) -> str:
    links = [_link(query, places) for query in trouble.queries[:MAX_LINKS]]
    more = len(trouble.queries) - MAX_LINKS
    names = ", ".join(links) + (f" and {more} more" if more > 0 else "")
    if trouble.source is not None:
        stopped = f" Queries that wait for it: {names}." if names else ""
        what = f"<b>{_escape(trouble.source.name)}</b> has no access token.{stopped}"
    else:
        what = f"{names} <small>on {_escape(trouble.queries[0].source)}</small>"
    remedy = f"<p><b>What to do:</b> {_escape(trouble.remedy)}</p>\n" if trouble.remedy else ""
    return f"""<article class="trouble">
<p>{what}</p>
<p class="problem">{_escape(trouble.problem)}</p>
{_since(trouble, now)}{remedy}</article>
"""


def _link(query: QueryView, places: dict[tuple[str, str], int]) -> str:
    place = places.get((query.name, query.source))
    name = f"<b>{_escape(query.name)}</b>"
    return name if place is None else f'<a href="#query-{place}">{name}</a>'


def _since(trouble: Trouble, now: float) -> str:
    if not trouble.queries:
        return ""
    if trouble.success_time is None:
        worked = "It has not worked since the exporter started."
    else:
        worked = f"It worked last at {_at(trouble.success_time, now)}, {_ago(trouble.success_time, now)}."
    series = trouble.series
    kept = f"{_counted(series, 'series', 'series')} of that time {'is' if series == 1 else 'are'} still published."
    return f"<p><b>Since when:</b> {worked} {kept if series else 'Nothing of it is published.'}</p>\n"


def _sources(view: View) -> str:
    shown = sorted(view.sources, key=lambda source: source.well)
    rows = "".join(_source_rows(source, view.now) for source in shown[:MAX_SOURCES])
    return _table("sources", "Sources", "", SOURCE_COLUMNS, rows, len(shown) - MAX_SOURCES)


def _source_rows(source: SourceView, now: float) -> str:
    until = source.paused_until_time
    failed = f", {source.failed_renewals} failed" if source.failed_renewals else ""
    cells = (
        f"<b>{_escape(source.name)}</b> <small>{_escape(source.url)}</small>",
        _mark("well", "may run") if until is None else _mark("waiting", f"paused until {_at(until, now)}"),
        _mark("well" if source.well else "failing", _escape(source.token)),
        "–" if source.remaining_seconds is None else duration_in_words(source.remaining_seconds),
        "–" if source.age_seconds is None else _ago(now - source.age_seconds, now),
        f"{source.renewals} worked{failed}" if source.renewals or failed else "–",
    )
    row = _row(SOURCE_COLUMNS, cells)
    if source.problem:
        row += f'<tr class="problem"><td colspan="{len(cells)}">{_escape(source.problem)}</td></tr>'
    return f"<tbody>{row}</tbody>\n"


def _queries(view: View) -> str:
    failing = sum(query.up is False for query in view.queries)
    said = f"{failing} of {len(view.queries)} failing" if failing else f"all {len(view.queries)} well"
    untried = sum(query.up is None for query in view.queries)
    if untried:
        said = f"{failing} failing, {untried} not polled yet"
    shown = _in_order(view.queries)
    rows = "".join(_query_rows(query, place, view.now) for place, query in enumerate(shown[:MAX_QUERIES]))
    return _table("queries", "Queries", said, QUERY_COLUMNS, rows, len(shown) - MAX_QUERIES)


def _in_order(queries: Sequence[QueryView]) -> list[QueryView]:
    """Those that fail first, then those that were not polled yet."""
    return sorted(queries, key=lambda query: (query.up is not False, query.up is not None))


def _query_rows(query: QueryView, place: int, now: float) -> str:
    cells = (
        f"<b>{_escape(query.name)}</b> <small>{_escape(query.source)}</small>",
        _state(query),
        "–" if query.polled_time is None else _ago(query.polled_time, now),
        "–" if query.duration_seconds is None else _took(query.recent, query.duration_seconds),
        "–" if query.rows is None else f"{query.rows}",
        f"{query.series}",
        _next(query, now),
        "–" if query.window is None else _window(query.window, now),
    )
    row = _row(QUERY_COLUMNS, cells)
    if not query.problem:
        return f'<tbody id="query-{place}">{row}</tbody>\n'
    when = "" if query.up is False or query.problem_time is None else f"worked again; {_ago(query.problem_time, now)}: "
    kind = "problem" if query.up is False else "past problem"
    error = f'<tr class="{kind}"><td colspan="{len(cells)}">{when}{_escape(query.problem)}</td></tr>'
    return f'<tbody id="query-{place}">{row}{error}</tbody>\n'


def _state(query: QueryView) -> str:
    if query.up is None:
        return _mark("waiting", "not polled yet")
    if query.up:
        return _mark("well", "well")
    return _mark("failing", "failing") + (
        f" <small>{query.failing} of {query.targets} targets</small>" if query.targets > 1 else ""
    )


def _took(recent: RecentPolls, seconds: float) -> str:
    """How long the last poll took, with a small chart of those before it."""
    words = duration_in_words(seconds)
    if len(recent) < 2:
        return words
    shortest, longest = (duration_in_words(bound(recent).duration_seconds) for bound in (min, max))
    failed = sum(poll.failed for poll in recent)
    took = longest if shortest == longest else f"{shortest} to {longest}"
    title = f"The last {len(recent)} polls, the newest on the right: {took}, {failed or 'none'} failed"
    return f"{sparkline(recent, title)} <span>{words}</span>"


def _next(query: QueryView, now: float) -> str:
    """When it is polled next, or what it waits for."""
    if query.in_flight:
        return "polled now"
    pause, seconds = query.paused_until_time, query.next_in_seconds
    if pause is not None and (query.targets or not query.feeder) and (seconds is None or now + seconds < pause):
        return f"paused until {_at(pause, now)}"
    if seconds is None:
        return f"when {_escape(query.feeder)} has rows" if query.feeder and not query.targets else "–"
    return "waits for its turn" if seconds < _AT_ONCE_SECONDS else f"in {duration_in_words(seconds)}"


def _window(window: WindowView, now: float) -> str:
    start, end = (datetime.fromisoformat(text).timestamp() for text in (window.start, window.end))
    since = f", counters since {window.counters_since}" if window.counters_since else ""
    as_sent = _escape(f"as sent: {window.start} to {window.end}{since}")
    return f'<span title="{as_sent}">{_at(start, now, title=False)} to {_at(end, now, title=False)}</span>'


def _table(name: str, title: str, said: str, columns: Iterable[Column], rows: str, more: int) -> str:
    heads = "".join(f"<th{_class(column)}>{column.name}</th>" for column in columns)
    rest = f'<p class="more">and {more} more; the metrics have them</p>\n' if more > 0 else ""
    return f"""<section id="{name}">
<h2>{title} <small>{said}</small></h2>
<table class="list">
<thead><tr>{heads}</tr></thead>
{rows}</table>
{rest}</section>
"""


def _row(columns: Iterable[Column], cells: Iterable[str]) -> str:
    parts = (
        f'<td{_class(column, cell)} data-name="{column.name}">{cell}</td>'
        for column, cell in zip(columns, cells, strict=True)
    )
    return f"<tr>{''.join(parts)}</tr>"


def _class(column: Column, cell: str = "") -> str:
    names = " ".join(["number"] * column.is_number + ["none"] * (cell == "–"))
    return f' class="{names}"' if names else ""


def _mark(kind: str, text: str) -> str:
    return f'<span class="mark {kind}">{text}</span>'


def _metrics(view: View) -> str:
    shown = sum(len(family.series) for family in view.families)
    count = sum(family.found for family in view.families)
    said = f"{_counted(count, 'series', 'series')}" + (f", {shown} of them shown" if shown < count else "")
    refresh = '<input type="hidden" name="refresh" value="on">' if view.refresh else ""
    families = "".join(_family_parts(view))
    return f"""<section id="metrics">
<h2>Metrics</h2>
<form action="./#metrics">
<label>Filter <input type="search" name="q" value="{_escape(view.sought)}" maxlength="{MAX_SOUGHT}"
placeholder="words of a name or label"></label>{refresh}
<button>Find</button>
</form>
<div id="found">
<p class="more">{said}{_all_link(view)}</p>
{families}</div>
</section>
"""


def _all_link(view: View) -> str:
    if not view.sought:
        return ""
    address = "./?refresh=on#metrics" if view.refresh else "./#metrics"
    return f' with “{_escape(view.sought)}” · <a href="{address}">show all</a>'


def _family_parts(view: View) -> Iterator[str]:
    for family in view.families:
        if not family.series:
            continue
        rows = "".join(f"<tr><td>{_escape(text)}</td><td>{_escape(value)}</td></tr>\n" for text, value in family.series)
        yield f"""<article>
<details{" open" if view.sought else ""}>
<summary><h3>{_escape(family.name)} <small>{_escape(family.type)}</small></h3>
<small>{_counted(family.found, "series", "series")}</small></summary>
<p>{_escape(family.help)}</p>
<table class="series">
{rows}</table>
{_more_series(family, view)}</details>
</article>
"""


def _more_series(family: FamilyView, view: View) -> str:
    more = family.found - len(family.series)
    if not more:
        return ""
    asked = {"q": family.name, **({"refresh": "on"} if view.refresh else {})}
    if view.sought:
        return f'<p class="more">and {more} more: add words to the filter</p>\n'
    return f'<p class="more">and {more} more: <a href="{_escape(f"./?{urlencode(asked)}")}#metrics">show them</a></p>\n'


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}".replace(",", " ")


def _ago(time: float, now: float) -> str:
    return f'<time datetime="{_iso(time)}" title="{_full(time)}">{duration_in_words(now - time)} ago</time>'


def _at(time: float, now: float, *, title: bool = True) -> str:
    """A time of day, with its date where that is not today's; the script of the page makes it the reader's own."""
    moment = datetime.fromtimestamp(time, UTC)
    is_today = moment.date() == datetime.fromtimestamp(now, UTC).date()
    full = f' title="{_full(time)}"' if title else ""
    text = f"{moment:%H:%M:%S}" if is_today else f"{moment:%m-%d %H:%M:%S}"
    return f'<time class="at" datetime="{_iso(time)}"{full}>{text}</time>'


def _iso(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _full(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _escape(text: str) -> str:
    return html.escape(text, quote=True)
