"""Sockets for the transport: TLS settings, names to addresses, connected streams. The only importer of httpcore
besides `transport.py`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import certifi
import httpcore

from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.system_errors import os_problem, tls_problem

_NEXT_ADDRESS_SECONDS: Final = 0.25  # RFC 8305 §5: the delay between two connection attempts
_MIN_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """Prometheus' `tls_config`: what is trusted, and who we are."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str | None = None
    insecure_skip_verify: bool = False
    min_version: Literal["TLS12", "TLS13"] = "TLS12"

    def file_states(self) -> tuple[tuple[int, ...] | None, ...]:
        """What changes when a file is written or replaced; None for one that is not there."""
        return tuple(_state(file) for file in (self.ca_file, self.cert_file, self.key_file) if file is not None)

    def context(self) -> ssl.SSLContext:
        """The context for connections. Raises `OSError` for files that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=None if self.ca_file is None else str(self.ca_file))
            if self.ca_file is None and not _system_has_authorities():
                context.load_verify_locations(certifi.where())
            if self.cert_file is not None:
                context.load_cert_chain(
                    self.cert_file, self.key_file, password=b""
                )  # an encrypted key is not asked for
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            files = ", ".join(str(file) for file in (self.ca_file, self.cert_file, self.key_file) if file)
            problem = tls_problem(error) if isinstance(error, ssl.SSLError) else os_problem(error)
            raise OSError(f"cannot use {files}: {problem}") from None
        context.minimum_version = _MIN_VERSIONS[self.min_version]
        if self.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


def _state(file: Path) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _system_has_authorities() -> bool:
    """Whether OpenSSL's default places hold certificates; slim images and some Pythons have none."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir()))


class Unanswered(httpcore.ReadError):
    """The peer ended the connection before the first byte of an answer."""


class Stream(httpcore.AsyncNetworkStream):
    """A connected stream that says early what does not speak HTTP, and is closed whatever cuts its handshake."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._answer_begins = True
        self.ended = False
        """Whether the peer has closed its side, or reset the connection."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's
        """What came. Raises `httpcore.ReadError`, `Unanswered` if the answer had not begun."""
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
        self._answer_begins = True
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
        try:
            return Stream(await self._inner.start_tls(ssl_context, server_hostname, timeout))
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

    def __init__(self) -> None:
        self._backend = httpcore.AnyIOBackend()
        self._resolver = Resolver()

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
                attempts.append(asyncio.create_task(self._backend.connect_tcp(address, port)))
                stream = await _first_connected(attempts, within_seconds=_NEXT_ADDRESS_SECONDS)
                if stream is not None:
                    return Stream(stream)
            stream = await _first_connected(attempts, within_seconds=None)
            if stream is not None:
                return Stream(stream)
            problem = os_problem(attempts[-1].exception())
            raise UpstreamFailure(Reason.CONNECT, f"cannot connect to {host}:{port}: {problem}")
        finally:
            for attempt in attempts:
                await _undo(attempt)

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


class Resolver:
    """Names to addresses, each look-up in a daemon thread of its own, shared by all who wait for that name.

    So a look-up that hangs holds up neither other names, nor the event loop's executor, nor the end of the program,
    and there is never more than one thread for a name. It is Python's own look-up under every event loop.
    """

    def __init__(self) -> None:
        self._lookups: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str) -> list[str]:
        """The addresses of a name, in the system's order of preference. Raises `UpstreamFailure` (dns)."""
        with suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        try:
            lookup = self._lookups.get(host) or self._started(host)
            return await asyncio.shield(lookup)
        except (OSError, RuntimeError) as error:  # RuntimeError: no more threads
            raise UpstreamFailure(Reason.DNS, f"cannot resolve {host}: {os_problem(error)}") from None

    def _started(self, host: str) -> asyncio.Future[list[str]]:
        lookup: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        threading.Thread(target=self._look_up, args=(host, lookup), name=f"dns {host}", daemon=True).start()
        self._lookups[host] = lookup
        return lookup

    def _look_up(self, host: str, lookup: asyncio.Future[list[str]]) -> None:
        found: list[str] | OSError
        try:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except OSError as error:
            found = error
        except UnicodeError:
            found = OSError(0, "not a host name")
        with suppress(RuntimeError):  # the loop has ended meanwhile
            lookup.get_loop().call_soon_threadsafe(self._deliver, host, lookup, found)

    def _deliver(self, host: str, lookup: asyncio.Future[list[str]], found: list[str] | OSError) -> None:
        del self._lookups[host]
        if isinstance(found, OSError):
            lookup.set_exception(found)
            lookup.exception()  # seen, even if nobody waits any more
        else:
            lookup.set_result(found)
