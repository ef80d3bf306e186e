"""Sockets for the transport: TLS settings, names to addresses, connected streams. The only importer of httpcore
besides `transport.py`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final

import httpcore

from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.system_errors import os_problem, tls_problem
from exporter.upstream.answer_head import HeadReader, TooManyFields
from exporter.upstream.dns import Resolver

_NEXT_ADDRESS_SECONDS: Final = 0.25  # RFC 8305 §5: the delay between two connection attempts
_UNACKNOWLEDGED_MILLISECONDS: Final = 3000  # below the usual time-out of a poll, so that it can be repeated within it


def _socket_options() -> list[tuple[int, int, int]]:
    """What has a connection end that the other side, or a firewall between, has forgotten without a word: probes while
    it is idle, which also keep a firewall from forgetting it, and a limit for what nobody acknowledges (RFC 5482)."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    values = {
        "TCP_KEEPIDLE": 15,
        "TCP_KEEPINTVL": 5,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": _UNACKNOWLEDGED_MILLISECONDS,
    }
    known = {name: getattr(socket, name, None) for name in values}  # not every system has all of them
    return options + [(socket.IPPROTO_TCP, number, values[name]) for name, number in known.items() if number]


class Unanswered(httpcore.ReadError):
    """The peer ended the connection before the first byte of an answer."""


class Stream(httpcore.AsyncNetworkStream):
    """A connected stream that says early what does not speak HTTP, and is closed whatever cuts its handshake.

    `tls_names` are the names that certificates must have, for one TLS within the other; None for the host's.
    """

    def __init__(self, inner: httpcore.AsyncNetworkStream, tls_names: Sequence[str | None] = ()) -> None:
        self._inner = inner
        self._tls_names = tls_names
        self._answer_begins = True
        self._head = HeadReader()
        self._ready = b""
        self.ended = False
        """Whether the peer has closed its side, or reset the connection."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's
        """What came, once a head is whole.

        Raises `httpcore.ReadError`, `Unanswered` if the answer had not begun, `httpcore.RemoteProtocolError` if it is
        not HTTP or has too many header fields.
        """
        while not self._ready:
            try:
                data = await self._read(max_bytes, timeout)
            except httpcore.ReadError:
                self._ready = self._head.rest()
                if not self._ready:
                    raise
                self.ended = False  # not before the rest was read
                break
            if self._head.is_done:
                return data
            try:
                self._ready = self._head.add(data) or (self._head.rest() if self.ended else b"")
            except TooManyFields:
                raise httpcore.RemoteProtocolError from None
            if self.ended:
                break
        piece, self._ready = self._ready[:max_bytes], self._ready[max_bytes:]
        return piece

    async def _read(self, max_bytes: int, timeout: float | None) -> bytes:  # noqa: ASYNC109
        try:
            data = await self._inner.read(max_bytes, timeout)
        except httpcore.ReadError:
            self.ended = True
            if self._answer_begins:
                raise Unanswered from None
            raise
        self.ended = data == b""
        if self._answer_begins:
            self._answer_begins = False
            if self.ended:
                raise Unanswered
            if not data.startswith(b"HTTP/"[: len(data)]):
                raise httpcore.RemoteProtocolError
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        if not self._answer_begins:
            self._answer_begins, self._head, self._ready = True, HeadReader(), b""
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """The stream over TLS. Raises `UpstreamFailure` (tls)."""
        own, *inside = self._tls_names or (None,)
        name = own or server_hostname
        if name is not None:
            name = name.removesuffix(".")  # of an absolute name, which no certificate has (RFC 6066 §3)
        try:
            return Stream(await self._inner.start_tls(ssl_context, name, timeout), inside)
        except BaseException as error:
            await self.aclose()
            if isinstance(error, (httpcore.ConnectError, ssl.SSLError)):
                raise UpstreamFailure(Reason.TLS, tls_problem(error)) from None
            raise

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks of a stream, also of one that was reset: of its socket uvloop knows nothing any more."""
        try:
            return self._inner.get_extra_info(info)
        except AttributeError:
            return True if info == "is_readable" else None


class Network(httpcore.AsyncNetworkBackend):
    """Opens connections: to each address of a name in turn, a quarter of a second apart (RFC 8305)."""

    def __init__(self, tls_names: Sequence[str | None] = (), resolver: Resolver | None = None) -> None:
        """`tls_names` are for the streams."""
        self._tls_names = tls_names
        self._backend = httpcore.AnyIOBackend()
        self._resolver = resolver or Resolver()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The first stream that connects. Raises `UpstreamFailure` (dns, connect)."""
        attempts: list[_Attempt] = []
        try:
            for address in await self._resolver.addresses(host):
                attempts.append(asyncio.create_task(self._connect(address, port)))
                stream = await _first_connected(attempts, within_seconds=_NEXT_ADDRESS_SECONDS)
                if stream is not None:
                    return Stream(stream, self._tls_names)
            stream = await _first_connected(attempts, within_seconds=None)
            if stream is not None:
                return Stream(stream, self._tls_names)
            problem = os_problem(attempts[-1].exception())
            raise UpstreamFailure(Reason.CONNECT, f"cannot connect to {host}:{port}: {problem}")
        finally:
            for attempt in attempts:
                await _undo(attempt)

    async def _connect(self, address: str, port: int) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_tcp(address, port)
        with suppress(AttributeError, OSError, ValueError):  # it was reset already, as its first use will tell
            raw = stream.get_extra_info("socket")
            for option in _socket_options():
                raw.setsockopt(*option)
        return stream

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


_Attempt = asyncio.Task[httpcore.AsyncNetworkStream]


async def _first_connected(
    attempts: list[_Attempt], *, within_seconds: float | None
) -> httpcore.AsyncNetworkStream | None:
    """The first stream among the attempts, taken from them; None when all have failed, or the time is over."""
    pending = {attempt for attempt in attempts if not attempt.done()}
    while pending:
        done, pending = await asyncio.wait(pending, timeout=within_seconds, return_when=asyncio.FIRST_COMPLETED)
        for attempt in done:
            if attempt.exception() is None:
                attempts.remove(attempt)
                return attempt.result()
        if not done:
            return None
    return None


async def _undo(attempt: _Attempt) -> None:
    """Ends an attempt that nobody wants any more: cancels it, or closes what it had connected."""
    if not attempt.cancel() and not attempt.cancelled() and attempt.exception() is None:
        await attempt.result().aclose()
