"""How requests authenticate: what is sent, what is sent again, and what is said where nothing can be."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from exporter.model.censor import Censor
from exporter.model.errors import Reason, SecretUnreadable, UpstreamFailure
from exporter.model.secret import Secret
from exporter.upstream.auth import BasicAuth, BearerAuth, HeaderAuth
from exporter.upstream.deadline import Deadline
from exporter.upstream.transport import WireResponse
from tests.support.upstream import Upstream, oauth_error, silence
from tests.support.wiring import Wired, failure_of, wired

OK = WireResponse(200, {}, b"")
UNAUTHORIZED = WireResponse(401, {}, b"")


class Api:
    """Answers with these responses in turn, and keeps what was shown to it."""

    def __init__(self, *responses: WireResponse) -> None:
        self.shown: list[str] = []
        self._responses = list(responses)

    async def send(self, authorization: str) -> WireResponse:
        self.shown.append(authorization)
        return self._responses.pop(0)


def with_tokens(upstream: Upstream, work: Callable[[Wired, BearerAuth], Awaitable[None]]) -> None:
    async def run() -> None:
        async with wired(upstream) as wire:
            await work(wire, BearerAuth(wire.source))

    asyncio.run(run())


def test_a_token_is_shown_with_every_request(upstream: Upstream) -> None:
    """One token for all, and none is asked for again while it is good."""

    async def work(_: Wired, auth: BearerAuth) -> None:
        api = Api(OK, OK, OK)
        for _poll in range(3):
            assert await auth.exchange(api.send, Deadline(10)) is OK
        assert api.shown == ["Bearer token-1"] * 3
        assert len(upstream.token.journal) == 1

    with_tokens(upstream, work)


def test_after_a_401_the_request_is_repeated_once_with_another_token(upstream: Upstream) -> None:
    """A token that was revoked costs one renewal and no poll."""

    async def work(_: Wired, auth: BearerAuth) -> None:
        api = Api(UNAUTHORIZED, OK, OK)
        assert await auth.exchange(api.send, Deadline(10)) is OK
        assert await auth.exchange(api.send, Deadline(10)) is OK
        assert api.shown == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]

    with_tokens(upstream, work)


def test_a_second_401_is_the_answer(upstream: Upstream) -> None:
    """Where another token is refused too, tokens are not the reason: the poll fails, and the next 401 renews nothing
    for a while."""

    async def work(wire: Wired, auth: BearerAuth) -> None:
        api = Api(*[UNAUTHORIZED] * 3)
        assert await auth.exchange(api.send, Deadline(10)) is UNAUTHORIZED
        assert await auth.exchange(api.send, Deadline(10)) is UNAUTHORIZED
        assert api.shown == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
        assert wire.source.status().forced_renewals == 1

    with_tokens(upstream, work)


def test_a_token_that_was_taken_forgives_the_refusals_before(upstream: Upstream) -> None:
    """After a 401 that a renewal has mended, the next 401 is mended as fast."""

    async def work(wire: Wired, auth: BearerAuth) -> None:
        api = Api(UNAUTHORIZED, OK, UNAUTHORIZED, OK)
        for _poll in range(2):
            assert await auth.exchange(api.send, Deadline(10)) is OK
        assert len(api.shown) == 4
        assert wire.source.status().forced_renewals == 2

    with_tokens(upstream, work)


def test_a_repeat_after_the_renewal_of_another_forgives_nothing(upstream: Upstream) -> None:
    """One query is always refused and has the token renewed, which ends that of another under way. The other's repeat
    is taken; the next refusal of the first renews nothing for a while all the same."""

    async def work(wire: Wired, auth: BearerAuth) -> None:
        refused, answered = Api(*[UNAUTHORIZED] * 4), Api(OK)

        async def send(authorization: str) -> WireResponse:
            if authorization == "Bearer token-1":
                assert await auth.exchange(refused.send, Deadline(10)) is UNAUTHORIZED
                return UNAUTHORIZED
            return await answered.send(authorization)

        assert await auth.exchange(send, Deadline(10)) is OK
        assert await auth.exchange(refused.send, Deadline(10)) is UNAUTHORIZED
        assert refused.shown == ["Bearer token-1", "Bearer token-2", "Bearer token-2"]
        assert wire.source.status().forced_renewals == 1

    with_tokens(upstream, work)


@pytest.mark.parametrize("status", [403, 500])
def test_another_refusal_renews_nothing(upstream: Upstream, status: int) -> None:
    """Only 401 speaks of the token."""

    async def work(_: Wired, auth: BearerAuth) -> None:
        refused = WireResponse(status, {}, b"")
        api = Api(refused)
        assert await auth.exchange(api.send, Deadline(10)) is refused
        assert len(upstream.token.journal) == 1

    with_tokens(upstream, work)


def test_without_a_token_nothing_is_sent(upstream: Upstream) -> None:
    """A refused client fails the poll with the reason `token`, and the API is not asked."""
    upstream.token.always(oauth_error("invalid_client", code=401))

    async def work(_: Wired, auth: BearerAuth) -> None:
        api = Api()
        failed = await failure_of(auth.exchange(api.send, Deadline(10)))
        assert isinstance(failed, UpstreamFailure)
        assert failed.reason is Reason.TOKEN
        assert failed.detail.startswith("no request without credentials: ")
        assert api.shown == []

    with_tokens(upstream, work)


def test_the_wait_for_a_token_counts_for_the_deadline(upstream: Upstream) -> None:
    """A token endpoint that says nothing costs a poll its time and no more, and is named as the reason."""
    upstream.token.always(silence)

    async def work(_: Wired, auth: BearerAuth) -> None:
        failed = await failure_of(auth.exchange(Api().send, Deadline(0.05)))
        assert isinstance(failed, UpstreamFailure)
        assert (failed.reason, failed.detail) == (Reason.TOKEN, "no access token within 0.05 s")

    with_tokens(upstream, work)


def test_a_fixed_header_is_read_at_each_use(tmp_path: Path) -> None:
    """A secret that is rotated in its file is the one of the next request."""
    file = tmp_path / "key"
    auth, api = HeaderAuth("ApiKey", Secret(file=file)), Api(OK, UNAUTHORIZED)
    file.write_text("before\n")
    assert asyncio.run(auth.exchange(api.send, Deadline(10))) is OK
    file.write_text("after")
    assert asyncio.run(auth.exchange(api.send, Deadline(10))) is UNAUTHORIZED
    assert api.shown == ["ApiKey before", "ApiKey after"]


@pytest.mark.parametrize("value", ["two\nlines", "ü", "tab\t", "\x7f"])
def test_what_a_header_cannot_carry_is_not_sent(value: str) -> None:
    """It is said without being quoted, and nothing is sent."""
    api = Api()
    failed = asyncio.run(failure_of(HeaderAuth("Bearer", Secret(inline=value)).exchange(api.send, Deadline(10))))
    assert isinstance(failed, SecretUnreadable)
    assert failed.detail == "the credentials have characters that a header cannot contain"
    assert api.shown == []


def test_user_and_password_are_utf8(tmp_path: Path) -> None:
    """RFC 7617; the password may have colons, and is read at each use."""
    file = tmp_path / "password"
    file.write_text("pässwort: 1\n", encoding="utf-8")
    api = Api(OK)
    assert asyncio.run(BasicAuth("alice", Secret(file=file), Censor()).exchange(api.send, Deadline(10))) is OK
    (shown,) = api.shown
    scheme, _, encoded = shown.partition(" ")
    assert (scheme, base64.b64decode(encoded).decode()) == ("Basic", "alice:pässwort: 1")


@pytest.mark.parametrize("kind", ["header", "basic"])
def test_a_secret_that_is_not_there_is_told(kind: str, tmp_path: Path) -> None:
    """With the file that it should stand in; nothing is sent."""
    secret, api = Secret(file=tmp_path / "nowhere"), Api()
    auth = HeaderAuth("Bearer", secret) if kind == "header" else BasicAuth("alice", secret, Censor())
    failed = asyncio.run(failure_of(auth.exchange(api.send, Deadline(10))))
    assert failed.reason is Reason.SECRET
    assert str(tmp_path / "nowhere") in failed.detail
    assert api.shown == []
