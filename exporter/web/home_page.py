"""The page for people of a running exporter: what is known of its queries and sources, and the page of that."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from msgspec.structs import replace

from exporter.config.confidential import shown_url
from exporter.exposition import Format
from exporter.model.errors import Reason
from exporter.model.program_version import program_version
from exporter.model.window import iso_text
from exporter.plan.plan import QueryPlan
from exporter.polling.polling import Polling
from exporter.polling.status import QueryStatus, SourceStatus, query_statuses, source_statuses
from exporter.series.store import State
from exporter.telemetry.counts import Counts
from exporter.telemetry.recent_polls import RecentPolls
from exporter.web.found_series import families_found
from exporter.web.messages import Answer
from exporter.web.remedies import REMEDIES
from exporter.web.status_page import MAX_SOUGHT, SCRIPT, STYLE, status_page
from exporter.web.view import QueryView, SourceView, View, WindowView


def home_page(
    polling: Polling, counts: Counts, censor: Callable[[str], str], telemetry_path: str, sought: str, *, refresh: bool
) -> Callable[[], Answer]:
    """What renders the page of this moment, in any thread, with the series that the filter `sought` finds."""
    sought, now = sought[:MAX_SOUGHT], time.time()
    sources = tuple(_source_view(status, now, censor) for status in source_statuses(polling))
    pauses = {source.name: source.paused_until_time for source in sources}
    queries = tuple(
        _query_view(status, _recent(counts, status), pauses[status.source], censor)
        for status in query_statuses(polling)
    )
    pieces = polling.store.page().raw(Format.TEXT)

    def render() -> Answer:
        families = families_found(pieces, sought)
        path = telemetry_path.removeprefix("/")
        view = View(now, program_version(), path, queries, sources, families, sought, refresh)
        return html_answer(status_page(view), styles=[STYLE], scripts=[SCRIPT])

    return render


def _recent(counts: Counts, status: QueryStatus) -> RecentPolls:
    return counts.of(status.query.name, status.source).recent.copy()


def _query_view(
    status: QueryStatus, recent: RecentPolls, paused_until_time: float | None, censor: Callable[[str], str]
) -> QueryView:
    query, latest, worst = status.query, status.latest, status.worst
    problem, up = "" if worst is None else censor(worst.problem), not status.failing if status.tried else None
    failure = None if worst is None else worst.failure
    if status.needs_too_many_calls:
        consequence = "the old targets stay" if status.targets else "nothing is polled"
        problem, up = f"more calls are needed than max_calls ({query.max_calls}) allows; {consequence}", False
        failure = Reason.FAN_OUT
    return QueryView(
        query.name,
        status.source,
        up,
        targets=status.targets,
        failing=len(status.failing),
        polled_time=latest.polled_time if latest is not None else None,
        success_time=status.success_time,
        duration_seconds=latest.duration_seconds if latest is not None else None,
        recent=recent,
        rows=status.row_count if query.rows is not None else None,
        series=status.series,
        in_flight=status.in_flight,
        next_in_seconds=status.next_in_seconds,
        paused_until_time=paused_until_time,
        feeder=query.feeder or "",
        window=_window_view(query, latest),
        problem=problem,
        problem_time=None if worst is None else worst.problem_time,
        remedy="" if failure is None else REMEDIES[failure],
    )


def _window_view(query: QueryPlan, state: State | None) -> WindowView | None:
    if state is None or state.window_end_time is None or state.window_seconds is None:
        return None
    start_time, since = state.window_end_time - state.window_seconds, state.period_start_time
    texts = (_as_sent(query, start_time), _as_sent(query, state.window_end_time))
    return WindowView(*texts, counters_since="" if since is None else _as_sent(query, since))


def _as_sent(query: QueryPlan, unix_time: float) -> str:
    return iso_text(datetime.fromtimestamp(unix_time, UTC).astimezone(query.zone))


def _source_view(status: SourceStatus, now: float, censor: Callable[[str], str]) -> SourceView:
    source, token = status.source, status.token
    view = SourceView(
        source.name,
        censor(shown_url(source.url)),
        token="none is needed" if source.authorization is None and source.basic_auth is None else "no OAuth 2.0",
        well=True,
        remaining_seconds=None,
        age_seconds=None,
        renewals=0,
        failed_renewals=0,
        paused_until_time=now + status.pause_seconds if status.pause_seconds > 0 else None,
        problem="",
        remedy="",
    )
    if token is None:
        return view
    failure, unused = token.last_failure, not token.wanted or not token.renewals
    said = "refused" if token.blocked else "valid" if token.valid else "none yet" if unused else "none"
    return replace(
        view,
        token=said,
        well=token.valid or not token.wanted,
        remaining_seconds=None if token.expiry_time is None else max(0.0, token.expiry_time - now),
        age_seconds=token.age_seconds,
        renewals=sum(count for (result, _), count in token.renewals.items() if result == "ok"),
        failed_renewals=sum(count for (result, _), count in token.renewals.items() if result != "ok"),
        problem="" if failure is None else censor(f"{failure.reason}: {failure.detail}"),
        remedy="" if failure is None else REMEDIES[failure.reason],
    )


def html_answer(page: str, *, styles: Iterable[str] = (), scripts: Iterable[str] = ()) -> Answer:
    """A page with no other styles and scripts than these. It loads nothing from elsewhere; its scripts may load the
    exporter's own pages."""
    policy = (
        "default-src 'none'",
        *(f"{kind} {' '.join(map(_hash_source, texts))}" for kind, texts in _sources_of(styles, scripts)),
        *(["connect-src 'self'"] if scripts else []),
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
    fields = (
        ("content-security-policy", "; ".join(policy)),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    )
    return Answer.of(page.encode("utf-8", "replace"), "text/html; charset=utf-8", fields=fields)


def _sources_of(styles: Iterable[str], scripts: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
    pairs = (("style-src", tuple(styles)), ("script-src", tuple(scripts)))
    return [(kind, texts) for kind, texts in pairs if texts]


def _hash_source(text: str) -> str:
    """How a policy names an inline style or script (CSP Level 3 §2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
