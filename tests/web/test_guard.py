"""Nobody takes more bytes, time or connections than a client may: with the server behind the guard, and without one."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

import pytest
import trustme
import uvloop
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.web.guard import ClientConnections, ClientLimits, Guard, client_of
from tests.support.processes import get, http_client
from tests.support.serving import PATIENCE_SECONDS, ASite, cut_off, eventually, is_closed, received, running
from tests.support.wiring import until
from tests.web.test_server import CUT_REQUESTS

# Long enough that a busy machine does in time what the tests do before a deadline.
SHORT = ClientLimits(request_seconds=2.0, response_seconds=2.0, idle_seconds=2.0)
LOOPS = pytest.mark.parametrize("loop_of", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
GET = b"GET / HTTP/1.1\r\n\r\n"
LoopOf = Callable[[], asyncio.AbstractEventLoop]


@pytest.fixture
def site() -> ASite:
    return ASite()


# with the server behind it


def test_half_open_clients_are_closed(site: ASite) -> None:
    """Clients that never finish their request, wherever they stop, are let go, while scrapes go on."""
    in_the_body = b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc"
    beginnings = (b"", b"GET /metr", b"\r\n", b"GET / HTTP/1.1\r\nX: ", in_the_body)
    with running(site, limits=SHORT) as web:
        with contextlib.ExitStack() as stack:
            clients = [(beginning, stack.enter_context(web.connect())) for beginning in beginnings * 50]
            for beginning, client in clients:
                client.sendall(beginning)
            assert web.connections_become(250)
            assert get(web.url + "/metrics").status_code == 200
            assert [beginning for beginning, client in clients if not is_closed(client)] == []
        assert web.connections_become(0)


def test_a_client_that_drips_is_closed(site: ASite) -> None:
    """One byte now and then does not extend the deadline."""
    with running(site, limits=SHORT) as web, web.connect() as client:
        begin = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() < begin + PATIENCE_SECONDS:
                client.sendall(b"\n")
                time.sleep(0.01)
        assert time.monotonic() - begin < PATIENCE_SECONDS
        assert web.connections_become(0)


def test_the_deadline_counts_for_later_requests_too(site: ASite) -> None:
    """A connection that once had a good request cannot hang on the next."""
    with running(site, limits=ClientLimits(request_seconds=1.0)) as web, web.connect() as client:
        client.sendall(b"GET /-/healthy HTTP/1.1\r\n\r\nGET /-")
        assert client.recv(1000).endswith(b"Healthy\n")
        assert is_closed(client)


def test_an_idle_connection_is_kept_for_a_while(site: ASite) -> None:
    """The next scrape finds its connection open, but not for ever."""
    request = b"GET /-/healthy HTTP/1.1\r\n\r\n"
    limits = ClientLimits(request_seconds=1.0, idle_seconds=3 * PATIENCE_SECONDS)
    with running(site, limits=limits) as web, web.connect() as client:
        for _ in range(2):
            client.sendall(request)
            assert client.recv(1000).endswith(b"Healthy\n")
            client.settimeout(2 * limits.request_seconds)
            with pytest.raises(TimeoutError):
                client.recv(1)
            client.settimeout(PATIENCE_SECONDS)
    with running(site, limits=ClientLimits(request_seconds=1.0, idle_seconds=2.0)) as web, web.connect() as client:
        begin = time.monotonic()
        client.sendall(request)
        assert client.recv(1000).endswith(b"Healthy\n")
        assert is_closed(client)
        assert time.monotonic() - begin >= 2.0


@pytest.mark.parametrize("loop_of", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def test_a_scraper_that_stops_reading_is_closed(loop_of: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """An answer that nobody takes is given up, with its connection."""
    site = ASite(rows=200_000)
    with running(site, limits=SHORT, loop_of=loop_of) as web, contextlib.ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(web.connect(receive_buffer=4096))
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" * 3)
        assert web.connections_become(5)
        assert web.connections_become(0)
        assert web.server.requests_by_code == {"200": 5}  # the others waited for the first to be taken
        assert get(web.url + "/metrics").status_code == 200


def test_a_client_that_only_asks_is_not_read_for_ever() -> None:
    """Requests that cannot be answered yet are left in the network, not piled up in memory."""
    with running(ASite(rows=200_000)) as web, web.connect(receive_buffer=4096) as client:
        request = b"GET /metrics HTTP/1.1\r\nPadding: " + b"x" * 10_000 + b"\r\n\r\n"
        client.sendall(request)
        assert eventually(lambda: web.server.requests_by_code == {"200": 1})
        client.settimeout(1)
        with pytest.raises(TimeoutError):
            client.sendall(request * 5000)
        assert web.server.requests_by_code == {"200": 1}


def test_a_slow_reader_s_next_request_has_its_full_time() -> None:
    """The deadline of a request does not run while the server itself has stopped reading."""
    limits = ClientLimits(request_seconds=1.0)
    with (
        running(ASite(rows=200_000), limits=limits) as web,
        web.connect(receive_buffer=4096) as finishing,
        web.connect(receive_buffer=4096) as stopping,
    ):
        for client in (finishing, stopping):
            client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" * 2 + b"GET /-/hea")
        assert eventually(lambda: web.server.requests_by_code == {"200": 2})
        assert not eventually(lambda: web.server.connections < 2, 1.5)
        finishing.sendall(b"lthy HTTP/1.1\r\nConnection: close\r\n\r\n")
        answers = received(finishing)
        assert answers.count(b"own 1.0\n") == 2
        assert answers.endswith(b"Healthy\n")
        begin = time.monotonic()
        assert received(stopping).count(b"own 1.0\n") == 2
        assert time.monotonic() - begin >= limits.request_seconds


def test_a_scraper_that_keeps_reading_is_not_closed() -> None:
    """The deadline is for an answer, not for a connection: back-to-back scrapes go on for as long as they like."""
    ask = b"GET /metrics HTTP/1.1\r\n\r\n"
    limits = ClientLimits(response_seconds=1.0)
    with running(ASite(rows=50_000), limits=limits) as web, web.connect(receive_buffer=65536) as client:
        size = len(web.exchange(ask[:-2] + b"Connection: close\r\n\r\n")) - len(b"connection: close\r\n")
        client.sendall(8 * ask)  # so that something always waits to be taken, more than buffers hold
        end = time.monotonic() + 3 * limits.response_seconds
        taken = 0
        while time.monotonic() < end or taken <= 10 * size:
            before, taken = taken, taken + len(client.recv(1 << 20))
            client.sendall((taken // size - before // size) * ask)
        assert taken > 10 * size
        assert web.server.connections == 1


def test_idle_connections_make_room(site: ASite) -> None:
    """If all places are taken by connections at rest, the one that rested longest goes."""
    with running(site, limits=ClientLimits(connections=3)) as web, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(http_client(base_url=web.url)) for _ in range(5)]
        for client in clients:
            assert client.get("/-/healthy").status_code == 200
        assert web.server.connections == 3
        for client in clients[2:]:
            client.get("/-/healthy")
        assert web.server.connections == 3
        assert web.server.requests_by_code == {"200": 8}


def test_too_many_connections_cost_those_that_wait_longest(site: ASite) -> None:
    """A flood of half-open clients shuts out the flood, not the scraper."""
    with running(site, limits=ClientLimits(connections=20)) as web, contextlib.ExitStack() as stack:
        scraper = stack.enter_context(http_client(base_url=web.url))
        scraper.get("/-/healthy")
        flood = []
        for _ in range(60):
            flood.append(stack.enter_context(web.connect()))
            flood[-1].sendall(b"GET /")
        assert all(is_closed(client) for client in flood[:41])
        assert web.server.connections == 20
        assert scraper.get("/metrics").status_code == 200
        assert get(web.url + "/metrics").status_code == 200


def test_silent_clients_on_the_tls_port_are_closed(site: ASite) -> None:
    """A client that opens a connection and says nothing does not hinder the others, and is let go."""
    authority = trustme.CA()
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(served)
    authority.configure_trust(trusted)
    with running(site, tls=served, limits=SHORT) as web, web.connect() as silent:
        url = f"https://127.0.0.1:{web.port}/metrics"
        assert get(url, verify=trusted).content == site.expected()
        assert is_closed(silent)
        with trusted.wrap_socket(web.connect(), server_hostname="127.0.0.1") as half_open:
            half_open.sendall(b"GET /met")
            assert is_closed(half_open)
        with trusted.wrap_socket(web.connect(), server_hostname="127.0.0.1") as nonsense:
            nonsense.sendall(b"NONSENSE\r\n\r\n")
            assert received(nonsense).startswith(b"HTTP/1.1 400 ")


def test_a_client_that_vanishes_is_no_matter(site: ASite) -> None:
    """Resets at any moment leave no connections."""
    with running(site) as web:
        for request in CUT_REQUESTS:
            cut_off(web.connect(), request)
        assert web.connections_become(0)
        assert get(web.url + "/metrics").status_code == 200


def test_connections_that_end_badly_leave_nothing(site: ASite) -> None:
    """Clients that reset their connections, or are refused, do not make the process grow."""
    endings = {
        b"GET /-/healthy HTTP/1.1\r\n\r\n": b"Healthy\n",
        b"POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\nabc": b"Request Entity Too Large\n",
    }

    def left() -> int:
        gc.collect()
        return sum(isinstance(each, (HttpToolsProtocol, Guard)) for each in gc.get_objects())

    before = left()  # of other tests
    with running(site) as web:
        for request, end in endings.items():
            for _ in range(50):
                with web.connect() as client:
                    client.sendall(request)
                    assert client.recv(1000).endswith(end)
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert web.connections_become(0)
        assert eventually(lambda: left() < before + 10)


# with a protocol of the test behind it


class Behind(asyncio.Protocol):
    """Keeps the pieces that a guard hands on, and has a transport to answer with.

    Of requests that `bodies` tells beforehand, with a body or without, it says that their head has come.
    """

    transport: asyncio.Transport

    def __init__(self, guard: Guard) -> None:
        self.bodies: list[bool] = []
        self._guard = guard
        self._head = b""
        self.pieces: list[bytes] = []
        self.ended: list[Exception | None] = []
        self.may_write = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.pieces.append(data)
        self._head += data
        if self._head.strip() and self._head.endswith(b"\r\n\r\n") and self.bodies:
            self._head, has_body = b"", self.bodies.pop(0)
            asyncio.get_running_loop().call_soon(partial(self._guard.head_ended, has_body=has_body))

    def connection_lost(self, error: Exception | None) -> None:
        self.ended.append(error)

    def pause_writing(self) -> None:
        self.may_write = False

    def resume_writing(self) -> None:
        self.may_write = True


@dataclass
class Guarded:
    """A guarded server: its connections, and the guard and the protocol behind it of each, in the order of `accept`."""

    connections: ClientConnections
    port: int = 0
    guards: list[Guard] = field(default_factory=list)
    behind: list[Behind] = field(default_factory=list)

    async def client(self, receive_buffer: int | None = None) -> socket.socket:
        """A client whose connection has been taken."""
        client = socket.socket()
        client.setblocking(False)
        if receive_buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        before = len(self.behind)
        await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        await until(lambda: len(self.behind) > before)
        return client


@asynccontextmanager
async def guarded(limits: ClientLimits) -> AsyncIterator[Guarded]:
    """A server of guards. Every client counts as another, unless there are more than five."""
    loop = asyncio.get_running_loop()
    made = Guarded(ClientConnections(limits, lambda status: f"refused {status.value}".encode()))

    def behind(guard: Guard) -> Behind:
        made.behind.append(Behind(guard))
        return made.behind[-1]

    def guard() -> Guard:
        made.guards.append(Guard(made.connections, f"client {min(5, len(made.guards))}", behind))
        made.connections.enter(made.guards[-1])
        return made.guards[-1]

    server = await loop.create_server(guard, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for each in tuple(made.connections.members):
            each.abort()
        await asyncio.wait_for(made.connections.empty.wait(), PATIENCE_SECONDS)


def run(loop_of: LoopOf, limits: ClientLimits, work: Callable[[Guarded], Any]) -> None:
    """Runs some work with a guarded server."""

    async def main() -> None:
        async with asyncio.timeout(2 * PATIENCE_SECONDS), guarded(limits) as server:
            await work(server)

    with asyncio.Runner(loop_factory=loop_of) as runner:
        runner.run(main())


async def send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


async def receive(client: socket.socket) -> bytes:
    """All until the end; a reset is an end too."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := await asyncio.get_running_loop().sock_recv(client, 65536):
            parts.append(part)
    return b"".join(parts)


