"""A scripted upstream on a real socket: each request is answered with the bytes that the script gives."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qs


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form-encoded body."""
        return {name: values[0] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}


Script: TypeAlias = Callable[[Seen, asyncio.StreamWriter], Awaitable[bytes | None]]


@dataclass(slots=True)
class Scripted:
    """A running upstream and its journal."""

    script: Script
    url: str = ""
    seen: list[Seen] = field(default_factory=list)

    def count(self, path: str) -> int:
        """How many requests that path had."""
        return sum(one.path == path for one in self.seen)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: requests answered in turn; a script that gives None has closed it."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *lines = head.decode("latin-1").strip().split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                request = Seen(first.split(" ")[1], headers, body)
                self.seen.append(request)
                answer = await self.script(request, writer)
                if answer is None:
                    return
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def scripted(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    """Serves a script on a free port of the loopback address."""
    upstream = Scripted(script)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=tls, limit=2**20)
    scheme = "http" if tls is None else "https"
    upstream.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        server.close()


def http(status: int, body: bytes = b"", **headers: str) -> bytes:
    """A response; header names are written with `_` for `-`."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_answer(content: Any, status: int = 200, **headers: str) -> bytes:
    """A response with JSON."""
    return http(status, json.dumps(content).encode(), content_type="application/json", **headers)
