"""The wire as the roof builds it, for tests that need no whole exporter: transports, a token source, a client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from exporter.config.credentials import OAuth2
from exporter.model.errors import Failure
from exporter.model.outcome import Operation, Response
from exporter.model.secret import Secret
from exporter.upstream.access_token import TokenSource
from exporter.upstream.auth import BearerAuth
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.transport import Transport
from tests.support.processes import PATIENCE_SECONDS
from tests.support.upstream import Upstream

OPERATION: Final = Operation("query Q($a: Int) { value }", {"a": 1})
CLIENT_ID: Final = "client:id ü"
CLIENT_SECRET: Final = "s3cret+/= %ü"


class Clock:
    """A clock that stands still until it is told to move, and wakes who sleeps by it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.wall_offset = 800_000_000.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now + self.wall_offset

    async def sleep(self, seconds: float) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, sleeper))
        self.advance(0.0)
        await sleeper

    def advance(self, seconds: float) -> None:
        self.now += seconds
        due = [sleeper for until, sleeper in self._sleepers if until <= self.now]
        self._sleepers = [entry for entry in self._sleepers if entry[0] > self.now]
        for sleeper in due:
            if not sleeper.done():
                sleeper.set_result(None)

    @property
    def sleeping(self) -> bool:
        return any(not sleeper.done() for _, sleeper in self._sleepers)


@dataclass(frozen=True, slots=True)
class Wired:
    """A client of an upstream, with the parts that it is made of."""

    upstream: Upstream
    transport: Transport
    source: TokenSource
    client: GraphQLClient

    async def execute(self, *, deadline_seconds: float = 5.0) -> Response:
        return await self.client.execute(OPERATION, deadline_seconds=deadline_seconds)


@asynccontextmanager
async def wired(
    upstream: Upstream,
    *,
    clock: Clock | None = None,
    transport: Transport | None = None,
    jitter: Callable[[], float] = lambda: 0.0,
    **settings: Any,
) -> AsyncIterator[Wired]:
    """The parts, closed at the end. `settings` go into `OAuth2`."""
    defaults: dict[str, Any] = {
        "token_url": upstream.token_url,
        "client_id": Secret(inline=CLIENT_ID),
        "client_secret": Secret(inline=CLIENT_SECRET),
        "revocation_url": upstream.revocation_url,
    }
    clocks: dict[str, Any] = (
        {} if clock is None else {"monotonic": clock.monotonic, "wall": clock.wall, "sleep": clock.sleep}
    )
    to_api, to_tokens = transport or Transport(), Transport()
    source = TokenSource(OAuth2(**{**defaults, **settings}), to_tokens, jitter=jitter, **clocks)
    try:
        yield Wired(upstream, to_api, source, GraphQLClient(upstream.api_url, to_api, BearerAuth(source)))
    finally:
        await to_api.close()
        await to_tokens.close()


async def failure_of(work: Any) -> Failure:
    """The failure that some work ends with."""
    try:
        result = await work
    except Failure as failure:
        return failure
    raise AssertionError(f"no failure, but {result!r}")


async def until(condition: Callable[[], object]) -> None:
    """Waits for something that can be observed."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.002)


async def post(transport: Transport, url: str, *, deadline_seconds: float = 10.0) -> int:
    """The status of a request over that transport."""
    headers = {"content-type": "text/plain"}
    return (await transport.post(url, headers=headers, content=b"x", deadline_seconds=deadline_seconds)).status
