"""A web server that runs in an event loop of its own, and raw clients of it."""

from __future__ import annotations

import asyncio
import contextlib
import html
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any

import uvloop

from exporter.exposition import Board, Format, Joiner, body
from exporter.model.listen_address import ListenAddress
from exporter.model.samples import Family, MetricType, Samples
from exporter.web.guard import ClientLimits
from exporter.web.home_page import html_answer
from exporter.web.messages import Answer, Application
from exporter.web.negotiation import Representation
from exporter.web.routes import Handler
from exporter.web.server import WebServer

LOOPBACK = ListenAddress("127.0.0.1", 0)
PATIENCE_SECONDS = 10.0
FAMILY = Family("choreo_window_requests", MetricType.GAUGE, "Requests.", ("api", "code"))


class ASite:
    """A page of some size, and switches for the rest."""

    def __init__(self, rows: int = 20_000) -> None:
        self.board = Board()
        self.board.put("owner", FAMILY, body(Samples.of(FAMILY, {(f"api {n}", "200"): n for n in range(rows)})))
        self.joiner = Joiner()
        self.own = b"# HELP own Own.\n# TYPE own gauge\nown 1.0\n"
        self.is_ready = self.is_healthy = True
        self.broken = False

    def metrics(self, form: Representation) -> bytes:
        if self.broken:
            raise RuntimeError("a fault of ours")
        return self.joiner.join(self.board.page(), self.own, form.format, form.gzip)

    def expected(self, in_format: Format = Format.TEXT) -> bytes:
        return Joiner().join(self.board.page(), self.own, in_format, gzip=False)

    def home(self, sought: str, *, refresh: bool) -> Answer:
        switched_on = " refreshes" * refresh
        return html_answer(f"<!doctype html><title>Insights Exporter {html.escape(sought)}{switched_on}</title>")

    def healthy(self) -> bool:
        return self.is_healthy

    def ready(self) -> bool:
        return self.is_ready


class Running:
    """A web server in an event loop of its own, and how to reach it."""

    def __init__(self, server: WebServer, loop: asyncio.AbstractEventLoop) -> None:
        self.server = server
        self.port = server.addresses[0].port
        self._loop = loop

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> float:
        """Seconds that stopping took."""
        begin = time.monotonic()
        asyncio.run_coroutine_threadsafe(self.server.stop(), self._loop).result(PATIENCE_SECONDS)
        return time.monotonic() - begin

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        with contextlib.ExitStack() as if_refused:
            client = if_refused.enter_context(socket.socket())
            client.settimeout(PATIENCE_SECONDS)
            if receive_buffer is not None:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            client.connect(("127.0.0.1", self.port))
            if_refused.pop_all()
        return client

    def exchange(self, request: bytes) -> bytes:
        """Everything that comes back until the server closes."""
        with self.connect() as client:
            client.sendall(request)
            return received(client)

    @contextlib.contextmanager
    def beside(self, work: Coroutine[Any, Any, None]) -> Iterator[None]:
        """Runs work that has no end in the server's event loop, meanwhile."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            yield
            assert not future.done(), future.exception()
        finally:
            future.cancel()

    def connections_become(self, count: int) -> bool:
        return eventually(lambda: self.server.connections == count)


@contextlib.contextmanager
def running(
    site: ASite,
    *,
    limits: ClientLimits | None = None,
    routes: Mapping[str, Mapping[str, Handler]] | None = None,
    tls: ssl.SSLContext | None = None,
    guard: Callable[[Application], Application] | None = None,
    telemetry_path: str = "/metrics",
    listen_address: ListenAddress = LOOPBACK,
    loop_of: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
) -> Iterator[Running]:
    loop = loop_of()
    faults: list[str] = []
    loop.set_exception_handler(lambda _, context: faults.append(str(context)))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> WebServer:
        server = WebServer(
            site,
            listen_addresses=(listen_address,),
            limits=limits,
            routes=routes,
            tls=tls,
            guard=guard,
            telemetry_path=telemetry_path,
        )
        await server.start()
        return server

    try:
        server = asyncio.run_coroutine_threadsafe(start(), loop).result(PATIENCE_SECONDS)
        try:
            yield Running(server, loop)
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result(PATIENCE_SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_SECONDS)
        loop.close()
    assert faults == []


def eventually(true: Callable[[], bool], patience_seconds: float = PATIENCE_SECONDS) -> bool:
    last = time.monotonic() + patience_seconds
    while not true():
        if time.monotonic() > last:
            return False
        time.sleep(0.005)
    return True


def received(client: socket.socket) -> bytes:
    """All bytes until the end; a reset is an end too."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def cut_off(client: socket.socket, request: bytes) -> None:
    """Sends a request and resets the connection at once."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sendall(request)
    client.close()


def is_closed(client: socket.socket) -> bool:
    """Whether the server closes, within the patience of a test."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
