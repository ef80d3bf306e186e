"""What several tests of the way to the API have in common."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop

from tests.support.upstream import Upstream, answer

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """An upstream whose API answers everybody."""
    with Upstream() as running:
        running.api.always(answer({"data": {"value": 1}}))
        yield running


@pytest.fixture
def held() -> dict[str, threading.Event]:
    """Names whose look-up waits for an event."""
    return {}


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, held: dict[str, threading.Event]) -> Iterator[dict[str, Any]]:
    """Names that a test makes up: their addresses, an error, or an event that the look-up waits for."""
    known: dict[str, Any] = {}
    system = socket.getaddrinfo
    ended = threading.Event()

    def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host not in known:
            return system(host, port, *rest, **options)
        if host in held:
            held[host].wait(30)
        found = known[host]
        if found is None:
            ended.wait(30)
            found = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if isinstance(found, Exception):
            raise found
        return [(0, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield known
    ended.set()
