"""GraphQL over HTTP: an operation to a response, or a failure with a reason from the closed list."""

from __future__ import annotations

import asyncio
import codecs
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any, Final, Protocol
from urllib.parse import urlencode

from exporter.config.source import INVALID_TOKEN_CODES
from exporter.model.censor import EVERYTHING, Censor
from exporter.model.errors import Reason, SecretUnreadable, UpstreamFailure
from exporter.model.outcome import ABSENT, CODE_KEYS, Envelope, GraphQLError, Operation, Response, Shape
from exporter.model.secret import Secret
from exporter.model.surrogates import without_lone_surrogates
from exporter.upstream import memory
from exporter.upstream.deadline import Deadline
from exporter.upstream.diagnosis import clean_line, json_object, server_words
from exporter.upstream.limits import (
    OwnWait,
    ServerLimits,
    cost_limits,
    error_wait_seconds,
    fault_wait_seconds,
    field,
    header_limits,
    means_throttled,
    refill_seconds,
)
from exporter.upstream.memory import AnswerMemory, NoMemory, Share
from exporter.upstream.retry_after import http_date
from exporter.upstream.token_refusal import TokenRefusal
from exporter.upstream.transport import Auth, Transport, WireResponse

_HEADERS: Final = (
    ("content-type", "application/json"),
    ("accept", "application/graphql-response+json, application/json;q=0.9"),
)
_BY_STATUS: Final = {401: Reason.UNAUTHORIZED, 403: Reason.FORBIDDEN, 429: Reason.HTTP_429}
_TOKEN_REASONS: Final = frozenset({Reason.GRAPHQL, Reason.FORBIDDEN, Reason.HTTP_4XX, Reason.HTTP_5XX, Reason.SCHEMA})
_MAX_PATH_STEPS: Final = 20
_MAX_STEP_LENGTH: Final = 50
_MAX_ERRORS: Final = 1000
_PIECE_BYTES: Final = 65536  # what stays in the processor's cache
BIG_BYTES: Final = memory.BIG_BYTES
_SLOW_SHARE: Final = 4  # of max_body_size: Python's own parser takes several times the memory
BYTES_A_VALUE: Final = 10  # an answer of max_body_size may have a value for each so many bytes
# What a value takes at most, as an element of a list: read by a shape (a text), and by Python's own parser (an object).
_SHAPED_BYTES: Final = 72
_UNSHAPED_BYTES: Final = 200
_BELOW_WIDE: Final = bytes(range(0xC4))  # of UTF-8 without letters that take more than a byte in memory
_BELOW_WIDEST: Final = bytes(range(0xF0))  # ... more than two


def largest_answer_bytes(max_body_bytes: int) -> int:
    """The memory that one answer may take until it is read."""
    return max_body_bytes + max_body_bytes // BYTES_A_VALUE * _SHAPED_BYTES


class Client(Protocol):
    """Who executes operations: an API, or a recording of one."""

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        """The response, within the deadline. Raises `Failure`."""


