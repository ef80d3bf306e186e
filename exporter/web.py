"""The web server: routes only. Uvicorn with a small ASGI application, and guards against clients that never finish."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exporter.negotiation import Representation, representation

_ADDRESS: Final = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.%]+)\]|(?P<host>[^:\[\]]*)):(?P<port>\d{1,5})")
_TEXT: Final = "text/plain; charset=utf-8"
_HTML: Final = "text/html; charset=utf-8"
_METHODS: Final = ("GET", "HEAD")

HEADER_SECONDS: Final = 10.0
WRITE_SECONDS: Final = 30.0
MAX_CONNECTIONS: Final = 512
MAX_HEADER_BYTES: Final = 64 * 1024

Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ListenAddress:
    """Where to listen; no host means every address."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Where a person on this machine finds it."""
        host = self.host or "localhost"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


def parsed_listen_address(text: str) -> ListenAddress:
    """The address that `text` writes: `:10093`, `127.0.0.1:10093` or `[::1]:10093`. Raises `ValueError`."""
    match = _ADDRESS.fullmatch(text)
    if not match or int(match["port"]) > 65535:
        raise ValueError(f"{text!r} is not an address; write HOST:PORT, or :PORT for every address")
    return ListenAddress(match["six"] or match["host"] or "", int(match["port"]))


@dataclass(frozen=True, slots=True)
class Site:
    """What the routes answer with."""

    metrics: Callable[[Representation], bytes]
    home: Callable[[], bytes]
    ready: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may take: seconds for a request's header and for reading an answer, and how many at once."""

    header_seconds: float = HEADER_SECONDS
    write_seconds: float = WRITE_SECONDS
    max_connections: int = MAX_CONNECTIONS


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, whole."""

    status: int
    body: bytes
    content_type: str = _TEXT
    headers: tuple[tuple[bytes, bytes], ...] = ()


class WebServer:
    """Serves a site on its addresses. `requests_by_code` and `connections` are for telemetry."""

    def __init__(
        self,
        site: Site,
        *,
        listen_addresses: tuple[ListenAddress, ...],
        telemetry_path: str = "/metrics",
        limits: Limits = Limits(),
    ) -> None:
        self._site = site
        self._addresses = listen_addresses
        self._limits = limits
        self._routes: Mapping[str, Callable[[Mapping[bytes, bytes]], Answer]] = {
            telemetry_path: self._metrics,
            "/": lambda _: Answer(200, site.home(), _HTML, ((b"x-content-type-options", b"nosniff"),)),
            "/-/healthy": lambda _: Answer(200, b"Insights Exporter is healthy.\n"),
            "/-/ready": self._ready,
        }
        self._open: set[_GuardedProtocol] = set()
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._sockets: list[socket.socket] = []
        self.requests_by_code: Counter[str] = Counter()

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that are listened on, which tell those that were asked for as 0."""
        return tuple(one.getsockname()[1] for one in self._sockets)

    async def start(self) -> None:
        """Listens and serves in the background. Raises `OSError` where it cannot listen."""
        try:
            for address in self._addresses:
                self._sockets.append(_listening(address))
        except OSError:
            self._close_sockets()
            raise
        config = uvicorn.Config(
            self._answered,
            http=self._protocol,  # type: ignore[arg-type]  # a factory, where uvicorn takes a class
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=self._sockets))
        while not self._server.started and not self._serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Stops listening, lets answers under way end, for a second at most."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self._serving], timeout=2)
        self._close_sockets()

    def _close_sockets(self) -> None:
        for one in self._sockets:
            one.close()

    def _protocol(self, *arguments: Any, **named: Any) -> _GuardedProtocol:
        return _GuardedProtocol(*arguments, guards=_Guards(self._open, self._limits, self.requests_by_code), **named)

    async def _answered(self, scope: dict[str, Any], _receive: object, send: Send) -> None:
        method = scope["method"]
        answer = self._answer(method, scope["path"], dict(scope["headers"]))
        self.requests_by_code[str(answer.status)] += 1
        headers = [
            (b"content-type", answer.content_type.encode()),
            (b"content-length", str(len(answer.body)).encode()),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if method == "HEAD" else answer.body})

    def _answer(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> Answer:
        route = self._routes.get(path)
        if route is None:
            return Answer(404, b"Not found.\n")
        if method not in _METHODS:
            return Answer(405, b"Method not allowed.\n", headers=((b"allow", b"GET, HEAD"),))
        if int(headers.get(b"content-length", b"0") or 0) > 0 or b"transfer-encoding" in headers:
            return Answer(413, b"No body is taken here.\n", headers=((b"connection", b"close"),))
        return route(headers)

    def _metrics(self, headers: Mapping[bytes, bytes]) -> Answer:
        chosen = representation(
            headers.get(b"accept", b"").decode("latin-1"), headers.get(b"accept-encoding", b"").decode("latin-1")
        )
        vary = (b"vary", b"Accept, Accept-Encoding")
        headers_of_it = (vary, (b"content-encoding", b"gzip")) if chosen.gzip else (vary,)
        return Answer(200, self._site.metrics(chosen), chosen.content_type, headers_of_it)

    def _ready(self, _headers: Mapping[bytes, bytes]) -> Answer:
        if self._site.ready():
            return Answer(200, b"Insights Exporter is ready.\n")
        return Answer(503, b"Not every query has been tried yet.\n")


class _Server(uvicorn.Server):
    """Uvicorn's server without its signal handlers: those are the application's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


@dataclass(frozen=True, slots=True)
class _Guards:
    """What all connections of a server share."""

    open: set[_GuardedProtocol]
    limits: Limits
    requests_by_code: Counter[str]


class _GuardedProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP with an end to patience: for a header that does not end, and for a client that does not read."""

    def __init__(self, *arguments: Any, guards: _Guards, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._guards = guards
        self._deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self._guards.open) >= self._guards.limits.max_connections:
            transport.abort()
            return
        self._guards.open.add(self)
        self._await_header()

    def connection_lost(self, exc: Exception | None) -> None:
        self._guards.open.discard(self)
        self._cancel("_deadline")
        self._cancel("_write_deadline")
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._header_bytes += len(data)
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(431, b"Request Header Fields Too Large")
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._deadline is None:
            self._await_header()

    def on_headers_complete(self) -> None:
        self._cancel("_deadline")
        self._header_bytes = 0
        super().on_headers_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_deadline = self.loop.call_later(self._guards.limits.write_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._cancel("_write_deadline")
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._guards.requests_by_code["400"] += 1
        super().send_400_response(msg)

    def _await_header(self) -> None:
        self._deadline = self.loop.call_later(self._guards.limits.header_seconds, self.transport.abort)

    def _cancel(self, name: str) -> None:
        handle = getattr(self, name)
        if handle is not None:
            handle.cancel()
            setattr(self, name, None)

    def _refuse(self, status: int, phrase: bytes) -> None:
        self._guards.requests_by_code[str(status)] += 1
        self.transport.write(b"HTTP/1.1 %d %s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % (status, phrase))
        self.transport.close()


def _listening(address: ListenAddress) -> socket.socket:
    """A listening socket; without a host, on every address of both families where there are both."""
    host = address.host
    dual = not host and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or ":" in host else socket.AF_INET
    return socket.create_server((host, address.port), family=family, backlog=1024, dualstack_ipv6=dual)
