"""Rows of the end: whatever goes on, SIGTERM ends it soon and well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.configuration import query, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import Exporter, eventually
from tests.support.upstream import Behaviour, Upstream, endless, oauth_error, reply, revokes, silence, status

BOUND_SECONDS = 7.0  # five are promised; machines that run tests stand still for two now and then


def stopped(exporter: Exporter) -> None:
    """Stops it, and fails unless it ends well and in time, without a traceback."""
    begun_at = time.monotonic()
    assert exporter.stopped(30) == 0, exporter.log[-2000:]
    assert time.monotonic() - begun_at <= BOUND_SECONDS
    assert "Traceback" not in exporter.log


def started(start: Start, upstream: Upstream, **oauth2: Any) -> Exporter:
    return start([source_of(upstream, **oauth2)], [query("sound", "1s"), query("hung", "30s", timeout="30s")])


def hung_poll(start: Start, upstream: Upstream) -> Exporter:
    """A poll whose answer never comes."""
    upstream.operation("hung").always(silence)
    exporter = started(start, upstream)
    upstream.operation("hung").wait_for(1)
    return exporter


def endless_answer(start: Start, upstream: Upstream) -> Exporter:
    """A poll whose answer never ends."""
    upstream.operation("hung").always(endless(b"HTTP/1.1 100 Continue\r\n\r\n", pause_seconds=0.01))
    exporter = started(start, upstream)
    upstream.operation("hung").wait_for(1)
    return exporter


def hung_renewal(start: Start, upstream: Upstream) -> Exporter:
    """A token request that is never answered."""
    upstream.token.always(silence)
    exporter = started(start, upstream)
    upstream.token.wait_for(1)
    eventually(lambda: exporter.value(f"{OWN}token_valid") == 0, "page")
    return exporter


def hung_revocation(start: Start, upstream: Upstream) -> Exporter:
    """A revocation endpoint that never answers."""
    upstream.revocation.always(silence)
    more = {"revocation_url": upstream.revocation_url, "revoke_on_exit": True}
    exporter = started(start, upstream, **more)
    exporter.wait_until_ready()
    return exporter


@pytest.mark.parametrize("state", [hung_poll, endless_answer, hung_renewal, hung_revocation])
def test_row_76_stop_in_any_state(
    state: Callable[[Start, Upstream], Exporter], start: Start, upstream: Upstream
) -> None:
    """SIGTERM ends the exporter with exit code 0 within five seconds, whatever it waits for."""
    stopped(state(start, upstream))


REVOCATIONS: dict[str, Behaviour] = {
    "200": revokes,
    "503": status(503),
    "400": oauth_error("unsupported_token_type"),
    "garbage": reply(b"\0"),
}


@pytest.mark.parametrize("behaviour", [*REVOCATIONS.values(), silence], ids=[*REVOCATIONS, "silence"])
def test_row_77_revocation_at_the_end(behaviour: Behaviour, start: Start, upstream: Upstream) -> None:
    """With revoke_on_exit the token is revoked once, and the end is the same whatever the endpoint answers."""
    upstream.revocation.always(behaviour)
    more = {"revocation_url": upstream.revocation_url, "revoke_on_exit": True}
    exporter = started(start, upstream, **more).wait_until_ready()
    eventually(lambda: exporter.value(f"{OWN}query_up") == 2, "good start")
    (token,) = upstream.granted
    stopped(exporter)
    (request,) = upstream.revocation.journal
    assert request.form["token"] == token


def test_row_77_revocation_at_the_end_unless_asked_for(start: Start, upstream: Upstream) -> None:
    """Without revoke_on_exit nothing is revoked: another replica may share the token."""
    exporter = started(start, upstream, revocation_url=upstream.revocation_url).wait_until_ready()
    stopped(exporter)
    assert not upstream.revocation.journal