class GraphQLClient:
    """Executes operations at one endpoint."""

    def __init__(
        self,
        url: str,
        transport: Transport,
        auth: Auth | None,
        *,
        headers: Sequence[tuple[str, Secret]] = (),
        params: Mapping[str, Sequence[str | Secret]] | None = None,
        max_values: int | None = None,
        answer_memory: AnswerMemory | None = None,
        refusal: TokenRefusal | None = None,
    ) -> None:
        """`max_values` is how many values an answer may have, `answer_memory` what big ones share with others,
        `refusal` what knows an answer that refuses the token."""
        self._url = url
        self._transport = transport
        self._auth = auth
        self._headers = headers
        self._params = params or {}
        self._max_values = max_values
        self._memory = answer_memory or AnswerMemory()
        self._own_wait = OwnWait()
        self._refusal = refusal or TokenRefusal(INVALID_TOKEN_CODES)

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        """The response, within the deadline; errors beside data are in it.

        Raises `UpstreamFailure`, or `SecretUnreadable` for a credential.
        """
        share = self._memory.share()
        response: Response | None = None
        try:
            response = await self._response(operation, deadline_seconds, share)
            return response
        finally:
            if response is None or response.share is None:
                share.end()  # now, even if a traceback still refers to it

    async def _response(self, operation: Operation, deadline_seconds: float, share: Share) -> Response:
        deadline = Deadline(deadline_seconds)
        body = json.dumps({"query": operation.document, "variables": operation.variables}, separators=(",", ":"))
        try:
            async with asyncio.timeout(deadline_seconds):
                own = [(name.lower(), await secret.read()) for name, secret in self._headers]
                url = await self._url_with_params()
        except TimeoutError:
            raise SecretUnreadable(f"headers could not be read within {deadline_seconds:g} s") from None
        known = {name for name, _ in own}
        headers = [*own, *((name, value) for name, value in _HEADERS if name not in known)]
        answer = await self._transport.post(
            url,
            headers=headers,
            content=body.encode("utf-8", "replace"),
            deadline_seconds=deadline_seconds,
            auth=self._auth,
            share=share,
        )
        limits = header_limits(answer.status, answer.headers)
        try:
            response = await self._read_answer(answer, operation.shape, share, deadline)
        except UpstreamFailure as failure:
            limits = limits.beside(ServerLimits(failure.retry_after_seconds, failure.budget))
            is_spent = limits.budget is not None and limits.budget.remaining <= 0
            if failure.reason in _TOKEN_REASONS and self._refusal.is_in(answer):
                failure.reason = Reason.UNAUTHORIZED
            throttled = isinstance(failure, _Throttled) or (failure.reason is Reason.FORBIDDEN and is_spent)
            failure.retry_after_seconds = self._wait_seconds(limits, throttled=throttled)
            failure.budget = limits.budget
            if failure.reason is Reason.FORBIDDEN and failure.retry_after_seconds:
                failure.reason = Reason.HTTP_429  # what is forbidden for a while is too much, as GitHub has it
            raise
        limits = limits.beside(ServerLimits(response.retry_after_seconds, response.budget))
        wait = self._wait_seconds(limits, throttled=_is_throttled(response.errors))
        if (wait, limits.budget) == (None, None):
            return response
        return replace(response, retry_after_seconds=wait, budget=limits.budget)

    def _wait_seconds(self, limits: ServerLimits, *, throttled: bool) -> float | None:
        """How long the API wants to be left alone: as it says, or a time of our own where it only says "too fast"."""
        if not throttled:
            self._own_wait.end()
        elif limits.wait_seconds is None:
            return self._own_wait.next_seconds()
        return limits.wait_seconds

    async def _read_answer(
        self, answer: WireResponse, shape: Shape | None, share: Share, deadline: Deadline
    ) -> Response:
        _check_status(answer)
        if len(answer.body) <= BIG_BYTES:
            return _response(answer, shape)
        return await self._read(answer, shape, share, deadline)

    async def _url_with_params(self) -> str:
        """Raises `SecretUnreadable`."""
        pairs = [(name, await _text(value)) for name, values in self._params.items() for value in values]
        return f"{self._url}{'&' if '?' in self._url else '?'}{urlencode(pairs)}" if pairs else self._url

    async def _read(self, answer: WireResponse, shape: Shape | None, share: Share, deadline: Deadline) -> Response:
        """The response in a big answer, read beside the event loop once there is memory for it."""
        values = await asyncio.to_thread(value_count, answer.body)
        self._check_values(values, shape)
        texts = await asyncio.to_thread(wide_text_bytes, answer.body)
        if shape is not None:
            await _hold(share, len(answer.body) + _SHAPED_BYTES * values + texts, deadline)
            try:
                found = await asyncio.to_thread(_read_by_shape, answer, shape)
            except _UNREAD:
                pass
            else:
                await share.hold(_SHAPED_BYTES * values + texts)  # less than before, so it does not wait
                return found if shape.in_pages else replace(found, share=share)
        self._check_slow(answer)
        texts *= 2  # Python's parser has the whole body as a text, too
        await _hold(share, len(answer.body) + _UNSHAPED_BYTES * values + texts, deadline)
        return await asyncio.to_thread(_read_as_json, answer, shape)

    def _check_values(self, values: int, shape: Shape | None) -> None:
        """Raises `UpstreamFailure` (`too_large`) for more values than the limits allow."""
        if self._max_values is not None and values > self._max_values:
            allowed = f"{self._max_values} are allowed in an answer of max_body_size: one in {BYTES_A_VALUE} bytes"
            raise UpstreamFailure(Reason.TOO_LARGE, f"the answer has {values} values; {allowed}")
        if shape is not None and values > shape.max_values:
            allowed = f"{shape.max_values} are allowed: {shape.max_values_reason}"
            raise UpstreamFailure(Reason.TOO_LARGE, f"the answer has {values} values; {allowed}")

    def _check_slow(self, answer: WireResponse) -> None:
        """Raises `UpstreamFailure` (`json`) for more than Python's own parser may read: it keeps every value."""
        if self._max_values is None or len(answer.body) <= (allowed := self._max_values * BYTES_A_VALUE // _SLOW_SHARE):
            return
        what = "is not JSON in UTF-8, or has NaN, a number beyond every float or half of a surrogate pair"
        detail = f"the answer {what}, which is read up to a quarter of max_body_size ({allowed} bytes)"
        raise UpstreamFailure(Reason.JSON, detail)


async def _hold(share: Share, wanted: int, deadline: Deadline) -> None:
    """Waits for that much memory. Raises `NoMemory`."""
    try:
        async with deadline.limit():
            await share.hold(wanted)
    except TimeoutError:
        raise NoMemory(deadline.seconds) from None


async def _text(value: str | Secret) -> str:
    return await value.read() if isinstance(value, Secret) else value


def value_count(body: bytes) -> int:
    """How many values a body has at most: each but the first stands after a comma or a bracket that opens."""
    return sum(len(piece) - len(piece.translate(None, b",[{")) for piece in _pieces(body))


def wide_text_bytes(body: bytes) -> int:
    """What the texts of a body may take where they have wide letters: in Python all letters of a text take as much as
    its widest. 0 where they take no more than in the body."""
    has_escapes, is_ascii = b"\\u" in body, body.isascii()
    if is_ascii and not has_escapes:  # as most are: to look at each letter would take a fifth of the poll
        return 0
    if b"\\ud" in body or b"\\uD" in body or _has_more(body, _BELOW_WIDEST):
        return 4 * len(body)
    return 2 * len(body) if has_escapes or _has_more(body, _BELOW_WIDE) else 0


def _has_more(body: bytes, letters: bytes) -> bool:
    """Whether a body has bytes beside these."""
    return any(piece.translate(None, letters) for piece in _pieces(body))


def _pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + _PIECE_BYTES] for at in range(0, len(body), _PIECE_BYTES))


