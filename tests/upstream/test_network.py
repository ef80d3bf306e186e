"""Sockets: the first address that connects, and streams that say early what is no HTTP."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpcore
import pytest

from exporter.model.errors import Reason, UpstreamFailure
from exporter.upstream.network import Network, Unanswered
from exporter.upstream.transport import Transport
from tests.support.certificates import FOREIGN, OURS, pair, trusting
from tests.support.processes import PATIENCE_SECONDS, free_port
from tests.support.upstream import Upstream, close, raw, reset, silence, when
from tests.support.wiring import failure_of, post, until
from tests.upstream.conftest import LOOPS

Loop = Callable[[], asyncio.AbstractEventLoop]


def run(loop: Loop, work: Any) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(work)


async def read_to_the_end(stream: httpcore.AsyncNetworkStream) -> bytes:
    received = b""
    while data := await stream.read(7):
        received += data
    return received


@LOOPS
def test_a_stream_carries_bytes_both_ways(upstream: Upstream, loop: Loop) -> None:
    """What is written arrives, what is answered is read, and the end is nothing more to read."""
    upstream.api.always(raw(b"HTTP/1.1 200 OK\r\n\r\nbody", then=close))

    async def talk() -> None:
        stream = await Network().connect_tcp("127.0.0.1", upstream.port)
        await stream.write(b"POST /graphql HTTP/1.1\r\ncontent-length: 2\r\n\r\nhi")
        assert await read_to_the_end(stream) == b"HTTP/1.1 200 OK\r\n\r\nbody"
        assert getattr(stream, "ended", None) is True
        await stream.aclose()
        await until(lambda: upstream.open_connections == 0)
        assert upstream.api.journal[0].body == b"hi"

    run(loop, talk())


@LOOPS
@pytest.mark.parametrize("ending", [close, reset])
def test_an_end_before_the_answer_is_told_from_one_within_it(upstream: Upstream, loop: Loop, ending: Any) -> None:
    """Only a request that has no byte of an answer may be repeated; each request of a connection counts anew."""
    request = b"POST /graphql HTTP/1.1\r\n\r\n"

    async def talk() -> None:
        stream = await Network().connect_tcp("127.0.0.1", upstream.port)
        upstream.api.once(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", then=silence))
        await stream.write(request)
        assert (await stream.read(100)).startswith(b"HTTP/1.1 200")
        await stream.aclose()
        stream = await Network().connect_tcp("127.0.0.1", upstream.port)
        upstream.api.once(ending)
        await stream.write(request)
        with pytest.raises(Unanswered):
            await stream.read(100)
        assert getattr(stream, "ended", None) is True
        await stream.aclose()

    run(loop, talk())


@LOOPS
def test_a_reset_within_an_answer_is_not_one_before_it(upstream: Upstream, loop: Loop) -> None:
    """What has begun to answer has done what it was asked for, perhaps."""
    begun = threading.Event()
    upstream.api.always(raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", then=when(begun, reset)))

    async def talk() -> None:
        stream = await Network().connect_tcp("127.0.0.1", upstream.port)
        await stream.write(b"POST /graphql HTTP/1.1\r\n\r\n")
        assert (await stream.read(100)).startswith(b"HTTP/1.1 200")
        assert getattr(stream, "ended", None) is False
        begun.set()
        with pytest.raises(httpcore.ReadError) as failed:
            await read_to_the_end(stream)
        assert failed.type is not Unanswered
        assert getattr(stream, "ended", None) is True
        await stream.aclose()

    run(loop, talk())


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH\r\n", b"\x15\x03\x01", b"HTML", b"h"])
def test_what_speaks_no_http_is_told_by_its_first_bytes(upstream: Upstream, greeting: bytes) -> None:
    """Nobody waits for the rest of a head that is none."""
    upstream.api.always(raw(greeting, then=silence))

    async def talk() -> None:
        stream = await Network().connect_tcp("127.0.0.1", upstream.port)
        await stream.write(b"POST /graphql HTTP/1.1\r\n\r\n")
        with pytest.raises(httpcore.RemoteProtocolError):
            await stream.read(100)
        await stream.aclose()

    asyncio.run(talk())


def test_an_answer_may_be_read_in_pieces(upstream: Upstream) -> None:
    """No more is handed on than was asked for."""
    upstream.api.always(raw(b"HTTP/1.1 200 OK\r\n\r\n", then=close))

    async def talk() -> None:
        stream = await Network().connect_tcp("127.0.0.1", upstream.port)
        await stream.write(b"POST /graphql HTTP/1.1\r\n\r\n")
        assert await stream.read(1) == b"H"
        assert await stream.read(1) == b"T"
        await stream.aclose()

    asyncio.run(talk())


def server_side(folder: Path) -> ssl.SSLContext:
    files = pair(folder, "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    return context


@LOOPS
def test_a_handshake_that_fails_says_why_and_leaves_no_connection(tmp_path: Path, loop: Loop) -> None:
    """A certificate that nobody we trust has signed ends the connection, in OpenSSL's words without its codes."""

    async def talk(upstream: Upstream) -> None:
        stream = await Network().connect_tcp("127.0.0.1", upstream.port)
        failed = await failure_of(stream.start_tls(trusting(FOREIGN), "127.0.0.1"))
        assert isinstance(failed, UpstreamFailure)
        assert failed.reason is Reason.TLS
        assert failed.detail.startswith("certificate verify failed: ")
        assert "_ssl.c" not in failed.detail
        await until(lambda: upstream.open_connections == 0)
        stream = await Network().connect_tcp("127.0.0.1", upstream.port)
        secure = await stream.start_tls(trusting(OURS), "127.0.0.1")
        assert secure.get_extra_info("ssl_object") is not None
        await secure.write(b"POST /graphql HTTP/1.1\r\n\r\n")
        assert (await secure.read(100)).startswith(b"HTTP/")
        await secure.aclose()

    with Upstream(tls=server_side(tmp_path)) as upstream:
        run(loop, talk(upstream))


def test_a_cancelled_handshake_leaves_no_connection() -> None:
    """A poll that is given up during the handshake closes what it had opened."""

    async def talk() -> None:
        greeted, ended = asyncio.Event(), asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            greeted.set()
            await reader.read()
            ended.set()
            writer.close()

        async with asyncio.timeout(PATIENCE_SECONDS), await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
            stream = await Network().connect_tcp("127.0.0.1", server.sockets[0].getsockname()[1])
            handshake = asyncio.create_task(stream.start_tls(trusting(OURS), "127.0.0.1"))
            await greeted.wait()
            handshake.cancel()
            await asyncio.wait([handshake])
            await ended.wait()

    asyncio.run(talk())


def test_nobody_listens(names: dict[str, Any]) -> None:
    """The name and the port as they were configured, and the system's own words; of several addresses, the last's."""
    names["api.test"] = ["127.0.0.1", "127.0.0.2"]
    port = free_port()
    failed = asyncio.run(failure_of(Network().connect_tcp("api.test", port)))
    assert isinstance(failed, UpstreamFailure)
    assert (failed.reason, failed.detail) == (
        Reason.CONNECT,
        f"cannot connect to api.test:{port}: Connection refused",
    )


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
