"""What stands before the HTTP server: nobody takes more bytes, time or connections than a client may.

A guard knows bytes, time and clients, and nothing of HTTP but that a head ends with an empty line. It hands what comes
to the protocol behind it, at most to the end of one head at a time, so that neither holds more than one request. The
application says when a request is whole, and when its answer has begun and ended.
"""

from __future__ import annotations

import asyncio
import enum
import ipaddress
import resource
from collections import Counter, deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final, TypeAlias, cast

from msgspec import Struct, field

_LINGER_SECONDS: Final = 2.0
_READ_BYTES: Final = 4096  # at a time: what a connection can hold unread by the server behind
_TLS_WAITING_BYTES: Final = 65536
_BIG_BYTES: Final = 65536
_END_OF_HEAD: Final = b"\r\n\r\n"


class ClientLimits(Struct, frozen=True):
    """What one client may take. The defaults never meet a scraper that works."""

    request_seconds: float = 10.0  # from its first byte, or the connection, until the request is whole; TLS handshakes
    response_seconds: float = 30.0  # from the first byte of an answer until the client has taken all
    idle_seconds: float = 75.0  # between requests: one scrape a minute keeps its connection
    head_bytes: int = 16384  # request line and header fields
    body_bytes: int = 65536  # with its framing and trailers
    untaken_bytes: int = 64 * 2**20  # of the answers that clients have still to take, beside the largest of them
    connections: int = field(default_factory=lambda: _file_descriptors(1 / 2, at_most=1024))
    connections_per_client: int = field(default_factory=lambda: _file_descriptors(1 / 4, at_most=512))


