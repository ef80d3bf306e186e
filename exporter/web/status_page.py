"""The page for people: what is polled, with which tokens, and what came of it. Pure: a view becomes HTML.

It needs no script (that of the page only hides rows while one types), loads nothing, and all of its links are
relative, so that it works behind any proxy.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Final

from exporter import __version__

MAX_SERIES: Final = 500  # on the page
UNASKED_SERIES: Final = 5  # of each family, as long as nothing was looked for
MAX_QUERIES: Final = 500  # on the page, those that fail first
MAX_SOURCES: Final = 100
MAX_SOUGHT: Final = 200  # characters of what is looked for

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+[+-][\d:]+")

STYLE: Final = files("exporter.web").joinpath("status.css").read_text("utf-8")
SCRIPT: Final = files("exporter.web").joinpath("status.js").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class QueryView:
    """A query on a source, over all its targets. Times are Unix seconds; `problem` is the last that any had.

    `next_in_seconds` is None while it is polled, and where nothing is to be polled.
    """

    name: str
    source: str
    up: bool | None
    targets: int
    failing: int
    polled_time: float | None
    duration_seconds: float | None
    rows: int | None
    series: int
    in_flight: int
    next_in_seconds: float | None
    window: str
    problem: str
    problem_time: float | None


@dataclass(frozen=True, slots=True)
class SourceView:
    """A source and its access token, if it has one. `renewals` are told apart by whether they worked."""

    name: str
    url: str
    token: str
    well: bool
    remaining_seconds: float | None
    age_seconds: float | None
    renewals: int
    failed_renewals: int
    problem: str


@dataclass(frozen=True, slots=True)
class FamilyView:
    """A metric family with some of the series that were looked for, as the page of metrics has them: text, value."""

    name: str
    type: str
    help: str
    series: tuple[tuple[str, str], ...]
    found: int


@dataclass(frozen=True, slots=True)
class View:
    """All that the page shows. `now` is in Unix seconds, `sought` what the filter box holds."""

    now: float
    metrics_path: str
    queries: tuple[QueryView, ...]
    sources: tuple[SourceView, ...]
    families: tuple[FamilyView, ...]
    sought: str


def families_found(pieces: Iterable[bytes], sought: str) -> tuple[FamilyView, ...]:
    """The families of a page in the text format, with those series in whose line every word of `sought` occurs.

    `pieces` are of whole lines. Without words, the first series of each family. Cases are one.
    """
    words = [word.encode() for word in sought.lower().split()]
    found: list[FamilyView] = []
    lines: list[bytes] = []
    room, count = MAX_SERIES, 0
    name = about = kind = b""

    def finished() -> None:
        if count:
            texts = (line.decode().rpartition(" ") for line in lines)
            series = tuple((text, value) for text, _, value in texts)
            found.append(FamilyView(name.decode(), kind.decode(), about.decode(), series, count))

    for line in (line for piece in pieces for line in piece.splitlines()):
        if line.startswith(b"# HELP "):
            finished()
            name, _, about = line[7:].partition(b" ")
            lines, count = [], 0
        elif line.startswith(b"# TYPE "):
            kind = line.rpartition(b" ")[2]
        elif not words or all(word in line.lower() for word in words):
            count += 1
            if room and (words or count <= UNASKED_SERIES):
                lines.append(line)
                room -= 1
    finished()
    return tuple(found)


def status_page(view: View) -> str:
    """The HTML of the page."""
    parts = (_queries(view), _sources(view), _metrics(view))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Insights Exporter</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>Insights Exporter</h1>
<p>Version {__version__} · {_clock(view.now)}</p>
<nav>
<a href="{_escape(view.metrics_path)}">Metrics</a>
<a href="config">Configuration</a>
<a href="-/healthy">Healthy</a>
<a href="-/ready">Ready</a>
</nav>
</header>
<main>
{"".join(parts)}</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def duration_in_words(seconds: float) -> str:
    """A duration for people: `0.12 s`, `2.5 s`, `42 s`, `5 min 10 s`, `3 h 20 min`, `2 d 4 h`."""
    if seconds < 10:
        return f"{max(seconds, 0):.{2 if seconds < 1 else 1}f} s"
    whole = round(seconds)
    for unit, size, part, part_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part_size
            return f"{whole // size} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def _queries(view: View) -> str:
    failing = sum(query.up is False for query in view.queries)
    said = f"{failing} of {len(view.queries)} failing" if failing else f"all {len(view.queries)} well"
    if any(query.up is None for query in view.queries):
        said += ", some not polled yet"
    names = ("Query", "State", "Last poll", "Took", "Rows", "Series", "Next poll", "Window as sent")
    shown = (
        sorted(view.queries, key=lambda query: query.up is not False)
        if len(view.queries) > MAX_QUERIES
        else view.queries
    )
    rows = "".join(_query_rows(query, view.now, names) for query in shown[:MAX_QUERIES])
    heads = "".join(f"<th>{name}</th>" for name in names)
    return f"""<section id="queries">
