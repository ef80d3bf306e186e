"""What the status page says at its head."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from exporter.telemetry.recent_polls import RecentPolls
from exporter.web.verdict import verdict
from exporter.web.view import QueryView, SourceView, View

NOW = 1_795_478_400.0
GOOD = QueryView(
    "orders",
    "acme",
    up=True,
    targets=1,
    failing=0,
    polled_time=NOW - 5,
    success_time=NOW - 5,
    duration_seconds=0.2,
    recent=RecentPolls(),
    rows=3,
    series=3,
    in_flight=0,
    next_in_seconds=55.0,
    paused_until_time=None,
    feeder="",
    window=None,
    problem="",
    problem_time=None,
    remedy="",
)
BAD = replace(GOOD, name="bad", up=False, problem="timeout: late", success_time=NOW - 600, remedy="Wait.")
SOURCE = SourceView(
    "acme",
    "https://api.example/",
    token="valid",
    well=True,
    remaining_seconds=60.0,
    age_seconds=5.0,
    renewals=1,
    failed_renewals=0,
    paused_until_time=None,
    problem="",
    remedy="",
)
REFUSED = replace(SOURCE, well=False, problem="invalid_client: refused", remedy="Copy both again.")
PAUSED = replace(SOURCE, paused_until_time=NOW + 60)


def view(queries: list[QueryView], sources: list[SourceView] | None = None) -> View:
    return View(NOW, "1.0", "metrics", tuple(queries), tuple(sources or [SOURCE]), (), sought="", refresh=False)


@pytest.mark.parametrize(
    ("queries", "sources", "mark", "headline"),
    [
        ([GOOD], [SOURCE], "well", "All is well"),
        ([GOOD, BAD], [SOURCE], "failing", "1 of 2 queries fails"),
        ([GOOD, BAD, BAD], [SOURCE], "failing", "2 of 3 queries fail"),
        ([BAD], [SOURCE], "failing", "The query fails"),
        ([BAD, BAD], [PAUSED], "failing", "All 2 queries fail"),
        ([GOOD], [REFUSED], "failing", "No access token for acme"),
        ([GOOD], [REFUSED, REFUSED, REFUSED], "failing", "No access token for acme and 2 more"),
        ([GOOD], [PAUSED], "waiting", "acme asked for a pause"),
        ([replace(GOOD, up=None)], [PAUSED], "waiting", "acme asked for a pause"),
        ([GOOD, replace(GOOD, up=None)], [SOURCE], "waiting", "1 of 2 queries is not polled yet"),
    ],
)
def test_the_first_line_says_whether_all_is_well(
    queries: list[QueryView], sources: list[SourceView], mark: str, headline: str
) -> None:
    """A failure outweighs a pause, and a pause a query that was not polled yet."""
    found = verdict(view(queries, sources))
    assert (found.mark, found.headline) == (mark, headline)


def test_queries_with_the_same_problem_are_one_cause() -> None:
    """One cause is said once, with every query that it stops, and when the last of them worked."""
    other = replace(BAD, name="other", success_time=NOW - 300)
    apart = replace(BAD, name="apart", problem="dns: no such host")
    one, two = verdict(view([BAD, other, apart])).troubles
    assert [query.name for query in one.queries] == ["bad", "other"]
    assert (one.success_time, one.series) == (NOW - 300, 6)
    assert [query.name for query in two.queries] == ["apart"]
    (never,) = verdict(view([BAD, replace(other, success_time=None)])).troubles
    assert never.success_time is None


def test_queries_without_a_token_stand_with_their_source() -> None:
    """What waits for an access token is named under its source, and no second time."""
    waits = replace(BAD, problem="token: no access token within 10 s")
    refused = replace(BAD, name="refused", problem=REFUSED.problem)
    elsewhere = replace(waits, name="elsewhere", source="other")
    one, two = verdict(view([waits, refused, elsewhere], [REFUSED])).troubles
    assert one.source is REFUSED
    assert [query.name for query in one.queries] == ["bad", "refused"]
    assert [query.name for query in two.queries] == ["elsewhere"]
