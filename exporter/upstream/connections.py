"""Kept connections: one exchange owns one, and closes it unless the exchange ended well.

No connection is kept where it may lead to a server that the name left: none that is older than five minutes, and none
that was made before the last sign that something is wrong there.
"""

from __future__ import annotations

import asyncio
import math
import re
import ssl
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterable, Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore
import httpx
import structlog
from msgspec import Struct

from exporter.config.credentials import TLSConfig
from exporter.model.background import result_of
from exporter.model.censor import EVERYTHING
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.system_errors import tls_problem
from exporter.upstream.dns import Resolver
from exporter.upstream.limits import header_limits
from exporter.upstream.memory import BIG_BYTES, Share
from exporter.upstream.network import Network, Stream, Unanswered
from exporter.upstream.proxies import Choice
from exporter.upstream.tls import look_at_tls_files, ssl_context, tls_file_states

_KEEPALIVE_SECONDS: Final = 75.0  # longer than the usual interval, so that polls need no new handshake
_GREATEST_AGE_SECONDS: Final = 300.0  # a name is looked up again after that at the latest
_FRESH_SECONDS: Final = 5.0  # a name is not looked up again so soon: an API may always fail one of many queries
_MISDIRECTED: Final = 421  # RFC 9110 §15.5.20: this server is not the one for that name
SHARE: Final = "exporter.share"
BODY: Final = "exporter.body"
_PIECE_BYTES: Final = 65536
_TURN_SECONDS: Final = 0.005
_GZIP: Final = zlib.MAX_WBITS | 16
_MAX_GZIP_MEMBERS: Final = 10_000  # a body of empty ones would keep the event loop
_DROPPED_HEADERS: Final = frozenset(
    {b"set-cookie", b"location", b"content-encoding", b"content-length", b"transfer-encoding"}
)
_log = structlog.get_logger()


class _Lost(UpstreamFailure):
    """The connection ended before the answer began: on a reused one, the request may be sent again."""


class _Kept(Struct, frozen=True):
    """A connection to an origin. `made_at` is when it was begun, in monotonic seconds."""

    origin: httpcore.Origin
    connection: httpcore.AsyncConnectionInterface
    made_at: float


