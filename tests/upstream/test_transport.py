"""What an API can do wrong on the wire, each with the reason that a poll then has. Rows as in the fault matrix."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import secrets
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import httpx
import pytest

from exporter.document.answer_shape import AnswerShape
from exporter.model.budget import Budget
from exporter.model.censor import Censor
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import Response
from exporter.upstream.transport import Transport
from tests.support.effort import least_seconds
from tests.support.processes import PATIENCE_SECONDS, free_port
from tests.support.upstream import (
    HEAD,
    Behaviour,
    Call,
    Upstream,
    answer,
    black_hole,
    close,
    dribble,
    endless,
    gzipped,
    oddly,
    raw,
    redirect,
    reply,
    reset,
    silence,
    status,
)
from tests.support.wiring import CLIENT_SECRET, OPERATION, failure_of, post, until, wired

LIMIT = 2**20
GOOD = b'{"data":{"value":1}}'


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        yield running


def failure(upstream: Upstream, *, deadline_seconds: float = 5.0) -> UpstreamFailure:
    """How one poll fails, with a fresh connection."""

    async def poll() -> UpstreamFailure:
        async with wired(upstream, transport=Transport(max_body_bytes=LIMIT)) as wire:
            await wire.source.token()  # which takes none of the deadline
            failed = await failure_of(wire.execute(deadline_seconds=deadline_seconds))
            assert isinstance(failed, UpstreamFailure)
            return failed

    return asyncio.run(poll())


def response(upstream: Upstream) -> Response:
    """What one poll gets, with a fresh connection."""

    async def poll() -> Response:
        async with wired(upstream) as wire:
            return await wire.execute()

    return asyncio.run(poll())


BROKEN = {
    "8 reset before the answer": (reset, Reason.RESET),
    "8 closed before the answer": (close, Reason.RESET),
    "9 reset within the body": (raw(HEAD + b"content-length: 20\r\n\r\n" + GOOD[:9], then=reset), Reason.RESET),
    "9 closed within the body": (raw(HEAD + b"content-length: 99\r\n\r\n" + GOOD), Reason.RESET),
    "10 no last chunk": (raw(HEAD + b"transfer-encoding: chunked\r\n\r\n14\r\n" + GOOD + b"\r\n"), Reason.RESET),
    "12 SSH": (raw(b"SSH-2.0-OpenSSH_9.2\r\n", then=silence), Reason.PROTOCOL),
    "12 a broken chunk": (raw(HEAD + b"transfer-encoding: chunked\r\n\r\nxyz\r\n", then=silence), Reason.PROTOCOL),
    "13 200 KiB in one header": (raw(HEAD + b"x: " + b"y" * 204_800, then=silence), Reason.PROTOCOL),
    "15 endless body": (
        endless(b"2000\r\n" + b" " * 8192 + b"\r\n", first=HEAD + b"transfer-encoding: chunked\r\n\r\n"),
        Reason.TOO_LARGE,
    ),
    "16 Content-Length 10 GB": (raw(HEAD + b"content-length: 10000000000\r\n\r\n", then=silence), Reason.TOO_LARGE),
    "18 broken gzip": (reply(b"\x1f\x8b" + GOOD, headers={"content-encoding": "gzip"}), Reason.DECODE),
    "18 gzip cut short": (reply(gzip.compress(GOOD)[:-4], headers={"content-encoding": "gzip"}), Reason.DECODE),
    "18 two answers in two members": (
        reply(gzip.compress(GOOD) * 2, headers={"content-encoding": "gzip"}),
        Reason.JSON,
    ),
    "18 no member after the first": (
        reply(gzip.compress(GOOD) + b"\0\0x", headers={"content-encoding": "gzip"}),
        Reason.DECODE,
    ),
    "18 a second member cut short": (
        reply(gzip.compress(GOOD) + gzip.compress(b" ")[:-1], headers={"content-encoding": "gzip"}),
        Reason.DECODE,
    ),
    "18 members without end": (
        reply(gzip.compress(GOOD) + gzip.compress(b"") * 11_000, headers={"content-encoding": "gzip"}),
        Reason.DECODE,
    ),
    "12 a length that is no number": (raw(HEAD + b"content-length: x\r\n\r\n" + GOOD), Reason.PROTOCOL),
    "12 two lengths": (raw(HEAD + b"content-length: 20\r\ncontent-length: 9\r\n\r\n" + GOOD), Reason.PROTOCOL),
    "12 another coding": (raw(HEAD + b"transfer-encoding: gzip\r\n\r\n" + GOOD), Reason.PROTOCOL),
    "12 a head that ends early": (raw(HEAD + b"content-len"), Reason.PROTOCOL),
    "20 000 header fields": (raw(HEAD + b"x:\r\n" * 20_000 + b"content-length: 20\r\n\r\n" + GOOD), Reason.PROTOCOL),
    "24 a script": (reply(b"alert(1)", content_type="text/javascript"), Reason.CONTENT_TYPE),
    "24 an image": (reply(b"\x89PNG", content_type="image/png"), Reason.CONTENT_TYPE),
    "18 brotli": (reply(GOOD, headers={"content-encoding": "br"}), Reason.DECODE),
    "18 gzip twice": (reply(GOOD, headers={"content-encoding": "gzip, gzip"}), Reason.DECODE),
    "19 invalid JSON": (reply(b"{'data': {}}"), Reason.JSON),
    "19 truncated JSON": (reply(GOOD[:-1]), Reason.JSON),
    "20 200 000 levels": (reply(b'{"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), Reason.JSON),
    "21 5 000 digits": (reply(b'{"data":{"value":' + b"9" * 5000 + b"}}"), Reason.JSON),
    "22 invalid UTF-8": (reply(b'{"data":{"value":"\xff"}}'), Reason.JSON),
    "22 UTF-16": (reply(GOOD.decode().encode("utf-16")), Reason.JSON),
    "22 UTF-16 without a mark": (reply(GOOD.decode().encode("utf-16-le")), Reason.JSON),
    "23 null": (reply(b"null"), Reason.SCHEMA),
    "23 a list": (reply(b"[]"), Reason.SCHEMA),
    "23 a string": (reply(b'"x"'), Reason.SCHEMA),
    "23 an empty object": (reply(b"{}"), Reason.SCHEMA),
    "23 data null without errors": (answer({"data": None}), Reason.SCHEMA),
    "23 data null with no errors": (answer({"data": None, "errors": []}), Reason.SCHEMA),
    "23 data a list": (answer({"data": []}), Reason.SCHEMA),
    "24 an HTML page": (status(200), Reason.CONTENT_TYPE),
    "25 a 502 page": (status(502), Reason.HTTP_5XX),
    "26 204": (raw(b"HTTP/1.1 204 No Content\r\n\r\n"), Reason.JSON),
    "26 an empty body": (reply(b""), Reason.JSON),
    "29 errors and no data": (answer({"data": None, "errors": [{"message": "no"}]}), Reason.GRAPHQL),
    "29 errors alone": (answer({"errors": [{"message": "no"}]}), Reason.GRAPHQL),
    "31 errors that are a string": (answer({"data": {}, "errors": "x"}), Reason.GRAPHQL),
    "32 400 with a GraphQL body": (
        answer({"errors": [{"message": "no"}]}, code=400, content_type="application/graphql-response+json"),
        Reason.GRAPHQL,
    ),
    "42 403": (status(403), Reason.FORBIDDEN),
    "43 429": (status(429), Reason.HTTP_429),
    "408": (status(408), Reason.HTTP_4XX),
    "503": (status(503), Reason.HTTP_5XX),
    "a status beyond 599": (status(999), Reason.HTTP_5XX),
}


@pytest.mark.parametrize(("behaviour", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_bad_answer_fails_the_poll_with_its_reason(upstream: Upstream, behaviour: Behaviour, reason: Reason) -> None:
    """Whatever the API sends instead of a good answer, the poll fails at once and says in one word why.

    It is not asked again within the poll, and nothing of what it sent stands in the text for the log.
    """
    upstream.api.always(behaviour)
    failed = failure(upstream)
    assert failed.reason is reason, failed.detail
    assert len(upstream.api.journal) == 1
    assert len(failed.detail) < 250
    for quoted in ("<html", "belongs in no log", "yyy", "SSH", "token-", CLIENT_SECRET):
        assert quoted not in failed.detail


PARTS = (GOOD[:7], GOOD[7:], b"")
MEMBERS = {
    "two members": b"".join(map(gzip.compress, PARTS[:2])),
    "an empty last member": b"".join(map(gzip.compress, PARTS)),
    "an empty first member": b"".join(map(gzip.compress, (b"", *PARTS))),
    "zeros at the end": gzip.compress(GOOD) + bytes(512),
    "zeros after each": b"".join(gzip.compress(part) + bytes(100) for part in PARTS),
    "a member for each byte": b"".join(gzip.compress(bytes([byte])) for byte in GOOD),
}


@pytest.mark.parametrize("size", [1, 7, 100_000], ids=lambda size: f"{size} bytes at a time")
@pytest.mark.parametrize("body", MEMBERS.values(), ids=MEMBERS)
def test_gzip_of_several_members_is_read(upstream: Upstream, body: bytes, size: int) -> None:
    """Row 100: what a server, or a cache, joins of several gzips is one answer, wherever it is cut on the way."""
    head = HEAD + b"content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = [body[at : at + size] for at in range(0, len(body), size)]
    upstream.api.always(raw(head + b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in chunks) + b"0\r\n\r\n"))
    assert response(upstream).data == {"value": 1}


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/html; charset=utf-8",
        "text/json",
        "text/javascript",
        "application/javascript",
        "application/json, application/json",
        "application/graphql",
        "application/octet-stream",
        "json",
        ";",
        None,
    ],
)
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b" \r\n\t"], ids=["at once", "after a mark", "after space"])
def test_json_is_read_whatever_it_calls_itself(upstream: Upstream, kind: str | None, before: bytes) -> None:
    """An object is an answer under any Content-Type: many servers leave their framework's default."""
    upstream.api.always(reply(before + GOOD, content_type=kind))
    assert response(upstream).data == {"value": 1}


