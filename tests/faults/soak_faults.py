"""What goes wrong in the soak: what the shaky API and its token endpoint answer, and what becomes of files."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.faults.experiment import who_is_known
from tests.faults.test_files import BECOME
from tests.support.upstream import (
    Behaviour,
    Call,
    answer,
    close,
    dribble,
    grants,
    gzipped,
    oauth_error,
    oddly,
    raw,
    reply,
    reset,
    silence,
    status,
)

GOOD: Final = b'{"data":{"value":1}}'
SOUND: Final = who_is_known(answer({"data": {"value": 1}}))
LIFETIME_SECONDS: Final = 2
_SPREADING_SECONDS: Final = 0.5


def _says(code: str, message: str = "no", **extensions: object) -> Behaviour:
    """A GraphQL error that is classed so."""
    return answer({"data": None, "errors": [{"message": message, "extensions": {"code": code, **extensions}}]})


async def _says_back(call: Call) -> None:
    """An error with all the credentials of the request."""
    sent = call.request.headers.get("authorization", "")
    await answer({"errors": [{"message": sent, "path": [call.request.bearer], "extensions": {sent: sent}}]})(call)


async def _learns_late(call: Call) -> None:
    """An API that knows each token only after a while."""
    granted_at = call.upstream.granted.get(call.request.bearer, 0.0) - LIFETIME_SECONDS
    is_known = granted_at + _SPREADING_SECONDS < call.upstream.monotonic()
    await (SOUND if is_known else status(401))(call)


def _in_members() -> bytes:
    return gzip.compress(GOOD[:9]) + bytes(64) + gzip.compress(GOOD[9:]) + gzip.compress(b"")


# Those of the first 80 rows of the matrix, then those of rows 81 to 110.
FAULTS_OF_THE_API: Final[tuple[Behaviour, ...]] = (
    reset,
    close,
    silence,
    status(401),
    status(403),
    status(502),
    reply(b"{"),
    raw(b"SSH-2.0\r\n"),
    dribble(b"HTTP/1.1 200 OK\r\n" * 99, pause_seconds=0.1),
    gzipped(b'{"data":{"rows":[' + b"[]," * 300_000 + b"[]]}}"),
    gzipped(b" " * 10**7),
    oddly(reply(GOOD)),
    reply(GOOD, content_type="text/html"),
    reply(_in_members(), headers={"content-encoding": "gzip"}),
    status(421),
    _says("UNAUTHENTICATED"),
    reply(b"{}", code=403, headers={"www-authenticate": 'Bearer error="invalid_token"'}),
    _learns_late,
    reply(b"{}", code=403, headers={"retry-after": "1"}),
    reply(GOOD, headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}),
    _says("THROTTLED", retryAfter=1),
    answer({"errors": [{"message": "the server's own words"}]}, code=422),
    _says_back,
    _says("X", "\x1b]52;c;ZXZpbA==\x07 \u202e \x9b31m" + "m" * 100_000),
    reply(b'{"data":null,"errors":[{"message":"\\ud800","path":[' + b"1," * 20_000 + b"1]}]}"),
)
FAULTS_OF_TOKENS: Final[tuple[Behaviour, ...]] = (
    *(status(503), silence, reset, reply(b"{"), answer({"error": "x"})),
    oauth_error("temporarily_unavailable", code=503),
    status(429, retry_after="1"),
)
# What clients of the exporter send that then neither send nor read more: halves of requests, and whole ones.
HALF_REQUESTS: Final = (
    b"",
    b"GET /metrics HTTP/1.1\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\n",
    *(b"GET " + path + b" HTTP/1.1\r\nhost: localhost\r\n\r\n" for path in (b"/config", b"/?q=x", b"/metrics")),
)


async def _one_alive(call: Call) -> None:
    """A token endpoint that keeps one live token for a client."""
    call.upstream.revoke_all()
    await grants(lifetime_seconds=LIFETIME_SECONDS)(call)


# How tokens are granted: all of these are taken.
GRANTS: Final[tuple[Behaviour, ...]] = (
    grants(lifetime_seconds=LIFETIME_SECONDS),
    grants(lifetime_seconds=LIFETIME_SECONDS, error=None),
    oddly(grants(lifetime_seconds=LIFETIME_SECONDS)),
    _one_alive,
)


def _become_garbage(file: Path) -> None:
    file.write_bytes(b"\xff\x00{")


# What happens to a file that the exporter reads.
FAULTS_OF_FILES: Final[tuple[Callable[[Path], None], ...]] = (
    *BECOME.values(),
    Path.unlink,
    _become_garbage,
)


async def pages(call: Call) -> None:
    """23 rows, by cursor."""
    variables: dict[str, Any] = call.request.json["variables"]
    first = int(variables.get("after") or 0)
    end = min(23, first + variables["first"])
    rows = [{"id": f"{number}", "value": number} for number in range(first, end)]
    await answer({"data": {"items": rows, "info": {"hasNextPage": end < 23, "endCursor": str(end)}}})(call)


PAGED: Final[dict[str, Any]] = {
    "document": "query paged($first: Int!, $after: String) {"
    " items(first: $first, after: $after) { id value } info { hasNextPage endCursor } }",
    "pages": {"size": 5, "limit": "first", "cursor": "after", "info": "info", "max_rows": 12},
    "rows": "items",
    "labels": {"id": "id"},
}