class _Throttled(UpstreamFailure):
    """Requests come too fast, as GraphQL servers say it."""


def _check_status(answer: WireResponse) -> None:
    status = answer.status
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise UpstreamFailure(Reason.REDIRECT, f"the API answered {status}, a redirect, which is not followed")
    raise _failure_of(answer)


def _failure_of(answer: WireResponse) -> UpstreamFailure:
    """The failure that a status of 400 or more is, with what the server says of it. A GraphQL server that does not
    execute a request answers so, too (GraphQL over HTTP §6.4)."""
    status, content = answer.status, json_object(answer)
    try:
        errors = _errors(field(content, "errors"))
    except UpstreamFailure:  # they are none of GraphQL's
        errors = ()
    family = Reason.HTTP_5XX if status >= 500 else Reason.GRAPHQL if errors else Reason.HTTP_4XX
    reason = _BY_STATUS.get(status, family)
    words = _error_text(errors[0]) if errors else server_words(answer)
    detail = f"the API answered {status}{f': {words}' if words else ''}"
    refusal = _refusal(errors, field(content, "extensions")) if errors else UpstreamFailure(reason, detail)
    if isinstance(refusal, _Throttled) and status != 401:
        reason = Reason.HTTP_429
    wait = refusal.retry_after_seconds
    if wait is None and status in (429, 503):
        wait = fault_wait_seconds(content, http_date(answer.headers.get("date")) or time.time())
    kind = _Throttled if reason is Reason.HTTP_429 and isinstance(refusal, _Throttled) else UpstreamFailure
    return kind(reason, detail, retry_after_seconds=wait, budget=refusal.budget)


