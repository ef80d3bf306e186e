"""Names become addresses, and a look-up that hangs holds up nobody."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from exporter.model.errors import Reason, UpstreamFailure
from exporter.upstream.dns import Resolver
from exporter.upstream.transport import Transport
from tests.support.upstream import Upstream
from tests.support.wiring import failure_of, post, until
from tests.upstream.conftest import LOOPS

Loop = Callable[[], asyncio.AbstractEventLoop]


def look_ups(host: str) -> int:
    """How many threads look up that name."""
    return sum(thread.name == f"dns {host}" for thread in threading.enumerate())


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "2001:db8::1"])
def test_an_address_is_not_looked_up(names: dict[str, Any], address: str) -> None:
    """Who configures an address needs no name service."""
    names[address] = socket.gaierror(socket.EAI_FAIL, "asked for an address")
    assert asyncio.run(Resolver().addresses(address)) == [address]


@LOOPS
def test_the_order_of_the_system_is_kept(names: dict[str, Any], loop: Loop) -> None:
    """Addresses come as the system prefers them, each once."""
    names["api.test"] = ["::1", "127.0.0.9", "::1", "127.0.0.1", "127.0.0.9"]
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(Resolver().addresses("api.test")) == ["::1", "127.0.0.9", "127.0.0.1"]


def test_nothing_is_remembered(names: dict[str, Any]) -> None:
    """A name that moves, or that is not there yet, is looked up at each use."""

    async def run() -> None:
        resolver = Resolver()
        names["api.test"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        failed = await failure_of(resolver.addresses("api.test"))
        assert isinstance(failed, UpstreamFailure)
        assert (failed.reason, failed.detail) == (Reason.DNS, "cannot resolve api.test: Name or service not known")
        for address in ("127.0.0.1", "127.0.0.2"):
            names["api.test"] = [address]
            assert await resolver.addresses("api.test") == [address]

    asyncio.run(run())


@pytest.mark.parametrize("host", ["a" * 64 + ".test", "a..test"])
def test_what_is_no_host_name_is_told(host: str) -> None:
    """A name that cannot be written for the name service fails as one that does not resolve."""
    failed = asyncio.run(failure_of(Resolver().addresses(host)))
    assert (failed.reason, failed.detail) == (Reason.DNS, f"cannot resolve {host}: not a host name")


def test_all_who_ask_for_a_name_share_its_look_up(held: dict[str, threading.Event], names: dict[str, Any]) -> None:
    """One thread for a name, whoever asks; one who goes takes it from nobody; the next look-up is a new one."""

    async def run() -> None:
        resolver, go_on = Resolver(), threading.Event()
        held["api.test"], names["api.test"] = go_on, ["127.0.0.1"]
        asking = [asyncio.create_task(resolver.addresses("api.test")) for _ in range(100)]
        other = asyncio.create_task(resolver.addresses("127.0.0.5"))
        assert await other == ["127.0.0.5"]
        assert look_ups("api.test") == 1
        for task in asking[::2]:
            task.cancel()
        await asyncio.wait(asking[::2])
        go_on.set()
        assert await asyncio.gather(*asking[1::2]) == [["127.0.0.1"]] * 50
        names["api.test"] = ["127.0.0.2"]
        assert await resolver.addresses("api.test") == ["127.0.0.2"]

    asyncio.run(run())


@pytest.mark.parametrize("found", [["127.0.0.1"], socket.gaierror(socket.EAI_AGAIN, "Try again")])
def test_an_answer_that_nobody_waits_for_is_no_trouble(
    held: dict[str, threading.Event], names: dict[str, Any], found: object
) -> None:
    """It may come when all have gone, or when the program's event loop has ended."""
    complaints: list[object] = []

    async def give_up(hold: threading.Event, *, waits: bool) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        resolver = Resolver()
        held["api.test"], names["api.test"] = hold, found
        task = asyncio.create_task(resolver.addresses("api.test"))
        await until(lambda: look_ups("api.test") == 1)
        task.cancel()
        await asyncio.wait([task])
        if waits:
            hold.set()
            await until(lambda: look_ups("api.test") == 0)
            await asyncio.sleep(0)
            del resolver, task
            gc.collect()

    asyncio.run(give_up(threading.Event(), waits=True))
    last = threading.Event()
    asyncio.run(give_up(last, waits=False))
    last.set()
    until_at = time.monotonic() + 30
    while look_ups("api.test"):
        assert time.monotonic() < until_at
        time.sleep(0.002)
    assert complaints == []  # of a fault in a thread pytest complains itself


@LOOPS
def test_an_unknown_name_is_told(names: dict[str, Any], loop: Any) -> None:
    """Row 2: a name that does not exist fails the poll with `dns`."""
    names["nowhere.test"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def poll() -> None:
        transport = Transport()
        failed = await failure_of(post(transport, "http://nowhere.test/"))
        assert failed.reason is Reason.DNS
        assert failed.detail == "cannot resolve nowhere.test: Name or service not known"
        await transport.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(poll())


@LOOPS
def test_a_look_up_that_hangs_holds_up_nobody_else(names: dict[str, Any], upstream: Upstream, loop: Any) -> None:
    """Row 3: polls end at their deadline, other hosts are polled, and threads do not pile up."""
    names["hanging.test"] = None
    names["api.test"] = ["127.0.0.1"]

    async def polls() -> None:
        transport = Transport(max_connections=100)
        hanging = "http://hanging.test/"
        failures = asyncio.gather(*(failure_of(post(transport, hanging, deadline_seconds=0.3)) for _ in range(50)))
        await asyncio.sleep(0)
        assert await post(transport, f"http://api.test:{upstream.port}/graphql") == 200
        assert {failure.reason for failure in await failures} == {Reason.TIMEOUT}
        assert (await failure_of(post(transport, hanging, deadline_seconds=0.01))).reason is Reason.TIMEOUT
        assert sum(thread.name == "dns hanging.test" for thread in threading.enumerate()) == 1
        await transport.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(polls())


def test_a_look_up_that_hangs_does_not_hold_up_the_end() -> None:
    """Row 3: the program ends at once, although a look-up would take ten minutes more."""
    program = """
import asyncio, socket, time
from exporter.model.errors import UpstreamFailure
from exporter.upstream.transport import Transport
socket.getaddrinfo = lambda *_, **__: time.sleep(600)
async def main():
    try:
        await Transport().post("http://hanging.test/", headers={}, content=b"", deadline_seconds=0.1)
    except UpstreamFailure as failure:
        print(failure.reason)
asyncio.run(main())
"""
    started_at = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "timeout\n"
    assert ended.stderr == ""
    assert time.monotonic() - started_at < 60