class KeptConnections(httpx.AsyncBaseTransport):
    """Exchanges over connections of its own, at most `max_connections` at a time."""

    def __init__(
        self,
        tls: TLSConfig,
        proxies: Choice,
        max_connections: int,
        max_body_bytes: int,
        codes: Counter[str],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monotonic = monotonic
        self._tls = tls
        self._proxies = proxies
        self._resolver = Resolver()
        self._file_states = tls_file_states(tls)
        self._context = ssl_context(tls) if self._file_states else None
        self._factories: dict[str, httpcore.AsyncConnectionPool] = {}
        self._renewals = 0  # of the TLS files
        self._free = asyncio.Semaphore(max_connections)
        self._max_body_bytes = max_body_bytes
        self._codes = codes
        self._idle: list[_Kept] = []
        self._trusted_from: dict[str, float] = {}
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The whole answer. What was lost on a reused connection is asked for once more, at once, on a new one."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        outgoing = httpcore.Request(request.method, url, headers=request.headers.raw, content=request.content)
        share: Share = request.extensions[SHARE]
        async with self._free:
            await self._follow_files()
            reused = await self._idle_connection(url.origin)
            if reused is not None:
                with suppress(_Lost):
                    return await self._exchange(reused, outgoing, share)
            return await self._exchange(self._new_connection(url), outgoing, share)

    async def aclose(self) -> None:
        self._closed = True
        await self._close_idle()

    def _make_factory(self, url: httpcore.URL) -> httpcore.AsyncConnectionPool:
        """What makes connections to the URL's origin, and nothing else: it knows proxies and tunnels.

        Raises `UpstreamFailure` for a proxy that cannot be used.
        """
        proxy, server_name = self._proxies(url), self._tls.server_name
        through_tls = proxy is not None and proxy.url.scheme == b"https"
        if self._context is None and (through_tls or url.scheme == b"https"):  # in clear text no authorities are read
            self._context = ssl_context(self._tls)
        if proxy is not None and through_tls:
            proxy = httpcore.Proxy(proxy.url, headers=proxy.headers, ssl_context=self._context)  # its user is a header
        return httpcore.AsyncConnectionPool(
            ssl_context=self._context,
            proxy=proxy,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=Network((None, server_name) if through_tls else (server_name,), self._resolver),
        )

    async def _follow_files(self) -> None:
        """Takes authorities and certificates that have changed; no request goes over a connection made before."""
        if not self._file_states:
            return
        try:
            states = await look_at_tls_files(self._tls)
        except OSError:  # a mount hangs: what was read before it did still serves
            return
        if states == self._file_states:
            return
        self._file_states = states
        try:
            self._context = await result_of(lambda: ssl_context(self._tls), "TLS files")
        except OSError as error:
            _log.warning("changed TLS files cannot be used; the old ones stay", detail=str(error))
            return
        self._factories.clear()
        self._renewals += 1
        await self._close_idle()

    async def _close_idle(self) -> None:
        while self._idle:
            await self._idle.pop().connection.aclose()

    def _new_connection(self, url: httpcore.URL) -> _Kept:
        """A connection that is made at its first request, for which the name is looked up."""
        origin = url.origin
        factory = self._factories.get(str(origin))
        if factory is None:
            factory = self._factories[str(origin)] = self._make_factory(url)
        return _Kept(origin, factory.create_connection(origin), self._monotonic())

    async def _idle_connection(self, origin: httpcore.Origin) -> _Kept | None:
        """The connection to `origin` that was used last, if one is still good; those that are not are closed."""
        for kept in list(self._idle):
            if kept in self._idle and not self._is_good(kept):
                self._idle.remove(kept)
                await kept.connection.aclose()
        found = next((kept for kept in reversed(self._idle) if kept.origin == origin), None)
        if found is not None:
            self._idle.remove(found)
        return found

    def _is_good(self, kept: _Kept) -> bool:
        """Whether an idle connection may serve once more."""
        return self._leads_there(kept) and not kept.connection.has_expired() and not kept.connection.is_closed()

    def _leads_there(self, kept: _Kept) -> bool:
        """Whether a connection still leads where its name does, as far as is known."""
        oldest_at = self._monotonic() - _GREATEST_AGE_SECONDS
        return kept.made_at > max(oldest_at, self._trusted_from.get(str(kept.origin), -math.inf))

    async def _exchange(self, kept: _Kept, request: httpcore.Request, share: Share) -> httpx.Response:
        """One request and its answer. The connection is kept only if both ended well."""
        renewals, connection = self._renewals, kept.connection
        try:
            answer = await self._begin(connection, request)
            with _heeding(answer):
                response = await self._whole(answer, share)
        except asyncio.CancelledError:  # mostly at the deadline: a firewall may have forgotten the others, too
            if not share.gave_up:
                self._distrust(kept.origin)
            await connection.aclose()
            raise
        except BaseException:
            await connection.aclose()
            raise
        is_wrong = response.status_code >= 500 or response.status_code == _MISDIRECTED
        if is_wrong:
            self._distrust(kept.origin)
        outdated = is_wrong or self._closed or renewals != self._renewals or not self._leads_there(kept)
        if outdated or not connection.is_idle() or _leftover(connection):
            await connection.aclose()
        else:
            self._idle.append(kept)
        return response

    def _distrust(self, origin: httpcore.Origin) -> None:
        """Has no connection to `origin` used again that there is now, but for those that were made just before."""
        self._trusted_from[str(origin)] = self._monotonic() - _FRESH_SECONDS

    async def _begin(
        self, connection: httpcore.AsyncConnectionInterface, request: httpcore.Request
    ) -> httpcore.Response:
        """The answer up to its body."""
        code = "error"
        try:
            answer = await connection.handle_async_request(request)
            code = str(answer.status)
            return answer
        except Unanswered:
            raise _Lost(Reason.RESET, "the connection ended before the answer began") from None
        except _ERRORS as error:
            raise _failure(error) from None
        finally:
            self._codes[code] += 1

    async def _whole(self, answer: httpcore.Response, share: Share) -> httpx.Response:
        """The answer with its body, without the headers by which httpx would act on its own. Where it refuses the
        credentials, its head says enough: a body that cannot be read is left out."""
        try:
            body = await self._body(answer, share)
        except UpstreamFailure:
            if not _refuses_credentials(answer):
                raise
            body = b""
        kept = [(name, value) for name, value in answer.headers if name.lower() not in _DROPPED_HEADERS]
        # Not as its content: httpx's responses and their streams refer to each other, so that they are freed late.
        return httpx.Response(answer.status, headers=kept, extensions={BODY: body})

    async def _body(self, answer: httpcore.Response, share: Share) -> bytes:
        """The whole body, inflated. Raises `UpstreamFailure`, also for a redirect."""
        headers = httpx.Headers(answer.headers)
        if 300 <= answer.status < 400:
            raise UpstreamFailure(Reason.REDIRECT, _redirect(answer.status, headers.get("location", "")))
        body = _Body(headers.get("content-encoding", ""), headers.get("content-length", ""), self._max_body_bytes)
        assert isinstance(answer.stream, AsyncIterable)
        turn_at = time.monotonic()
        try:
            async for chunk in answer.stream:
                for size in body.add(chunk):
                    if size > BIG_BYTES:
                        await share.hold(size)
                    if time.monotonic() - turn_at > _TURN_SECONDS:  # one read is a bomb, or thousands of chunks
                        await asyncio.sleep(0)
                        turn_at = time.monotonic()
        except _ERRORS as error:
            stream = answer.extensions["network_stream"]
            if isinstance(stream, Stream) and stream.ended:
                raise UpstreamFailure(Reason.RESET, "the connection ended before the answer did") from None
            raise _failure(error) from None
        await answer.aclose()
        return body.whole()


def _refuses_credentials(answer: httpcore.Response) -> bool:
    """Whether an answer's head may say that the credentials are not good, or no longer (RFC 6750 §3)."""
    return answer.status == 401 or (
        answer.status >= 400 and any(name.lower() == b"www-authenticate" for name, _ in answer.headers)
    )


@contextmanager
def _heeding(answer: httpcore.Response) -> Iterator[None]:
    """What the head of an answer asks for stands, whatever is wrong with the rest of it."""
    try:
        yield
    except UpstreamFailure as failure:
        limits = header_limits(answer.status, httpx.Headers(answer.headers))
        failure.retry_after_seconds, failure.budget = limits.wait_seconds, limits.budget
        raise


class _Body:
    """A body that grows chunk by chunk, is inflated on the way, and never passes its limit (RFC 9110 §8.4)."""

    def __init__(self, encoding: str, length: str, limit: int) -> None:
        """Raises `UpstreamFailure`: `decode` for an unknown encoding, `too_large` for a length beyond the limit."""
        self._limit = limit
        self._received = 0
        self._content = BytesIO()  # gives its bytes without a copy
        self._gzip: _GzipMembers | None = None
        encoding = encoding.strip().lower()
        if encoding in ("gzip", "x-gzip"):
            self._gzip = _GzipMembers()
        elif encoding not in ("", "identity"):
            raise UpstreamFailure(Reason.DECODE, "the answer has a Content-Encoding that was not asked for")
        if length.isdecimal() and int(length[:20]) > limit:
            raise self._too_large()

    def add(self, chunk: bytes) -> Iterator[int]:
        """Takes the chunk in piece by piece, and gives the size of the body after each.

        Raises `UpstreamFailure`: `too_large` or `decode`.
        """
        self._received += len(chunk)
        for piece in (chunk,) if self._gzip is None else self._gzip.inflate(chunk):
            self._content.write(piece)
            if max(self._received, self._content.tell()) > self._limit:
                raise self._too_large()
            yield self._content.tell()

    def whole(self) -> bytes:
        """Raises `UpstreamFailure` (decode) where the gzip stream has not reached its end."""
        if self._gzip is not None and self._received and not self._gzip.is_whole:
            raise UpstreamFailure(Reason.DECODE, "the answer's gzip ends early")
        return self._content.getvalue()

    def _too_large(self) -> UpstreamFailure:
        return UpstreamFailure(Reason.TOO_LARGE, f"the answer is larger than max_body_size ({self._limit} bytes)")


class _GzipMembers:
    """Gzip of one member or several, with zeros after each, which fill a block (RFC 1952 §2.2)."""

    def __init__(self) -> None:
        self._member: Any = zlib.decompressobj(_GZIP)
        self._count = 1

    @property
    def is_whole(self) -> bool:
        """Whether a member has just ended."""
        return bool(self._member.eof)

    def inflate(self, chunk: bytes) -> Iterator[bytes]:
        """What the chunk becomes, in pieces of `_PIECE_BYTES` at most: the rest of a bomb is never made.

        Raises `UpstreamFailure` (decode).
        """
        while chunk:
            if self._member.eof:
                chunk = chunk.lstrip(b"\0")
                if not chunk:
                    return
                self._begin_member()
            try:
                piece = self._member.decompress(chunk, _PIECE_BYTES)
            except zlib.error:
                raise UpstreamFailure(Reason.DECODE, "the answer's gzip is broken") from None
            yield piece
            chunk = self._member.unused_data or self._member.unconsumed_tail

    def _begin_member(self) -> None:
        self._count += 1
        if self._count > _MAX_GZIP_MEMBERS:
            raise UpstreamFailure(Reason.DECODE, f"the answer's gzip has more than {_MAX_GZIP_MEMBERS} members")
        self._member = zlib.decompressobj(_GZIP)


_ERRORS: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    ssl.SSLError,
)