ODD = {
    "bytes beyond ASCII": b"x-motd: gr\xfc\xdf\xc3\xa9\r\n",
    "a name beyond ASCII": b"x-gr\xfc\xdf: 1\r\n",
    "an empty name": b": value\r\n",
    "no colon": b"this is no field\r\n",
    "a space before the colon": b"x-spaced : 1\r\n",
    "a space in the name": b"x y: 1\r\n",
    "NUL and others in a value": b"x-odd: a\0b\x0bc\x0cd\re\r\n",
    "a continued line": b"x-long: a\r\n b\r\n\tc\r\n",
    "a continued line of no field": b"no field\r\n of several lines\r\n",
    "a first line that continues nothing": b" x: 1\r\n",
    "Content-Type twice": b"content-type: application/json\r\n",
    "line feeds alone": b"x-a: 1\nx-b: 2\n",
    "an identity that is no coding": b"transfer-encoding: identity\r\n",
    "the same length twice": b"content-length: 20\r\n",
    "an empty value": b"x-empty:\r\n",
    "a name with an at": b"x@y: 1\r\n",
    "nine hundred fields": b"".join(b"x-%d: 1\r\n" % number for number in range(900)),
}


@pytest.mark.parametrize("lines", ODD.values(), ids=ODD)
@pytest.mark.parametrize("pause_seconds", [0.0, 0.001], ids=["at once", "in pieces"])
def test_lines_of_a_head_that_mean_nothing_are_passed_over(
    upstream: Upstream, lines: bytes, pause_seconds: float
) -> None:
    """Row 82: what curl and browsers take is taken, after an interim answer too, and the connection is used again."""
    head = b"HTTP/1.1 100 Continue\r\n" + lines.replace(b"content-length: 20", b"x: 1")
    head = head.replace(b"transfer-encoding: identity", b"x: 2") + b"\r\n" + b"HTTP/1.1 200 OK\r\n" + lines
    head += b"content-type: application/json\r\ncontent-length : 20\r\n\r\n"
    size = len(head) // 7
    parts = [head + GOOD] if not pause_seconds else [head[at : at + size] for at in range(0, len(head), size)] + [GOOD]
    upstream.api.always(raw(*parts, pause_seconds=pause_seconds, then=stay))

    async def polls() -> None:
        async with wired(upstream) as wire:
            for _ in range(2):
                assert (await wire.execute()).data == {"value": 1}
        assert upstream.connections == 2  # one to each endpoint

    asyncio.run(polls())


