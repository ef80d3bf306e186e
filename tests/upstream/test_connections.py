"""Connections: kept, repeated once, never leaked; names resolved without holding anybody up; proxies."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trustme
import uvloop

from exporter.config.source import TLSConfig
from exporter.model.errors import Reason, UpstreamFailure
from exporter.upstream.network import Network
from exporter.upstream.transport import Transport
from tests.support.processes import free_port
from tests.support.upstream import (
    HEAD,
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
    when,
)
from tests.support.wiring import failure_of, until, wired

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
OK = answer({"data": {"value": 1}})


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        running.api.always(OK)
        yield running


async def post(transport: Transport, url: str, *, deadline_seconds: float = 10.0) -> int:
    headers = {"content-type": "text/plain"}
    return (await transport.post(url, headers=headers, content=b"x", deadline_seconds=deadline_seconds)).status


def test_polls_share_a_connection(upstream: Upstream) -> None:
    """One poll after the other needs one connection, not one each."""

    async def polls() -> None:
        async with wired(upstream) as wire:
            for _ in range(5):
                await wire.execute()
        assert {request.connection for request in upstream.api.journal} == {upstream.connections}
        await until(lambda: upstream.open_connections == 0)

    asyncio.run(polls())


@LOOPS
def test_a_connection_that_is_reset_at_once_is_a_reset(
    upstream: Upstream, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Row 8: an API, or a firewall before it, that takes connections and resets them is at fault, not the exporter."""
    connected = threading.Event()
    upstream.on_connect = when(connected, reset)

    async def polls() -> None:
        stream = await Network().connect_tcp("127.0.0.1", upstream.port)
        connected.set()
        with pytest.raises(httpcore.ReadError):
            await stream.read(1)
        assert not stream.get_extra_info("ssl_object")
        assert stream.get_extra_info("is_readable"), "it would be used again"
        await stream.aclose()
        transport = Transport()
        for _ in range(20):
            failures = await asyncio.gather(*(failure_of(post(transport, upstream.api_url)) for _ in range(20)))
            assert {failure.reason for failure in failures} <= {Reason.RESET, Reason.CONNECT}
        await transport.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(polls())


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


# ------------------------------------------------------------------------------------------------------- names


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Names that a test makes up: their addresses, an error, or an event that the look-up waits for."""
    known: dict[str, Any] = {}
    system = socket.getaddrinfo
    ended = threading.Event()

    def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host not in known:
            return system(host, port, *rest, **options)
        found = known[host]
        if found is None:
            ended.wait(30)
            found = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if isinstance(found, Exception):
            raise found
        return [(0, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield known
    ended.set()


@LOOPS
def test_an_unknown_name_is_told(names: dict[str, Any], loop: Any) -> None:
    """Row 2: a name that does not exist fails the poll with `dns`."""
    names["nowhere.test"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def poll() -> None:
        transport = Transport()
        failed = await failure_of(post(transport, "http://nowhere.test/"))
        assert failed.reason is Reason.DNS
        assert failed.detail == "cannot resolve nowhere.test: Name or service not known"
        await transport.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(poll())


@LOOPS
def test_a_look_up_that_hangs_holds_up_nobody_else(names: dict[str, Any], upstream: Upstream, loop: Any) -> None:
    """Row 3: polls end at their deadline, other hosts are polled, and threads do not pile up."""
    names["hanging.test"] = None
    names["api.test"] = ["127.0.0.1"]

    async def polls() -> None:
        transport = Transport(max_connections=100)
        hanging = "http://hanging.test/"
        failures = asyncio.gather(*(failure_of(post(transport, hanging, deadline_seconds=0.3)) for _ in range(50)))
        await asyncio.sleep(0)
        assert await post(transport, f"http://api.test:{upstream.port}/graphql") == 200
        assert {failure.reason for failure in await failures} == {Reason.TIMEOUT}
        assert (await failure_of(post(transport, hanging, deadline_seconds=0.01))).reason is Reason.TIMEOUT
        assert sum(thread.name == "dns hanging.test" for thread in threading.enumerate()) == 1
        await transport.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(polls())


def test_a_look_up_that_hangs_does_not_hold_up_the_end() -> None:
    """Row 3: the program ends at once, although a look-up would take ten minutes more."""
    program = """
import asyncio, socket, time
from exporter.model.errors import UpstreamFailure
from exporter.upstream.transport import Transport
socket.getaddrinfo = lambda *_, **__: time.sleep(600)
async def main():
    try:
        await Transport().post("http://hanging.test/", headers={}, content=b"", deadline_seconds=0.1)
    except UpstreamFailure as failure:
        print(failure.reason)
asyncio.run(main())
"""
    started_at = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "timeout\n"
    assert ended.stderr == ""
    assert time.monotonic() - started_at < 60


def test_each_address_of_a_name_is_tried(names: dict[str, Any], upstream: Upstream) -> None:
    """An address that refuses or says nothing does not hide one that answers."""
    names["api.test"] = ["127.0.0.2", "::1", "127.0.0.1"]

    async def poll() -> None:
        transport = Transport()
        assert await post(transport, f"http://api.test:{upstream.port}/graphql", deadline_seconds=5) == 200
        await transport.close()

    asyncio.run(poll())


def test_an_address_that_says_nothing_costs_a_quarter_of_a_second(
    names: dict[str, Any], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RFC 8305: the next address is tried while the first is still silent, and the first is given up then."""
    names["api.test"] = ["127.0.0.9", "127.0.0.1"]
    given_up = asyncio.Event()
    import httpcore

    connect = httpcore.AnyIOBackend.connect_tcp

    async def connect_tcp(self: Any, host: str, port: int, **options: Any) -> Any:
        if host == "127.0.0.9":
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()
        return await connect(self, host, port, **options)

    monkeypatch.setattr(httpcore.AnyIOBackend, "connect_tcp", connect_tcp)

    async def poll() -> None:
        transport = Transport()
        assert await post(transport, f"http://api.test:{upstream.port}/graphql", deadline_seconds=5) == 200
        await asyncio.wait_for(given_up.wait(), 5)
        await transport.close()

    asyncio.run(poll())


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
