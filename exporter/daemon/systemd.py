"""Telling systemd how the service is: the protocol of sd_notify(3)."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress


def notify(state: str, environ: Mapping[str, str] = os.environ) -> None:
    """Sends `READY=1`, `STOPPING=1` and the like; does nothing where nobody asked for it, or nobody listens."""
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to_systemd:
        to_systemd.connect(f"\0{address[1:]}" if address[0] == "@" else address)
        to_systemd.send(state.encode())


async def keep_watchdog_calm(environ: Mapping[str, str] = os.environ) -> None:
    """Tells the watchdog, twice in its time, that the event loop runs; for ever, also where there is no watchdog."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    if not microseconds.isdecimal() or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        await asyncio.Event().wait()
    while True:
        notify("WATCHDOG=1", environ)
        await asyncio.sleep(int(microseconds) / 2_000_000)
