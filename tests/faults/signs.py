"""How a fault shows: each sign fails by assertion until the evidence has what it promises."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.experiment import Evidence, Sign
from tests.support.upstream import Request


def every(*signs: Sign) -> Sign:
    """All of them."""

    def sign(seen: Evidence) -> None:
        for one in signs:
            one(seen)

    return sign


def fails(reason: str) -> Sign:
    """Polls fail with this reason and no other; the last good values stay on the page."""

    def sign(seen: Evidence) -> None:
        reasons = {labels["reason"] for labels, _ in seen.now.samples("insights_exporter_poll_failures_total",
                                                                        query=seen.case.name)}  # fmt: skip
        assert reasons <= {reason}, f"failures for {reasons}"
        failures = seen.grown("poll_failures_total", reason=reason)
        assert failures >= seen.place.pace.rounds, f"{failures:g} failures"
        assert seen.total("query_up") == 0, "the query is said to be up"
        assert seen.kept, "the last good values are not there any more"

    return sign


def first_fails(reason: str, then: str = "token") -> Sign:
    """Polls fail with this reason, later with another: when the token has expired as well."""

    def sign(seen: Evidence) -> None:
        found = seen.now.samples("insights_exporter_poll_failures_total", query=seen.case.name)
        reasons = {labels["reason"] for labels, _ in found}
        assert reasons <= {reason, then}, f"failures for {reasons}"
        assert seen.grown("poll_failures_total", reason=reason) >= 1, f"no failure for {reason}"
        assert seen.kept, "the last good values are not there any more"

    return sign


def renewals_fail(reason: str) -> Sign:
    """Renewals fail with this reason and no other."""

    def sign(seen: Evidence) -> None:
        found = seen.now.samples("insights_exporter_token_renewals_total", source=seen.case.source_name)
        reasons = {labels["reason"] for labels, _ in found if labels["result"] == "error"}
        assert reasons <= {reason}, f"renewals failed for {reasons}"
        assert seen.grown("token_renewals_total", result="error") >= 1, "no renewal failed"

    return sign


def goes_on(seen: Evidence) -> None:
    """Polls succeed as if nothing had happened."""
    assert seen.total("poll_failures_total") == 0, "a poll failed"
    polls = seen.grown("polls_total")
    assert polls >= 1 + seen.place.pace.rounds, f"{polls:g} polls so far"
    assert seen.total("query_up") == 1


def publishes(*values: tuple[dict[str, str], float]) -> Sign:
    """These series are what the query publishes."""

    def sign(seen: Evidence) -> None:
        found = sorted(seen.series, key=repr)
        assert found == sorted(values, key=repr), f"it publishes {repr(found)[:300]}"

    return sign


def shows(name: str, holds: Callable[[float], bool], **labels: str) -> Sign:
    """A metric of the query or the source has a value of which this holds."""

    def sign(seen: Evidence) -> None:
        value = seen.total(name, **labels)
        assert holds(value), f"{name} is {value:g}"

    return sign


def grows(name: str, *, by: float = 1, at_most: float | None = None, **labels: str) -> Sign:
    """A counter of the query or the source has grown by so much, and by no more than that."""

    def sign(seen: Evidence) -> None:
        grown = seen.grown(name, **labels)
        assert grown >= by, f"{name} has grown by {grown:g} only"
        assert at_most is None or grown <= at_most, f"{name} has grown by {grown:g}"

    return sign


def asked(*, at_most_per_poll: int) -> Sign:
    """The API had no more requests than that for each poll (and one poll that is under way)."""

    def sign(seen: Evidence) -> None:
        polls = seen.grown("polls_total") + 1
        assert len(seen.requests) <= at_most_per_poll * polls, f"{len(seen.requests)} requests for {polls:g} polls"

    return sign


def left_alone(*, intervals: float, less_seconds: float = 0.05) -> Sign:
    """The API was asked again after the fault's first answer, and not before so many intervals."""
    return lambda seen: _left_alone(seen.requests, intervals * seen.place.pace.interval_seconds - less_seconds)


def token_endpoint_left_alone(*, intervals: float) -> Sign:
    """The same of the token endpoint."""
    return lambda seen: _left_alone(seen.token_requests, intervals * seen.place.pace.interval_seconds - 0.05)


def _left_alone(requests: list[Request], seconds: float) -> None:
    assert len(requests) >= 2, "it was not asked again yet"
    first, second = (request.at for request in requests[:2])
    assert second - first >= seconds, f"asked again after {second - first:.2f} s"


def ever(sign: Sign) -> Sign:
    """It was seen once; it need not last."""
    seen_by: set[str] = set()

    def latched(seen: Evidence) -> None:
        if seen.case.name not in seen_by:
            sign(seen)
            seen_by.add(seen.case.name)

    return latched


def expires_in(seconds: float) -> Sign:
    """A token was granted that expires about so many seconds later, and polls go on."""

    def near(seen: Evidence) -> None:
        left = seen.total("token_expiry_timestamp_seconds") - time.time()
        since_the_fault = time.monotonic() - seen.begun_at
        assert -30 <= seconds - left <= since_the_fault + 30, f"the token expires in {left:.0f} s"

    return every(goes_on, grows("token_renewals_total", result="ok"), near)


def hears_nothing(seen: Evidence) -> None:
    """The server had no request since the fault began."""
    requests = len(seen.requests) + len(seen.token_requests)
    assert requests == 0, f"{requests} requests were sent"


def elsewhere_hears_nothing(seen: Evidence) -> None:
    """The server that the redirect leads to had no connection."""
    assert seen.place.notes["elsewhere"].connections == 0, "the redirect was followed"
