"""Rows of tokens that sources share, of renewals that nobody waits for, and of what the log says of failures."""

from __future__ import annotations

import html
import time

import pytest

from tests.faults.configuration import query, source, source_of
from tests.faults.conftest import Start
from tests.faults.invariants import OWN
from tests.support.processes import eventually, get
from tests.support.upstream import Behaviour, Call, Upstream, answer, grants, in_turn, oauth_error, reply, status

FAILED = "the access token was not renewed"
AGAIN = "the access token is renewed again"


def test_row_91_renewal_fails_in_the_background(start: Start, upstream: Upstream) -> None:
    """A renewal that fails long before a poll does is in the log once, with its reason, and so is its end."""
    upstream.token.always(grants(lifetime_seconds=60))
    exporter = start([source_of(upstream)], [query("sound", "2s")]).wait_until_ready()
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


SCOPE = 'Bearer error="insufficient_scope", error_description="scope \\"insights\\" is missing"'
WORDS: dict[str, tuple[Behaviour, str]] = {
    "graphql_200": (answer({"errors": [{"message": "no field x", "extensions": {"code": "E1"}}]}), "no field x [E1]"),
    "graphql_422": (answer({"errors": [{"message": "no field x"}]}, code=422), "the API answered 422: no field x"),
    "graphql_500": (answer({"errors": [{"message": "out of order"}]}, code=500), "the API answered 500: out of order"),
    "challenge": (reply(code=403, headers={"www-authenticate": SCOPE}), "insufficient_scope: scope"),
    "gateway": (answer({"fault": {"message": "Blocked", "code": 900907}}, code=403), "900907: Blocked"),
}


@pytest.mark.parametrize("kind", WORDS)
def test_row_90_servers_words(kind: str, start: Start, upstream: Upstream) -> None:
    """What the API says of its refusal is in the log, and on the page."""
    behaviour, words = WORDS[kind]
    upstream.api.always(behaviour)
    exporter = start([source_of(upstream)], [query("sound", "2s")]).wait_until_ready()
    eventually(lambda: words in exporter.log, "the API's words")
    assert words in html.unescape(get(exporter.url).text)


def test_row_90_servers_words_at_the_token_endpoint(start: Start, upstream: Upstream) -> None:
    """What the token endpoint says is in the log, and on the page."""
    upstream.token.always(oauth_error("invalid_scope"))
    exporter = start([source_of(upstream)], [query("sound", "2s")]).wait_until_ready()
    words = "invalid_scope: the server's own words"
    eventually(lambda: words in exporter.log, "the endpoint's words")
    assert words in html.unescape(get(exporter.url).text)


def test_row_105_one_live_token(start: Start, upstream: Upstream) -> None:
    """Two sources with one client do not end each other's token: they have one."""

    async def one_alive(call: Call) -> None:
        upstream.revoke_all()
        await grants(lifetime_seconds=4)(call)

    upstream.token.always(one_alive)
    other = source("other", upstream.api_url, upstream.token_url, {"client_secret": "${CANARY_SECRET}"})
    exporter = start([source_of(upstream), other], [query("sound", "2s")]).wait_until_ready()
    granted = [request.at for request in upstream.token.wait_for(6)]
    assert exporter.value(f"{OWN}poll_failures_total") is None
    assert len(granted) <= 2 + (granted[-1] - granted[0]) / 2
    for name in ("api", "other"):
        assert exporter.value(f"{OWN}token_valid", source=name) == 1


@pytest.mark.long  # a minute, as the limit is one of lines a minute
def test_row_92_noisy_targets(start: Start, upstream: Upstream) -> None:
    """However many targets fail, and for however many reasons, a source has ten lines a minute, and the count."""
    upstream.api.always(in_turn([status(500), status(404), answer({"data": None, "errors": [{"message": "no"}]})]))
    noisy = query(
        "noisy",
        "2s",
        for_each={"n": list(range(300))},
        labels={"n": "{{ n }}"},
        document="query noisy($n: Int) { value(n: $n) }",
        variables={"n": "{{ n }}"},
        stale_after="10m",
    )
    exporter = start([{**source_of(upstream), "concurrency": 100}], [noisy]).wait_until_ready()
    began_at = time.monotonic()
    eventually(lambda: "lines_left_out=" in exporter.log, "count of what was left out", 90)
    minutes = 2 + (time.monotonic() - began_at) // 60
    failures = exporter.value(f"{OWN}poll_failures_total", reason="http_5xx") or 0
    assert failures > 300
    told = [line for line in exporter.log.splitlines() if "source=api" in line and "level=debug" not in line]
    assert 10 < len(told) <= 10 * minutes, len(told)
    (count,) = (line for line in told if "lines_left_out=" in line)
    assert int(count.rpartition("lines_left_out=")[2].split()[0]) > 600
