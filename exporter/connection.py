"""One HTTP connection, guarded: uvicorn's protocol has no time-out for what does not arrive, or is not read."""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

_LINGER_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take. The defaults never meet a scraper that works."""

    request_seconds: float = 10.0  # from the first byte (or the connection) to the whole request; also TLS handshakes
    response_seconds: float = 30.0  # from the response to the last of its bytes that the client has taken
    idle_seconds: float = 75.0  # between requests: one scrape a minute keeps its connection
    head_bytes: int = 16384  # request line and header fields
    body_bytes: int = 65536
    connections: int = field(default_factory=lambda: min(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))


class Crowd:
    """All connections of a server, the oldest first, and what they are held to."""

    def __init__(self, limits: Limits, requests_by_code: Counter[str]) -> None:
        self.limits = limits
        self.requests_by_code = requests_by_code
        self.members: dict[GuardedConnection, None] = {}
        self.empty = asyncio.Event()
        self.empty.set()

    def enter(self, member: GuardedConnection) -> None:
        """If they are too many now, the one that has waited longest for a request goes: rather that than a scraper."""
        self.members[member] = None
        self.empty.clear()
        if len(self.members) > self.limits.connections:
            waiting = [each for each in self.members if each.awaits_request]
            oldest = min(waiting, key=lambda each: (not each.unfinished, each.since), default=member)
            oldest.transport.abort()

    def leave(self, member: GuardedConnection) -> None:
        self.members.pop(member, None)
        if not self.members:
            self.empty.set()

    def sweep(self, now: float) -> None:
        """Closes connections that are past a deadline."""
        for member in tuple(self.members):
            if member.overdue(now):
                member.transport.abort()


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection with deadlines and limits. Errors of the client are answered, counted and not logged."""

    def __init__(self, crowd: Crowd, config: Config, state: ServerState) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._crowd = crowd
        self._limits = crowd.limits
        self._refusal = HTTPStatus.BAD_REQUEST  # what an error of the parser is answered with
        self._refused = False
        self._in_head = True
        self._head_bytes = 0
        self._body_bytes = 0
        self._answers = 0
        self._answers_seen = 0
        self._unsent_since: float | None = None
        self.unfinished = True  # a request has begun, or the connection has, and the request is not there yet
        self.since = 0.0  # since when it is unfinished; otherwise since when the last one was complete

    @property
    def awaits_request(self) -> bool:
        """Whether nothing is being answered on this connection."""
        answering = self.cycle is not None and not self.cycle.response_complete
        return not answering and self.transport.get_write_buffer_size() == 0

    def overdue(self, now: float) -> bool:
        """Whether a deadline has passed, by the clock of the event loop."""
        if self.unfinished and now - self.since > (_LINGER_SECONDS if self._refused else self._limits.request_seconds):
            return True
        if self._answers != self._answers_seen or not self.transport.get_write_buffer_size():
            self._answers_seen = self._answers
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        return self._unsent_since is not None and now - self._unsent_since > self._limits.response_seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.since = self.loop.time()
        self._crowd.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if not self.unfinished:
            self.unfinished = True
            self.since = self.loop.time()
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self._limits.head_bytes and not self._refused:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        self._in_head = False
        size = len(self.url)
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"content-length" and int(value) > self._limits.body_bytes:
                self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        if size > self._limits.head_bytes:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = self._body_bytes = 0
        self.unfinished = False
        self.since = self.loop.time()

    def on_response_complete(self) -> None:
        self._answers += 1
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser, or one of the methods above, found the request to be wrong."""
        self._refuse(self._refusal)

    def _stop(self, refusal: HTTPStatus) -> None:
        """Makes the parser stop, which ends in `send_400_response`. Raises always."""
        self._refusal = refusal
        raise ValueError(refusal.phrase)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answers and closes. What the client still sends is read and dropped for a moment, or it would see a reset."""
        self._refused = True
        self._crowd.requests_by_code[str(status.value)] += 1
        if self.cycle is not None:
            self.cycle.disconnected = True
        self.pipeline.clear()
        self.flow.resume_reading()
        text = f"{status.phrase}\n".encode()
        lines = [f"HTTP/1.1 {status.value} {status.phrase}".encode()]
        lines += [name + b": " + value for name, value in self.server_state.default_headers]
        lines += [b"content-type: text/plain; charset=utf-8", b"content-length: %d" % len(text), b"connection: close"]
        self.transport.write(b"\r\n".join((*lines, b"", text)))
        self.unfinished = True
        self.since = self.loop.time()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()
