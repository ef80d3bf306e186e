"""Rows of many polls that need a token at once."""

from __future__ import annotations

import threading
from typing import Any

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import eventually
from tests.support.upstream import Behaviour, Call, Upstream, answers_who_is_known, grants, when

CROWD = 100


def crowd(interval: str, timeout: str) -> dict[str, Any]:
    """A query that is polled for so many targets."""
    labels = {"number": "{{ number }}"}
    return query(
        "crowd", interval, timeout=timeout, for_each={"number": list(range(CROWD))}, labels=labels, max_calls=CROWD
    )


def held(queries: int, released: threading.Event, all_here: threading.Event) -> Behaviour:
    """Holds answers until that many requests are here and the test lets them go."""
    here = 0

    async def behaviour(call: Call) -> None:
        nonlocal here
        here += 1
        if here == queries:
            all_here.set()
        await when(released, answers_who_is_known)(call)

    return behaviour


def test_row_41_revoked_by_the_server(start: Start, upstream: Upstream) -> None:
    """The token of 50 polls that are under way is revoked: they need one new token, and none of them fails."""
    names = [f"query_{number}" for number in range(50)]
    released, all_here = threading.Event(), threading.Event()
    upstream.api.always(held(len(names), released, all_here))
    queries = [query(name, "30d", timeout="60s") for name in names]  # no second poll, however busy the machine is
    exporter = start([{**source_of(upstream), "concurrency": len(names)}], queries)
    assert all_here.wait(30), "the 50 polls did not come"
    assert len(upstream.token.journal) == 1
    upstream.revoke_all()
    released.set()
    exporter.wait_until_ready()
    assert exporter.value(f"{OWN}query_up") == len(names)
    # A request is sent once more where its kept connection was lost, as on a busy machine.
    assert 2 * len(names) <= len(upstream.api.journal) <= 2 * len(names) + 5
    assert len(upstream.token.journal) == 2
    assert exporter.value(f"{OWN}token_forced_renewals_total") == 1
    assert exporter.value(f"{OWN}poll_failures_total") is None


def test_row_58_crowd_without_a_token(start: Start, upstream: Upstream) -> None:
    """Polls that find no token, or find it expired, share one request for the next."""
    released = threading.Event()
    upstream.token.once(grants(lifetime_seconds=6, delay_seconds=0.5), when(released, grants()))
    exporter = start([{**source_of(upstream), "concurrency": CROWD}], [crowd("8s", "8s")]).wait_until_ready()
    first = [request for request in upstream.token.journal if request.at <= upstream.api.journal[0].at]
    assert len(first) == 1
    asked = len(upstream.api.journal)
    eventually(lambda: (exporter.value(f"{OWN}polls_in_flight") or 0) >= CROWD / 3, "a crowd that waits")
    assert exporter.value(f"{OWN}token_valid") == 0
    assert len(upstream.token.journal) == 2
    released.set()
    eventually(lambda: len(upstream.api.journal) >= asked + CROWD, "second round")
    assert len(upstream.token.journal) == 2
    assert exporter.value(f"{OWN}poll_failures_total") is None