_UNREAD: Final = (ValueError, RecursionError)


def _response(answer: WireResponse, shape: Shape | None) -> Response:
    """The GraphQL response in a successful answer (GraphQL §7.1). Raises `UpstreamFailure`."""
    if shape is not None:
        try:
            return _read_by_shape(answer, shape)
        except _UNREAD:
            pass
    return _read_as_json(answer, shape)


def _read_by_shape(answer: WireResponse, shape: Shape) -> Response:
    """The response as the shape reads it. Raises `UpstreamFailure`, or one of `_UNREAD` where the shape's parser is
    stricter than Python's own, or the answer is not JSON."""
    _check_kind(answer)
    start = len(codecs.BOM_UTF8) if answer.body.startswith(codecs.BOM_UTF8) else 0
    envelope = shape.decode(memoryview(answer.body)[start:] if start else answer.body)
    return _response_of(envelope, answer, shaped=True)


def _read_as_json(answer: WireResponse, shape: Shape | None) -> Response:
    """The response as Python's own parser reads it, which takes NaN, 1e999 and half of a surrogate pair."""
    _check_kind(answer)
    content = _decode(answer.body)
    if not isinstance(content, dict):
        raise UpstreamFailure(Reason.SCHEMA, _NO_RESPONSE)
    return _response_of(
        _Content(content) if shape is None else shape.convert(content), answer, shaped=shape is not None
    )


def _response_of(found: Envelope, answer: WireResponse, *, shaped: bool) -> Response:
    """The response that an answer has. Raises `UpstreamFailure`."""
    data, errors = _check(found.data, found.errors, found.extensions)
    waits = [error.retry_after_seconds for error in errors if error.retry_after_seconds is not None]
    limits = cost_limits(found.extensions).beside(ServerLimits(max(waits, default=None)))
    return Response(
        None if shaped else data,
        errors,
        len(answer.body),
        data if shaped else None,
        extensions=None if shaped or found.extensions is ABSENT else found.extensions,
        retry_after_seconds=limits.wait_seconds,
        budget=limits.budget,
    )


class _Content:
    """The parts of an answer that was read as any JSON."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.data = content.get("data", ABSENT)
        self.errors = content.get("errors", ABSENT)
        self.extensions = content.get("extensions", ABSENT)


_NO_RESPONSE: Final = "the answer is JSON, but not a GraphQL response"


def _check_kind(answer: WireResponse) -> None:
    if answer.body and not answer.is_json:
        raise UpstreamFailure(Reason.CONTENT_TYPE, "the API did not answer with JSON; is the URL right?")


def _check(data: Any, errors: Any, extensions: Any) -> tuple[Any, tuple[GraphQLError, ...]]:
    """The data, which is an object, and the errors. Raises `UpstreamFailure`."""
    if data is ABSENT and errors is ABSENT:
        raise UpstreamFailure(Reason.SCHEMA, _NO_RESPONSE)
    found = _errors(errors)
    if (data is ABSENT or data is None) and found:
        raise _refusal(found, extensions)
    if data is ABSENT or isinstance(data, str | int | float | list | None):
        raise UpstreamFailure(Reason.SCHEMA, "the answer's data is not an object")
    return data, found


def _refusal(errors: Sequence[GraphQLError], extensions: object) -> UpstreamFailure:
    """The failure that a GraphQL server's errors without data are."""
    waits = [error.retry_after_seconds for error in errors if error.retry_after_seconds is not None]
    wait, budget = max(waits, default=None), cost_limits(extensions).budget
    if not _is_throttled(errors):
        return UpstreamFailure(Reason.GRAPHQL, _error_text(errors[0]), retry_after_seconds=wait, budget=budget)
    wait = refill_seconds(extensions) if wait is None else wait
    return _Throttled(Reason.HTTP_429, _error_text(errors[0]), retry_after_seconds=wait, budget=budget)


