"""The HTTP side: routes and listening sockets. What they show is made elsewhere; a scrape copies bytes."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import re
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias

from uvicorn.config import Config
from uvicorn.server import ServerState

from exporter.connection import Crowd, GuardedConnection, Limits
from exporter.negotiation import Representation, representation

DEFAULT_PORT = 10093

_BACKLOG = 1024
_STOP_SECONDS = 0.8
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:]*)):(?P<port>\d{1,5})")

_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"

Headers: TypeAlias = list[tuple[bytes, bytes]]
Scope: TypeAlias = dict[str, Any]

_NONE_KEPT: tuple[int, Headers] = (-1, [])

logger = logging.getLogger(__name__)


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


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route answers with."""

    body: bytes
    content_type: str = _TEXT
    status: HTTPStatus = HTTPStatus.OK
    headers: tuple[tuple[str, str], ...] = ()


Handler: TypeAlias = Callable[[], Answer | Awaitable[Answer]]


class Site(Protocol):
    """What there is to see. All of it is called in the event loop, for each request, and must not wait."""

    def metrics(self, form: Representation) -> bytes:
        """The body of `/metrics` in that form."""

    def home(self) -> bytes:
        """The HTML of `/`."""

    def healthy(self) -> bool:
        """Whether the process does its work."""

    def ready(self) -> bool:
        """Whether the configuration is loaded and every query has been tried, well or badly."""


class WebServer:
    """Serves a site on its addresses, in the running event loop. Leaves signals and logging to the application.

    `routes` are further paths with their handlers by method, as `{"/-/reload": {"POST": reload}}`.
    `requests_by_code` counts answers, those to requests that were cut off or refused among them.
    """

    def __init__(
        self,
        site: Site,
        *,
        listen_addresses: tuple[ListenAddress, ...] = (ListenAddress(None, DEFAULT_PORT),),
        telemetry_path: str = "/metrics",
        routes: Mapping[str, Mapping[str, Handler]] | None = None,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests_by_code: Counter[str] = Counter()
        self._limits = limits or Limits()
        self._listen_addresses = listen_addresses
        self._tls = tls
        self._crowd = Crowd(self._limits, self.requests_by_code)
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None
        self._state = ServerState()
        app = _Application(site, telemetry_path, routes or {}, self.requests_by_code)
        self._config = Config(
            app,
            loop="none",
            http=GuardedConnection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=max(1, round(self._limits.idle_seconds)),
        )
        self._config.load()

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
        self._refresh_date()
        sockets: list[socket.socket] = []
        try:
            for address in self._listen_addresses:
                sockets.append(await _listening_socket(address))  # noqa: PERF401 - those before a bad one are closed
        except BaseException:
            for each in sockets:
                each.close()
            raise
        handshake_seconds = None if self._tls is None else self._limits.request_seconds
        for each in sockets:
            server = await loop.create_server(
                self._connection, sock=each, ssl=self._tls, backlog=_BACKLOG, ssl_handshake_timeout=handshake_seconds
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
            member.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await self._crowd.empty.wait()
        for member in tuple(self._crowd.members):
            member.transport.abort()
        for task in tuple(self._state.tasks):
            task.cancel()

    def _connection(self) -> GuardedConnection:
        return GuardedConnection(self._crowd, self._config, self._state)

    async def _sweep(self) -> None:
        """Closes what is past its deadline, and keeps the Date header right."""
        loop = asyncio.get_running_loop()
        pause_seconds = min(1.0, self._limits.request_seconds / 4, self._limits.response_seconds / 4)
        while True:
            await asyncio.sleep(pause_seconds)
            self._crowd.sweep(loop.time())
            self._refresh_date()

    def _refresh_date(self) -> None:
        self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]


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


class _Application:
    """The ASGI application: finds the route, sends what it answers, counts the codes."""

    def __init__(
        self,
        site: Site,
        telemetry_path: str,
        routes: Mapping[str, Mapping[str, Handler]],
        requests_by_code: Counter[str],
    ) -> None:
        self._site = site
        self._telemetry_path = telemetry_path
        self._requests_by_code = requests_by_code
        self._kept: dict[Representation, tuple[int, Headers]] = {}
        self._routes: dict[str, dict[str, Handler]] = {
            "/": {"GET": self._home},
            "/-/healthy": {"GET": lambda: _probe(site.healthy(), "Healthy", "Not healthy")},
            "/-/ready": {"GET": lambda: _probe(site.ready(), "Ready", "Not ready")},
            telemetry_path: {"GET": lambda: Answer(b"")},  # answered apart; here for the methods
        }
        self._routes.update({path: dict(handlers) for path, handlers in routes.items()})
        for handlers in self._routes.values():
            if "GET" in handlers:
                handlers["HEAD"] = handlers["GET"]

    async def __call__(
        self, scope: Scope, receive: object, send: Callable[[dict[str, object]], Awaitable[None]]
    ) -> None:
        try:
            if scope["path"] == self._telemetry_path and scope["method"] in ("GET", "HEAD"):
                body, headers = self._metrics(scope)
                status = 200
            else:
                answer = await self._answer(scope["path"], scope["method"])
                body, headers, status = answer.body, _headers(answer), answer.status.value
        except Exception:
            logger.exception("a request could not be answered")
            answer = Answer(b"Internal Server Error\n", status=HTTPStatus.INTERNAL_SERVER_ERROR)
            body, headers, status = answer.body, _headers(answer), answer.status.value
        self._requests_by_code[str(status)] += 1
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _metrics(self, scope: Scope) -> tuple[bytes, Headers]:
        accept = accept_encoding = ""
        for name, value in scope["headers"]:
            if name == b"accept":
                accept = f"{accept},{value.decode('latin-1')}" if accept else value.decode("latin-1")
            elif name == b"accept-encoding":
                text = value.decode("latin-1")
                accept_encoding = f"{accept_encoding},{text}" if accept_encoding else text
        form = representation(accept, accept_encoding)
        body = self._site.metrics(form)
        length, headers = self._kept.get(form, _NONE_KEPT)
        if length != len(body):
            headers = _metrics_headers(form, len(body))
            self._kept[form] = (len(body), headers)
        return body, headers

    async def _answer(self, path: str, method: str) -> Answer:
        handlers = self._routes.get(path)
        if handlers is None:
            return Answer(b"Not Found\n", status=HTTPStatus.NOT_FOUND)
        handler = handlers.get(method)
        if handler is None:
            allow = ", ".join(sorted(handlers))
            status = HTTPStatus.METHOD_NOT_ALLOWED
            return Answer(b"Method Not Allowed\n", status=status, headers=(("allow", allow),))
        answer = handler()
        return answer if isinstance(answer, Answer) else await answer

    def _home(self) -> Answer:
        policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
        return Answer(self._site.home(), _HTML, headers=(("content-security-policy", policy),))


def _probe(good: bool, yes: str, no: str) -> Answer:
    return Answer(f"{yes}\n".encode()) if good else Answer(f"{no}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)


def _headers(answer: Answer) -> Headers:
    own = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
    return [
        (b"content-type", answer.content_type.encode("latin-1")),
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-content-type-options", b"nosniff"),
        *own,
    ]


def _metrics_headers(form: Representation, length: int) -> Headers:
    headers = [
        (b"content-type", form.content_type.encode("latin-1")),
        (b"content-length", b"%d" % length),
        (b"vary", b"Accept, Accept-Encoding"),
    ]
    if form.gzip:
        headers.append((b"content-encoding", b"gzip"))
    return headers