async def stay(_call: Call) -> None:
    """The connection stays open."""


@pytest.mark.parametrize("content_type", ["application/json, application/json", "text/plain", "text/json", None])
def test_a_token_endpoint_may_be_as_odd(upstream: Upstream, content_type: str | None) -> None:
    """Rows 82 and 86: tokens are read from such an answer, too."""
    upstream.new_token(upstream.token.path, 60, "odd")
    granted = json.dumps({"access_token": "odd", "token_type": "Bearer", "expires_in": 60}).encode()
    upstream.token.always(oddly(reply(granted, content_type=content_type)))
    assert response(upstream).data == {"value": 1}


def test_chunked_twice_is_chunked_once(upstream: Upstream) -> None:
    """A proxy that says again how the body comes changes nothing."""
    head = HEAD + b"transfer-encoding: chunked\r\nTransfer-Encoding: Chunked\r\n\r\n"
    upstream.api.always(raw(head + b"14\r\n" + GOOD + b"\r\n0\r\n\r\n"))
    assert response(upstream).data == {"value": 1}


SLOW = {
    "5 silence": silence,
    "6 one byte of a header at a time": dribble(b"HTTP/1.1 200 OK\r\n" * 99, pause_seconds=0.02),
    "7 one byte of the body at a time": raw(
        HEAD + b"content-length: 999\r\n\r\n", then=dribble(b" " * 999, pause_seconds=0.02)
    ),
    "14 endless 1xx": endless(b"HTTP/1.1 100 Continue\r\n\r\n", pause_seconds=0.001),
    "14 a flood of 1xx": endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
}


@pytest.mark.parametrize("behaviour", SLOW.values(), ids=SLOW.keys())
def test_the_deadline_is_for_the_whole_answer(upstream: Upstream, behaviour: Behaviour) -> None:
    """A poll ends at its deadline, however the API stretches its answer."""
    upstream.api.always(behaviour)
    assert failure(upstream, deadline_seconds=0.3).reason is Reason.TIMEOUT


def test_a_flood_of_interim_answers_leaves_other_polls_alone(upstream: Upstream) -> None:
    """Row 14: while one answer never begins, other polls are answered."""

    async def polls() -> None:
        async with wired(upstream) as wire:
            await wire.execute()
            upstream.api.once(endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000))
            flooded = asyncio.create_task(wire.execute(deadline_seconds=30))
            await until(lambda: len(upstream.api.journal) == 2)
            for _ in range(5):
                await wire.execute()
            assert not flooded.done()
            flooded.cancel()
            await asyncio.wait([flooded])

    asyncio.run(polls())