def answer(server: Guarded, number: int, *parts: bytes) -> None:
    """Answers a whole request, as the application does."""
    guard, transport = server.guards[number], server.behind[number].transport
    guard.answer_begins(parts[-1])
    for part in parts:
        transport.write(part)
    guard.answer_ended()


@LOOPS
def test_one_head_at_a_time_is_handed_on(loop_of: LoopOf) -> None:
    """However much comes at once, the protocol behind has no more than one request: the next follows its answer."""

    async def work(server: Guarded) -> None:
        client = await server.client()
        (behind,) = server.behind
        behind.bodies = [False, False, False]
        await send(client, GET + GET + GET[:5])
        await until(lambda: behind.pieces)
        for _ in range(20):
            await asyncio.sleep(0)
        assert behind.pieces == [GET]
        answer(server, 0, b"head", b"first")
        await until(lambda: len(behind.pieces) == 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert behind.pieces == [GET, GET]
        answer(server, 0, b"head", b"second")
        await until(lambda: len(behind.pieces) == 3)
        await send(client, GET[5:])
        await until(lambda: b"".join(behind.pieces[2:]) == GET)
        await until(lambda: not behind.bodies)
        await asyncio.sleep(0)
        behind.transport.close()
        assert await receive(client) == b"headfirstheadsecond"
        await until(lambda: behind.ended == [None])
        client.close()

    run(loop_of, ClientLimits(), work)


@LOOPS
def test_what_only_looks_like_a_head_is_none(loop_of: LoopOf) -> None:
    """Empty lines before a request, and in a body, do not hold up what follows."""

    async def work(server: Guarded) -> None:
        client = await server.client()
        (behind,), (guard,) = server.behind, server.guards
        behind.bodies = [True]
        await send(client, b"\r\n\r\n" + GET + b"ab\r\n\r\ncd")
        await until(lambda: b"".join(behind.pieces).endswith(b"ab\r\n\r\ncd"))
        guard.request_ended()
        answer(server, 0, b"done")
        behind.transport.close()
        assert await receive(client) == b"done"
        client.close()

    run(loop_of, ClientLimits(), work)


@LOOPS
@pytest.mark.parametrize("size", [1, 100])
def test_a_head_that_is_too_long_is_refused(loop_of: LoopOf, size: int) -> None:
    """To the byte, in whatever pieces it comes, blank lines before it included; what comes behind it is dropped."""

    async def work(server: Guarded) -> None:
        client, other = await server.client(), await server.client()
        head = b"GET / HTTP/1.1\r\nX: " + b"a" * 27 + b"\r\n\r\n"
        assert len(head) == 50
        for number, each in enumerate((client, other)):
            whole = head if number == 0 else b"\r\n" + head[:-2]
            for at in range(0, len(whole), size):
                await send(each, whole[at : at + size])
                await asyncio.sleep(0)
        await until(lambda: b"".join(server.behind[0].pieces) == head)
        server.guards[0].head_ended(has_body=False)
        answer(server, 0, b"ok")
        await send(other, b"\r\n" + b"b" * 100_000)
        assert await receive(other) == b"refused 431"
        assert server.behind[1].ended == [None]
        assert sum(map(len, server.behind[1].pieces)) <= 50
        await send(client, head)
        await until(lambda: b"".join(server.behind[0].pieces) == 2 * head)
        client.close()
        other.close()

    run(loop_of, ClientLimits(head_bytes=50), work)


@LOOPS
def test_a_body_that_is_too_long_is_refused(loop_of: LoopOf) -> None:
    """With its framing and trailers, however small its content is; what fits is handed on whole."""

    async def work(server: Guarded) -> None:
        fits, too_long = await server.client(), await server.client()
        body = b"1\r\nx\r\n" * 1000
        for client in (fits, too_long):
            await send(client, GET)
        await until(lambda: all(behind.pieces == [GET] for behind in server.behind))
        for guard in server.guards:
            guard.head_ended(has_body=True)
        await send(fits, body)
        await until(lambda: b"".join(server.behind[0].pieces) == GET + body)
        await send(too_long, body * 3)
        assert await receive(too_long) == b"refused 413"
        assert sum(map(len, server.behind[1].pieces)) <= len(GET) + 6000 + 4096
        fits.close()
        too_long.close()

    run(loop_of, ClientLimits(body_bytes=6000), work)


@LOOPS
def test_head_and_body_go_together(loop_of: LoopOf) -> None:
    """The head of an answer waits for its body, and a body that does not come keeps it from nobody."""

    async def work(server: Guarded) -> None:
        client = await server.client()
        (guard,), (behind,) = server.guards, server.behind
        loop = asyncio.get_running_loop()
        await send(client, GET)
        await until(lambda: behind.pieces)
        guard.head_ended(has_body=False)
        guard.answer_begins()
        behind.transport.write(b"head ")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.sock_recv(client, 100), 0.05)
        behind.transport.write(b"body")
        assert await loop.sock_recv(client, 100) == b"head body"
        guard.answer_ended()
        await send(client, GET)
        await until(lambda: len(behind.pieces) == 2)
        guard.head_ended(has_body=False)
        answer(server, 0, b"head alone")
        assert await loop.sock_recv(client, 100) == b"head alone"
        guard.answer_begins()
        behind.transport.write(b"the last")
        behind.transport.close()
        assert await receive(client) == b"the last"
        client.close()

    run(loop_of, ClientLimits(), work)


