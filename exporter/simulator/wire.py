"""The little of ASGI and HTTP that the endpoints share: bodies in, answers out."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from msgspec import Struct

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_LIMIT = 4 * 1024 * 1024


class HttpRequest(Struct, frozen=True):
    """A request with its whole body."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def media_type(self) -> str:
        """The body's type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class HttpAnswer(Struct, frozen=True):
    """An answer with a JSON body, or none."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = {}


class HttpError(Exception):
    """A request that is answered with an error."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class ClientGone(Exception):
    """The client went away before its request was complete."""


async def read(scope: Scope, receive: Receive) -> HttpRequest:
    """The request with its whole body; raises HttpError 413 if that is too large, ClientGone if it never came."""
    parts, length, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        length += len(part)
        if length > BODY_LIMIT:
            raise HttpError(HttpAnswer(413, {"message": "The body is too large."}, {"connection": "close"}))
        parts.append(part)
        more = message.get("more_body", False)
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return HttpRequest(scope["method"], scope["path"], headers, b"".join(parts))


async def write(send: Send, answer: HttpAnswer) -> None:
    """Sends the answer."""
    body = b"" if answer.body is None else json.dumps(answer.body, ensure_ascii=False).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **answer.headers}
    encoded = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})


def form(request: HttpRequest) -> dict[str, str]:
    """The fields of a form body; raises ValueError if it is none, or has a field twice (RFC 6749 §3.2)."""
    if request.media_type != "application/x-www-form-urlencoded":
        raise ValueError("The body must be application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl(request.body.decode("utf-8"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise ValueError("The body cannot be decoded.") from None
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("A field is repeated.")
    return fields


def json_object(request: HttpRequest) -> dict[str, Any]:
    """The JSON object in the body; raises ValueError if there is none."""
    try:
        parsed = json.loads(request.body)
    except (ValueError, RecursionError):
        raise ValueError("The body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise ValueError("The body is not a JSON object.")
    return parsed