LONG_READS: dict[str, Behaviour] = {
    "a bomb": reply(gzip.compress(GOOD + b" " * 2**25), headers={"content-encoding": "gzip"}),
    "chunks of one byte": raw(
        HEAD + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 50_000 + b"14\r\n" + GOOD + b"\r\n0\r\n\r\n"
    ),
    "interim answers": raw(b"HTTP/1.1 100 \r\n\r\n" * 20_000 + HEAD + b"content-length: 20\r\n\r\n" + GOOD),
}


@pytest.mark.parametrize("behaviour", LONG_READS.values(), ids=LONG_READS.keys())
def test_an_answer_that_takes_long_to_read_lets_others_have_their_turn(
    upstream: Upstream, behaviour: Behaviour
) -> None:
    """Row 18: few bytes that become many, and many that become few, hold up the event loop for milliseconds. Counted is
    the processor time of its thread between two turns, whatever else the machine does."""
    upstream.api.always(behaviour)

    async def longest_turn() -> float:
        transport = Transport(max_body_bytes=2**26)
        asked = asyncio.create_task(post(transport, upstream.api_url, deadline_seconds=30))
        longest, last = 0.0, time.thread_time()
        while not asked.done():
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, last = max(longest, now - last), now
        assert await asked == 200
        await transport.close()
        return longest

    gc.collect()
    gc.disable()  # what a collection takes depends on what other tests have left
    try:
        assert min(asyncio.run(longest_turn()) for _ in range(3)) < 0.04
    finally:
        gc.enable()


def test_a_refused_connection_is_told(upstream: Upstream) -> None:
    """Row 1: where nobody listens, the poll says so, with host and port."""

    async def poll() -> None:
        async with wired(upstream) as wire:
            await wire.source.token()
            upstream.close_connections()
            upstream.stop_listening()
            failed = await failure_of(wire.execute())
            assert failed.reason is Reason.CONNECT
            assert failed.detail == f"cannot connect to 127.0.0.1:{upstream.port}: Connection refused"
            assert wire.transport.requests_by_code["error"] == 1
            upstream.listen()
            await wire.execute()

    asyncio.run(poll())


@pytest.mark.parametrize("kind", ["full queue", "no handshake"])
def test_a_connection_that_does_not_come_about_ends_at_the_deadline(kind: str) -> None:
    """Rows 4 and 64: a black hole, or a TLS port that says nothing, costs a poll its deadline and no more."""

    async def poll(url: str) -> None:
        transport = Transport()
        failed = await failure_of(transport.post(url, headers={}, content=b"", deadline_seconds=0.2))
        assert failed.reason is Reason.TIMEOUT
        await transport.close()

    if kind == "full queue":
        with black_hole() as port:
            asyncio.run(poll(f"http://127.0.0.1:{port}/"))
        return
    with Upstream() as mute:
        mute.on_connect = silence
        asyncio.run(poll(f"https://127.0.0.1:{mute.port}/"))


def test_a_closed_port_that_opens_again_is_found(upstream: Upstream) -> None:
    """Nothing of a failure is remembered: the next poll tries anew."""

    async def poll() -> None:
        transport = Transport()
        port = free_port()
        for _ in range(3):
            url = f"http://127.0.0.1:{port}/"
            failed = await failure_of(transport.post(url, headers={}, content=b"", deadline_seconds=5))
            assert failed.reason is Reason.CONNECT
        answered = await transport.post(upstream.origin, headers={}, content=b"", deadline_seconds=5)
        assert answered.status == 404
        await transport.close()

    asyncio.run(poll())


@pytest.mark.parametrize("code", [300, 301, 302, 303, 307, 308])
def test_redirects_are_not_followed(upstream: Upstream, code: int) -> None:
    """Rows 27 and 28: a redirect fails the poll, names the host, and the host that it names is not asked."""
    with Upstream() as other:
        upstream.api.always(redirect(code, f"{other.api_url}?token=in-the-url"))
        failed = failure(upstream)
        assert failed.reason is Reason.REDIRECT
        assert failed.detail == f"redirected ({code}) to 127.0.0.1, which is not followed"
        assert other.connections == 0
    assert len(upstream.api.journal) == 1


@pytest.mark.parametrize("location", ["http://[", "//", "javascript:1", "http://x y\u00ff/", ""])
def test_a_redirect_to_nonsense_is_one_too(upstream: Upstream, location: str) -> None:
    """A Location that is no URL changes nothing."""
    upstream.api.always(redirect(302, location))
    assert failure(upstream).reason is Reason.REDIRECT


def test_a_bomb_is_cut_at_the_limit(upstream: Upstream) -> None:
    """Rows 15 and 17: an answer that inflates without end, or never ends, takes no more memory than its limit."""
    bomb = gzipped(b" " * (200 * LIMIT))
    body = endless(b"10000\r\n" + b" " * 65536 + b"\r\n", first=HEAD + b"transfer-encoding: chunked\r\n\r\n")
    for behaviour in (bomb, body):
        upstream.api.always(behaviour)
        tracemalloc.start()
        try:
            assert failure(upstream).reason is Reason.TOO_LARGE
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 6 * LIMIT


