"""Connections: kept, repeated once, never leaked; proxies."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.config.credentials import TLSConfig
from exporter.model.errors import Reason, UpstreamFailure
from exporter.upstream.memory import AnswerMemory, NoMemory
from exporter.upstream.transport import Transport
from tests.support.processes import free_port
from tests.support.upstream import (
    HEAD,
    Call,
    Proxy,
    Upstream,
    after,
    answer,
    close,
    raw,
    reply,
    reset,
    server_context,
    silence,
    status,
    when,
)
from tests.support.wiring import Clock, failure_of, post, until, wired
from tests.upstream.conftest import LOOPS

OK = answer({"data": {"value": 1}})


def test_polls_share_a_connection(upstream: Upstream) -> None:
    """One poll after the other needs one connection, not one each."""

    async def polls() -> None:
        async with wired(upstream) as wire:
            for _ in range(5):
                await wire.execute()
        assert {request.connection for request in upstream.api.journal} == {upstream.connections}
        await until(lambda: upstream.open_connections == 0)

    asyncio.run(polls())


@pytest.mark.parametrize("ending", ["closed while idle", "reset while idle", "closed on use", "reset on use"])
def test_a_kept_connection_that_is_gone_is_not_noticed(upstream: Upstream, ending: str) -> None:
    """Rows 8 and 11: an API that ends idle connections fails no poll; the request is repeated once, at once."""

    async def polls() -> None:
        async with wired(upstream) as wire:
            await wire.execute()
            if ending.endswith("idle"):
                upstream.close_connections(reset=ending.startswith("reset"))
            else:
                upstream.api.once(reset if ending.startswith("reset") else close)
            await wire.execute()
            repeated = ending.endswith("use")
            assert len(upstream.api.journal) == (3 if repeated else 2)
            assert wire.transport.requests_by_code == ({"200": 2, "error": 1} if repeated else {"200": 2})

    asyncio.run(polls())


def test_a_request_is_repeated_once_and_no_more(upstream: Upstream) -> None:
    """Row 8: what is reset on a new connection too is a failure; the next poll is for the back-off to decide."""

    async def polls() -> None:
        async with wired(upstream) as wire:
            await wire.execute()
            upstream.api.always(reset)
            assert (await failure_of(wire.execute())).reason is Reason.RESET
            assert len(upstream.api.journal) == 3
            assert (await failure_of(wire.execute())).reason is Reason.RESET
            assert len(upstream.api.journal) == 4

    asyncio.run(polls())


@pytest.mark.parametrize("part", [HEAD, HEAD + b"content-length: 9\r\n\r\n{"], ids=["in the head", "in the body"])
def test_an_answer_that_has_begun_is_not_asked_for_again(upstream: Upstream, part: bytes) -> None:
    """Row 9: only a request that had no answer at all is repeated."""

    async def polls() -> None:
        async with wired(upstream) as wire:
            await wire.execute()
            upstream.api.once(raw(part, then=reset))
            await failure_of(wire.execute())
            assert len(upstream.api.journal) == 2

    asyncio.run(polls())


def test_what_follows_an_answer_does_not_become_the_next_one(upstream: Upstream) -> None:
    """A second answer that nobody asked for is not taken for the answer to the next request."""

    async def polls() -> None:
        async with wired(upstream) as wire:
            await wire.execute()
            before = upstream.connections
            more = HEAD + b"content-length: 20\r\n\r\n" + b'{"data":{"value":2}}'
            upstream.api.once(raw(HEAD + b"content-length: 20\r\n\r\n" + b'{"data":{"value":1}}' + more, then=silence))
            await wire.execute()
            assert (await wire.execute()).data == {"value": 1}
            assert upstream.connections == before + 1

    asyncio.run(polls())


@LOOPS
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_a_thousand_cancelled_requests_leave_no_trace(loop: Any, secure: bool) -> None:
    """However many polls are cancelled, and whenever: the next ones work, and no connection stays behind."""
    authority = trustme.CA()
    chance = random.Random(7)

    async def polls(upstream: Upstream, transport: Transport) -> None:
        cancelled = 0

        async def cut() -> None:
            nonlocal cancelled
            task = asyncio.create_task(post(transport, upstream.api_url))
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random() * 0.006)
            cancelled += task.cancel()
            await asyncio.wait([task])

        while cancelled < 1000:
            await asyncio.gather(*(cut() for _ in range(20)))
        assert await asyncio.gather(*(post(transport, upstream.api_url) for _ in range(12))) == [200] * 12
        await until(lambda: upstream.open_connections <= 4)
        await transport.close()
        await until(lambda: upstream.open_connections == 0)

    tls = server_context(authority, "127.0.0.1") if secure else None
    with (
        Upstream(tls=tls) as upstream,
        authority.cert_pem.tempfile() as ca_file,
        asyncio.Runner(loop_factory=loop) as runner,
    ):
        upstream.api.always(after(0.002, OK))
        transport = Transport(max_connections=4, tls=TLSConfig(ca_file=Path(ca_file)))
        runner.run(polls(upstream, transport))


def test_no_connection_is_older_than_five_minutes(upstream: Upstream) -> None:
    """Row 84: a name that moves while the old server answers well is followed within five minutes."""
    clock = Clock()

    async def polls() -> None:
        transport = Transport(monotonic=clock.monotonic)
        for _ in range(4):
            await post(transport, upstream.api_url)
            clock.advance(99)
        assert upstream.connections == 1
        clock.advance(4)
        await post(transport, upstream.api_url)
        assert upstream.connections == 2
        clock.advance(60)
        upstream.api.once(after(0.01, lambda call: _aged(clock, call)))
        await post(transport, upstream.api_url)
        await until(lambda: upstream.open_connections == 0)
        await transport.close()

    asyncio.run(polls())


async def _aged(clock: Clock, call: Call) -> None:
    """An answer during which the connection grows too old."""
    clock.advance(300)
    await OK(call)


@pytest.mark.parametrize("code", [500, 502, 503, 504, 421])
def test_all_connections_are_given_up_when_the_server_seems_wrong(upstream: Upstream, code: int) -> None:
    """Row 84: after 5xx and 421 the next request looks the name up, also where others had a good connection."""
    clock = Clock()

    async def polls() -> None:
        transport = Transport(monotonic=clock.monotonic)
        upstream.api.always(after(0.05, OK))
        await asyncio.gather(*(post(transport, upstream.api_url) for _ in range(5)))
        assert upstream.connections == 5
        clock.advance(6)
        upstream.api.once(status(code))
        assert await post(transport, upstream.api_url) == code
        assert await post(transport, upstream.api_url) == 200
        assert upstream.connections == 6
        await until(lambda: upstream.open_connections == 1)
        await transport.close()

    asyncio.run(polls())


def test_a_query_that_always_fails_costs_the_others_few_connections(upstream: Upstream) -> None:
    """Of a hundred 5xx in a second only each own connection goes; others were made just before, by the name of now."""
    clock = Clock()

    async def polls() -> None:
        transport = Transport(monotonic=clock.monotonic)
        upstream.api.always(after(0.05, OK))
        await asyncio.gather(*(post(transport, upstream.api_url) for _ in range(5)))
        clock.advance(1)
        upstream.api.once(status(500))
        assert await post(transport, upstream.api_url) == 500
        await asyncio.gather(*(post(transport, upstream.api_url) for _ in range(5)))
        assert upstream.connections == 6
        await transport.close()

    asyncio.run(polls())


def test_a_body_that_others_leave_no_memory_for_says_nothing_of_the_server(upstream: Upstream) -> None:
    """It fails by its deadline, with the cause, and the connections of other polls are kept: the server is well."""
    clock = Clock()

    async def polls() -> None:
        transport, memory = Transport(monotonic=clock.monotonic), AnswerMemory(2**20)
        upstream.api.always(after(0.05, OK))
        await asyncio.gather(*(post(transport, upstream.api_url) for _ in range(3)))
        assert upstream.connections == 3
        clock.advance(6)
        other, share = memory.share(), memory.share()
        await other.hold(2**20)
        upstream.api.once(reply(b"[" + 400_000 * b" " + b"]"))
        failed = await failure_of(
            transport.post(upstream.api_url, headers={}, content=b"", deadline_seconds=0.3, share=share)
        )
        assert isinstance(failed, NoMemory)
        assert (failed.reason, failed.detail) == (
            Reason.TIMEOUT,
            "other answers left no memory for the answer within 0.3 s",
        )
        await asyncio.gather(*(post(transport, upstream.api_url) for _ in range(2)))
        assert upstream.connections == 3
        await transport.close()

    asyncio.run(polls())


@pytest.mark.parametrize("code", [200, 400, 401, 403, 404, 429])
def test_other_answers_are_no_reason_for_a_new_connection(upstream: Upstream, code: int) -> None:
    """A refusal is an answer: the connection is kept."""

    async def polls() -> None:
        transport = Transport()
        upstream.api.once(status(code))
        assert [await post(transport, upstream.api_url) for _ in range(3)] == [code, 200, 200]
        assert upstream.connections == 1
        await transport.close()

    asyncio.run(polls())


def test_no_connection_of_before_is_used_after_a_time_out(upstream: Upstream) -> None:
    """Row 104: a firewall that forgot one connection has forgotten its neighbours, too."""
    clock = Clock()

    async def polls() -> None:
        transport = Transport(monotonic=clock.monotonic)
        upstream.api.always(after(0.05, OK))
        await asyncio.gather(*(post(transport, upstream.api_url) for _ in range(5)))
        clock.advance(6)
        upstream.api.once(silence)
        failure = await failure_of(post(transport, upstream.api_url, deadline_seconds=2.0))
        assert failure.reason is Reason.TIMEOUT
        await post(transport, upstream.api_url)
        assert upstream.connections == 6
        assert upstream.api.journal[-1].connection == 6
        await until(lambda: upstream.open_connections == 2)  # one more of a server that is silent and never looks
        await transport.close()

    asyncio.run(polls())


def test_one_origin_is_no_reason_to_leave_another(upstream: Upstream) -> None:
    """A fault at one address closes no connection to another."""

    async def polls(other: Upstream) -> None:
        transport = Transport()
        for each in (upstream, other):
            await post(transport, each.api_url)
        upstream.api.once(status(503))
        await post(transport, upstream.api_url)
        await post(transport, other.api_url)
        assert (upstream.connections, other.connections) == (1, 1)
        await transport.close()

    with Upstream() as other:
        other.api.always(OK)
        asyncio.run(polls(other))


def test_no_more_connections_than_allowed(upstream: Upstream) -> None:
    """Who finds all connections in use waits for one, and the wait counts for the deadline."""
    released = threading.Event()
    upstream.api.always(when(released, OK))

    async def polls() -> None:
        transport = Transport(max_connections=3)
        running = [asyncio.create_task(post(transport, upstream.api_url)) for _ in range(9)]
        await until(lambda: len(upstream.api.journal) == 3)
        assert (await failure_of(post(transport, upstream.api_url, deadline_seconds=0.05))).reason is Reason.TIMEOUT
        assert upstream.connections == 3
        released.set()
        assert await asyncio.gather(*running) == [200] * 9
        assert upstream.connections == 3
        await transport.close()

    asyncio.run(polls())


def test_closing_lets_running_requests_end(upstream: Upstream) -> None:
    """A transport that is replaced harms none of its requests, and keeps no connection after the last."""
    released = threading.Event()
    upstream.api.once(OK, when(released, OK))

    async def polls() -> None:
        transport = Transport()
        await post(transport, upstream.api_url)
        running = asyncio.create_task(post(transport, upstream.api_url))
        await until(lambda: len(upstream.api.journal) == 2)
        await transport.close()
        released.set()
        assert await running == 200
        await until(lambda: upstream.open_connections == 0)

    asyncio.run(polls())


def test_cookies_are_not_kept(upstream: Upstream) -> None:
    """What the API sets in one answer does not come back with the next request."""
    upstream.api.always(reply(b"{}", headers={"set-cookie": "session=1; Path=/"}))

    async def polls() -> None:
        transport = Transport()
        await post(transport, upstream.api_url)
        await post(transport, upstream.api_url)
        await transport.close()

    asyncio.run(polls())
    assert all("cookie" not in request.headers for request in upstream.api.journal)


# ----------------------------------------------------------------------------------------------------- proxies


def test_the_environment_chooses_no_proxy(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy is used because the configuration says so, not because a variable happens to be set."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")

    async def poll() -> None:
        transport = Transport()
        assert await post(transport, upstream.api_url) == 200
        await transport.close()

    assert os.environ["HTTP_PROXY"]
    asyncio.run(poll())


def test_a_proxy_sees_names_and_no_secrets() -> None:
    """Through a proxy, HTTPS goes in a tunnel: the proxy gets its own credentials, and neither token nor query."""
    authority = trustme.CA()
    with (
        Proxy() as proxy,
        Upstream(tls=server_context(authority, "127.0.0.1")) as upstream,
        authority.cert_pem.tempfile() as ca_file,
    ):

        async def polls() -> None:
            transport = Transport(
                proxy_url=f"http://127.0.0.1:{proxy.port}",
                proxy_headers=[("Proxy-Authorization", "Basic dXNlcjpwQHNz")],
                tls=TLSConfig(ca_file=Path(ca_file)),
            )
            upstream.api.always(OK)
            for _ in range(2):
                headers = {"authorization": "Bearer hidden"}
                answered = await transport.post(upstream.api_url, headers=headers, content=b"", deadline_seconds=5)
                assert answered.status == 200
            await transport.close()

        asyncio.run(polls())
        (head,) = proxy.heads
        assert head.startswith(f"CONNECT 127.0.0.1:{upstream.port} HTTP/1.1\r\n")
        assert "Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in head
        assert "hidden" not in head
        assert "proxy-authorization" not in upstream.api.journal[0].headers


def test_a_proxy_that_refuses_is_told() -> None:
    """The proxy's status is in the text, and the reason is `connect`."""
    with Proxy(answer=b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n") as proxy:

        async def poll() -> None:
            transport = Transport(proxy_url=f"http://127.0.0.1:{proxy.port}")
            failed = await failure_of(post(transport, "https://api.test/"))
            assert isinstance(failed, UpstreamFailure)
            assert failed.reason is Reason.CONNECT
            assert failed.detail == "the proxy refused the connection (407)"
            await transport.close()

        asyncio.run(poll())
