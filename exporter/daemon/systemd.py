"""What systemd is told of the service (sd_notify(3)), and the sockets that it hands over (sd_listen_fds(3))."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Final

_FIRST_PASSED: Final = 3


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


def passed_sockets(environ: MutableMapping[str, str] = os.environ) -> tuple[socket.socket, ...]:
    """The listening sockets that systemd handed to this process; they are no other's from then on.

    Raises `OSError` with the reason in words, where there is none, or one that nobody can connect to.
    """
    count, pid = environ.pop("LISTEN_FDS", ""), environ.pop("LISTEN_PID", "")
    environ.pop("LISTEN_FDNAMES", None)
    if not count.isdecimal() or int(count) == 0 or pid != str(os.getpid()):
        raise OSError(0, "systemd passed no socket to this process")
    found = []
    for number in range(_FIRST_PASSED, _FIRST_PASSED + int(count)):
        os.set_inheritable(number, False)
        passed = socket.socket(fileno=number)
        if passed.type != socket.SOCK_STREAM or not passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise OSError(0, f"the file descriptor {number} that systemd passed is no listening stream socket")
        passed.setblocking(False)
        found.append(passed)
    return tuple(found)