<h2>Queries <small>{said}</small></h2>
<table>
<thead><tr>{heads}</tr></thead>
{rows}</table>
{_rest(len(view.queries) - MAX_QUERIES)}</section>
"""


def _query_rows(query: QueryView, now: float, names: tuple[str, ...]) -> str:
    cells = (
        f"<b>{_escape(query.name)}</b> <small>{_escape(query.source)}</small>",
        _mark(query.up) + (f" <small>{query.failing} of {query.targets} targets</small>" if query.failing else ""),
        _ago(query.polled_time, now),
        "–" if query.duration_seconds is None else duration_in_words(query.duration_seconds),
        "–" if query.rows is None else str(query.rows),
        str(query.series),
        _next(query),
        _TIME.sub(r"<time>\g<0></time>", _escape(query.window)) or "–",
    )
    row = "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(names, cells, strict=True))
    if not query.problem:
        return f"<tbody><tr>{row}</tr></tbody>\n"
    when = "" if query.up is False else f"worked again; {_ago(query.problem_time, now)}: "
    kind = "problem" if query.up is False else "past problem"
    error = f'<tr class="{kind}"><td colspan="{len(names)}">{when}{_escape(query.problem)}</td></tr>'
    return f"<tbody><tr>{row}</tr>{error}</tbody>\n"


def _mark(up: bool | None) -> str:
    if up is None:
        return '<span class="mark waiting">not polled yet</span>'
    return '<span class="mark well">well</span>' if up else '<span class="mark failing">failing</span>'


def _next(query: QueryView) -> str:
    if query.in_flight:
        return "polled now"
    if query.next_in_seconds is None:
        return "–"
    return f"in {duration_in_words(query.next_in_seconds)}"


def _sources(view: View) -> str:
    names = ("Source", "Access token", "Remaining life", "Last renewed", "Renewals")
    shown = sorted(view.sources, key=lambda source: source.well) if len(view.sources) > MAX_SOURCES else view.sources
    rows = "".join(_source_rows(source, names) for source in shown[:MAX_SOURCES])
    heads = "".join(f"<th>{name}</th>" for name in names)
    return f"""<section id="sources">
<h2>Sources</h2>
<table>
<thead><tr>{heads}</tr></thead>
{rows}</table>
{_rest(len(view.sources) - MAX_SOURCES)}</section>
"""


def _rest(count: int) -> str:
    return f'<p class="more">and {count} more; the metrics have them</p>\n' if count > 0 else ""


def _source_rows(source: SourceView, names: tuple[str, ...]) -> str:
    failed = f", {source.failed_renewals} failed" if source.failed_renewals else ""
    cells = (
        f"<b>{_escape(source.name)}</b> <small>{_escape(source.url)}</small>",
        f'<span class="mark {"well" if source.well else "failing"}">{_escape(source.token)}</span>',
        "–" if source.remaining_seconds is None else duration_in_words(source.remaining_seconds),
        "–" if source.age_seconds is None else f"{duration_in_words(source.age_seconds)} ago",
        f"{source.renewals} worked{failed}" if source.renewals or failed else "–",
    )
    row = "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(names, cells, strict=True))
    if not source.problem:
        return f"<tbody><tr>{row}</tr></tbody>\n"
    error = f'<tr class="problem"><td colspan="{len(names)}">{_escape(source.problem)}</td></tr>'
    return f"<tbody><tr>{row}</tr>{error}</tbody>\n"


def _metrics(view: View) -> str:
    shown = sum(len(family.series) for family in view.families)
    count = sum(family.found for family in view.families)
    said = f"{count} series" + (f", {shown} of them shown" if shown < count else "")
    all_ = '<a href="./#metrics">all</a>' if view.sought else ""
    return f"""<section id="metrics">
<h2>Metrics <small>{said}</small></h2>
<form action="./#metrics">
<label>Filter <input type="search" name="q" value="{_escape(view.sought)}" placeholder="words of a name or label">
</label>
<button>Find</button> {all_}
</form>
{"".join(_family_parts(view.families))}</section>
"""


def _family_parts(families: Iterable[FamilyView]) -> Iterator[str]:
    for family in families:
        if not family.series:
            continue
        more = family.found - len(family.series)
        rows = "".join(f"<tr><td>{_escape(text)}</td><td>{_escape(value)}</td></tr>\n" for text, value in family.series)
        rest = f'<p class="more">and {more} more; the filter finds them</p>\n' if more else ""
        yield f"""<article>
<h3>{_escape(family.name)} <small>{_escape(family.type)}</small></h3>
<p>{_escape(family.help)}</p>
<table class="series">
{rows}</table>
{rest}</article>
"""


def _ago(time: float | None, now: float) -> str:
    return "–" if time is None else f'<time title="{_clock(time)}">{duration_in_words(now - time)} ago</time>'


def _clock(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _escape(text: str) -> str:
    return html.escape(text, quote=True)
