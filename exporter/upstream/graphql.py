"""GraphQL over HTTP: an operation to a response, or a failure with a reason from the closed list."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import GraphQLError, Operation, Response
from exporter.model.secret import Secret
from exporter.upstream.retry_after import retry_after_seconds
from exporter.upstream.transport import Auth, Transport, WireResponse

_ACCEPT: Final = "application/graphql-response+json, application/json;q=0.9"
_BY_STATUS: Final = {401: Reason.UNAUTHORIZED, 403: Reason.FORBIDDEN, 429: Reason.HTTP_429}
_MAX_MESSAGE_LENGTH: Final = 200
BIG_BYTES: Final = 262_144  # what is larger is read beside the event loop; of this much, json takes 3 ms


class Client(Protocol):
    """Who executes operations: an API, or a recording of one."""

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        """The response, within the deadline. Raises `Failure`."""


class GraphQLClient:
    """Executes operations at one endpoint."""

    def __init__(
        self, url: str, transport: Transport, auth: Auth | None, *, headers: Mapping[str, Secret] | None = None
    ) -> None:
        self._url = url
        self._transport = transport
        self._auth = auth
        self._headers = headers or {}

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        """The response, within the deadline; errors beside data are in it.

        Raises `UpstreamFailure`, or `SecretUnreadable` for a credential.
        """
        body = json.dumps({"query": operation.document, "variables": operation.variables}, separators=(",", ":"))
        headers = {"content-type": "application/json", "accept": _ACCEPT}
        headers |= {name.lower(): secret.reveal() for name, secret in self._headers.items()}
        answer = await self._transport.post(
            self._url,
            headers=headers,
            content=body.encode("utf-8", "replace"),
            deadline_seconds=deadline_seconds,
            auth=self._auth,
        )
        _check_status(answer)
        return await asyncio.to_thread(_response, answer) if len(answer.body) > BIG_BYTES else _response(answer)


def _check_status(answer: WireResponse) -> None:
    status = answer.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise UpstreamFailure(Reason.REDIRECT, f"the API answered {status}, a redirect, which is not followed")
    family = Reason.HTTP_5XX if status >= 500 else Reason.HTTP_4XX
    wait = retry_after_seconds(answer.headers.get("retry-after"), answer.headers.get("date"))
    waits = status in (429, 503)
    detail = f"the API answered {status}{_server_words(answer) if status == 400 else ''}"
    raise UpstreamFailure(_BY_STATUS.get(status, family), detail, retry_after_seconds=wait if waits else None)


def _server_words(answer: WireResponse) -> str:
    """What a GraphQL server says of a request that it does not execute (GraphQL over HTTP §6.4)."""
    try:
        content = _decode(answer.body)
        errors = _errors(content.get("errors")) if answer.is_json and isinstance(content, dict) else ()
    except UpstreamFailure:
        return ""
    return f": {_error_text(errors[0])}" if errors else ""


def _response(answer: WireResponse) -> Response:
    """The GraphQL response in a successful answer (GraphQL §7.1). Raises `UpstreamFailure`."""
    if answer.body and not answer.is_json:
        raise UpstreamFailure(Reason.CONTENT_TYPE, "the API did not answer with JSON; is the URL right?")
    content = _decode(answer.body)
    if not isinstance(content, dict) or not ("data" in content or "errors" in content):
        raise UpstreamFailure(Reason.SCHEMA, "the answer is JSON, but not a GraphQL response")
    errors = _errors(content.get("errors"))
    data = content.get("data")
    if data is None and errors:
        raise UpstreamFailure(Reason.GRAPHQL, _error_text(errors[0]))
    if not isinstance(data, dict):
        raise UpstreamFailure(Reason.SCHEMA, "the answer's data is not an object")
    return Response(data, errors, len(answer.body))


def _decode(body: bytes) -> Any:
    """The JSON of a body in UTF-8, with or without a byte-order mark. 32 MiB take about half a second."""
    if not body:
        raise UpstreamFailure(Reason.JSON, "the answer is empty")
    try:
        return json.loads(body.decode("utf-8-sig"), object_hook=_as_it_is if len(body) > BIG_BYTES else None)
    except (ValueError, RecursionError):
        raise UpstreamFailure(Reason.JSON, "the answer is not JSON in UTF-8") from None


def _as_it_is(found: dict[str, Any]) -> dict[str, Any]:
    """Between two objects the interpreter can give another thread its turn, which the parser by itself never does."""
    return found


def _errors(value: object) -> tuple[GraphQLError, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise UpstreamFailure(Reason.GRAPHQL, "the answer's errors are not a list")
    return tuple(_error(item) for item in value)


def _error(item: object) -> GraphQLError:
    """One error, with text that is fit for a log line."""
    message = item.get("message") if isinstance(item, dict) else None
    path = item.get("path") if isinstance(item, dict) else None
    return GraphQLError(
        _line(message) if isinstance(message, str) else "an error without a message",
        tuple(_line(step) if isinstance(step, str) else step for step in path if isinstance(step, str | int))
        if isinstance(path, list)
        else (),
    )


def _line(text: str) -> str:
    """A text in one short line of printable characters."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text[: 2 * _MAX_MESSAGE_LENGTH])
    return " ".join(shown.split())[:_MAX_MESSAGE_LENGTH]


def _error_text(error: GraphQLError) -> str:
    return f"{error.message} (at {'.'.join(map(str, error.path))})" if error.path else error.message
