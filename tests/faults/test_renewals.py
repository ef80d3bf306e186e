"""Rows of tokens that sources share, and of renewals that nobody waits for."""

from __future__ import annotations

import time

from tests.faults.configuration import query, source, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import eventually
from tests.support.upstream import Call, Upstream, grants, status

FAILED = "the access token was not renewed"
AGAIN = "the access token is renewed again"


def test_row_91_renewal_fails_in_the_background(start: Start, upstream: Upstream) -> None:
    """A renewal that fails long before a poll does is in the log once, with its reason, and so is its end."""
    upstream.token.always(grants(lifetime_seconds=60))
    exporter = start([source_of(upstream)], [query("sound", "1s")]).wait_until_ready()
    upstream.token.always(status(503))
    eventually(lambda: len(upstream.token.journal) >= 4, "three failed renewals", 90)
    eventually(lambda: FAILED in exporter.log, "log line")
    lines = [line for line in exporter.log.splitlines() if FAILED in line and "level=warning" in line]
    assert len(lines) == 1, lines
    assert "source=api" in lines[0]
    assert "reason=http_5xx" in lines[0]
    assert exporter.value(f"{OWN}poll_failures_total") is None
    upstream.token.always(grants())
    eventually(lambda: AGAIN in exporter.log, "log line")


def test_row_105_one_live_token(start: Start, upstream: Upstream) -> None:
    """Two sources with one client do not end each other's token: they have one."""

    async def one_alive(call: Call) -> None:
        upstream.revoke_all()
        await grants(lifetime_seconds=4)(call)

    upstream.token.always(one_alive)
    other = source("other", upstream.api_url, upstream.token_url, {"client_secret": "${CANARY_SECRET}"})
    exporter = start([source_of(upstream), other], [query("sound", "500ms")]).wait_until_ready()
    began_at = time.monotonic()
    eventually(lambda: len(upstream.token.journal) >= 6, "five renewals")
    passed = time.monotonic() - began_at
    assert exporter.value(f"{OWN}poll_failures_total") is None
    assert len(upstream.token.journal) <= 2 + passed / 2
    for name in ("api", "other"):
        assert exporter.value(f"{OWN}token_valid", source=name) == 1