def test_a_bomb_in_a_refusal_is_cut_too(upstream: Upstream) -> None:
    """The body of a 401 or a 500 has the same limit as any other; a 401 says all by its status."""
    bomb = gzip.compress(b" " * 20 * LIMIT)
    for code, reason in ((401, Reason.UNAUTHORIZED), (500, Reason.TOO_LARGE)):
        upstream.api.always(reply(bomb, code=code, headers={"content-encoding": "gzip"}))
        tracemalloc.start()
        try:
            assert failure(upstream).reason is reason
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 6 * LIMIT


CHALLENGE = {"www-authenticate": 'Bearer error="invalid_token"'}
BROKEN_REFUSALS = {
    "a broken gzip": reply(b"no gzip", code=401, headers={"content-encoding": "gzip"}),
    "a gzip that ends early": reply(gzip.compress(b"no" * 99)[:-9], code=401, headers={"content-encoding": "gzip"}),
    "an encoding that was not asked for": reply(b"x", code=401, headers={"content-encoding": "br"}),
    "a bomb": reply(gzip.compress(b" " * 2 * LIMIT), code=401, headers={"content-encoding": "gzip"}),
    "a length of 10 GB": raw(b"HTTP/1.1 401 No\r\ncontent-length: 10000000000\r\n\r\nx"),
    "an end before its length": raw(b"HTTP/1.1 401 No\r\ncontent-length: 99\r\n\r\nx"),
    "a challenge": reply(b"x", code=403, headers={"content-encoding": "br", **CHALLENGE}),
}


@pytest.mark.parametrize("refusal", BROKEN_REFUSALS.values(), ids=BROKEN_REFUSALS)
def test_a_refused_token_is_renewed_whatever_the_body_is(upstream: Upstream, refusal: Behaviour) -> None:
    """Rows 39 and 85: a 401, or a challenge, whose body cannot be read costs one renewal, and no poll."""
    upstream.api.once(answer({"data": {"value": 1}}), refusal)

    async def polls() -> None:
        async with wired(upstream, transport=Transport(max_body_bytes=LIMIT)) as wire:
            for _ in range(3):
                await wire.execute()
            assert wire.source.status().forced_renewals == 1

    asyncio.run(polls())
    assert [request.bearer for request in upstream.api.journal] == ["token-1"] * 2 + ["token-2"] * 2


def test_a_403_with_a_body_that_cannot_be_read_is_said_as_before(upstream: Upstream) -> None:
    """Only where the credentials may be refused is the head enough."""
    upstream.api.always(reply(b"x", code=403, headers={"content-encoding": "br"}))
    assert failure(upstream).reason is Reason.DECODE


GOOD_ANSWERS = {
    "22 a byte-order mark": reply(b"\xef\xbb\xbf" + GOOD),
    "31 errors: []": answer({"data": {"value": 1}, "errors": []}),
    "31 errors: null": answer({"data": {"value": 1}, "errors": None}),
    "gzip": gzipped(GOOD),
    "x-gzip": gzipped(GOOD, encoding="X-GZip"),
    "identity": reply(GOOD, headers={"content-encoding": "identity"}),
    "graphql-response+json": reply(GOOD, content_type="application/graphql-response+json; charset=utf-8"),
    "no content type": reply(GOOD, content_type=None),
    "203": reply(GOOD, code=203),
    "chunked": raw(HEAD + b"transfer-encoding: chunked\r\n\r\n14\r\n" + GOOD + b"\r\n0\r\n\r\n"),
    "until the connection ends": raw(HEAD + b"\r\n" + GOOD),
    "100 Continue first": raw(b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"content-length: 20\r\n\r\n" + GOOD),
    "one byte at a time": dribble(HEAD + b"content-length: 20\r\n\r\n" + GOOD, pause_seconds=0.0),
    "extensions": answer({"data": {"value": 1}, "extensions": {"cost": 1}}),
    "82 a header with bytes beyond ASCII": reply(GOOD, headers={"x-owner": "M\xfcller", "x-raw": "\x80\xff"}),
    "82 a header in UTF-8": reply(GOOD, headers={"x-owner": "Müller".encode().decode("latin-1")}),
    "82 Content-Type twice": raw(
        HEAD + b"Content-Type: application/json\r\ncontent-length: 20\r\n\r\n" + GOOD, then=silence
    ),
    "text/plain": reply(GOOD, content_type="text/plain; charset=utf-8"),
    "text/json": reply(GOOD, content_type="text/json"),
    "text/html": reply(b"  \n" + GOOD, content_type="text/html"),
}