def _failure(error: Exception) -> UpstreamFailure:
    """What an error of httpcore means. Its text is not repeated: it may quote headers, secrets among them."""
    match error:
        case ssl.SSLError():
            return UpstreamFailure(Reason.TLS, tls_problem(error))
        case httpcore.ProxyError():
            return UpstreamFailure(Reason.CONNECT, f"the proxy refused the connection ({str(error)[:3]})")
        case httpcore.NetworkError():
            return UpstreamFailure(Reason.RESET, "the connection was reset")
        case httpcore.LocalProtocolError():
            return UpstreamFailure(Reason.PROTOCOL, "the request has a header that cannot be sent")
        case _:
            return UpstreamFailure(Reason.PROTOCOL, "the answer is not HTTP/1.1, or its headers are too large")


def _leftover(connection: Any) -> bool:
    """Whether the parser holds bytes that belong to no answer, and would begin the next one.

    httpcore has no public way to ask. If its inside changes, no connection is reused, and a test says so.
    """
    while (inner := getattr(connection, "_connection", None)) is not None:
        connection = inner
    parser = getattr(connection, "_h11_state", None)
    return parser is None or parser.trailing_data[0] != b""


def _redirect(status: int, location: str) -> str:
    """For the log: where a redirect points to, by its host alone."""
    with suppress(ValueError):
        host = urlsplit(EVERYTHING.clean(location)).hostname or ""  # before its letters become small
        if re.fullmatch(r"[a-z0-9.:-]{1,255}", host):
            return f"redirected ({status}) to {host}, which is not followed"
    return f"redirected ({status}), which is not followed"