def _is_throttled(errors: Iterable[GraphQLError]) -> bool:
    return any(means_throttled(code) for error in errors for code in error.codes)


def _decode(body: bytes) -> Any:
    """The JSON of a body in UTF-8, with or without a byte-order mark."""
    if not body:
        raise UpstreamFailure(Reason.JSON, "the answer is empty")
    try:
        text = without_lone_surrogates(body.decode("utf-8-sig"))
        return json.loads(text, object_hook=_as_it_is if len(body) > BIG_BYTES else None)
    except _UNREAD:
        raise UpstreamFailure(Reason.JSON, "the answer is not JSON in UTF-8") from None


def _as_it_is(found: dict[str, Any]) -> dict[str, Any]:
    """Between two objects the interpreter can give another thread its turn, which the parser by itself never does."""
    return found


def _errors(value: object) -> tuple[GraphQLError, ...]:
    """The errors; of very many the first, and one of no path that counts the others."""
    if value is None or value is ABSENT:
        return ()
    if not isinstance(value, list):
        raise UpstreamFailure(Reason.GRAPHQL, "the answer's errors are not a list")
    first = value[:_MAX_ERRORS]
    censor = EVERYTHING.within(chain.from_iterable(map(_texts, first)))
    found = tuple(_error(item, censor) for item in first)
    return (*found, GraphQLError(f"{len(value) - _MAX_ERRORS} more errors")) if len(value) > _MAX_ERRORS else found


def _texts(error: object) -> Iterator[str]:
    """All that is taken from an error."""
    message, path, extensions = (field(error, name) for name in ("message", "path", "extensions"))
    if isinstance(message, str):
        yield message
    yield from map(str, _steps(path))
    yield from _codes(extensions, error)


def _error(item: object, censor: Censor) -> GraphQLError:
    """One error, with text that is fit for a log line."""
    message, path, extensions = (field(item, name) for name in ("message", "path", "extensions"))
    text = clean_line(message, censor=censor) if isinstance(message, str) else "an error without a message"
    codes = tuple(clean_line(code, _MAX_STEP_LENGTH, censor) for code in _codes(extensions, item))
    return GraphQLError(text, _path(path, censor), codes, error_wait_seconds(extensions))


def _codes(*places: object) -> Iterator[str]:
    """The words by which the server classes an error."""
    for place in places:
        for key in CODE_KEYS:
            code = field(place, key)
            if isinstance(code, str) or (isinstance(code, int) and 0 <= code < 2**53):
                yield str(code)


def _path(path: object, censor: Censor) -> tuple[str | int, ...]:
    """The path of an error: the response keys and positions that lead to it, so many of them as fit a log line."""
    kept = tuple(
        step if isinstance(step, int) and abs(step) < 2**53 else clean_line(str(step), _MAX_STEP_LENGTH, censor)
        for step in _steps(path)
    )
    return (*kept, "…") if isinstance(path, list) and len(path) > _MAX_PATH_STEPS else kept


def _steps(path: object) -> Iterator[str | int]:
    steps = path if isinstance(path, list) else ()
    return islice((step for step in steps if isinstance(step, str | int)), _MAX_PATH_STEPS)


def _error_text(error: GraphQLError) -> str:
    """The error in words, with the code by which the server classes it, unless the message has it."""
    code = next((code for code in error.codes if code and code not in error.message), None)
    text = error.message if code is None else f"{error.message} [{code}]"
    return f"{text} (at {'.'.join(map(str, error.path))})" if error.path else text