@LOOPS
@pytest.mark.parametrize("is_ready", [True, False])
def test_a_client_that_sends_nothing_more_gets_what_is_ready(loop_of: LoopOf, is_ready: bool) -> None:
    """Half a connection is kept for an answer that is there, and for nothing that would have to be waited for."""

    async def work(server: Guarded) -> None:
        client = await server.client()
        await send(client, GET if is_ready else GET[:5])
        await until(lambda: server.behind[0].pieces)
        if is_ready:
            server.guards[0].head_ended(has_body=False)
            answer(server, 0, b"ready")
        client.shutdown(socket.SHUT_WR)
        assert await receive(client) == (b"ready" if is_ready else b"")
        await until(lambda: not server.connections.members)
        client.close()

    run(loop_of, ClientLimits(), work)


@LOOPS
def test_the_protocol_behind_decides_when_it_takes_more(loop_of: LoopOf) -> None:
    """While it does not read, bytes stay in the network; then they come in their order."""

    async def work(server: Guarded) -> None:
        client = await server.client()
        (behind,) = server.behind
        behind.transport.pause_reading()
        body = bytes(range(256)) * 200
        await send(client, body)
        for _ in range(20):
            await asyncio.sleep(0)
        assert behind.pieces == []
        behind.transport.resume_reading()
        await until(lambda: b"".join(behind.pieces) == body)
        client.close()

    run(loop_of, ClientLimits(head_bytes=100_000), work)