def _file_descriptors(share: float, at_most: int) -> int:
    """A share of them: the rest is for polls, which clients must not hinder."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return at_most if limit == resource.RLIM_INFINITY else max(1, min(at_most, int(limit * share)))


class ClientConnections:
    """All connections of a server from `accept` on, and what they have in common.

    `refusal` words an answer to a request that is cut off, and is called once for each.
    """

    def __init__(self, limits: ClientLimits, refusal: Callable[[HTTPStatus], bytes]) -> None:
        self.limits = limits
        self.refusal = refusal
        self.buffer = memoryview(bytearray(_READ_BYTES))  # one for all: it is emptied before the next is read
        self.members: dict[Guard, None] = {}
        self.empty = asyncio.Event()
        self.empty.set()
        self._by_client: Counter[str] = Counter()
        self._pipelining: deque[Guard] = deque()
        self._latest_body = 0  # by identity

    def enter(self, newcomer: Guard) -> None:
        """Adds a connection. Where there are too many, another goes: who has stalled longest."""
        self.members[newcomer] = None
        self._by_client[newcomer.client] += 1
        self.empty.clear()
        if self._by_client[newcomer.client] > self.limits.connections_per_client:
            self._make_room(newcomer, [each for each in self.members if each.client == newcomer.client])
        elif len(self.members) > self.limits.connections:
            self._make_room(newcomer, list(self.members))

    def leave(self, member: Guard) -> None:
        """Forgets a connection that has ended."""
        if member not in self.members:
            return
        del self.members[member]
        self._by_client[member.client] -= 1
        if not self._by_client[member.client]:
            del self._by_client[member.client]
        if not self.members:
            self.empty.set()

    def go_on_later(self, member: Guard) -> None:
        """Has a connection that sent more than one request go on, one connection at each turn of the event loop.

        Scrapers do not pipeline: who does fills the network with answers, and would have all turns (row 98).
        """
        self._pipelining.append(member)
        if len(self._pipelining) == 1:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        member = self._pipelining[0]
        try:
            member.go_on()
        finally:
            self._pipelining.popleft()
            if self._pipelining:
                asyncio.get_running_loop().call_soon(self._go_on)

    def sweep(self, now: float) -> None:
        """Closes the connections that are past a deadline, by the clock of the event loop."""
        self.bound_untaken()
        for member in tuple(self.members):
            if member.is_overdue(now):
                member.abort()

    def body_begins(self, body: bytes) -> None:
        """Bounds what is untaken where this body adds to it: that of the answer before is there already. The next
        sweep notices what has the identity of one that is gone."""
        if id(body) != self._latest_body:
            self._latest_body = id(body)
            self.bound_untaken()

    def bound_untaken(self) -> None:
        """Closes connections where the answers that clients do not take are too large together: those of the client
        that keeps most beside its largest, who has stalled longest first. An answer that many take is there once."""
        untaken = {member: dict(bodies) for member in self.members if (bodies := member.untaken())}
        sizes = {key: len(body) for bodies in untaken.values() for key, body in bodies.items()}
        too_much = sum(sizes.values()) - self.limits.untaken_bytes - max(sizes.values(), default=0)
        if too_much <= 0:
            return
        of_client: dict[str, set[int]] = {}
        for member, bodies in untaken.items():
            of_client.setdefault(member.client, set()).update(bodies)
        beyond_one = {
            client: sum(found) - max(found)
            for client, keys in of_client.items()
            for found in [[sizes[key] for key in keys]]
        }
        takers = Counter(key for bodies in untaken.values() for key in bodies)
        now = asyncio.get_running_loop().time()
        for member in sorted(untaken, key=lambda each: (beyond_one[each.client], each.stalled(now)), reverse=True):
            member.abort()
            takers.subtract(untaken[member].keys())
            too_much -= sum(sizes[key] for key in untaken[member] if not takers[key])
            if too_much <= 0:
                return

    def _make_room(self, newcomer: Guard, members: list[Guard]) -> None:
        now = asyncio.get_running_loop().time()
        members.remove(newcomer)
        leaving = max(members, key=lambda each: each.stalled(now), default=newcomer)
        leaving.abort()


class _Phase(enum.Enum):
    REQUEST = enum.auto()  # it has begun, or the connection has, and it is not whole
    ANSWER = enum.auto()  # from the whole request until its whole answer is written
    IDLE = enum.auto()  # between requests
    LINGER = enum.auto()  # nothing is read any more, only dropped: the client would see a reset, not its answer


class Guard(asyncio.BufferedProtocol):
    """One connection, from `accept` on, whose requests the protocol behind it answers one after the other."""

    def __init__(
        self, connections: ClientConnections, client: str, behind: Callable[[Guard], asyncio.Protocol]
    ) -> None:
        self.client = client
        self._connections = connections
        self._limits = connections.limits
        self._loop = asyncio.get_running_loop()
        self._make_behind = behind
        self._behind: asyncio.Protocol | None = None
        self._transport: asyncio.Transport | None = None
        self._admission: asyncio.Task[None] | None = None
        self._phase = _Phase.REQUEST
        self._since = self._loop.time()  # since when it is in this phase
        # what comes
        self._kept = b""  # not handed on yet
        self._head_bytes = 0
        self._body_bytes: int | None = None  # while there is one
        self._looks_later = False  # whether what was handed on was a head is not known yet
        self._ends_head = False
        self._behind_reads = True
        self._is_last = False  # no further request is wanted
        # what goes
        self._writable = True
        self._is_sending = False
        self._answer_at = 0.0
        self._unsent = (0, 0)  # writes, bytes that wait; as they were last seen
        self._taken_at = 0.0  # when the client was last seen to take something
        self._writes = 0
        self._begun = False  # whether the head of this answer came
        self._held = b""  # that head, which goes with the first of the body
        self._bodies: dict[int, bytes] = {}  # by identity, of the answers that are not known to be taken

    # admission

    def admit(self, admission: asyncio.Task[None]) -> None:
        """Notes the task that makes the connection, TLS handshake and all."""
        self._admission = admission

    def abort(self) -> None:
        """Closes at once."""
        self._connections.leave(self)
        if self._transport is not None:
            self._transport.abort()
        elif self._admission is not None:
            self._admission.cancel()

    def finish(self) -> None:
        """Closes as soon as everything that was asked is answered."""
        self._is_last = True
        if self._transport is None:
            self.abort()
        elif self._phase is not _Phase.ANSWER and not self._ends_head:
            self._transport.close()

    # time

    def is_overdue(self, now: float) -> bool:
        """Whether a deadline has passed."""
        limits, waited_seconds = self._limits, now - self._since
        if self._has_to_take():
            self._note_what_is_taken(now)
            if now - self._answer_at > limits.response_seconds:
                return True
        elif self._phase is _Phase.IDLE:
            return waited_seconds > limits.idle_seconds
        elif self._phase is _Phase.LINGER:
            return waited_seconds > _LINGER_SECONDS and now - self._taken_at > _LINGER_SECONDS
        return self._phase is _Phase.REQUEST and waited_seconds > limits.request_seconds

    def stalled(self, now: float) -> float:
        """The share of its time in which the client has sent or taken nothing of what it began.

        Who is between two requests has begun nothing, and is not counted for as long as a request may take.
        """
        limits, waited_seconds = self._limits, now - self._since
        if self._has_to_take():
            self._note_what_is_taken(now)
            return (now - self._taken_at) / limits.response_seconds
        if self._phase is _Phase.IDLE:
            return (waited_seconds - limits.request_seconds) / limits.idle_seconds
        return 0.0 if self._phase is _Phase.ANSWER else waited_seconds / limits.request_seconds

    def untaken(self) -> dict[int, bytes]:
        """The bodies, by identity, of the answers that the client has not taken as a whole."""
        if not self._has_to_take():
            self._bodies.clear()
        return self._bodies

    def _has_to_take(self) -> bool:
        """Whether there is something that the client has not taken yet."""
        return self._is_sending or self._waiting_bytes() > 0

    def _note_what_is_taken(self, now: float) -> None:
        """Notes when the client was last seen to take something; each sweep looks, so that it is right to a second."""
        unsent = (self._writes, self._waiting_bytes())
        if unsent != self._unsent:
            self._unsent, self._taken_at = unsent, now

    def _waiting_bytes(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._since = self._loop.time()

    # what the application tells

    def head_ended(self, *, has_body: bool) -> None:
        """A request has come, but for its body."""
        self._ends_head = False
        self._head_bytes = 0
        if has_body:
            self._body_bytes = 0
            self._feed()
        else:
            self.request_ended()

    def request_ended(self) -> None:
        """A request has come as a whole."""
        self._body_bytes = None
        self._enter(_Phase.ANSWER)

    def answer_begins(self, body: bytes = b"") -> None:
        """Its answer, with this body, is about to be written."""
        bodies = self.untaken()
        self._is_sending, self._begun = True, False
        self._answer_at = self._taken_at = self._loop.time()
        self._unsent = (-1, 0)  # not looked at yet: it has not stalled
        bodies[id(body)] = body
        if len(body) >= _BIG_BYTES:  # of others there are not so many until the next sweep
            self._connections.body_begins(body)

    def answer_ended(self) -> None:
        """Its answer is written, if not taken yet."""
        self._send_held()
        self._is_sending = False
        if self._phase is not _Phase.ANSWER:
            return  # it was given up
        self._enter(_Phase.IDLE)
        if self._kept:
            self._look_later()
        elif self._is_last and self._transport is not None:
            self._transport.close()

    @property
    def is_last(self) -> bool:
        """Whether the answer to come is the last on this connection."""
        return self._is_last and not self._kept

    # what the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if self not in self._connections.members:  # it had to go meanwhile
            self._transport.abort()
            return
        if self._is_tls():  # or a whole page would be encrypted at once, for each that does not read it
            self._transport.set_write_buffer_limits(_TLS_WAITING_BYTES)
        self._behind = self._make_behind(self)
        self._behind.connection_made(_GuardedTransport(self, self._transport))

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.leave(self)
        self._bodies.clear()  # the collector may come to this object late
        self._let_go()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._connections.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._phase is not _Phase.LINGER:
            self._kept += self._connections.buffer[:nbytes]
            self._feed()

    def eof_received(self) -> bool:
        """A client that sends nothing more is taken for gone, but for an answer that is ready now."""
        if self._is_tls() or not (self._ends_head or self._phase is _Phase.ANSWER):
            return False
        self._loop.call_soon(self._close_after_what_is_ready)
        return True

    def pause_writing(self) -> None:
        self._writable = False
        if self._behind is not None:
            self._behind.pause_writing()

    def resume_writing(self) -> None:
        self._writable = True
        if self._behind is not None:
            self._behind.resume_writing()
        if self._kept:
            self._look_later()  # a transport of asyncio is not done yet, and may not be closed here

    # bytes

    def _feed(self) -> None:
        """Hands on what can be handed on. While something is left, nothing more is read."""
        while self._kept and self._behind is not None and self._takes_more():
            end = self._kept.find(_END_OF_HEAD)
            piece = self._kept if end < 0 else self._kept[: end + len(_END_OF_HEAD)]
            refusal = self._refusal(len(piece))
            if refusal is not None:
                self.refuse(refusal)
                return
            self._kept = self._kept[len(piece) :]
            if self._phase is _Phase.IDLE:
                self._enter(_Phase.REQUEST)
            self._ends_head = end >= 0
            self._behind.data_received(piece)
        if self._kept and self._ends_head:
            self._look_later()
        self._read_or_rest()

    def _takes_more(self) -> bool:
        return (
            self._phase in (_Phase.REQUEST, _Phase.IDLE)
            and self._writable
            and self._behind_reads
            and not self._ends_head
            and not self._looks_later
        )

    def _refusal(self, further_bytes: int) -> HTTPStatus | None:
        """Counts bytes; the status of what is too much of them."""
        if self._body_bytes is None:
            self._head_bytes += further_bytes
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if self._head_bytes > self._limits.head_bytes else None
        self._body_bytes += further_bytes
        too_much = self._body_bytes > self._limits.body_bytes + _READ_BYTES  # the next request may be among them
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_much else None

    def _look_later(self) -> None:
        """Goes on when the application had its turn: it knows whether a request has come."""
        if not self._looks_later:
            self._looks_later = True
            self._connections.go_on_later(self)

    def go_on(self) -> None:
        """Hands on what was kept."""
        self._looks_later = self._ends_head = False
        self._feed()

    def _read_or_rest(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if not self._kept:
            if not transport.is_reading():
                transport.resume_reading()
        elif transport.is_reading():
            transport.pause_reading()

    # what the protocol behind does with its transport

    def write(self, data: bytes) -> None:
        """Sends: head and body of an answer with one call of the system, where they come in two."""
        transport = self._transport
        if transport is None or self._behind is None or transport.is_closing():
            return
        self._writes += 1
        if self._is_sending and not self._begun:
            self._begun, self._held = True, data
        elif self._held:
            held, self._held = self._held, b""
            transport.writelines((held, data))
        else:
            transport.write(data)

    def _send_held(self) -> None:
        held, self._held = self._held, b""
        if held and self._transport is not None and not self._transport.is_closing():
            self._transport.write(held)

    def close(self) -> None:
        """Closes when everything is sent."""
        transport = self._transport
        if transport is None or self._behind is None or transport.is_closing():
            return
        self._send_held()
        if self._kept or self._phase is _Phase.REQUEST:
            self._linger(transport)
        else:
            transport.close()

    def pass_on(self, further: bool) -> None:
        """Hands more on, or nothing for now."""
        self._behind_reads = further
        if further and self._kept:
            self._look_later()

    # ends

    def refuse(self, status: HTTPStatus) -> None:
        """Answers a request that is not whole with this status, and closes."""
        transport = self._transport
        if transport is not None and not transport.is_closing():
            self._answer_at = self._loop.time()
            transport.write(self._connections.refusal(status))
            self._linger(transport)

    def _linger(self, transport: asyncio.Transport) -> None:
        """Sends the end, and drops for a moment what still comes."""
        self._kept = b""
        self._enter(_Phase.LINGER)
        self._let_go()
        if transport.can_write_eof():
            transport.write_eof()
            if not transport.is_reading():
                transport.resume_reading()
        else:
            transport.close()

    @property
    def has_let_go(self) -> bool:
        """Whether the protocol behind is done with."""
        return self._behind is None

    def _let_go(self) -> None:
        """Ends the protocol behind, always without an error: uvicorn's keeps its timer if there was one."""
        behind, self._behind = self._behind, None
        if behind is not None:
            behind.connection_lost(None)

    def _close_after_what_is_ready(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()

    def _is_tls(self) -> bool:
        return self._transport is not None and self._transport.get_extra_info("sslcontext") is not None


class _GuardedTransport(asyncio.Transport):
    """What the protocol behind a guard has for its transport."""

    def __init__(self, guard: Guard, transport: asyncio.Transport) -> None:
        super().__init__()
        self._guard = guard
        self._transport = transport

    def write(self, data: Any) -> None:
        self._guard.write(data)

    def close(self) -> None:
        self._guard.close()

    def abort(self) -> None:
        self._guard.abort()

    def is_closing(self) -> bool:
        return self._guard.has_let_go or self._transport.is_closing()

    def pause_reading(self) -> None:
        self._guard.pass_on(False)

    def resume_reading(self) -> None:
        self._guard.pass_on(True)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size()


Address: TypeAlias = tuple[Any, ...]


def client_of(address: Address) -> str:
    """Who an address counts as. Of IPv6 a client has a whole /64 (RFC 4291 §2.5.4)."""
    if not address:
        return ""  # of a Unix socket: all are one
    host = str(address[0]).partition("%")[0]
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(ip, ipaddress.IPv4Address):
        return host
    return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
