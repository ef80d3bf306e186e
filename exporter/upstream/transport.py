"""HTTP as the upper floors want it: one bounded answer before a deadline, or an `UpstreamFailure`.

httpx builds the requests, but its connection pool is not used: a cancelled request can leak a slot of it for good.
`KeptConnections` keeps idle connections itself; who uses one owns it, and closes it unless the exchange ended well.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeAlias

import httpx
from msgspec import Struct

from exporter import __version__
from exporter.config.credentials import TLSConfig
from exporter.model.censor import Censor
from exporter.model.duration import seconds_text
from exporter.model.errors import Reason, UpstreamFailure
from exporter.upstream.connections import BODY, SHARE, KeptConnections
from exporter.upstream.deadline import Deadline
from exporter.upstream.memory import BIG_BYTES, AnswerMemory, NoMemory, Share
from exporter.upstream.proxies import proxy_choice

DEFAULT_MAX_BODY_BYTES: Final = 8 * 2**20
_OBJECT: Final = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\{")
_DEFAULT_TLS: Final = TLSConfig()
_CLEANING: Final = ThreadPoolExecutor(2, thread_name_prefix="upstream: cleaning")  # it may take seconds of an answer


class WireResponse(Struct, frozen=True):
    """An answer, whole and decoded. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_json(self) -> bool:
        """Whether it calls itself JSON (`application/json` or any `+json`, RFC 6839 §3.1) or nothing at all, or is an
        object by its first letter, whatever it calls itself: many servers say text/plain or text/html."""
        kinds = [kind.partition(";")[0].strip().lower() for kind in self.headers.get("content-type", "").split(",")]
        named = any(kind in ("", "application/json") or kind.endswith(("+json", "/json")) for kind in kinds)
        return named or _OBJECT.match(self.body) is not None


Send: TypeAlias = Callable[[str], Awaitable[WireResponse]]
"""Sends a request with that `Authorization` header; what it raises is a failure of the exchange."""


class Auth(Protocol):
    """How requests authenticate."""

    async def exchange(self, send: Send, deadline: Deadline) -> WireResponse:
        """The answer to the request, which may be sent more than once. Raises `Failure`, also for its own waits."""


class Transport:
    """Sends requests over kept connections. `requests_by_code` counts them, repeated ones too (`error`: no answer)."""

    def __init__(
        self,
        *,
        tls: TLSConfig = _DEFAULT_TLS,
        proxy_url: str | None = None,
        proxy_headers: Sequence[tuple[str, str]] = (),
        no_proxy: str = "",
        proxy_from_environment: bool = False,
        max_connections: int = 20,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        monotonic: Callable[[], float] = time.monotonic,
        censor: Censor | None = None,
    ) -> None:
        """`proxy_headers` are for the proxy alone; `no_proxy` are the hosts that are reached without it.
        What `censor` knows is taken out of answers before they are read.

        Raises `OSError` for files of `tls` that cannot be used, `ValueError` for a proxy that is not HTTP.
        """
        proxies = proxy_choice(proxy_url, proxy_headers, no_proxy=no_proxy, from_environment=proxy_from_environment)
        self._censor = censor
        self.requests_by_code: Counter[str] = Counter()
        self._client = httpx.AsyncClient(
            transport=KeptConnections(tls, proxies, max_connections, max_body_bytes, self.requests_by_code, monotonic),
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113 - the deadline is total, not per read
            headers={"user-agent": f"insights-exporter/{__version__}", "accept-encoding": "gzip"},
        )

    async def post(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]],
        content: bytes,
        deadline_seconds: float,
        auth: Auth | None = None,
        share: Share | None = None,
    ) -> WireResponse:
        """The answer to a POST; its status is never a redirect's. Raises `UpstreamFailure`, or what `auth` raises.

        The deadline holds for all of it: waiting for a token or a free connection, a second request after a 401,
        the last byte of the body. A big body counts for `share`, and waits until that can hold it.
        """
        try:
            fields = headers if isinstance(headers, Sequence) else tuple(headers.items())
            request = self._client.build_request(
                "POST", url, headers=list(fields), content=content, extensions={SHARE: share or AnswerMemory().share()}
            )
        except (httpx.InvalidURL, ValueError):  # ValueError: a header that is not ASCII
            raise UpstreamFailure(Reason.PROTOCOL, "the URL or a header cannot be sent") from None
        deadline = Deadline(deadline_seconds)

        async def send(authorization: str) -> WireResponse:
            request.headers["authorization"] = authorization
            return await self._exchange(request, deadline)

        try:
            return await (self._exchange(request, deadline) if auth is None else auth.exchange(send, deadline))
        finally:
            del request.extensions[SHARE]  # an error may hold the request for long

    async def _exchange(self, request: httpx.Request, deadline: Deadline) -> WireResponse:
        try:
            async with deadline.limit():
                response = await self._client.send(request, auth=None)
        except TimeoutError:
            share: Share = request.extensions[SHARE]
            if share.gave_up:
                raise NoMemory(deadline.seconds) from None
            raise UpstreamFailure(Reason.TIMEOUT, f"no whole answer within {seconds_text(deadline.seconds)}") from None
        del response.stream  # it and the response refer to each other, so that the collector alone would free them
        headers, body = dict(response.headers.items()), response.extensions.pop(BODY)
        if self._censor is None:
            return WireResponse(response.status_code, headers, body)
        headers = self._censor.clean_fields(headers)
        if len(body) > BIG_BYTES:
            body = await asyncio.get_running_loop().run_in_executor(_CLEANING, self._censor.clean_json, body)
        else:
            body = self._censor.clean_json(body)
        return WireResponse(response.status_code, headers, body)

    @property
    def is_closed(self) -> bool:
        """Whether it sends nothing any more."""
        return self._client.is_closed

    async def close(self) -> None:
        """Closes idle connections now, and those in use when their exchange has ended."""
        await self._client.aclose()