@pytest.mark.parametrize("behaviour", GOOD_ANSWERS.values(), ids=GOOD_ANSWERS.keys())
def test_every_form_of_a_good_answer_is_taken(upstream: Upstream, behaviour: Behaviour) -> None:
    """What HTTP, JSON and GraphQL allow is no failure."""
    upstream.api.always(behaviour)

    async def poll() -> None:
        async with wired(upstream) as wire:
            response = await wire.execute()
            assert response.data == {"value": 1}
            assert response.errors == ()
            assert response.bytes_received >= len(GOOD)

    asyncio.run(poll())


def test_an_answer_exactly_at_the_limit_is_taken(upstream: Upstream) -> None:
    """The limit is for the decoded body, and is itself allowed; a byte more is not."""
    body = GOOD + b" " * (LIMIT - len(GOOD))
    for behaviour in (reply(body), gzipped(body)):
        upstream.api.always(behaviour)

        async def poll() -> None:
            async with wired(upstream, transport=Transport(max_body_bytes=LIMIT)) as wire:
                assert (await wire.execute()).bytes_received == LIMIT

        asyncio.run(poll())
    for behaviour in (reply(body + b" "), gzipped(body + b" ")):
        upstream.api.always(behaviour)
        assert failure(upstream).reason is Reason.TOO_LARGE


def test_errors_beside_data_come_with_it(upstream: Upstream) -> None:
    """Row 30: what came is handed on together with the errors, for the configuration to decide."""
    upstream.api.always(
        answer({"data": {"value": None}, "errors": [{"message": "too\nlate\x1b[31m " * 50, "path": ["a", 0]}, "x", {}]})
    )

    async def poll() -> None:
        async with wired(upstream) as wire:
            response = await wire.execute()
            assert response.data == {"value": None}
            first, *others = response.errors
            assert first.message.startswith("too late [31m too late")
            assert len(first.message) <= 200
            assert first.message.isprintable()
            assert first.path == ("a", 0)
            assert {error.message for error in others} == {"an error without a message"}

    asyncio.run(poll())


def test_what_is_sent(upstream: Upstream) -> None:
    """The document and its variables, as JSON, with a bearer token and the media types of GraphQL over HTTP."""

    async def poll() -> None:
        async with wired(upstream) as wire:
            await wire.execute()

    asyncio.run(poll())
    (request,) = upstream.api.journal
    assert request.json == {"query": "query Q($a: Int) { value }", "variables": {"a": 1}}
    assert request.headers["content-type"] == "application/json"
    assert request.headers["accept"] == "application/graphql-response+json, application/json;q=0.9"
    assert request.headers["accept-encoding"] == "gzip"
    assert request.headers["authorization"] == "Bearer token-1"
    assert request.headers["user-agent"].startswith("insights-exporter/")
    assert "cookie" not in request.headers