@LOOPS
def test_finishing_waits_for_answers_alone(loop_of: LoopOf) -> None:
    """At the end, who has asked gets an answer that is the last, and who has not is closed at once."""

    async def work(server: Guarded) -> None:
        idle, half, asked, refused = [await server.client() for _ in range(4)]
        await send(half, GET[:5])
        for client in (asked, refused):
            await send(client, GET)
        await until(lambda: all(behind.pieces for behind in server.behind[1:]))
        server.guards[2].head_ended(has_body=False)
        assert not server.guards[2].is_last
        for guard in server.guards:
            guard.finish()
        assert server.guards[2].is_last
        assert (await receive(idle), await receive(half)) == (b"", b"")
        answer(server, 2, b"the last")
        assert await receive(asked) == b"the last"
        server.guards[3].refuse(HTTPStatus.BAD_REQUEST)
        assert await receive(refused) == b"refused 400"
        for client in (idle, half, asked, refused):
            client.close()

    run(loop_of, ClientLimits(), work)


LARGE = b"x" * 20_000_000


@LOOPS
def test_each_deadline_is_of_its_own_phase(loop_of: LoopOf) -> None:
    """A request, its answer and the time between two have a deadline each; while an answer is made there is none."""

    async def work(server: Guarded) -> None:
        loop = asyncio.get_running_loop()
        client = await server.client(receive_buffer=4096)
        (guard,), (behind,) = server.guards, server.behind
        assert not guard.is_overdue(loop.time() + 9)
        assert guard.is_overdue(loop.time() + 11)
        await send(client, GET)
        await until(lambda: behind.pieces)
        guard.head_ended(has_body=True)
        assert guard.is_overdue(loop.time() + 11)
        guard.request_ended()
        assert not guard.is_overdue(loop.time() + 1000)
        answer(server, 0, LARGE)
        assert not behind.may_write
        assert not guard.is_overdue(loop.time() + 29)
        assert guard.is_overdue(loop.time() + 31)
        taken = 0
        while taken < len(LARGE):
            taken += len(await loop.sock_recv(client, 1 << 20))
        await until(lambda: behind.may_write)
        await until(lambda: not guard.is_overdue(loop.time() + 60))
        assert guard.is_overdue(loop.time() + 76)
        server.connections.sweep(loop.time() + 60)
        assert guard in server.connections.members
        server.connections.sweep(loop.time() + 76)
        assert await receive(client) == b""
        client.close()

    run(loop_of, ClientLimits(request_seconds=10, response_seconds=30, idle_seconds=75), work)


