"""HTTP to an upstream through httpx, with the guards that httpx lacks: a total deadline, a body limit, bounded
inflating, no redirects. With `auth` the only importer of httpx."""

from __future__ import annotations

import asyncio
import socket
import ssl
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from exporter import __version__
from exporter.errors import Failure, Reason, UpstreamFailure

DEFAULT_MAX_BODY_BYTES: Final = 32 * 2**20
_TLS_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
_CUT_SHORT: Final = ("disconnected", "closed connection", "incomplete")


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """How a server's certificate is verified, and the client's own; the keys of Prometheus' `tls_config`."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False
    min_version: Literal["TLS12", "TLS13"] = "TLS12"

    def context(self) -> ssl.SSLContext:
        """The context for connections. Raises `OSError` (an `ssl.SSLError` too) for files that cannot be used."""
        context = ssl.create_default_context(cafile=self.ca_file)
        context.minimum_version = _TLS_VERSIONS[self.min_version]
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


@dataclass(frozen=True, slots=True)
class WireResponse:
    """An answer, whole and decoded. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests to one upstream over kept connections. `requests_by_code` counts them (`error`: no answer)."""

    def __init__(
        self,
        *,
        tls: TLSSettings = TLSSettings(),
        proxy_url: str | None = None,
        max_connections: int = 20,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    ) -> None:
        self.requests_by_code: Counter[str] = Counter()
        self._max_body_bytes = max_body_bytes
        self._server_name = tls.server_name
        inner = httpx.AsyncHTTPTransport(
            verify=tls.context(),
            trust_env=False,
            limits=httpx.Limits(max_connections=max_connections, max_keepalive_connections=max_connections),
            proxy=proxy_url,
        )
        self._client = httpx.AsyncClient(
            transport=_Guarded(inner, self.requests_by_code, max_body_bytes),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - the deadline is total, not per read
            headers={"user-agent": f"insights-exporter/{__version__}", "accept-encoding": "gzip"},
        )

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        deadline_seconds: float,
        auth: httpx.Auth | None = None,
    ) -> WireResponse:
        """The answer to a POST, within the deadline. Raises `UpstreamFailure`, or what `auth` raises."""
        extensions: dict[str, Any] = {"sni_hostname": self._server_name} if self._server_name else {}
        try:
            async with asyncio.timeout(deadline_seconds):
                request = self._client.build_request(
                    "POST", url, headers=dict(headers), content=content, extensions=extensions
                )
                response = await self._client.send(request, auth=auth, stream=True)
                try:
                    raw = b"".join([part async for part in response.aiter_raw()])
                finally:
                    await response.aclose()
        except TimeoutError:
            raise UpstreamFailure(Reason.TIMEOUT, f"no whole answer within {deadline_seconds:g} s") from None
        except Failure:
            raise
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError) as error:
            raise _failure(error) from None
        finally:
            self._client.cookies.clear()
        encoding = response.extensions["content_encoding"]
        return WireResponse(response.status_code, dict(response.headers), self._decoded(raw, encoding))

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    def _decoded(self, raw: bytes, encoding: str) -> bytes:
        if encoding in ("", "identity"):
            return raw
        if encoding != "gzip":
            raise UpstreamFailure(Reason.DECODE, "the answer has a Content-Encoding that was not asked for")
        inflater = zlib.decompressobj(zlib.MAX_WBITS | 16)
        try:
            body = inflater.decompress(raw, self._max_body_bytes + 1)
        except zlib.error:
            raise UpstreamFailure(Reason.DECODE, "the answer's gzip is broken") from None
        if len(body) > self._max_body_bytes:
            raise _too_large(self._max_body_bytes)
        if not inflater.eof:
            raise UpstreamFailure(Reason.DECODE, "the answer's gzip ends early")
        return body


class _Guarded(httpx.AsyncBaseTransport):
    """Limits each body as it comes, keeps httpx from inflating it, and repeats a request once where a kept
    connection turned out to be gone."""

    def __init__(self, inner: httpx.AsyncHTTPTransport, counts: Counter[str], max_body_bytes: int) -> None:
        self._inner = inner
        self._counts = counts
        self._max_body_bytes = max_body_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        connected = False

        async def trace(event: str, _info: object) -> None:
            nonlocal connected
            connected = connected or event.startswith("connection.connect")

        request.extensions = {**request.extensions, "trace": trace}
        try:
            response = await self._once(request)
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            if connected or _failure(error).reason is not Reason.RESET:
                raise
            response = await self._once(request)
        self._counts[str(response.status_code)] += 1
        return response

    async def _once(self, request: httpx.Request) -> httpx.Response:
        try:
            response = await self._inner.handle_async_request(request)
        except BaseException:
            self._counts["error"] += 1
            raise
        length = response.headers.get("content-length", "0")
        if length.isdecimal() and int(length[:20]) > self._max_body_bytes:
            await response.aclose()
            raise _too_large(self._max_body_bytes)
        encoding = response.headers.pop("content-encoding", "").strip().lower()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Limited(response.stream, self._max_body_bytes),
            extensions={**response.extensions, "content_encoding": encoding},
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Limited(httpx.AsyncByteStream):
    """A body that ends in `too_large` where it goes on for too long."""

    def __init__(self, inner: httpx.AsyncByteStream, max_bytes: int) -> None:
        self._inner = inner
        self._max_bytes = max_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._inner:
            size += len(part)
            if size > self._max_bytes:
                raise _too_large(self._max_bytes)
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


def _too_large(limit: int) -> UpstreamFailure:
    return UpstreamFailure(Reason.TOO_LARGE, f"the answer is larger than max_body_size ({limit} bytes)")


def _failure(error: Exception) -> UpstreamFailure:
    """What an error of httpx means. Its own text may quote the URL or the peer, so it is not repeated."""
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return UpstreamFailure(Reason.DNS, "the host name cannot be resolved")
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return UpstreamFailure(Reason.TLS, f"the certificate is refused: {cause.verify_message}")
        if isinstance(cause, ssl.SSLError):
            return UpstreamFailure(Reason.TLS, f"no TLS connection: {cause.reason or 'the handshake failed'}")
    if isinstance(error, httpx.ConnectError | httpx.ProxyError):
        return UpstreamFailure(Reason.CONNECT, "no connection to the host")
    if isinstance(error, httpx.TimeoutException):
        return UpstreamFailure(Reason.TIMEOUT, "no free connection in time")
    if isinstance(error, httpx.RemoteProtocolError) and not any(words in str(error) for words in _CUT_SHORT):
        return UpstreamFailure(Reason.PROTOCOL, "the answer is not HTTP")
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | OSError):
        return UpstreamFailure(Reason.RESET, "the connection ended before the answer did")
    return UpstreamFailure(Reason.PROTOCOL, "the exchange broke HTTP's rules")


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
