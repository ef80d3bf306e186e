"""The web server: uvicorn's protocol over httptools, as a library in the running event loop, behind a guard of ours.

httptools parses: a scrape of 52 kB costs 80 µs of processor time with it, 210 µs with h11.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from exporter.model.listen_address import ListenAddress
from exporter.web.application import ASGIApplication
from exporter.web.guard import ClientConnections, ClientLimits, Guard, client_of
from exporter.web.messages import Answer, Application
from exporter.web.origin import own_names, same_site
from exporter.web.routes import Handler, Routes, Site, below

DEFAULT_PORT = 10093

_BACKLOG = 1024
_STOP_SECONDS = 0.8
_REFUSED_SECONDS: Final = 0.05
_LATER_SECONDS: Final = 300
_MAX_PATH_BYTES: Final = 2048


class ListenError(OSError):
    """An address cannot be listened on. Its text is one line for the operator, with the address and the reason."""


class _Protocol(HttpToolsProtocol):
    """uvicorn's, which leaves the words and the count of a malformed request to the guard."""

    def __init__(self, guard: Guard, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config, state, {"guard": guard})
        self._guard = guard
        self._refusal = HTTPStatus.BAD_REQUEST

    def on_headers_complete(self) -> None:
        if len(self.url.partition(b"?")[0]) > _MAX_PATH_BYTES:  # before its % are decoded, which takes 1 ms per KiB
            self._refusal = HTTPStatus.REQUEST_URI_TOO_LONG
            raise ValueError("the path is too long")
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._guard.refuse(self._refusal)


class WebServer:
    """Serves a site on its addresses, in the running event loop. Leaves signals and logging to the application.

    `listeners` are sockets that listen already, which do not block; where there are any, they stand for the addresses.
    `routes` are further paths with their handlers by method, as `{"/-/reload": {"POST": reload}}`.
    `route_prefix`, as `/insights`, stands before every path.
    `guard` stands before all of them, and lets through whom it likes.
    `requests_by_code` counts answers, those to requests that were cut off or refused among them.
    """

    def __init__(
        self,
        site: Site,
        *,
        listen_addresses: tuple[ListenAddress, ...] = (ListenAddress(None, DEFAULT_PORT),),
        listeners: Sequence[socket.socket] = (),
        telemetry_path: str = "/metrics",
        route_prefix: str = "",
        routes: Mapping[str, Mapping[str, Handler]] | None = None,
        limits: ClientLimits | None = None,
        tls: ssl.SSLContext | None = None,
        guard: Callable[[Application], Application] | None = None,
    ) -> None:
        self.requests_by_code: Counter[str] = Counter()
        self._listen_addresses = () if listeners else listen_addresses
        self._tls = tls
        names = None if tls is not None else own_names([address.host for address in self._listen_addresses])
        application: Application = same_site(Routes(site, telemetry_path, routes or {}), names)
        if route_prefix:
            application = below(route_prefix, application)
        if guard is not None:
            application = guard(application)
        self._limits = limits or ClientLimits()
        self._connections = ClientConnections(self._limits, self._refusal)
        self._config = uvicorn.Config(
            ASGIApplication(application, self._limits.body_bytes, self.requests_by_code),
            http=_Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",  # what clients do wrong is counted, our own faults are logged by the application
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_LATER_SECONDS,  # the guard closes what is idle, and sooner
        )
        self._config.load()
        self._state = ServerState()
        self._listeners = list(listeners)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections.members)

    @property
    def addresses(self) -> tuple[ListenAddress, ...]:
        """Where it listens in fact: with the port that was given for a port 0."""
        return tuple(
            ListenAddress(*each.getsockname()[:2]) for each in self._listeners if each.family != socket.AF_UNIX
        )

    async def start(self) -> None:
        """Listens on all addresses, or raises ListenError and on none."""
        self._refresh_date()
        try:
            for address in self._listen_addresses:
                self._listeners.append(await _listening_socket(address))
        except BaseException:
            self._stop_listening()
            raise
        for each in self._listeners:
            self._spawn(self._accept(each), "web: accept")
        self._spawn(self._sweep(), "web: deadlines")

    async def stop(self) -> None:
        """Stops listening, lets the answers that were begun end, and closes every connection within a second."""
        ending = tuple(self._tasks)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        self._stop_listening()
        for member in tuple(self._connections.members):
            member.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._connections.empty.wait()
        for member in tuple(self._connections.members):
            member.abort()
        for task in tuple(self._state.tasks):
            task.cancel()

    async def _accept(self, listener: socket.socket) -> None:
        """Takes one connection at each turn of the event loop, so that those that are there have theirs."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listener)
            except OSError:  # it is gone already, or there are no more file descriptors
                await asyncio.sleep(_REFUSED_SECONDS)
                continue
            guard = Guard(self._connections, client_of(address), self._make_protocol)
            guard.admit(self._spawn(self._admit(guard, connection), "web: handshake"))
            await asyncio.sleep(0)  # its task has begun then, and would close what is given up
            self._connections.enter(guard)

    async def _admit(self, guard: Guard, connection: socket.socket) -> None:
        """Makes the connection, TLS handshake and all."""
        loop = asyncio.get_running_loop()
        seconds = None if self._tls is None else self._limits.request_seconds
        try:
            connection.setblocking(False)
            await loop.connect_accepted_socket(lambda: guard, connection, ssl=self._tls, ssl_handshake_timeout=seconds)
        except OSError:  # the client has gone, or its handshake was bad
            self._connections.leave(guard)

    def _make_protocol(self, guard: Guard) -> asyncio.Protocol:
        return _Protocol(guard, self._config, self._state)

    def _refusal(self, status: HTTPStatus) -> bytes:
        """An answer without its request, which is counted."""
        self.requests_by_code[str(status.value)] += 1
        answer = Answer.plain(status)
        fields = (*self._state.default_headers, *answer.fields, (b"connection", b"close"))
        lines = b"".join(b"%b: %b\r\n" % each for each in fields)
        return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status.value, status.phrase.encode(), lines, answer.body)

    async def _sweep(self) -> None:
        """Closes what is past its deadline, and keeps the Date field right."""
        loop, limits = asyncio.get_running_loop(), self._limits
        pause_seconds = min(1.0, limits.request_seconds / 4, limits.response_seconds / 4, limits.idle_seconds / 4)
        while True:
            await asyncio.sleep(pause_seconds)
            self._connections.sweep(loop.time())
            self._refresh_date()

    def _refresh_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]

    def _stop_listening(self) -> None:
        for each in self._listeners:
            each.close()
        self._listeners.clear()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _listening_socket(address: ListenAddress) -> socket.socket:
    """A bound socket. Without a host: both protocols on one socket where the machine has IPv6. Raises ListenError."""
    try:
        if address.host is None:
            try:
                return _bind(socket.AF_INET6, ("::", address.port))
            except OSError as error:
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                return _bind(socket.AF_INET, ("0.0.0.0", address.port))  # noqa: S104 - what was asked for
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
        return _bind(family, where)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ListenError(error.errno, f"cannot listen on {address}: {reason}") from error


def _bind(family: int, where: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(where[0] != "::"))
        bound.bind(where)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound
