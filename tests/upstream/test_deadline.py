"""Deadlines: kept, but not made shorter by a process that stands still."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

import pytest
import uvloop

from exporter.upstream.deadline import Deadline

DEADLINE_SECONDS = 0.1
LOOPS = pytest.mark.parametrize("loop_of", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
NewLoop = Callable[[], asyncio.AbstractEventLoop]


async def read_after_a_standstill(sent: bytes) -> bytes:
    """What is read within the deadline, where all of the loop stands still until the deadline is long over."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader, writer = await asyncio.open_connection(sock=ours)
        try:
            async with Deadline(DEADLINE_SECONDS).limit():
                theirs.sendall(sent)
                time.sleep(5 * DEADLINE_SECONDS)  # noqa: ASYNC251 - that is the standstill
                return await reader.readexactly(2)
        finally:
            writer.close()


@LOOPS
def test_what_came_while_the_process_stood_still_is_taken(loop_of: NewLoop) -> None:
    """An answer that arrived in time counts, also where nobody could read it in time."""
    with asyncio.Runner(loop_factory=loop_of) as runner:
        assert runner.run(read_after_a_standstill(b"ok")) == b"ok"


@LOOPS
def test_what_did_not_come_is_not_waited_for(loop_of: NewLoop) -> None:
    """After a standstill a silent upstream has a moment more, not for ever."""
    with asyncio.Runner(loop_factory=loop_of) as runner, pytest.raises(TimeoutError):
        runner.run(read_after_a_standstill(b"o"))


@LOOPS
def test_a_deadline_ends_what_takes_too_long(loop_of: NewLoop) -> None:
    """Whatever is awaited, it ends; and what ends in time is not disturbed later."""

    async def waited(seconds: float) -> str:
        async with Deadline(DEADLINE_SECONDS).limit():
            await asyncio.sleep(seconds)
        await asyncio.sleep(2 * DEADLINE_SECONDS)
        return "in time"

    with asyncio.Runner(loop_factory=loop_of) as runner:
        assert runner.run(waited(0)) == "in time"
        with pytest.raises(TimeoutError):
            runner.run(waited(600))
