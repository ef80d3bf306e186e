"""The exporter stops in any state; and what becomes of its access tokens then, and when one was stolen."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import pytest

from tests.faults.configuration import query, source_of, written
from tests.support.processes import Exporter, Process, eventually, free_port, get, http_client, post
from tests.support.upstream import (
    Behaviour,
    Call,
    Upstream,
    after,
    grants,
    oauth_error,
    revokes,
    silence,
    status,
)

STOP_SECONDS = 5.0
SECRET = "correct-horse-battery"
Start = Callable[..., Exporter]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as started:
        yield started


@pytest.fixture
def start(stack: ExitStack, upstream: Upstream, tmp_path: Path) -> Start:
    """Starts an exporter with one query on the upstream; `oauth2` are further keys of that block."""

    def start(*flags: str, interval: str = "30s", **oauth2: Any) -> Exporter:
        config = written(
            tmp_path / "config.yaml", [source_of(upstream, **oauth2)], [query("value", interval, timeout=interval)]
        )
        environ = {"CANARY_SECRET": SECRET}
        return stack.enter_context(Exporter(config, tmp_path / "log", *flags, environ=environ))

    return start


def assert_stops(exporter: Exporter) -> None:
    """It stops with exit code 0, in time, and says so without a traceback."""
    assert exporter.stopped(STOP_SECONDS) == 0
    assert "Traceback" not in exporter.log
    assert "never retrieved" not in exporter.log


# ---------------------------------------------------------------------------------------------------- in any state


def test_it_stops_while_a_poll_hangs(upstream: Upstream, start: Start) -> None:
    """An API that never answers does not hold up the end."""
    upstream.api.always(silence)
    exporter = start()
    upstream.api.wait_for(1)
    assert_stops(exporter)


def test_it_stops_while_a_renewal_hangs(upstream: Upstream, start: Start) -> None:
    """A token endpoint that never answers does not hold up the end, not even where its token would be revoked."""
    upstream.token.always(silence)
    exporter = start(revocation_url=upstream.revocation_url, revoke_on_exit=True)
    upstream.token.wait_for(1)
    assert_stops(exporter)
    assert not upstream.revocation.journal


def test_it_stops_while_a_scraper_holds_its_connection(start: Start) -> None:
    """A client that keeps its connection open, or has begun a request, does not hold up the end."""
    exporter = start().wait_until_ready()
    with http_client() as client, ExitStack() as half_open:
        client.get(f"{exporter.url}/metrics")
        for _ in range(20):
            half_open.enter_context(socket.create_connection(("127.0.0.1", exporter.port))).sendall(b"GET /metrics HT")
        assert_stops(exporter)


@pytest.mark.parametrize("line", ["listening", None], ids=["just started", "starting"])
def test_it_stops_while_it_starts(start: Start, line: str | None) -> None:
    """SIGTERM right after the start, before the first poll or before anything, is an ordinary end."""
    exporter = start()
    if line is not None:
        eventually(lambda: line in exporter.log, "line in the log")
    else:
        maps = Path(f"/proc/{exporter.popen.pid}/maps")
        eventually(lambda: "pydantic_core" in maps.read_text(), "import of the configuration's modules")
    assert_stops(exporter)


def test_a_hangup_while_it_starts_ends_nothing(start: Start) -> None:
    """SIGHUP before it can reload is passed over: the configuration is being loaded anyway."""
    exporter = start()
    maps = Path(f"/proc/{exporter.popen.pid}/maps")
    eventually(lambda: "pydantic_core" in maps.read_text(), "import of the configuration's modules")
    exporter.popen.send_signal(signal.SIGHUP)
    exporter.wait_until_ready()


def test_the_demo_ends_with_its_terminal(tmp_path: Path) -> None:
    """A demo whose terminal is closed (SIGHUP) is not left behind, nor is its simulated API. Until then its pages are
    for whom its web configuration lets in."""
    web_config, address = tmp_path / "web.yaml", f"127.0.0.1:{free_port()}"
    web_config.write_text(f'basic_auth_users: {{alice: "{bcrypt.hashpw(b"correct", bcrypt.gensalt(4)).decode()}"}}')
    flags = [f"--web.listen-address={address}", f"--web.config.file={web_config}"]
    with Process([sys.executable, "-m", "exporter", "demo", *flags], tmp_path / "log") as demo:
        eventually(lambda: "polling" in demo.log, "demo")
        assert get(f"http://{address}/metrics").status_code == 401
        assert get(f"http://{address}/metrics", auth=("alice", "correct")).status_code == 200
        demo.popen.send_signal(signal.SIGHUP)
        assert demo.popen.wait(30) == 0
    assert "Traceback" not in demo.log


# ------------------------------------------------------------------------------------------------------- revocation


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        (revokes, None),
        (status(503), "the revocation endpoint answered 503"),
        (silence, "no whole answer within 2 s"),
        (oauth_error("unsupported_token_type"), "unsupported_token_type: the server's own words"),
    ],
    ids=["200", "503", "hang", "400"],
)
def test_a_token_is_revoked_at_the_end(
    upstream: Upstream, start: Start, behaviour: Behaviour, cause: str | None
) -> None:
    """With `revoke_on_exit` exactly one request revokes the token, and however that ends, so does the exporter, which
    says why it was not confirmed."""
    upstream.revocation.always(behaviour)
    exporter = start(revocation_url=upstream.revocation_url, revoke_on_exit=True).wait_until_ready()
    assert_stops(exporter)
    (request,) = upstream.revocation.journal
    assert request.form["token"] == "token-1"
    assert ("the access token was revoked" in exporter.log) == (cause is None)
    assert ("the revocation of the access token was not confirmed" in exporter.log) == (cause is not None)
    assert (cause or "") in exporter.log
    assert "token-1" not in exporter.log


def test_a_token_is_not_revoked_unless_that_is_configured(upstream: Upstream, start: Start) -> None:
    """By default the token outlives the exporter: a replica may have been given the same one."""
    assert_stops(start(revocation_url=upstream.revocation_url).wait_until_ready())
    assert not upstream.revocation.journal


def test_a_token_that_is_on_its_way_is_revoked_too(upstream: Upstream, start: Start) -> None:
    """At a stop in the middle of a renewal, the token that still arrives is revoked."""
    upstream.token.always(grants(delay_seconds=0.7))
    exporter = start(revocation_url=upstream.revocation_url, revoke_on_exit=True)
    upstream.token.wait_for(1)
    assert_stops(exporter)
    assert [request.form["token"] for request in upstream.revocation.journal] == ["token-1"]


# ---------------------------------------------------------------------------------------------------- a stolen token


async def same_token_until_revoked(call: Call) -> None:
    """As the real service does it: the same token again as long as it is valid."""
    valid = next(iter(call.upstream.granted), None)
    await grants(text=valid)(call)


def test_a_running_exporter_replaces_its_token(upstream: Upstream, start: Start) -> None:
    """`POST /-/renew-token` revokes the token and takes another, without losing a poll; polls wait meanwhile."""
    upstream.token.always(same_token_until_revoked)
    upstream.revocation.always(after(1, revokes))
    exporter = start("--web.enable-lifecycle", interval="5s", revocation_url=upstream.revocation_url).wait_until_ready()
    for number in (1, 2):
        answer = httpx.post(f"{exporter.url}/-/renew-token", timeout=30)
        assert (answer.status_code, answer.text) == (200, "api: the token was revoked, and another is in use\n")
        assert upstream.revocation.journal[-1].form["token"] == f"token-{number}"
        polls = len(upstream.api.journal)
        upstream.api.wait_for(polls + 2)
        assert upstream.api.journal[-1].bearer == f"token-{number + 1}"
    assert len(upstream.token.journal) == 3
    assert exporter.value("insights_exporter_poll_failures_total") is None
    assert exporter.value("insights_exporter_token_forced_renewals_total") == 0
    assert "token-1" not in exporter.log
    assert get(f"{exporter.url}/-/renew-token").status_code == 405


def test_a_token_that_cannot_be_revoked_stays(upstream: Upstream, start: Start) -> None:
    """Where the revocation is not confirmed, the answer says so, and polls go on with the token that there is."""
    upstream.revocation.always(status(503))
    exporter = start("--web.enable-lifecycle", interval="1s", revocation_url=upstream.revocation_url).wait_until_ready()
    answer = httpx.post(f"{exporter.url}/-/renew-token", timeout=30)
    assert answer.status_code == 502
    assert "api: the revocation was not confirmed" in answer.text
    assert "http_5xx: the revocation endpoint answered 503" in answer.text
    upstream.api.wait_for(len(upstream.api.journal) + 2)
    assert len(upstream.token.journal) == 1
    assert exporter.value("insights_exporter_query_up") == 1


def test_a_revoked_token_without_another_is_told(upstream: Upstream, start: Start) -> None:
    """Where no other token can be had, the answer says that the old one was revoked, and why there is no other."""
    exporter = start("--web.enable-lifecycle", revocation_url=upstream.revocation_url).wait_until_ready()
    upstream.token.always(oauth_error("invalid_client", code=401))
    answer = httpx.post(f"{exporter.url}/-/renew-token", timeout=30)
    assert answer.status_code == 502
    assert "revoked, but there is no other yet: invalid_client" in answer.text


def test_renewing_needs_the_flag_and_an_endpoint(upstream: Upstream, start: Start) -> None:
    """Without `--web.enable-lifecycle` it is forbidden, without `revocation_url` the answer says what lacks."""
    answer = post(f"{start().wait_until_ready().url}/-/renew-token")
    assert answer.status_code == 403
    assert "--web.enable-lifecycle" in answer.text
    answer = post(f"{start('--web.enable-lifecycle').wait_until_ready().url}/-/renew-token")
    assert answer.status_code == 502
    assert "revocation_url" in answer.text
    assert len(upstream.token.journal) == 2
