"""The ASGI application: a whole request in, an answer that is ready out."""

from __future__ import annotations

import asyncio
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from exporter.web.application import ASGIApplication
from exporter.web.guard import ClientConnections, ClientLimits, Guard
from exporter.web.messages import Answer, Application, Request
from tests.support.logs import printed

MAX_BODY_BYTES = 100
BODY_MESSAGE = "http.response.body"
DISCONNECT = {"type": "http.disconnect"}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the program would print."""
    with printed() as stream:
        yield stream


class Exchange:
    """One request to an application, and all that it sends. `events` are what it receives; then nothing comes."""

    def __init__(self, application: Application, events: Sequence[Mapping[str, Any]] = (), **scope: Any) -> None:
        self.sent: list[Any] = []
        self.counts: Counter[str] = Counter()
        self._events = list(events)
        self._application = ASGIApplication(application, MAX_BODY_BYTES, self.counts)
        headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in scope.pop("fields", {}).items()]
        default: dict[str, Any] = {"method": "GET", "path": "/a", "http_version": "1.1", "scheme": "http"}
        self._scope = {**default, "query_string": b"q=1", "headers": headers, **scope}
        self.is_last = False
        asyncio.run(self._run())

    async def _run(self) -> None:
        guard = Guard(ClientConnections(ClientLimits(), lambda _: b""), "192.0.2.1", lambda _: asyncio.Protocol())
        self._scope["state"] = {"guard": guard}
        await asyncio.wait_for(self._application(self._scope, self._receive, self._send), 10)

    async def _receive(self) -> Any:
        if not self._events:
            await asyncio.Event().wait()
        return self._events.pop(0)

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        (start,) = [message for message in self.sent if message["type"] == "http.response.start"]
        return int(start["status"])

    @property
    def body(self) -> bytes:
        return b"".join(bytes(message["body"]) for message in self.sent if message["type"] == BODY_MESSAGE)

    @property
    def closes(self) -> bool:
        return (b"connection", b"close") in self.sent[0]["headers"]


def part(body: bytes, *, more: bool) -> Mapping[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_request_is_answered_with_what_is_ready() -> None:
    """Head and body as they are, once; the application sees method, path, fields, client and what is behind the ?."""
    seen: list[Request] = []

    def application(request: Request) -> Answer:
        seen.append(request)
        return Answer.of(b"page", fields=(("x", "y"),))

    exchange = Exchange(application, fields={"accept": "a", "host": "b"})
    start, body = exchange.sent
    assert start == {
        "type": "http.response.start",
        "status": 200,
        "headers": Answer.of(b"page", fields=(("x", "y"),)).fields,
    }
    assert body == {"type": BODY_MESSAGE, "body": b"page"}
    assert exchange.counts == {"200": 1}
    assert seen == [Request("GET", "/a", [(b"accept", b"a"), (b"host", b"b")], "192.0.2.1", "q=1")]


def test_an_answer_may_come_later() -> None:
    """A handler that waits is waited for."""

    async def later() -> Answer:
        await asyncio.sleep(0)
        return Answer.of(b"later")

    exchange = Exchange(lambda _: later())
    assert (exchange.status, exchange.body, exchange.counts) == (200, b"later", {"200": 1})


@pytest.mark.parametrize("fields", [{"content_length": "4"}, {"transfer_encoding": "chunked"}])
def test_a_body_is_read_to_its_end_before_the_answer(fields: dict[str, str]) -> None:
    """No route wants it, but the next request begins behind it."""
    left: list[Mapping[str, Any]] = [part(b"ab", more=True), part(b"cd", more=False)]
    exchange = Exchange(lambda _: Answer.of(b"done"), left, method="POST", fields=fields)
    assert exchange.body == b"done"
    assert exchange._events == []
    gone = Exchange(lambda _: Answer.of(b"done"), [part(b"ab", more=True), DISCONNECT], fields=fields)
    assert (gone.sent, gone.counts) == ([], {})


def test_a_body_of_nothing_is_not_waited_for() -> None:
    """`Content-Length: 0` is the end of the request."""
    assert Exchange(lambda _: Answer.of(b"done"), fields={"content_length": "0"}).body == b"done"


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ({"http_version": "2.0"}, 400),
        ({"http_version": "0.9"}, 400),
        ({"http_version": "1.0"}, 200),
        ({"fields": {"content_length": "101"}}, 413),
        ({"fields": {"content_length": "100"}}, 200),
    ],
)
def test_what_is_refused_as_it_is_closes_the_connection(scope: dict[str, Any], status: int) -> None:
    """Another version, and a body that is announced as too large: the application does not see it."""
    exchange = Exchange(lambda _: Answer.of(b"done"), [part(b"x" * 100, more=False)], **scope)
    assert (exchange.status, exchange.closes) == (status, status != 200)
    assert exchange.counts == {str(status): 1}


@pytest.mark.parametrize("is_later", [True, False])
def test_a_fault_of_ours_is_a_500_and_a_line(log: io.StringIO, is_later: bool) -> None:
    """The client learns nothing of it; the line has the path and where it came from, not its text."""

    async def later() -> Answer:
        raise RuntimeError("quotes a secret")

    def application(_: Request) -> Any:
        if is_later:
            return later()
        raise RuntimeError("quotes a secret")

    exchange = Exchange(application)
    assert (exchange.status, exchange.body, exchange.closes) == (500, b"Internal Server Error\n", False)
    line = json.loads(log.getvalue())
    assert (line["level"], line["msg"], line["path"]) == ("error", "a request could not be answered", "/a")
    assert line["fault"].startswith("RuntimeError")
    assert "secret" not in log.getvalue()


def test_an_answer_that_nobody_waits_for_is_given_up() -> None:
    """A client that goes takes its work with it."""
    ended: list[str] = []

    async def for_ever() -> Answer:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        raise AssertionError

    exchange = Exchange(lambda _: for_ever(), [part(b"", more=False), DISCONNECT])
    assert (exchange.sent, exchange.counts, ended) == ([], {}, ["cancelled"])


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 131_072, 200_000])
def test_over_tls_a_page_goes_in_slices(size: int) -> None:
    """Each is written when the one before is taken, as all of it would be encrypted at once; none is lost."""
    page = (b"0123456789" * 20_000)[:size]
    exchange = Exchange(lambda _: Answer.of(page), scheme="https")
    *others, last = exchange.sent[1:]
    assert exchange.body == page
    assert all(len(message["body"]) == 65_536 and message["more_body"] for message in others)
    assert not last.get("more_body", False)
    assert len(last["body"]) <= 65_536
    assert len(last["body"]) > 0 or not size
    assert Exchange(lambda _: Answer.of(page)).sent[1:] == [{"type": BODY_MESSAGE, "body": page}]
