"""HTTP/1.1 connections: llhttp parses, an answer is written in one go, nothing takes longer or more than its limit.

A web framework's server would do the routing as well, but neither has deadlines for what does not arrive or is not
read, and costs several times as much a scrape.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections import Counter, deque
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, cast

import httptools
import structlog

from exporter.model.errors import fault_text
from exporter.web.messages import Answer, Application, Request, path_and_search

_LINGER_SECONDS = 2.0
_KNOWN_BYTES = 2048
_STATUS_LINES = {status: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take. The defaults never meet a scraper that works."""

    request_seconds: float = 10.0  # from its first byte, or the connection, until the request is whole; TLS handshakes
    response_seconds: float = 30.0  # from the first byte that waits to be taken until the client has taken all
    idle_seconds: float = 75.0  # between requests: one scrape a minute keeps its connection
    head_bytes: int = 16384  # request line and header fields
    body_bytes: int = 65536
    connections: int = field(default_factory=lambda: _half_of_the_file_descriptors(at_most=1024))


class Crowd:
    """All connections of a server, the oldest first, and what they have in common."""

    def __init__(self, application: Application, limits: Limits, requests_by_code: Counter[str]) -> None:
        self.application = application
        self.limits = limits
        self.requests_by_code = requests_by_code
        self.members: dict[Connection, None] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.empty = asyncio.Event()
        self.empty.set()
        self.repeated = Repeated()
        self.date = b""
        self.refresh_date()

    def refresh_date(self) -> None:
        """Due every second."""
        self.date = f"date: {formatdate(usegmt=True)}\r\n".encode()

    def enter(self, member: Connection) -> None:
        """If they are too many now, the one that has waited longest for a request goes: rather that than a scraper."""
        self.members[member] = None
        self.empty.clear()
        if len(self.members) > self.limits.connections:
            waiting = [each for each in self.members if each is not member and each.awaits_request]
            min(waiting, key=lambda each: (not each.unfinished, each.since), default=member).abort()

    def leave(self, member: Connection) -> None:
        self.members.pop(member, None)
        if not self.members:
            self.empty.set()

    def sweep(self, now: float) -> None:
        """Closes the connections that are past a deadline, by the clock of the event loop."""
        for member in tuple(self.members):
            if member.overdue(now):
                member.abort()