@LOOPS
def test_answers_that_nobody_takes_are_bounded_together(loop_of: LoopOf) -> None:
    """A client that asks on many connections and never reads loses those that stalled longest, and no other client
    loses one, however large its only answer. Of an answer that several have to take there is one."""
    bodies = [bytes([number]) * 8_000_000 for number in range(5)]

    async def work(server: Guarded) -> None:
        clients = [await server.client(receive_buffer=4096) for _ in range(11)]  # from the sixth on they are one client
        for client in clients:
            await send(client, GET)
        await until(lambda: all(behind.pieces for behind in server.behind))

        def begin(number: int, body: bytes) -> set[int]:
            server.guards[number].head_ended(has_body=False)
            answer(server, number, body)
            return {at for at, guard in enumerate(server.guards) if guard not in server.connections.members}

        assert begin(0, bodies[0]) == set()
        for number, body in ((5, bodies[1]), (6, bodies[1]), (7, bodies[2]), (8, bodies[2])):
            assert begin(number, body) == set()
        assert begin(9, bodies[3]) == {5, 6}
        assert begin(10, bodies[4]) == {5, 6, 7, 8}
        assert begin(1, LARGE) == {5, 6, 7, 8, 9}
        for client, body in ((clients[0], bodies[0]), (clients[1], LARGE)):
            taken = 0
            while taken < len(body):
                taken += len(await asyncio.get_running_loop().sock_recv(client, 1 << 20))
        server.connections.sweep(asyncio.get_running_loop().time())
        assert [bool(guard.untaken()) for guard in server.guards] == 10 * [False] + [True]
        for client in clients:
            client.close()

    run(loop_of, ClientLimits(untaken_bytes=20_000_000), work)


