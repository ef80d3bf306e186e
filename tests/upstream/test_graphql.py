"""The wire against a scripted upstream: deadlines, limits, tokens, refusals."""

from __future__ import annotations

import asyncio
import base64
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from exporter.config.credentials import OAuth2, TLSConfig
from exporter.document.answer_shape import AnswerShape
from exporter.model.errors import Failure, Reason, TokenFailure
from exporter.model.outcome import Operation, Response
from exporter.model.secret import Secret
from exporter.upstream.access_token import TokenSource
from exporter.upstream.auth import BearerAuth
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.memory import AnswerMemory
from exporter.upstream.transport import Transport
from tests.support.scripted import Script, Scripted, Seen, http, json_answer, scripted
from tests.support.wiring import failure_of

DATA = {"data": {"things": 1}}
LIMIT = 100_000


def answering(answer: bytes | None) -> Script:
    """A script that always gives the same answer."""

    async def script(_seen: Seen, _writer: asyncio.StreamWriter) -> bytes | None:
        return answer

    return script


def run(test: Coroutine[Any, Any, None]) -> None:
    """Runs an asynchronous test, for a hundred seconds at most."""
    asyncio.run(asyncio.wait_for(test, 100))


async def executed(upstream: Scripted, deadline: float = 5.0, tls: TLSConfig | None = None) -> Response:
    """One operation against an upstream, without authentication."""
    transport = Transport(tls=tls or TLSConfig(), max_body_bytes=LIMIT)
    try:
        client = GraphQLClient(f"{upstream.url}/graphql", transport, None)
        return await client.execute(Operation("{ things }", {}), deadline_seconds=deadline)
    finally:
        await transport.close()


def reason_of(script: Script, deadline: float = 5.0) -> Reason:
    """Why an operation fails against a script."""
    found: list[Reason] = []

    async def test() -> None:
        async with scripted(script) as upstream:
            try:
                await executed(upstream, deadline)
            except Failure as failure:
                found.append(failure.reason)

    run(test())
    return found[0]


ZIPPED = gzip.compress(b'{"data": {}}')
BOMB = zlib.compressobj(9, zlib.DEFLATED, 31)
BOMB_BYTES = BOMB.compress(b" " * 50_000_000) + BOMB.flush()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(301, location="http://127.0.0.1:1/"), Reason.REDIRECT),
        (http(307, location="/elsewhere"), Reason.REDIRECT),
        (http(400, b"{}", content_type="application/graphql-response+json"), Reason.HTTP_4XX),
        (http(403), Reason.FORBIDDEN),
        (http(401), Reason.UNAUTHORIZED),
        (http(429, retry_after="5"), Reason.HTTP_429),
        (http(502, b"<html>", content_type="text/html"), Reason.HTTP_5XX),
        (http(200, b"<html>sign in</html>", content_type="text/html"), Reason.CONTENT_TYPE),
        (http(200), Reason.JSON),
        (http(204), Reason.JSON),
        (http(200, b'{"data": {"a": 1', content_type="application/json"), Reason.JSON),
        (http(200, b"[" * 200_000, content_type="application/json"), Reason.TOO_LARGE),
        (http(200, b"[" * 90_000, content_type="application/json"), Reason.JSON),
        (http(200, b'{"data": {"a": ' + b"9" * 5000 + b"}}", content_type="application/json"), Reason.JSON),
        (http(200, b'{"data": {"a": "\xff"}}', content_type="application/json"), Reason.JSON),
        (http(200, '{"data": {}}'.encode("utf-16"), content_type="application/json"), Reason.JSON),
        (json_answer(None), Reason.SCHEMA),
        (json_answer([]), Reason.SCHEMA),
        (json_answer("x"), Reason.SCHEMA),
        (json_answer({}), Reason.SCHEMA),
        (json_answer({"data": None, "errors": [{"message": "no"}]}), Reason.GRAPHQL),
        (json_answer({"data": {}, "errors": "x"}), Reason.GRAPHQL),
        (http(200, ZIPPED, content_type="application/json", content_encoding="br"), Reason.DECODE),
        (http(200, ZIPPED[:-9], content_type="application/json", content_encoding="gzip"), Reason.DECODE),
        (http(200, b"not gzip", content_type="application/json", content_encoding="gzip"), Reason.DECODE),
        (http(200, BOMB_BYTES, content_type="application/json", content_encoding="gzip"), Reason.TOO_LARGE),
        (b"HTTP/1.1 200 X\r\ncontent-length: 10000000000\r\n\r\n", Reason.TOO_LARGE),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Reason.PROTOCOL),
        (b"HTTP/1.1 200 X\r\nx: " + b"a" * 200 * 1024 + b"\r\n\r\n", Reason.PROTOCOL),
        (None, Reason.RESET),
    ],
)
def test_every_bad_answer_has_its_reason(answer: bytes | None, reason: Reason) -> None:
    """Whatever an upstream answers becomes one of a closed list of reasons, never a crash and never data."""
    assert reason_of(answering(answer)) is reason


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"data": {"things": 1}}',
        b'{"data": {"things": 1}, "errors": []}',
        b'{"data": {"things": 1}, "errors": null}',
    ],
)
def test_odd_but_good_answers_are_taken(body: bytes) -> None:
    """A byte-order mark and an empty list of errors do no harm."""

    async def test() -> None:
        async with scripted(answering(http(200, body, content_type="application/json; charset=utf-8"))) as upstream:
            assert (await executed(upstream)).data == {"things": 1}

    run(test())


