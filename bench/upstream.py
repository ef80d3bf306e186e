"""A GraphQL API that answers at once or after a while, in a process of its own: `python -m bench.upstream PORT`.

It does no work of its own, so that the exporter is measured and not it. `POST /set` with `{"rows": …, "latency": …}`
says what the following answers are; `GET /arrivals` tells when each query came (monotonic seconds).
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from contextlib import suppress

import uvloop

from bench.answers import answer

_NAME = re.compile(rb"query (usage_\d+)")


class _Api:
    def __init__(self) -> None:
        self.latency = 0.0
        self.bodies = [answer(1)]
        self.arrivals: list[tuple[str, float]] = []

    async def answered(self, path: bytes, body: bytes) -> bytes:
        if path == b"/set":
            wanted = json.loads(body)
            self.latency = wanted["latency"]
            self.bodies = [answer(wanted["rows"], generation) for generation in (0, 1)]
            self.arrivals.clear()
            return b"{}"
        if path == b"/arrivals":
            return json.dumps(self.arrivals).encode()
        if (name := _NAME.search(body)) is not None:
            self.arrivals.append((name[1].decode(), time.monotonic()))
        if self.latency:
            await asyncio.sleep(self.latency)
        self.bodies.append(self.bodies.pop(0))
        return self.bodies[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: *(\d+)", head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                content = await self.answered(head.split(b" ", 2)[1], body)
                fields = f"content-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
                writer.write(b"HTTP/1.1 200 OK\r\n" + fields.encode() + content)
                await writer.drain()
        writer.close()


async def _main(port: int) -> None:
    server = await asyncio.start_server(_Api().serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