@LOOPS
def test_a_last_answer_has_its_time_whatever_comes_behind_its_request(loop_of: LoopOf) -> None:
    """A client that sends an empty line too much behind its last request, and reads slowly, gets its whole page."""

    async def work(server: Guarded) -> None:
        loop = asyncio.get_running_loop()
        client = await server.client(receive_buffer=4096)
        (guard,), (behind,) = server.guards, server.behind
        await send(client, GET)
        await until(lambda: behind.pieces)
        guard.head_ended(has_body=False)
        await send(client, b"\r\n")
        await asyncio.sleep(0.05)  # either order of the two is right; so, as a rule, it comes before the end
        guard.answer_begins()
        behind.transport.write(LARGE)
        behind.transport.close()
        assert not guard.is_overdue(loop.time() + 29)
        assert guard.is_overdue(loop.time() + 31)
        page = await loop.sock_recv(client, 1 << 20)
        server.connections.sweep(loop.time() + 20)
        assert len(page + await receive(client)) == len(LARGE)
        client.close()

    run(loop_of, ClientLimits(response_seconds=30), work)


@LOOPS
def test_a_refused_client_has_a_moment_to_read_why(loop_of: LoopOf) -> None:
    """What it still sends is dropped, for two seconds and no longer."""

    async def work(server: Guarded) -> None:
        loop = asyncio.get_running_loop()
        client = await server.client()
        (guard,), (behind,) = server.guards, server.behind
        await send(client, GET)
        await until(lambda: behind.pieces)
        guard.refuse(HTTPStatus.BAD_REQUEST)
        assert guard.has_let_go
        assert behind.transport.is_closing()
        behind.transport.write(b"too late")
        await send(client, LARGE[:100_000])
        assert await receive(client) == b"refused 400"
        assert not guard.is_overdue(loop.time() + 1)
        assert guard.is_overdue(loop.time() + 3)
        assert len(behind.pieces) == 1
        client.close()

    run(loop_of, ClientLimits(), work)