class Connection(asyncio.Protocol):
    """One connection, its requests answered one after the other. Errors of the client are counted, not logged.

    Implements the callbacks of httptools' parser, `on_…`.
    """

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._limits = crowd.limits
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._client = ""
        self._socket: int | None = None  # its descriptor, where what is written there is what the client reads
        # the request that is being read
        self.unfinished = True  # it has begun, or the connection has, and it is not whole yet
        self.since = self._loop.time()  # since when it is unfinished; else when the last one became whole
        self._in_head = True
        self._head_bytes = 0
        self._body_bytes = 0
        self._url = b""
        self._version = ""
        self._fields: list[tuple[bytes, bytes]] = []
        self._refusal: HTTPStatus | None = None
        self._done_reading = False
        # the requests that are whole
        self._taken = 0
        self._latest: Request
        self._known: tuple[bytes, Request] | None = None  # what came in one piece: a scraper sends the same each time
        self._waiting: deque[Request] = deque()
        self._answering = False
        self._writable = True
        self._answers = 0
        self._answers_swept = 0
        self._unsent_since: float | None = None

    # what the crowd asks

    @property
    def awaits_request(self) -> bool:
        """Whether nothing is being answered here."""
        return not (self._answering or self._waiting or self._transport.get_write_buffer_size())

    def overdue(self, now: float) -> bool:
        """Whether a deadline has passed."""
        waited_seconds = now - self.since
        if self.unfinished:
            allowed_seconds = self._limits.request_seconds if self._refusal is None else _LINGER_SECONDS
            if waited_seconds > allowed_seconds and self._transport.is_reading():
                return True
        elif waited_seconds > self._limits.idle_seconds and self.awaits_request:
            return True
        if self._answers != self._answers_swept or not self._transport.get_write_buffer_size():
            self._answers_swept = self._answers
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        return self._unsent_since is not None and now - self._unsent_since > self._limits.response_seconds

    def abort(self) -> None:
        """Closes at once."""
        self._transport.abort()

    def finish(self) -> None:
        """Closes as soon as everything that was asked is answered."""
        self._done_reading = True
        if not (self._answering or self._waiting):
            self._transport.close()
        elif self._waiting:
            self._waiting[-1].keep_alive = False

    # what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self._client = str((transport.get_extra_info("peername") or ("",))[0])
        if transport.get_extra_info("sslcontext") is None:
            self._socket = transport.get_extra_info("socket").fileno()
        self._crowd.enter(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._waiting.clear()
        self._crowd.leave(self)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._loop.call_soon(self._answer_waiting)  # a transport of asyncio is not done yet, and may not be closed here

    def data_received(self, data: bytes) -> None:
        if self._done_reading:
            return
        at_boundary, taken = not (self.unfinished or self._waiting or self._answering), self._taken
        if at_boundary and self._known is not None and data == self._known[0]:
            self._take(self._known[1])
            return
        if self._in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # an offer that a server may ignore (RFC 9110 §7.8)
        except httptools.HttpParserError:
            if not self._done_reading:
                self._refuse(self._refusal or HTTPStatus.BAD_REQUEST)
        else:
            if self._in_head and self._head_bytes > self._limits.head_bytes:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            elif at_boundary and self._taken == taken + 1 and not self.unfinished and len(data) <= _KNOWN_BYTES:
                self._known = (data, self._latest)

    # what the parser tells

    def on_message_begin(self) -> None:
        if not self.unfinished:  # the first is, from the connection on
            self.unfinished = True
            self.since = self._loop.time()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._version = self._parser.get_http_version()
        if self._version not in ("1.1", "1.0"):
            self._stop(HTTPStatus.BAD_REQUEST)
        size = len(self._url)
        for name, value in self._fields:
            size += len(name) + len(value)
            if name == b"content-length" and int(value) > self._limits.body_bytes:
                self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            elif name == b"expect" and value.lower() == b"100-continue" and self.awaits_request:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if size > self._limits.head_bytes:
            self._stop(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._limits.body_bytes:
            self._stop(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    def on_message_complete(self) -> None:
        keep_alive = self._version == "1.1" and self._parser.should_keep_alive()
        method = self._parser.get_method().decode("latin-1")
        path, search = path_and_search(self._url)
        request = Request(method, path, self._fields, keep_alive, self._client, search)
        self._in_head = True
        self._head_bytes = self._body_bytes = 0
        self._url = b""
        self._fields = []
        self.unfinished = False
        self._done_reading = not keep_alive
        self._take(request)

    # answers

    def _take(self, request: Request) -> None:
        """Answers a whole request, in its turn."""
        self.since = self._loop.time()
        self._taken += 1
        self._latest = request
        self._waiting.append(request)
        self._answer_waiting()

    def _answer_waiting(self) -> None:
        """Answers what can be answered now. While something is left, nothing more is read."""
        while self._waiting and self._writable and not self._answering and not self._transport.is_closing():
            request = self._waiting.popleft()
            try:
                answer = self._crowd.application(request)
            except Exception as error:
                answer = _failure(request, error)
            if isinstance(answer, Answer):
                self._send(request, answer)
            else:
                self._answering = True
                task = self._loop.create_task(self._answer_later(request, answer), name="web: answer")
                self._crowd.tasks.add(task)
                task.add_done_callback(self._crowd.tasks.discard)
        if self._transport.is_closing():
            return
        if self._waiting:
            self._transport.pause_reading()
        elif not self._transport.is_reading():
            self.since = self._loop.time()
            self._transport.resume_reading()

    async def _answer_later(self, request: Request, coming: Awaitable[Answer]) -> None:
        try:
            answer = await coming
        except Exception as error:
            answer = _failure(request, error)
        self._answering = False
        if not self._transport.is_closing() and self._refusal is None:
            request.keep_alive = request.keep_alive and (bool(self._waiting) or not self._done_reading)
            self._send(request, answer)
            self._answer_waiting()

    def _send(self, request: Request, answer: Answer) -> None:
        crowd = self._crowd
        crowd.requests_by_code[str(answer.status.value)] += 1
        self._answers += 1
        end = b"\r\n" if request.keep_alive else b"connection: close\r\n\r\n"
        head = _STATUS_LINES[answer.status] + crowd.date + answer.fields + end
        if request.method == "HEAD":
            self._transport.write(head)
        else:
            self._send_whole(head, answer.body)
        if not request.keep_alive:
            self._transport.close()

    def _send_whole(self, head: bytes, body: bytes) -> None:
        """Sends both, without a copy where the kernel has them and nothing waits to be sent before."""
        sent = 0
        if self._socket is not None and not self._transport.get_write_buffer_size():
            sent = self._crowd.repeated.sent(self._socket, head, body)
        if sent < len(head):
            self._transport.writelines((head[sent:], body))
        elif sent < len(head) + len(body):
            self._transport.write(memoryview(body)[sent - len(head) :])

    def _stop(self, refusal: HTTPStatus) -> None:
        """Makes the parser stop, for this reason. Raises always."""
        self._refusal = refusal
        raise ValueError(refusal.phrase)

    def _refuse(self, status: HTTPStatus) -> None:
        """Answers and closes. What the client still sends is dropped for a moment, or it would see a reset."""
        self._refusal = status
        self._done_reading = True
        self._waiting.clear()
        answer = Answer.plain(status)
        self._crowd.requests_by_code[str(status.value)] += 1
        self._transport.write(
            _STATUS_LINES[status] + self._crowd.date + answer.fields + b"connection: close\r\n\r\n" + answer.body
        )
        self.unfinished = True
        self.since = self._loop.time()
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._transport.resume_reading()
        else:
            self._transport.close()


def _half_of_the_file_descriptors(at_most: int) -> int:
    """So that clients cannot take those that polling needs."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return at_most if limit == resource.RLIM_INFINITY else min(at_most, limit // 2)


def _failure(request: Request, error: Exception) -> Answer:
    _log.error("a request could not be answered", path=request.path, fault=fault_text(error))
    return Answer.plain(HTTPStatus.INTERNAL_SERVER_ERROR)


_WORTH_BYTES: Final = 16384  # less is copied sooner than it is asked for


class Repeated:
    """Notices when the same answer is sent twice in a row, and has the kernel keep it until there is another.

    Only Linux has memory that is a file. Where there is none, or no more of it, nothing is sent here.
    """

    def __init__(self) -> None:
        self._head = b""
        self._body = b""
        self._file: int | None = None

    def sent(self, socket: int, head: bytes, body: bytes) -> int:
        """How many bytes of head and body the socket has taken; what is left is for the caller to send."""
        if len(body) < _WORTH_BYTES:
            return 0
        if body is not self._body or head != self._head:
            self.forget()
            self._head, self._body = head, body
            return 0
        try:
            if self._file is None:
                self._file = os.memfd_create("answer")
                os.writev(self._file, (head, body))
            return os.sendfile(socket, self._file, 0, len(head) + len(body))
        except (OSError, AttributeError):  # the socket takes nothing now, among others
            return 0

    def forget(self) -> None:
        """Lets go of the answer. What sockets have taken of it stays with them."""
        self._head = self._body = b""
        if self._file is not None:
            with suppress(OSError):
                os.close(self._file)
            self._file = None
