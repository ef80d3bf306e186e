"""Where a server listens."""

from __future__ import annotations

import re

from msgspec import Struct

_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^\[\]:]*)):(?P<port>\d{1,5})")


class ListenAddress(Struct, frozen=True):
    """Where to listen. Without a host: on all addresses of the machine. Port 0: one that is free."""

    host: str | None
    port: int

    @classmethod
    def parse(cls, text: str) -> ListenAddress:
        """`:10093`, `127.0.0.1:0`, `localhost:9090` or `[::1]:9000`. Raises ValueError with the reason."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a listen address; write :PORT, HOST:PORT or [IPv6]:PORT")
        port = int(match["port"])
        if port > 65535:
            raise ValueError(f"{text!r} is not a listen address; ports end at 65535")
        return cls(match["ipv6"] or match["host"] or None, port)

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"
