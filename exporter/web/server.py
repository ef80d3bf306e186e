"""The HTTP side: routes and listening sockets. What they show is made elsewhere; a scrape copies bytes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exporter.web.connection import Connection, Crowd, Limits
from exporter.web.messages import Application
from exporter.web.routes import Handler, Routes, Site, below

DEFAULT_PORT = 10093

_BACKLOG = 1024
_STOP_SECONDS = 0.8
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:]*)):(?P<port>\d{1,5})")


class ListenError(OSError):
    """An address cannot be listened on. Its text is one line for the operator, with the address and the reason."""


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen. Without a host: on all addresses of the machine. Port 0: one that is free."""

    host: str | None
    port: int

    @classmethod
    def parse(cls, text: str) -> ListenAddress:
        """`:10093`, `127.0.0.1:0`, `localhost:9090` or `[::1]:9000`. Raises ValueError with the reason."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a listen address; write :PORT, HOST:PORT or [IPv6]:PORT")
        port = int(match["port"])
        if port > 65535:
            raise ValueError(f"{text!r} is not a listen address; ports end at 65535")
        return cls(match["ipv6"] or match["host"] or None, port)

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


class WebServer:
    """Serves a site on its addresses, in the running event loop. Leaves signals and logging to the application.

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
        telemetry_path: str = "/metrics",
        route_prefix: str = "",
        routes: Mapping[str, Mapping[str, Handler]] | None = None,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
        guard: Callable[[Application], Application] | None = None,
    ) -> None:
        self.requests_by_code: Counter[str] = Counter()
        self._listen_addresses = listen_addresses
        self._tls = tls
        application: Application = Routes(site, telemetry_path, routes or {})
        if route_prefix:
            application = below(route_prefix, application)
        if guard is not None:
            application = guard(application)
        self._crowd = Crowd(application, limits or Limits(), self.requests_by_code)
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._crowd.members)

    @property
    def addresses(self) -> tuple[ListenAddress, ...]:
        """Where it listens in fact: with the port that was given for a port 0."""
        sockets = [each for server in self._servers for each in server.sockets]
        return tuple(ListenAddress(*each.getsockname()[:2]) for each in sockets)

    async def start(self) -> None:
        """Listens on all addresses, or raises ListenError and on none."""
        loop = asyncio.get_running_loop()
        self._crowd.refresh_date()
        sockets: list[socket.socket] = []
        try:
            for address in self._listen_addresses:
                sockets.append(await _listening_socket(address))  # noqa: PERF401 - those before a bad one are closed
        except BaseException:
            for each in sockets:
                each.close()
            raise
        handshake_seconds = None if self._tls is None else self._crowd.limits.request_seconds
        for each in sockets:
            server = await loop.create_server(
                lambda: Connection(self._crowd),
                sock=each,
                ssl=self._tls,
                backlog=_BACKLOG,
                ssl_handshake_timeout=handshake_seconds,
            )
            self._servers.append(server)
        self._sweeper = loop.create_task(self._sweep(), name="web: deadlines")

    async def stop(self) -> None:
        """Stops listening, lets the answers that were begun end, and closes every connection within a second."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
            self._sweeper = None
        for server in self._servers:
            server.close()
        self._servers.clear()
        for member in tuple(self._crowd.members):
            member.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._crowd.empty.wait()
        for member in tuple(self._crowd.members):
            member.abort()
        for task in tuple(self._crowd.tasks):
            task.cancel()
        self._crowd.repeated.forget()

    async def _sweep(self) -> None:
        """Closes what is past its deadline, and keeps the Date field right."""
        loop = asyncio.get_running_loop()
        limits = self._crowd.limits
        pause_seconds = min(1.0, limits.request_seconds / 4, limits.response_seconds / 4, limits.idle_seconds / 4)
        while True:
            await asyncio.sleep(pause_seconds)
            self._crowd.sweep(loop.time())
            self._crowd.refresh_date()


async def _listening_socket(address: ListenAddress) -> socket.socket:
    """A bound socket. Without a host: both protocols on one socket where the machine has IPv6. Raises ListenError."""
    try:
        if address.host is None:
            try:
                return _bound(socket.AF_INET6, ("::", address.port))
            except OSError as error:
                if error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                return _bound(socket.AF_INET, ("0.0.0.0", address.port))  # noqa: S104 - what was asked for
        found = await asyncio.get_running_loop().getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        family, _, _, _, where = min(found, key=lambda each: each[0] != socket.AF_INET)
        return _bound(family, where)
    except OSError as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else os.strerror(error.errno or 0)
        raise ListenError(error.errno, f"cannot listen on {address}: {reason}") from error


def _bound(family: int, where: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> socket.socket:
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
