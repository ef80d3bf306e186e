"""Names to addresses, in threads that cannot hold up the end of the process."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import suppress

from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.system_errors import os_problem


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
            lookup = self._lookups.get(host) or self._start(host)
            return await asyncio.shield(lookup)
        except (OSError, RuntimeError) as error:  # RuntimeError: no more threads
            raise UpstreamFailure(Reason.DNS, f"cannot resolve {host}: {os_problem(error)}") from None

    def _start(self, host: str) -> asyncio.Future[list[str]]:
        lookup: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()
        threading.Thread(target=self._look_up, args=(host, lookup), name=f"dns {host}", daemon=True).start()
        self._lookups[host] = lookup
        return lookup

    def _look_up(self, host: str, lookup: asyncio.Future[list[str]]) -> None:
        found: list[str] | OSError
        try:
            found = _addresses(host)
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


def _addresses(host: str) -> list[str]:
    """The system's addresses of a name. An absolute name (`api.internal.`) stands in a hosts file without its dot."""
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME or not host.endswith("."):
            raise
        infos = socket.getaddrinfo(host.removesuffix("."), None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(info[4][0]) for info in infos))