@pytest.mark.parametrize(
    ("code", "headers", "seconds"),
    [
        (429, {"retry-after": "5"}, 5.0),
        (429, {"retry-after": "Wed, 21 Oct 2015 07:28:07 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 7.0),
        (429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        (429, {"retry-after": "-1"}, None),
        (429, {"retry-after": "abc"}, None),
        (429, {"retry-after": "1000000000000"}, 3600.0),
        (429, {}, None),
        (503, {"retry-after": "9"}, 9.0),
        (502, {"retry-after": "9"}, 9.0),
        (404, {"retry-after": "9"}, 9.0),
        (403, {"retry-after": "9"}, 9.0),
        (301, {"retry-after": "9"}, 9.0),
        (429, {"retry-after": "2.5"}, 2.5),
        (429, {"retry-after": "3, 7"}, 7.0),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "8"}, 8.0),
        (403, {"x-ratelimit-remaining": "4", "x-ratelimit-reset": "8"}, None),
        (500, {"ratelimit": '"default";r=0;t=30'}, 30.0),
        (429, {"content-encoding": "br", "retry-after": "9"}, 9.0),
    ],
)
def test_how_long_the_api_wants_to_be_left_alone(
    upstream: Upstream, code: int, headers: dict[str, str], seconds: float | None
) -> None:
    """Rows 43, 44 and 89: Retry-After, whatever the status, in seconds or as a date by the API's own clock, an hour at
    most; and a budget that is spent."""
    upstream.api.always(reply(b"{}", code=code, headers=headers))
    assert failure(upstream).retry_after_seconds == seconds


SAID = {
    "GraphQL, 422": (
        answer({"errors": [{"message": "no", "path": ["a"]}]}, code=422),
        Reason.GRAPHQL,
        "422: no (at a)",
    ),
    "GraphQL, 500": (answer({"errors": [{"message": "no"}]}, code=500), Reason.HTTP_5XX, "the API answered 500: no"),
    "GraphQL, 403": (answer({"errors": [{"message": "no"}]}, code=403), Reason.FORBIDDEN, "the API answered 403: no"),
    "a code": (
        answer({"errors": [{"message": "no", "extensions": {"code": "E_LIMIT"}}]}),
        Reason.GRAPHQL,
        "no [E_LIMIT]",
    ),
    "a challenge": (
        reply(
            b"",
            code=403,
            headers={"www-authenticate": 'Bearer error="insufficient_scope", error_description="needs \\"x\\""'},
        ),
        Reason.FORBIDDEN,
        'the API answered 403: insufficient_scope: needs "x"',
    ),
    "a gateway": (
        answer({"fault": {"code": 900908, "message": "Resource forbidden", "description": "not subscribed"}}, code=403),
        Reason.FORBIDDEN,
        "the API answered 403: 900908: Resource forbidden: not subscribed",
    ),
    "RFC 9457": (
        answer({"title": "Gone", "detail": "moved\x1b]52;c;x\x07"}, code=410, content_type="application/problem+json"),
        Reason.HTTP_4XX,
        "the API answered 410: Gone: moved ]52;c;x",
    ),
    "an error in words": (answer({"error": "x" * 10**4}, code=404), Reason.HTTP_4XX, "answered 404: " + "x" * 200),
    "a page": (status(404), Reason.HTTP_4XX, "the API answered 404"),
}


@pytest.mark.parametrize(("behaviour", "reason", "words"), SAID.values(), ids=SAID.keys())
def test_the_api_says_what_is_wrong(upstream: Upstream, behaviour: Behaviour, reason: Reason, words: str) -> None:
    """Row 90: a refusal has the server's own words, in one clean line of at most 200 characters."""
    upstream.api.always(behaviour)
    found = failure(upstream)
    assert found.reason is reason
    assert found.detail.endswith(words)
    assert found.detail.isprintable()


def _throttled(**error: object) -> Behaviour:
    return answer({"errors": [{"message": "too fast", **error}]})


_SHOPIFY: dict[str, object] = {
    "requestedQueryCost": 101,
    "throttleStatus": {"maximumAvailable": 1000, "currentlyAvailable": 1, "restoreRate": 50},
}
THROTTLED = {
    "THROTTLED, without a time": (_throttled(extensions={"code": "THROTTLED"}), 1.0),
    "RATE_LIMITED": (_throttled(extensions={"code": "RATE_LIMITED", "retryAfter": 3}), 3.0),
    "GitHub's type": (_throttled(type="RATE_LIMITED", extensions={"retry_after": "3"}), 3.0),
    "TOO_MANY_REQUESTS": (_throttled(extensions={"code": "TOO_MANY_REQUESTS", "retryAfterMs": 1500}), 1.5),
    "rateLimitExceeded": (_throttled(extensions={"code": "rateLimitExceeded", "retry_in_seconds": 3}), 3.0),
    "a classification": (_throttled(extensions={"classification": "RATE_LIMITED", "retryAfter": 3}), 3.0),
    "an hour at most": (_throttled(extensions={"code": "THROTTLED", "retryAfter": 1e9}), 3600.0),
    "nonsense": (_throttled(extensions={"code": "THROTTLED", "retryAfter": [{}]}), 1.0),
    "Shopify's cost": (
        answer(
            {
                "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
                "extensions": {"cost": _SHOPIFY},
            }
        ),
        2.0,
    ),
    "with status 400": (answer({"errors": [{"message": "x", "extensions": {"code": "THROTTLED"}}]}, code=400), 1.0),
    "403 and nothing left": (reply(b"{}", code=403, headers={"x-ratelimit-remaining": "0"}), 1.0),
    "403 and Retry-After": (reply(b"{}", code=403, headers={"retry-after": "9"}), 9.0),
}


@pytest.mark.parametrize(("behaviour", "seconds"), THROTTLED.values(), ids=THROTTLED.keys())
def test_too_fast_is_understood_in_every_dialect(upstream: Upstream, behaviour: Behaviour, seconds: float) -> None:
    """Row 89: GraphQL servers that refuse what comes too fast are obeyed as status 429 is."""
    upstream.api.always(behaviour)
    found = failure(upstream)
    assert found.reason is Reason.HTTP_429
    assert found.retry_after_seconds == pytest.approx(seconds, abs=0.2)


def test_who_does_not_say_how_long_is_left_alone_for_longer_and_longer(upstream: Upstream) -> None:
    """Requests that were refused together count once; an answer of another kind ends it."""

    async def poll() -> list[float | None]:
        async with wired(upstream) as wire:
            upstream.api.always(_throttled(extensions={"code": "THROTTLED"}))
            together = await asyncio.gather(*(failure_of(wire.execute()) for _ in range(5)))
            await asyncio.sleep(max(one.retry_after_seconds or 0.0 for one in together))
            again = await failure_of(wire.execute())
            upstream.api.always(reply(GOOD))
            return [
                *(one.retry_after_seconds for one in (*together, again)),
                (await wire.execute()).retry_after_seconds,
            ]

    *together, again, good = asyncio.run(poll())
    assert all(wait is not None and wait <= 1.0 for wait in together)
    assert again == pytest.approx(2.0, abs=0.1)
    assert good is None


BUDGETS = {
    "x-ratelimit": (
        reply(GOOD, headers={"x-ratelimit-remaining": "0", "x-ratelimit-limit": "60", "x-ratelimit-reset": "8"}),
        8.0,
        Budget(0, 60),
    ),
    "what is left": (reply(GOOD, headers={"x-ratelimit-remaining": "5", "x-ratelimit-reset": "8"}), None, Budget(5)),
    "RateLimit": (
        reply(GOOD, headers={"ratelimit": '"a";r=0;t=30', "ratelimit-policy": '"a";q=9;w=60'}), 30.0, Budget(0, 9)
    ),
    "Shopify's cost": (
        answer({"data": {"value": 1}, "extensions": {"cost": {**_SHOPIFY, "requestedQueryCost": 10}}}),
        None,
        Budget(1, 1000),
    ),
    "Retry-After": (reply(GOOD, headers={"retry-after": "3"}), 3.0, None),
    "throttled beside data": (
        answer({"data": {"value": 1}, "errors": [{"message": "x", "extensions": {"code": "THROTTLED"}}]}), 1.0, None
    ),
}  # fmt: skip


@pytest.mark.parametrize(("behaviour", "wait", "budget"), BUDGETS.values(), ids=BUDGETS.keys())
@pytest.mark.parametrize("shape", [None, AnswerShape([("value",)], max_values=1000)], ids=["any JSON", "by its shape"])
def test_what_is_left_of_a_budget_is_known(
    upstream: Upstream, behaviour: Behaviour, wait: float | None, budget: Budget | None, shape: AnswerShape | None
) -> None:
    """Row 89: a good answer says what is left, and for how long the API is to be left alone if nothing is."""
    upstream.api.always(behaviour)

    async def poll() -> Response:
        async with wired(upstream) as wire:
            return await wire.client.execute(replace(OPERATION, shape=shape), deadline_seconds=5.0)

    found = asyncio.run(poll())
    assert (found.retry_after_seconds, found.budget) == (wait if wait is None else pytest.approx(wait, abs=0.2), budget)


def test_numbers_that_json_has_not_are_handed_on(upstream: Upstream) -> None:
    """Row 34: NaN and Infinity are decoded; extraction leaves them out."""
    upstream.api.always(reply(b'{"data":{"a":NaN,"b":-Infinity,"c":1e999,"d":9223372036854775808}}'))

    async def poll() -> None:
        async with wired(upstream) as wire:
            data = (await wire.execute()).data
            assert json.dumps(data) == '{"a": NaN, "b": -Infinity, "c": Infinity, "d": 9223372036854775808}'

    asyncio.run(poll())


@pytest.mark.parametrize("behaviour", [answer({"value": 1}), status(401), status(500), reset])
def test_a_poll_leaves_nothing_for_the_collector(upstream: Upstream, behaviour: Behaviour) -> None:
    """Answers are freed at once: the collector, which holds up everything, has no work with polls."""
    upstream.api.always(behaviour)

    def count() -> int:
        return sum(isinstance(one, httpx.Request | httpx.Response) for one in gc.get_objects())

    async def poll() -> int:
        async with wired(upstream) as wire:
            for _ in range(5):
                with suppress(UpstreamFailure):
                    await wire.execute()
            await asyncio.sleep(0)
            return count()

    gc.collect()
    before = count()
    gc.disable()
    try:
        assert asyncio.run(poll()) == before
    finally:
        gc.enable()


def test_many_errors_are_read_in_time_whatever_is_secret(upstream: Upstream) -> None:
    """A thousand errors with long paths cost about the same with one source as with sixty: each of their twenty
    thousand words is not searched for each credential."""
    errors = [{"message": str(error), "path": [f"s{error}x{step}" for step in range(20)]} for error in range(1000)]
    upstream.api.always(answer({"data": {"value": 1}, "errors": errors}))
    assert len(response(upstream).errors) == 1000
    with_one_seconds = least_seconds(lambda: response(upstream))
    for _ in range(60):
        Censor().add(secrets.token_urlsafe(900))
    assert least_seconds(lambda: response(upstream)) < 5 * with_one_seconds


class SlowCensor(Censor):
    """Takes as long for an answer as a test wants."""

    def __init__(self) -> None:
        super().__init__()
        self.may_end = threading.Event()
        self.begun = threading.Event()

    def clean_json(self, body: bytes) -> bytes:
        self.begun.set()
        self.may_end.wait(PATIENCE_SECONDS)
        return super().clean_json(body)


def test_answers_that_are_long_to_clean_hold_up_nothing_else(upstream: Upstream) -> None:
    """However many big answers are searched for credentials, files are read, and small answers."""
    upstream.api.always(reply(GOOD + b" " * 2**18))
    censor = SlowCensor()

    async def polls() -> None:
        transport = Transport(censor=censor, max_connections=40)
        asked = [asyncio.create_task(post(transport, upstream.api_url, deadline_seconds=30)) for _ in range(40)]
        try:
            await until(lambda: len(upstream.api.journal) == 40 and censor.begun.is_set())
            async with asyncio.timeout(PATIENCE_SECONDS / 2):
                assert await asyncio.to_thread(threading.current_thread) is not threading.current_thread()
            assert not any(one.done() for one in asked)
        finally:
            censor.may_end.set()
        assert await asyncio.gather(*asked) == [200] * 40
        await transport.close()

    asyncio.run(polls())
