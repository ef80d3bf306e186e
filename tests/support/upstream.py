"""A scripted upstream on a free port of 127.0.0.1: a token endpoint and a GraphQL API over real sockets.

It runs in a thread of its own, so that it serves tests in the same process and exporters in another. What it does
with a request is a behaviour: a coroutine that gets the `Call` and writes what it wants, well-formed or not. By
default the token endpoint grants tokens and the API answers who shows one of them. Everything it is asked is in its
journal.

    with Upstream() as upstream:
        upstream.api.once(status(401))
        upstream.token.always(grants(lifetime_seconds=2))
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import re
import socket
import ssl
import struct
import threading
import time
import warnings
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import formatdate
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, unquote_plus

import trustme

from tests.support.processes import PATIENCE_SECONDS, free_port

MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived. `at` is monotonic; `connection` numbers the connections of this upstream."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    connection: int
    method: str = "POST"

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def bearer(self) -> str:
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def basic(self) -> tuple[str, str]:
        """The client's id and secret of the Authorization header, form-decoded (RFC 6749 §2.3.1)."""
        pair = base64.b64decode(self.headers.get("authorization", "").removeprefix("Basic ")).decode()
        name, _, secret = pair.partition(":")
        return unquote_plus(name), unquote_plus(secret)


@dataclass(slots=True)
class Call:
    """A request and the connection that it came over: what a behaviour writes to."""

    request: Request
    upstream: Upstream
    writer: asyncio.StreamWriter
    closing: bool = False

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Ends the connection with RST instead of FIN."""
        linger = struct.pack("ii", 1, 0)
        with contextlib.suppress(OSError):  # it has ended already
            self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()
        self.closing = True


Behaviour = Callable[[Call], Awaitable[None]]


@dataclass(slots=True)
class Route:
    """One path of the upstream: its behaviour, what it does before that, and what it was asked."""

    path: str
    behaviour: Behaviour
    journal: list[Request] = field(default_factory=list)
    _next: deque[Behaviour] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def once(self, *behaviours: Behaviour) -> None:
        """These come first, one for each request."""
        self._next.extend(behaviours)

    def always(self, behaviour: Behaviour) -> None:
        """This from now on, after those that were told to come once."""
        self.behaviour = behaviour

    def wait_for(self, count: int, *, within_seconds: float = PATIENCE_SECONDS) -> list[Request]:
        """The journal, once it has that many requests."""
        with self._changed:
            met = self._changed.wait_for(lambda: len(self.journal) >= count, within_seconds)
        assert met, f"{self.path}: {len(self.journal)} requests, not {count}, after {within_seconds:g} s"
        return self.journal

    def _take(self, request: Request) -> Behaviour:
        with self._changed:
            self.journal.append(request)
            self._changed.notify_all()
        try:
            return self._next.popleft()
        except IndexError:
            return self.behaviour


class Upstream:
    """The server. Tests change `token`, `revocation`, `api` and `on_connect` while it runs."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        monotonic: Callable[[], float] = time.monotonic,
        token_prefix: str = "token-",
    ) -> None:
        """`monotonic` is the clock by which tokens expire here, for tests that bring their own."""
        self.monotonic = monotonic
        self._token_prefix = token_prefix
        self._tls = tls
        self._host = host
        self.port = 0
        self.connections = 0
        self.granted: dict[str, float] = {}
        """The tokens that the default behaviour granted, and when (monotonic) they end."""
        self.on_connect: Behaviour | None = None
        """What to do with a connection instead of reading a request; with TLS, after the handshake."""
        self.token = Route("/oauth2/token", grants())
        self.revocation = Route("/oauth2/revoke", revokes)
        self.api = Route("/graphql", answers_who_is_known)
        self._routes = {route.path: route for route in (self.token, self.revocation, self.api)}
        self._operations: dict[str, Route] = {}
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._idle: set[asyncio.StreamWriter] = set()  # that have answered, and have no further request
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstream", daemon=True)
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop_listening()
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def origin(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self._host}:{self.port}"

    @property
    def api_url(self) -> str:
        return self.origin + self.api.path

    @property
    def token_url(self) -> str:
        return self.origin + self.token.path

    @property
    def revocation_url(self) -> str:
        return self.origin + self.revocation.path

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    def api_route(self, path: str) -> Route:
        """The API once more, at a path of its own."""
        return self._routes.setdefault(path, Route(path, answers_who_is_known))

    def token_route(self, path: str) -> Route:
        """The token endpoint once more, at a path of its own."""
        return self._routes.setdefault(path, Route(path, grants()))

    def operation(self, name: str) -> Route:
        """The requests to the API for the operation of that name, apart from all others."""
        return self._operations.setdefault(name, Route(f"{self.api.path} {name}", answers_who_is_known))

    def new_token(self, path: str, lifetime_seconds: float, text: str | None = None) -> str:
        """A token that the API takes for so long; without a text, the next of its endpoint's own."""
        of_endpoint = "" if path == self.token.path else f"{path.strip('/').replace('/', '-')}-"
        token = text or f"{self._token_prefix}{of_endpoint}{len(self._routes[path].journal)}"
        self.granted[token] = self.monotonic() + lifetime_seconds
        return token

    def listen(self) -> None:
        """Listens, on the port that it had before if there was one: nobody else was given it meanwhile."""
        self.port = self.port or free_port()
        self._server = self._run(asyncio.start_server(self._serve, self._host, self.port, ssl=self._tls))

    def stop_listening(self) -> None:
        """New connections are refused; those that exist go on."""
        if self._server is not None:
            self._loop.call_soon_threadsafe(self._server.close)
            self._run(asyncio.sleep(0))
            self._server = None

    def close_connections(self, *, reset: bool = False) -> None:
        """Ends all connections, those with a request too, or by RST as a firewall does."""
        self._run(self._close(self._writers, reset))

    def close_idle_connections(self) -> None:
        """Ends the connections that wait for a further request, as servers do."""
        self._run(self._close(self._idle, reset=False))

    def revoke_all(self) -> None:
        """Forgets all tokens, as an administrator's click would."""
        self.granted.clear()

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE_SECONDS)

    async def _close(self, writers: set[asyncio.StreamWriter], reset: bool) -> None:
        for writer in list(writers):
            if reset:
                Call(_NO_REQUEST, self, writer).reset()
            else:
                writer.close()
        await asyncio.sleep(0)

    def _route(self, request: Request) -> Route | None:
        operation = _OPERATION.match(request.body) if self._operations and request.path == self.api.path else None
        named = self._operations.get(operation[1].decode()) if operation else None
        return named or self._routes.get(request.path.partition("?")[0])

    async def _end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tls is not None:
            await asyncio.sleep(0.02)  # for handshakes that a client gave up: asyncio closes them in later turns

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        try:
            if self.on_connect is not None:
                await self.on_connect(Call(_NO_REQUEST, self, writer))
                return
            while (request := await _request(reader, number)) is not None:
                self._idle.discard(writer)
                call = Call(request, self, writer)
                route = self._route(request)
                await (status(404) if route is None else route._take(request))(call)
                if call.closing:
                    return
                self._idle.add(writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has left, or the test has ended
        finally:
            self._tasks.discard(task)
            self._writers.discard(writer)
            self._idle.discard(writer)
            writer.close()


_OPERATION: Final = re.compile(rb'\{"query":"query (\w+)')
_NO_REQUEST: Final = Request("", {}, b"", 0.0, 0)


async def _request(reader: asyncio.StreamReader, connection: int) -> Request | None:
    """The next request of a connection; None at its end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers: dict[str, str] = {}
    for line in filter(None, lines):
        field, _, value = line.partition(":")
        name = field.lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(path, headers, body, time.monotonic(), connection, method)


# ------------------------------------------------------------------------------------------ well-formed answers


def reply(
    body: bytes = b"",
    *,
    code: int = 200,
    content_type: str | None = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Behaviour:
    """An ordinary answer, with `Date` and `Content-Length` unless `headers` has them."""

    async def behaviour(call: Call) -> None:
        fields = {"date": formatdate(usegmt=True), "content-length": str(len(body))}
        if content_type is not None:
            fields["content-type"] = content_type
        fields |= headers or {}
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await call.send(f"HTTP/1.1 {code} Reason\r\n{lines}\r\n".encode("latin-1") + body)

    return behaviour


def answer(content: object, **options: Any) -> Behaviour:
    """JSON."""
    return reply(json.dumps(content).encode(), **options)


def status(code: int, **headers: str) -> Behaviour:
    """A status with an HTML page; `retry_after="5"` becomes a header."""
    page = b"<html><body>a page that belongs in no log</body></html>"
    return reply(page, code=code, content_type="text/html", headers=_named(headers))


def redirect(code: int, location: str) -> Behaviour:
    return reply(code=code, content_type=None, headers={"location": location})


def gzipped(body: bytes, *, encoding: str = "gzip") -> Behaviour:
    return reply(gzip.compress(body), headers={"content-encoding": encoding})


_ODD_LINES: Final = (
    b"x-gr\xfc\xdf: 1\r\nx-motd: gr\xfc\xdf\r\n: empty\r\nno field\r\n"
    b"x-spaced : 1\r\ncontent-type: application/json\r\n"
)


class _OddCall(Call):
    """A call whose answer begins with lines that mean nothing."""

    async def send(self, data: bytes) -> None:
        status_line, end, rest = data.partition(b"\r\n")
        await Call.send(self, status_line + end + _ODD_LINES + rest)


def oddly(then: Behaviour) -> Behaviour:
    """That answer, sent as a whole, with lines in its head that are no fields, or none that anybody wants."""

    async def behaviour(call: Call) -> None:
        await then(_OddCall(call.request, call.upstream, call.writer))

    return behaviour


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def grants(
    *, lifetime_seconds: float = 3600, text: str | None = None, delay_seconds: float = 0.0, **fields: object
) -> Behaviour:
    """A token endpoint that grants a new token each time (or always `text`).

    `fields` go into the answer, or leave it where they are `MISSING`.
    """

    async def behaviour(call: Call) -> None:
        await asyncio.sleep(delay_seconds)
        token = call.upstream.new_token(call.request.path, lifetime_seconds, text)
        told = {"access_token": token, "token_type": "Bearer", "expires_in": lifetime_seconds, **fields}
        await answer({name: value for name, value in told.items() if value is not MISSING})(call)

    return behaviour


def oauth_error(error: str, *, code: int = 400) -> Behaviour:
    """An error of RFC 6749 §5.2."""
    return answer({"error": error, "error_description": "the server's own\nwords"}, code=code)


async def revokes(call: Call) -> None:
    """RFC 7009: the token is forgotten; 200 for unknown ones too."""
    call.upstream.granted.pop(call.request.form.get("token", ""), None)
    await reply()(call)


async def answers_who_is_known(call: Call) -> None:
    """The API: 401 unless the request shows a granted token that has not expired."""
    if call.upstream.granted.get(call.request.bearer, 0.0) > call.upstream.monotonic():
        await answer({"data": {"value": 1}})(call)
    else:
        await status(401)(call)


def after(delay_seconds: float, then: Behaviour) -> Behaviour:
    async def behaviour(call: Call) -> None:
        await asyncio.sleep(delay_seconds)
        await then(call)

    return behaviour


def when(released: threading.Event, then: Behaviour) -> Behaviour:
    """Waits until the test lets it go on."""

    async def behaviour(call: Call) -> None:
        while not released.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.005)
        await then(call)

    return behaviour


# --------------------------------------------------------------------------------------------- faults of the wire


def raw(*parts: bytes, pause_seconds: float = 0.0, then: Behaviour | None = None) -> Behaviour:
    """These bytes, with pauses between; then the connection is closed, or what `then` does."""

    async def behaviour(call: Call) -> None:
        for part in parts:
            await call.send(part)
            await asyncio.sleep(pause_seconds)
        if then is None:
            call.closing = True
        else:
            await then(call)

    return behaviour


def endless(part: bytes, *, first: bytes = b"", pause_seconds: float = 0.0) -> Behaviour:
    """The same bytes for ever."""

    async def behaviour(call: Call) -> None:
        await call.send(first)
        while True:
            await call.send(part)
            await asyncio.sleep(pause_seconds)

    return behaviour


async def silence(call: Call) -> None:
    """Nothing, until the client leaves."""
    await asyncio.Event().wait()


async def reset(call: Call) -> None:
    """RST."""
    call.reset()


async def close(call: Call) -> None:
    """FIN."""
    call.closing = True


def dribble(data: bytes, *, pause_seconds: float) -> Behaviour:
    """The bytes one by one."""
    return raw(*(bytes([byte]) for byte in data), pause_seconds=pause_seconds)


def in_turn(behaviours: Sequence[Behaviour]) -> Behaviour:
    """Each in its turn, then from the beginning."""
    position = 0

    async def behaviour(call: Call) -> None:
        nonlocal position
        position += 1
        await behaviours[(position - 1) % len(behaviours)](call)

    return behaviour


HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"


# ------------------------------------------------------------------------------------------ things beside a server


@contextlib.contextmanager
def black_hole(port: int = 0) -> Iterator[int]:
    """The port of a listener on 127.0.0.1 whose queue is full: who connects hears nothing."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(0)
        for _ in range(8):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect(listener.getsockname())
        yield listener.getsockname()[1]


def server_context(
    authority: trustme.CA,
    *identities: str,
    not_after: datetime | None = None,
    highest: ssl.TLSVersion | None = None,
    clients_of: trustme.CA | None = None,
) -> ssl.SSLContext:
    """A server's context with a certificate for these names; with `clients_of` it wants one of the client too."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if highest is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what is tested
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = min(ssl.TLSVersion.TLSv1, highest)
            context.maximum_version = highest
    if clients_of is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        clients_of.configure_trust(context)
    authority.issue_cert(*identities, not_after=not_after).configure_cert(context)
    return context


class Proxy:
    """A forward proxy on a free port: tunnels what CONNECT asks for, and keeps the heads that it was sent."""

    def __init__(
        self,
        *,
        answer: bytes = b"HTTP/1.1 200 Connected\r\n\r\n",
        tls: ssl.SSLContext | None = None,
        knows: Mapping[str, str] | None = None,
    ) -> None:
        """`knows` are the addresses of names that only the proxy knows."""
        self._knows = knows or {}
        self.heads: list[str] = []
        self._answer = answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        with (
            contextlib.suppress(OSError),
            client if self._tls is None else self._tls.wrap_socket(client, server_side=True) as client,
        ):
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            self.heads.append(head.decode("latin-1"))
            client.sendall(self._answer)
            if b" 200 " not in self._answer:
                return
            host, _, port = head.split(b" ")[1].decode().partition(":")
            with socket.create_connection((self._knows.get(host, host), int(port))) as server:
                back = threading.Thread(target=_pumped, args=(server, client), daemon=True)
                back.start()
                _pumped(client, server)
                back.join()


def _pumped(source: socket.socket, sink: socket.socket) -> None:
    """Everything that comes from one socket, to the other, and its end too."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