@LOOPS
def test_who_reads_nothing_makes_room_before_who_sends_slowly(loop_of: LoopOf) -> None:
    """When all places are taken, the one goes that has stalled for the largest share of its time: here a client that
    reads nothing, although another is in the middle of its request."""

    async def work(server: Guarded) -> None:
        loop = asyncio.get_running_loop()
        deaf = await server.client(receive_buffer=4096)
        await send(deaf, GET)
        await until(lambda: server.behind[0].pieces)
        server.guards[0].head_ended(has_body=False)
        answer(server, 0, LARGE)
        await asyncio.sleep(0.02)
        server.connections.sweep(loop.time())
        assert server.guards[0].stalled(loop.time() + 15) == pytest.approx(0.5, abs=0.1)
        sending = await server.client()
        await send(sending, GET[:5])
        await until(lambda: server.behind[1].pieces)
        assert server.guards[1].stalled(loop.time() + 4) == pytest.approx(0.4, abs=0.1)
        now = loop.time() + 4
        assert server.guards[0].stalled(now) < server.guards[1].stalled(now)
        taken = await loop.sock_recv(deaf, 1 << 20)
        while server.guards[0].stalled(loop.time() + 15):  # until the system has made room of it
            taken += await loop.sock_recv(deaf, 1 << 20)
        deaf.close()
        sending.close()

    run(loop_of, ClientLimits(request_seconds=10, response_seconds=30), work)


@LOOPS
def test_the_one_that_stalled_longest_makes_room(loop_of: LoopOf) -> None:
    """Not the newcomer, and nobody who waits for us: the oldest of those that have begun a request."""

    async def work(server: Guarded) -> None:
        asked = await server.client()
        await send(asked, GET)
        await until(lambda: server.behind[0].pieces)
        server.guards[0].head_ended(has_body=False)
        stalled = await server.client()
        await until(lambda: server.guards[1].stalled(asyncio.get_running_loop().time()) > 0)
        later = await server.client()
        newcomer = await server.client()
        assert await receive(stalled) == b""
        assert [guard in server.connections.members for guard in server.guards] == [True, False, True, True]
        for client in (asked, stalled, later, newcomer):
            client.close()

    run(loop_of, ClientLimits(connections=3), work)


@LOOPS
def test_a_client_with_too_many_connections_loses_one_of_its_own(loop_of: LoopOf) -> None:
    """Whoever else has stalled longer stays."""

    async def work(server: Guarded) -> None:
        clients = [await server.client() for _ in range(6)]
        await until(lambda: server.guards[5].stalled(asyncio.get_running_loop().time()) > 0)
        clients += [await server.client() for _ in range(2)]  # the same client as the last before
        assert await receive(clients[5]) == b""
        assert [guard in server.connections.members for guard in server.guards] == [*[True] * 5, False, True, True]
        for client in clients:
            client.close()
        await until(server.connections.empty.is_set)

    run(loop_of, ClientLimits(connections_per_client=2), work)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        (("192.0.2.7", 80), "192.0.2.7"),
        (("::ffff:192.0.2.7", 80, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 80, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 80, 0, 2), "fe80::/64"),
        (("::1", 80, 0, 0), "::/64"),
        (("a name", 80), "a name"),
    ],
)
def test_an_address_counts_as_a_client(address: tuple[Any, ...], client: str) -> None:
    """Of IPv4 each address, also where it comes by IPv6; of IPv6 a whole network (/64), which one client has."""
    assert client_of(address) == client
