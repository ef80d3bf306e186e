"""Rows of failures that last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import eventually
from tests.support.upstream import Behaviour, Upstream, answer, close, raw, reply, reset, silence, status

INTERVALS: Final = 20
GOOD: Final = answer({"data": {"value": 1}})
FAILURES: Final[dict[str, Behaviour]] = {
    "busy": status(503),
    "forbidden": status(403),
    "gone": status(404),
    "refused": answer({"data": None, "errors": [{"message": "no"}]}),
    "cut": reset,
    "closed": close,
    "silent": silence,
    "garbage": reply(b"{"),
    "greeting": raw(b"SSH-2.0\r\n"),
    "shapeless": answer({"data": {"value": [1, 2]}}),
}


def test_row_88_failure_that_lasts(start: Start, start_upstream: Callable[[], Upstream]) -> None:
    """Over twenty intervals, an API that fails gets no more requests than one that works, whatever the failure is."""
    upstreams = {name: start_upstream() for name in ("sound", *FAILURES)}
    for name, upstream in upstreams.items():
        upstream.api.always(FAILURES.get(name, GOOD))
    sources = [source_of(upstream, name) for name, upstream in upstreams.items()]
    queries = [query(name, "1s", timeout="900ms", sources=[name]) for name in upstreams]
    exporter = start(sources, queries)
    sound = upstreams["sound"].api.journal
    eventually(lambda: len(sound) >= INTERVALS, "polls of the sound API", 90)
    times = {name: [request.at for request in upstreams[name].api.journal] for name in FAILURES}
    often = {name: (len(at), at[-1] - at[0]) for name, at in times.items() if len(at) > at[-1] - at[0] + 2}
    assert often == {}, "one request a second, as a sound API has, and one more for a first tick that is late"
    assert {name: len(at) for name, at in times.items() if len(at) < len(sound) / 4} == {}
    failed = {labels["source"] for labels, value in exporter.samples(f"{OWN}poll_failures_total") if value}
    assert failed >= set(FAILURES)
