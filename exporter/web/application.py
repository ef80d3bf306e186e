"""The raw ASGI application: a whole request in, an answer that is ready out."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import structlog

from exporter.model.errors import fault_text
from exporter.web.guard import Guard
from exporter.web.messages import Answer, Application, Request

_CLOSE: Final = (b"connection", b"close")
_SLICE_BYTES: Final = 65536
_log = structlog.get_logger()

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class ClientGone(Exception):
    """The client has gone before its request was whole, or its answer ready."""


class ASGIApplication:
    """Answers requests with what `application` says, and counts the answers by code. Guards come in the state."""

    def __init__(self, application: Application, max_body_bytes: int, requests_by_code: Counter[str]) -> None:
        self._application = application
        self._max_body_bytes = max_body_bytes
        self._requests_by_code = requests_by_code

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request (ASGI 3.0, HTTP)."""
        guard: Guard = scope["state"]["guard"]
        try:
            refusal = await self._read(scope, receive, guard)
            answer = Answer.plain(refusal) if refusal is not None else await self._answer(scope, receive, guard)
        except ClientGone:
            return
        self._requests_by_code[str(answer.status.value)] += 1
        ends = refusal is not None or guard.is_last
        guard.answer_begins(answer.body)
        await send(
            {
                "type": "http.response.start",
                "status": answer.status.value,
                "headers": (*answer.fields, _CLOSE) if ends else answer.fields,
            }
        )
        if scope["scheme"] == "https":  # each piece when the one before is taken, as all would be encrypted at once
            view = memoryview(answer.body)
            for at in range(0, len(view) - _SLICE_BYTES, _SLICE_BYTES):
                await send({"type": "http.response.body", "body": view[at : at + _SLICE_BYTES], "more_body": True})
            last = view[-(len(view) % _SLICE_BYTES or _SLICE_BYTES) :]
            await send({"type": "http.response.body", "body": last})
        else:
            await send({"type": "http.response.body", "body": answer.body})
        guard.answer_ended()

    async def _read(self, scope: MutableMapping[str, Any], receive: Receive, guard: Guard) -> HTTPStatus | None:
        """Reads the body, which no route wants. A status if the request is refused as it is."""
        if scope["http_version"] not in ("1.1", "1.0"):
            return HTTPStatus.BAD_REQUEST
        announced_bytes = _body_bytes(scope["headers"])
        if announced_bytes is not None and announced_bytes > self._max_body_bytes:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        guard.head_ended(has_body=announced_bytes != 0)
        if announced_bytes != 0:
            await _until_whole(receive)
            guard.request_ended()
        return None

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, guard: Guard) -> Answer:
        """What is answered to a whole request. Raises `ClientGone`."""
        query = scope["query_string"].decode("latin-1")
        request = Request(scope["method"], scope["path"], scope["headers"], guard.client, query)
        try:
            answer = self._application(request)
            return answer if isinstance(answer, Answer) else await _while_wanted(answer, receive)
        except ClientGone:
            raise
        except Exception as error:
            _log.error("a request could not be answered", path=scope["path"], fault=fault_text(error))
            return Answer.plain(HTTPStatus.INTERNAL_SERVER_ERROR)


def _body_bytes(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """How many bytes of body are announced; None if that is not known beforehand."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            return None
    return 0


async def _until_whole(receive: Receive) -> None:
    """Reads a body to its end. Raises `ClientGone`."""
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        has_more = message["more_body"]


async def _while_wanted(coming: Awaitable[Answer], receive: Receive) -> Answer:
    """The answer, which is given up when the client goes. Raises `ClientGone`."""
    answering = asyncio.ensure_future(coming)
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        await asyncio.wait((answering, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise ClientGone
        return answering.result()
    finally:
        answering.cancel()
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