def test_errors_beside_data_are_handed_on() -> None:
    """Whether a partial answer is good enough is for the query to say, so both halves arrive."""
    answer = json_answer({**DATA, "errors": [{"message": "half", "path": ["other", 0]}]})

    async def test() -> None:
        async with scripted(answering(answer)) as upstream:
            response = await executed(upstream)
            assert response.data == {"things": 1}
            assert [(error.message, error.path) for error in response.errors] == [("half", ("other", 0))]

    run(test())


async def dribbling(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    """A body that never ends, byte by byte."""
    writer.write(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1\r\n \r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def flooding(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    """A body that never ends, as fast as it can."""
    writer.write(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"1000\r\n" + b" " * 4096 + b"\r\n")
        await writer.drain()


async def silent(_seen: Seen, _writer: asyncio.StreamWriter) -> None:
    """No answer."""
    await asyncio.sleep(30)


async def cut_short(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    """A body that is shorter than it said."""
    writer.write(b"HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{")
    await writer.drain()


async def unending_chunks(_seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Chunks without the last one."""
    writer.write(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (dribbling, Reason.TIMEOUT),
        (silent, Reason.TIMEOUT),
        (flooding, Reason.TOO_LARGE),
        (cut_short, Reason.RESET),
        (unending_chunks, Reason.RESET),
    ],
)
def test_deadline_and_limit_hold_for_the_whole_answer(script: Script, reason: Reason) -> None:
    """The deadline is for the answer as a whole, and a body without end is cut."""
    assert reason_of(script, deadline=0.6 if reason is Reason.TIMEOUT else 5.0) is reason


def test_a_refused_connection_and_an_unknown_host_are_told_apart(names: dict[str, Any]) -> None:
    """`connect` and `dns` are different reasons."""
    names["nowhere.invalid"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def test() -> None:
        for url, reason in (("http://127.0.0.1:1", Reason.CONNECT), ("http://nowhere.invalid", Reason.DNS)):
            with pytest.raises(Failure) as caught:
                await executed(Scripted(answering(None), url))
            assert caught.value.reason is reason

    run(test())


def test_an_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    """Over TLS a certificate of an unknown authority is refused before anything is sent; a named CA is trusted."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))

    async def test() -> None:
        async with scripted(answering(json_answer(DATA)), server) as upstream:
            with pytest.raises(Failure) as caught:
                await executed(upstream)
            assert caught.value.reason is Reason.TLS
            assert not upstream.seen
            assert (await executed(upstream, tls=TLSConfig(ca_file=ca_file))).data == {"things": 1}

    run(test())


def test_a_connection_closed_between_polls_goes_unnoticed() -> None:
    """A kept connection that the server has closed meanwhile is replaced without a failure."""
    connections = 0

    async def closing_later(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.write(json_answer(DATA))
        await writer.drain()

    async def test() -> None:
        async with scripted(closing_later) as upstream:
            transport = Transport()
            client = GraphQLClient(upstream.url, transport, None)
            for _ in range(20):
                assert (await client.execute(Operation("{ things }", {}), deadline_seconds=5)).data == {"things": 1}
            await transport.close()
        assert connections == 20

    run(test())


def test_a_thousand_cancelled_requests_leave_the_transport_working() -> None:
    """Requests that are given up at every stage use up no connection for ever."""

    async def slow(_seen: Seen, _writer: asyncio.StreamWriter) -> bytes:
        await asyncio.sleep(0.02)
        return json_answer(DATA)

    async def test() -> None:
        async with scripted(slow) as upstream:
            transport = Transport(max_connections=30)
            client = GraphQLClient(upstream.url, transport, None)
            slots = asyncio.Semaphore(10)

            async def given_up(after: float) -> None:
                async with slots:
                    task = asyncio.create_task(client.execute(Operation("{ things }", {}), deadline_seconds=5))
                    await asyncio.wait([task], timeout=after)
                    task.cancel()
                    await asyncio.wait([task])
                    if not task.cancelled():
                        task.exception()

            await asyncio.gather(*(given_up(number % 25 / 1000) for number in range(1000)))
            answers = await asyncio.gather(
                *(client.execute(Operation("{ things }", {}), deadline_seconds=5) for _ in range(25))
            )
            assert len(answers) == 25
            await transport.close()

    run(test())


# ---------------------------------------------------------------------------------------------- tokens


class Clock:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Issuer:
    """A token endpoint and an API that knows which tokens are good."""

    def __init__(self, lifetime: object = 100) -> None:
        self.lifetime = lifetime
        self.issued = 0
        self.good: set[str] = set()
        self.refusal: bytes | None = None
        self.delay = 0.0
        self.always_401 = False

    async def __call__(self, seen: Seen, _writer: asyncio.StreamWriter) -> bytes:
        if seen.path == "/token":
            await asyncio.sleep(self.delay)
            if self.refusal is not None:
                return self.refusal
            self.issued += 1
            self.good.add(f"test-token-{self.issued}")
            lifetime = {} if self.lifetime is None else {"expires_in": self.lifetime}
            return json_answer({"access_token": f"test-token-{self.issued}", "token_type": "bearer", **lifetime})
        token = seen.headers.get("authorization", "").removeprefix("Bearer ")
        return json_answer(DATA) if token in self.good and not self.always_401 else http(401)


class Wired:
    """A token source and a client on a scripted upstream, with a clock that the test moves."""

    def __init__(self, upstream: Scripted, **settings: Any) -> None:
        self.clock = Clock()
        self.transports = (Transport(), Transport())
        of_test = OAuth2(
            **{
                "token_url": f"{upstream.url}/token",
                "client_id": Secret(inline="id:%"),
                "client_secret": Secret(inline="test secret/+"),
                "scopes": ("one", "two"),
                "endpoint_params": {"orgHandle": "acme"},
                **settings,
            }
        )
        self.source = TokenSource(of_test, self.transports[0], monotonic=self.clock)
        self.client = GraphQLClient(f"{upstream.url}/graphql", self.transports[1], BearerAuth(self.source))

    async def execute(self) -> Response:
        return await self.client.execute(Operation("{ things }", {}), deadline_seconds=5)


@asynccontextmanager
async def wired(issuer: Issuer, **settings: Any) -> AsyncIterator[tuple[Wired, Scripted]]:
    async with scripted(issuer) as upstream:
        made = Wired(upstream, **settings)
        yield made, upstream
        for transport in made.transports:
            await transport.close()


def test_the_token_request_is_as_rfc_6749_says() -> None:
    """Client credentials go into the header, form-encoded each; scope and extra fields go along at every renewal."""

    async def test() -> None:
        async with wired(Issuer()) as (made, upstream):
            await made.source.token()
            made.clock.now += 100
            await made.source.token()
            assert upstream.count("/token") == 2
            for seen in upstream.seen:
                assert (
                    base64.b64decode(seen.headers["authorization"].removeprefix("Basic "))
                    == b"id%3A%25:test+secret%2F%2B"
                )
                assert seen.form == {"grant_type": "client_credentials", "orgHandle": "acme", "scope": "one two"}

    run(test())


def test_a_hundred_callers_share_one_renewal() -> None:
    """Who needs a token while one is being fetched waits for that one."""

    async def test() -> None:
        issuer = Issuer()
        issuer.delay = 0.1
        async with wired(issuer) as (made, upstream):
            tokens = await asyncio.gather(*(made.source.token() for _ in range(100)))
            assert {token.text for token in tokens} == {"test-token-1"}
            assert upstream.count("/token") == 1

    run(test())


def test_a_cancelled_caller_does_not_cancel_the_renewal() -> None:
    """The renewal goes on when the poll that began it has given up, and its token is used."""

    async def test() -> None:
        issuer = Issuer()
        issuer.delay = 0.1
        async with wired(issuer) as (made, upstream):
            caller = asyncio.create_task(made.source.token())
            await asyncio.sleep(0.02)
            caller.cancel()
            assert (await made.source.token()).text == "test-token-1"
            assert upstream.count("/token") == 1

    run(test())


def test_a_failed_early_renewal_leaves_the_old_token_in_use() -> None:
    """While the token lasts, a token endpoint that is down fails no poll; past its end polls fail without asking."""

    async def test() -> None:
        issuer = Issuer()
        async with wired(issuer) as (made, upstream):
            await made.execute()
            issuer.refusal = http(503)
            made.clock.now += 95  # in the waiting window of min(10 s, lifetime/10)
            await made.execute()
            assert made.source.status().renewals["error", "http_5xx"] == 1
            made.clock.now += 10
            asked = upstream.count("/graphql")
            with pytest.raises(Failure) as caught:
                await made.execute()
            assert caught.value.reason is Reason.TOKEN
            assert upstream.count("/graphql") == asked

    run(test())


def test_renewal_is_early_and_in_the_background() -> None:
    """In the last min(300 s, lifetime/2) the token is renewed without a poll that waits for it."""

    async def test() -> None:
        async with wired(Issuer(lifetime=1000)) as (made, upstream):
            keeper = asyncio.create_task(made.source.keep_renewed())
            first = await made.source.token()
            assert first.renew_at == first.obtained_at + 700
            assert first.waiting_at == first.obtained_at + 990
            keeper.cancel()
            made.clock.now += 701
            keeper = asyncio.create_task(made.source.keep_renewed())
            while upstream.count("/token") < 2:  # noqa: ASYNC110 - the upstream is another party
                await asyncio.sleep(0.01)
            keeper.cancel()
            assert upstream.count("/token") == 2

    run(test())


def test_fifty_refusals_of_one_token_cost_one_renewal() -> None:
    """When the server revokes the token under fifty polls, all succeed after one token request."""

    async def test() -> None:
        issuer = Issuer()
        async with wired(issuer) as (made, upstream):
            await made.execute()
            issuer.good.clear()
            issuer.delay = 0.05
            await asyncio.gather(*(made.execute() for _ in range(50)))
            assert upstream.count("/token") == 2
            assert made.source.status().forced_renewals == 1

    run(test())


def test_refusals_that_go_on_do_not_hammer_the_token_endpoint() -> None:
    """Where fresh tokens are refused too, a poll asks the API twice at most, and renewals become rare."""

    async def test() -> None:
        issuer = Issuer()
        issuer.always_401 = True
        async with wired(issuer) as (made, upstream):
            for _ in range(60):
                before = upstream.count("/graphql")
                with pytest.raises(Failure) as caught:
                    await made.execute()
                assert caught.value.reason is Reason.UNAUTHORIZED
                assert upstream.count("/graphql") - before <= 2
                made.clock.now += 1
            assert upstream.count("/token") <= 10
            issuer.always_401 = False
            await made.execute()

    run(test())


def test_a_refused_client_waits_until_its_secret_changes(tmp_path: Path) -> None:
    """`invalid_client` is not repeated for five minutes, unless the secret's file changes: then at once."""

    async def test() -> None:
        file = tmp_path / "secret"
        file.write_text("wrong\n")
        issuer = Issuer()
        issuer.refusal = json_answer({"error": "invalid_client"}, 401)
        async with wired(issuer, client_secret=Secret(file=file)) as (made, upstream):
            for _ in range(10):
                with pytest.raises(TokenFailure) as caught:
                    await made.source.token()
                made.clock.now += 25
            assert caught.value.reason is Reason.INVALID_CLIENT
            assert upstream.count("/token") == 1
            assert made.source.status().blocked
            issuer.refusal = None
            file.write_text("right\n")
            await made.source.token()
            assert upstream.count("/token") == 2
            assert not made.source.status().blocked

    run(test())


def test_retry_after_is_obeyed_by_the_token_source() -> None:
    """A token endpoint that asks to wait is left alone for as long."""

    async def test() -> None:
        issuer = Issuer()
        issuer.refusal = http(429, retry_after="60")
        async with wired(issuer) as (made, upstream):
            for _ in range(59):
                with pytest.raises(TokenFailure):
                    await made.source.token()
                made.clock.now += 1
            assert upstream.count("/token") == 1
            issuer.refusal = None
            made.clock.now += 2
            await made.source.token()

    run(test())


def test_secrets_and_tokens_have_no_text() -> None:
    """What is printed by accident shows neither the token nor the secret."""

    async def test() -> None:
        async with wired(Issuer()) as (made, _):
            token = await made.source.token()
            assert "test-token" not in f"{token!r} {token} {made.source.status()!r}"
            assert "test secret" not in repr(Secret(inline="test secret")) + str(Secret(inline="test secret"))

    run(test())


@pytest.mark.parametrize(
    "shape", [None, AnswerShape([("things",)], max_values=10**6)], ids=["any JSON", "by its shape"]
)
def test_a_poll_that_waits_for_memory_ends_at_its_deadline(shape: AnswerShape | None) -> None:
    """An answer for which others leave no memory fails as late, and takes none: the next one is read once there is."""
    memory, operation = AnswerMemory(2**20), Operation("{ things }", {}, shape)

    async def test() -> None:
        first = memory.share()
        await first.hold(1)
        async with scripted(answering(json_answer({"data": {"things": 150_000 * [1]}}))) as upstream:
            transport = Transport()
            client = GraphQLClient(upstream.url, transport, None, answer_memory=memory)
            failed = await failure_of(client.execute(operation, deadline_seconds=0.5))
            assert failed.reason is Reason.TIMEOUT
            assert failed.detail == "other answers left no memory for the answer within 0.5 s"
            assert memory.held_bytes == 1
            first.end()
            assert (await client.execute(operation, deadline_seconds=5)).bytes_received > 300_000
            await transport.close()

    run(test())


@pytest.mark.parametrize(
    ("text", "width"),
    [("a", 0), ("ü", 0), ("Ł", 2), ("字", 2), ("🦊", 4), ("\\u0041", 2), ("\\ud83e\\udd8a", 4), ("\\uD83E\\uDD8A", 4)],
)
def test_a_text_counts_by_its_widest_letter(text: str, width: int) -> None:
    """One emoji makes a text of millions of letters four times as large in memory, which the other answers wait for."""
    body = f'{{"data": {{"things": "{text}{300_000 * "a"}"}}}}'.encode()
    memory, shape = AnswerMemory(), AnswerShape([("things",)], max_values=1000)

    async def test() -> None:
        async with scripted(answering(http(200, body))) as upstream:
            transport = Transport()
            client = GraphQLClient(upstream.url, transport, None, answer_memory=memory)
            response = await client.execute(Operation("{ things }", {}, shape), deadline_seconds=5)
            assert memory.held_bytes == width * len(body) + 2 * 72
            del response
            assert memory.held_bytes == 0
            await transport.close()

    run(test())
