"""The token rule against a real token endpoint, by a clock that the tests move. Rows as in the fault matrix."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from exporter.model.errors import Failure, Reason, TokenFailure
from exporter.model.secret import Secret
from tests.support.processes import PATIENCE_SECONDS
from tests.support.upstream import (
    Behaviour,
    Call,
    Upstream,
    answer,
    answers_who_is_known,
    grants,
    in_turn,
    oauth_error,
    redirect,
    reply,
    reset,
    silence,
    status,
    when,
)
from tests.support.wiring import CLIENT_ID, CLIENT_SECRET, Clock, Wired, failure_of, until, wired

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
OK = answer({"data": {"value": 1}})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def upstream(clock: Clock) -> Iterator[Upstream]:
    """An upstream that lives by the test's clock."""
    with Upstream(monotonic=clock.monotonic) as running:
        yield running


async def renewed_in_background(wire: Wired, clock: Clock, *, seconds: float) -> list[float]:
    """Lets time pass while the token is kept renewed; the seconds after which the endpoint was asked."""
    journal = wire.upstream.token.journal
    asked: list[float] = []
    task = asyncio.create_task(wire.source.keep_renewed())
    passed, seen = 0.0, len(journal)
    while True:
        await until(lambda: clock.sleeping or task.done())
        assert not task.done()
        if len(journal) > seen:
            asked.append(round(passed, 3))
            seen = len(journal)
        if passed >= seconds:
            break
        step = min(min(at for at, _ in clock._sleepers) - clock.now, seconds - passed)
        passed += step
        clock.advance(step)
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return asked


# ----------------------------------------------------------------------------------------------- what is sent


def test_the_client_shows_itself_in_the_header(upstream: Upstream) -> None:
    """Id and secret are form-encoded, then Base64 (RFC 6749 §2.3.1): colons, spaces and umlauts arrive whole."""

    async def renew() -> None:
        async with wired(
            upstream, scopes=("a", "b:c"), endpoint_params={"orgHandle": "acme & co", "audience": "ü"}
        ) as wire:
            await wire.source.token()
            await wire.source.force_renewal()

    asyncio.run(renew())
    for request in upstream.token.journal:
        assert request.basic == (CLIENT_ID, CLIENT_SECRET)
        assert (
            request.headers["authorization"]
            == "Basic " + base64.b64encode(b"client%3Aid+%C3%BC:s3cret%2B%2F%3D+%25%C3%BC").decode()
        )
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.form == {
            "grant_type": "client_credentials",
            "scope": "a b:c",
            "orgHandle": "acme & co",
            "audience": "ü",
        }
    assert len(upstream.token.journal) == 2


def test_the_client_shows_itself_in_the_body(upstream: Upstream) -> None:
    """With `auth_style: params` id and secret are form fields, and there is no Authorization header."""

    async def renew() -> None:
        async with wired(upstream, auth_style="params") as wire:
            await wire.source.token()

    asyncio.run(renew())
    (request,) = upstream.token.journal
    assert "authorization" not in request.headers
    assert request.form == {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }


# ------------------------------------------------------------------------------------------------ when to renew


@pytest.mark.parametrize(
    ("lifetime_seconds", "renewals_at"),
    [(3600, [0, 3300, 6600]), (900, [0, 600, 1200]), (400, [0, 200, 400]), (60, [0, 30, 60]), (2, [0, 1, 2])],
)
def test_renewal_is_early(upstream: Upstream, clock: Clock, lifetime_seconds: int, renewals_at: list[float]) -> None:
    """In the background, in the last five minutes of a token or the second half of its life."""
    upstream.token.always(grants(lifetime_seconds=lifetime_seconds))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            assert await renewed_in_background(wire, clock, seconds=renewals_at[-1]) == renewals_at
            assert wire.source.status().valid

    asyncio.run(run())


def test_a_hundred_renewals_lose_no_poll(upstream: Upstream, clock: Clock) -> None:
    """Row 59: with tokens of two seconds, polls never fail, and the endpoint is asked once a second, not more."""
    upstream.token.always(grants(lifetime_seconds=2))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            task = asyncio.create_task(wire.source.keep_renewed())
            started_at = clock.now
            while len(upstream.token.journal) <= 100:
                await until(lambda: clock.sleeping)
                await wire.execute()
                clock.advance(0.24)
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            elapsed = clock.now - started_at
            assert len(upstream.token.journal) <= 1.1 * elapsed / (2 - 1) + 1
            assert wire.source.status().renewals == {("ok", ""): len(upstream.token.journal)}
            assert wire.source.status().forced_renewals == 0

    asyncio.run(run())
    assert len(upstream.api.journal) > 400


def test_a_lifetime_counts_from_before_the_request(upstream: Upstream, clock: Clock) -> None:
    """A token endpoint that takes 20 s of a token's 100 leaves it 80, not 100."""
    released = threading.Event()
    upstream.token.always(when(released, grants(lifetime_seconds=100)))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            waiting = asyncio.create_task(wire.source.token())
            await until(lambda: len(upstream.token.journal) == 1)
            clock.advance(20)
            released.set()
            token = await waiting
            assert token.expires_at == clock.now + 80
            assert wire.source.status().expiry_time == clock.wall() + 80

    asyncio.run(run())


def test_polls_wait_only_at_the_very_end(upstream: Upstream, clock: Clock) -> None:
    """Until the last ten seconds a poll never waits for the token endpoint, even if nobody renewed in time."""
    upstream.token.once(grants(lifetime_seconds=3600))
    upstream.token.always(silence)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            first = await wire.source.token()
            clock.advance(3589.9)
            assert await wire.source.token() is first
            assert len(upstream.token.journal) == 1
            clock.advance(0.2)
            waiting = asyncio.create_task(wire.source.token())
            await until(lambda: len(upstream.token.journal) == 2)
            assert not waiting.done()
            waiting.cancel()

    asyncio.run(run())


def test_an_old_token_is_used_rather_than_waited_for_too_long(upstream: Upstream, clock: Clock) -> None:
    """Row 46: where the endpoint hangs, polls in a token's last seconds wait for half of them and go on with it."""
    upstream.token.once(grants(lifetime_seconds=2))
    upstream.token.always(silence)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            first = await wire.source.token()
            clock.advance(1.9)
            assert await asyncio.wait_for(wire.source.token(), 10) is first
            await wire.execute()

    asyncio.run(run())


@pytest.mark.parametrize("wall_jump", [3600.0, -3600.0, -86400.0])
def test_the_wall_clock_does_not_matter(upstream: Upstream, clock: Clock, wall_jump: float) -> None:
    """Row 60: setting the clock brings no renewal forward and delays none."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            assert await renewed_in_background(wire, clock, seconds=1000) == [0]
            clock.wall_offset += wall_jump
            assert await renewed_in_background(wire, clock, seconds=2299) == []
            assert await renewed_in_background(wire, clock, seconds=1) == [1]

    asyncio.run(run())


def test_a_long_suspension_costs_one_renewal(upstream: Upstream, clock: Clock) -> None:
    """Row 61: after a pause far past expiry, one token request brings everything back."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            clock.advance(100_000)
            assert not wire.source.status().valid
            await asyncio.gather(*(wire.execute() for _ in range(10)))
            assert len(upstream.token.journal) == 2
            assert all(request.bearer == "token-2" for request in upstream.api.journal[1:])

    asyncio.run(run())


def test_a_token_that_is_handed_out_again_keeps_its_expiry(upstream: Upstream, clock: Clock) -> None:
    """The real service gives the same token with what is left of its life: at most three requests for one life."""
    ends_at = clock.now + 3600

    async def same(call: Any) -> None:
        left = ends_at - clock.now
        text = "first" if left > 0 else "second"
        await grants(text=text, lifetime_seconds=left if left > 0 else 3600)(call)

    upstream.token.always(same)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            assert await renewed_in_background(wire, clock, seconds=3595) == [0, 3300, 3590]
            for _ in range(20):
                assert (await wire.source.token()).text == "first"
            assert len(upstream.token.journal) == 3
            assert wire.source.status().expiry_time == ends_at + clock.wall_offset
            assert await renewed_in_background(wire, clock, seconds=10) == [5]
            assert (await wire.source.token()).text == "second"
            assert len(upstream.token.journal) == 4

    asyncio.run(run())


# ---------------------------------------------------------------------------------------------- one for everyone


def test_a_hundred_callers_share_one_request(upstream: Upstream, clock: Clock) -> None:
    """Row 58: whoever meets an expired token waits for the same new one."""
    upstream.token.always(grants(delay_seconds=0.1))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            for round_number in (1, 2):
                tokens = await asyncio.gather(*(wire.source.token() for _ in range(100)))
                assert {token.text for token in tokens} == {f"token-{round_number}"}
                clock.advance(3601)

    asyncio.run(run())
    assert len(upstream.token.journal) == 2


def test_a_slow_token_is_used_when_it_comes(upstream: Upstream, clock: Clock) -> None:
    """Row 57: polls that gave up waiting do not end the renewal; the token is there for the next."""
    released = threading.Event()
    upstream.token.always(when(released, grants()))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            for _ in range(3):
                failed = await failure_of(wire.execute(deadline_seconds=0.03))
                assert failed.reason is Reason.TOKEN
                assert failed.detail == "no access token within 0.03 s"
            assert upstream.api.journal == []
            released.set()
            await until(lambda: wire.source.status().valid)
            await wire.execute()
            assert wire.source.status().renewals == {("ok", ""): 1}

    asyncio.run(run())
    assert len(upstream.token.journal) == 1


# ------------------------------------------------------------------------------------------------- 401 and 403


def test_a_refused_token_is_renewed_once(upstream: Upstream, clock: Clock) -> None:
    """Row 39: one 401 costs one renewal and one more request, and no poll."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            upstream.revoke_all()
            await wire.execute()
            assert wire.source.status().forced_renewals == 1
            assert wire.transport.requests_by_code == {"200": 2, "401": 1}

    asyncio.run(run())
    assert [request.bearer for request in upstream.api.journal] == ["token-1", "token-1", "token-2"]


def test_fifty_refusals_at_once_are_one_renewal(upstream: Upstream, clock: Clock) -> None:
    """Row 41: when the token is revoked under fifty polls, the endpoint is asked once, and no poll fails."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            upstream.revoke_all()
            await asyncio.gather(*(wire.execute() for _ in range(50)))
            assert wire.source.status().forced_renewals == 1

    asyncio.run(run())
    assert len(upstream.token.journal) == 2


def test_a_late_refusal_does_not_cost_the_new_token(upstream: Upstream, clock: Clock) -> None:
    """A 401 for a token that has been replaced meanwhile drops nothing."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            old = await wire.source.token()
            new = await wire.source.force_renewal()
            assert wire.source.reject(old)
            assert await wire.source.token() is new
            assert wire.source.status().forced_renewals == 0

    asyncio.run(run())


def test_a_refusal_of_a_request_from_before_a_renewal_costs_no_token(upstream: Upstream, clock: Clock) -> None:
    """Row 105: where an endpoint's new token ends the one before it, a poll that is under way is refused, and made
    again with the new one."""
    released = threading.Event()

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            upstream.api.once(when(released, answers_who_is_known))
            under_way = asyncio.create_task(wire.execute())
            await until(lambda: len(upstream.api.journal) == 2)
            upstream.revoke_all()
            await wire.source.force_renewal()
            released.set()
            await under_way
            assert wire.source.status().forced_renewals == 0

    asyncio.run(run())
    assert [request.bearer for request in upstream.api.journal] == ["token-1", "token-1", "token-2"]
    assert len(upstream.token.journal) == 2


def test_lasting_refusals_do_not_hammer_the_endpoint(upstream: Upstream, clock: Clock) -> None:
    """Row 40: where new tokens are refused too, polls ask the API twice at most, and renewals become rare."""
    upstream.api.always(status(401))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            for poll in range(1, 601):
                before = len(upstream.api.journal)
                assert (await failure_of(wire.execute())).reason is Reason.UNAUTHORIZED
                assert len(upstream.api.journal) - before <= 2
                clock.advance(1)
                if poll == 60:
                    assert len(upstream.token.journal) <= 9
            assert len(upstream.token.journal) <= 9 + 540 / 60 + 1
            clock.advance(61)
            upstream.api.always(OK)
            await wire.execute()

    asyncio.run(run())


@pytest.mark.parametrize("others", [OK, status(403), status(429), status(503)], ids=["200", "403", "429", "503"])
def test_one_query_that_is_always_refused_does_not_hammer_the_endpoint(
    upstream: Upstream, clock: Clock, others: Behaviour
) -> None:
    """Row 40: renewals become rare too where the API refuses one query for ever and answers the others."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            for _ in range(60):
                upstream.api.always(status(401))
                assert (await failure_of(wire.execute())).reason is Reason.UNAUTHORIZED
                upstream.api.always(others)
                with suppress(Failure):
                    await wire.execute()
                clock.advance(1)

    asyncio.run(run())
    assert len(upstream.token.journal) <= 9


def test_after_recovery_a_refusal_renews_at_once_again(upstream: Upstream, clock: Clock) -> None:
    """The waits of lasting refusals end with the first new token that the API takes."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            for _ in range(20):
                await wire.execute()
                upstream.revoke_all()
            assert wire.source.status().forced_renewals == 19

    asyncio.run(run())


@pytest.mark.parametrize(
    "fault",
    [status(429, retry_after="3600"), status(503), oauth_error("invalid_client")],
    ids=["429", "503", "blocked"],
)
def test_one_refused_query_does_not_cost_the_others_their_token(
    upstream: Upstream, clock: Clock, fault: Behaviour
) -> None:
    """Row 46: where the endpoint is down while the API refuses one query, the others go on with the token, and the
    endpoint is asked no more often. The next token is used as soon as there is one."""
    upstream.token.once(grants(lifetime_seconds=7200))
    upstream.token.always(fault)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            for _ in range(30):
                upstream.api.once(status(401))
                refused = asyncio.create_task(failure_of(wire.execute()))
                while not refused.done():
                    await until(lambda: refused.done() or clock.sleeping)  # noqa: B023 - called within the round
                    clock.advance(0.05)  # the first short waits for the endpoint are waited out
                    await asyncio.sleep(0)
                await wire.execute()
                assert wire.source.status().valid
                clock.advance(60)
            assert len(upstream.token.journal) <= 1 + 3 + 30
            upstream.token.always(grants())
            assert len(await renewed_in_background(wire, clock, seconds=2000)) == 1
            await wire.execute()

    asyncio.run(run())
    assert [request.bearer for request in upstream.api.journal][:-1] == ["token-1"] * 61
    assert upstream.api.journal[-1].bearer != "token-1"


@pytest.mark.parametrize("ends", ["renewal", "expiry"])
def test_a_dropped_token_is_not_used_beyond_its_end(upstream: Upstream, clock: Clock, ends: str) -> None:
    """Row 47: a token that no request was ever answered with, or that has expired, is not taken back."""
    upstream.token.once(grants(lifetime_seconds=60))
    upstream.token.always(status(429, retry_after="3600"))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            if ends == "expiry":
                await wire.execute()
            upstream.api.once(status(401))
            await failure_of(wire.execute())
            assert wire.source.status().valid == (ends == "expiry")
            clock.advance(61)
            assert (await failure_of(wire.execute())).reason is Reason.TOKEN
            assert not wire.source.status().valid

    asyncio.run(run())


def _spreads(clock: Clock, seconds: float, refusal: Behaviour) -> Behaviour:
    """An API that knows a token only so many seconds after it was granted (it lives for 600)."""

    async def behaviour(call: Call) -> None:
        expires_at = call.upstream.granted.get(call.request.bearer, 0.0)
        is_known = expires_at - 600 + seconds <= clock.now < expires_at
        await (OK if is_known else refusal)(call)

    return behaviour


UNKNOWN: dict[str, Behaviour] = {
    "401": status(401),
    "UNAUTHENTICATED": answer({"errors": [{"message": "no", "extensions": {"code": "UNAUTHENTICATED"}}]}),
}


@pytest.mark.parametrize("refusal", UNKNOWN.values(), ids=UNKNOWN.keys())
@pytest.mark.parametrize("delay_seconds", [0.5, 3, 10, 200])
def test_a_token_serves_until_the_next_is_known(
    upstream: Upstream, clock: Clock, delay_seconds: float, refusal: Behaviour
) -> None:
    """Row 87: as long as the API does not know a new token, the one before it is used; the new one is not dropped."""
    upstream.token.always(grants(lifetime_seconds=600))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            upstream.api.always(_spreads(clock, delay_seconds, refusal))
            clock.advance(300)
            await wire.source.force_renewal()
            for _ in range(290):
                before = len(upstream.api.journal)
                await wire.execute()
                assert len(upstream.api.journal) - before <= 2
                clock.advance(1)
            assert wire.source.status().forced_renewals == 0

    asyncio.run(run())
    assert len(upstream.token.journal) == 2
    bearers = [request.bearer for request in upstream.api.journal]
    assert bearers[-1] == "token-2"
    assert bearers.count("token-1") <= 2 + delay_seconds + 6
    assert len(bearers) <= 291 + 4 + delay_seconds / 4  # the new one is tried now and then


@pytest.mark.parametrize("refusal", UNKNOWN.values(), ids=UNKNOWN.keys())
@pytest.mark.parametrize("delay_seconds", [0.5, 3, 10])
def test_a_token_that_one_node_knows_serves_before_the_next_one_does(
    upstream: Upstream, clock: Clock, delay_seconds: float, refusal: Behaviour
) -> None:
    """Row 87: where one node of an API takes a new token and another does not know it yet, no poll fails, and the token
    is not dropped. The one before it ends with that."""
    upstream.token.always(grants(lifetime_seconds=600))
    late = _spreads(clock, delay_seconds, refusal)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            upstream.api.always(in_turn([OK, late, late]))
            clock.advance(300)
            await wire.source.force_renewal()
            for _ in range(60):
                await wire.execute()
                clock.advance(0.25)
            assert wire.source.status().forced_renewals == 0
            upstream.api.always(status(401))  # by now every node knows it: it was revoked
            await failure_of(wire.execute())
            assert wire.source.status().forced_renewals == 1

    asyncio.run(run())
    bearers = [request.bearer for request in upstream.api.journal]
    assert bearers[1] == "token-2"
    assert bearers[-2:] == ["token-2", "token-3"]
    assert len(upstream.token.journal) == 3


def test_a_renewed_token_that_another_query_uses_is_not_thrown_away(upstream: Upstream, clock: Clock) -> None:
    """Row 87: also a token that was renewed because of a refusal, that one node takes and another does not know yet."""
    upstream.token.always(grants(lifetime_seconds=600))
    late = _spreads(clock, 10, status(401))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            upstream.revoke_all()
            for _ in range(10):
                upstream.api.always(late)
                await failure_of(wire.execute())
                upstream.api.always(OK)
                await wire.execute()
                clock.advance(1)
            upstream.api.always(late)
            await wire.execute()

    asyncio.run(run())
    assert len(upstream.token.journal) == 2


def test_a_token_that_was_taken_is_used_at_once(upstream: Upstream, clock: Clock) -> None:
    """Whatever another node said before of a new token, an answer to it ends the use of the one before."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            source = wire.source
            old = await source.token()
            source.accept(old)
            new = await source.force_renewal()
            assert source.reject(new)
            assert await source.token() is old
            source.accept(new)
            assert await source.token() is new
            assert source.reject(new)  # by a node that does not know it yet
            assert await source.token() is old
            assert source.status().forced_renewals == 0

    asyncio.run(run())


def test_a_token_that_was_never_tried_serves_when_the_one_before_it_has_run_out(
    upstream: Upstream, clock: Clock
) -> None:
    """Row 87: polls may be so rare, or so late, that a token is renewed again before it was taken. Of the two that were
    not taken yet, the older one serves, not one that has expired."""
    upstream.token.always(grants(lifetime_seconds=600))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            upstream.api.always(_spreads(clock, 10, status(401)))
            clock.advance(300)
            await wire.source.force_renewal()
            await wire.execute()
            clock.advance(295)
            await wire.source.force_renewal()
            await wire.execute()
            assert wire.source.status().forced_renewals == 0

    asyncio.run(run())
    assert len(upstream.token.journal) == 3
    assert [request.bearer[-1] for request in upstream.api.journal] == ["1", "2", "1", "3", "2"]


def test_a_token_near_its_end_serves_no_more(upstream: Upstream, clock: Clock) -> None:
    """The token before the present one is not sent so late that it could arrive when it has expired."""
    upstream.token.always(grants(lifetime_seconds=600))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            upstream.api.always(_spreads(clock, 100, status(401)))
            clock.advance(500)
            await wire.source.force_renewal()
            await wire.execute()
            clock.advance(89)
            await wire.execute()
            upstream.api.always(OK)
            clock.advance(1)
            await wire.execute()

    asyncio.run(run())
    bearers = [request.bearer[-1] for request in upstream.api.journal]
    assert bearers[:3] == ["1", "2", "1"]
    assert bearers[-1] == "2"
    assert len(upstream.token.journal) == 2


def test_both_tokens_revoked_cost_one_renewal_and_no_poll(upstream: Upstream, clock: Clock) -> None:
    """A new token that is refused together with the one before it is no matter of time: both were revoked."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            await wire.source.force_renewal()
            upstream.revoke_all()
            await asyncio.gather(*(wire.execute() for _ in range(10)))
            assert wire.source.status().forced_renewals == 1

    asyncio.run(run())
    assert len(upstream.token.journal) == 3


@pytest.mark.parametrize("code", [403, 429, 502, 503])
def test_a_gateway_that_is_busy_has_not_taken_a_token(upstream: Upstream, clock: Clock, code: int) -> None:
    """Row 87: an error that has nothing to do with the token does not end the use of the token before it."""
    upstream.token.always(grants(lifetime_seconds=600))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            clock.advance(300)
            await wire.source.force_renewal()
            upstream.api.always(status(code))
            await failure_of(wire.execute())
            upstream.api.always(_spreads(clock, 10, status(401)))
            await wire.execute()
            assert wire.source.status().forced_renewals == 0

    asyncio.run(run())
    assert [request.bearer[-1] for request in upstream.api.journal] == ["1", "2", "2", "1"]


def test_an_endpoint_with_one_live_token_is_asked_no_more_often(upstream: Upstream, clock: Clock) -> None:
    """Where a new token ends the one before it, the new one is used at once."""

    async def one_alive(call: Call) -> None:
        upstream.revoke_all()
        await grants()(call)

    upstream.token.always(one_alive)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            for _ in range(5):
                await wire.execute()
                await wire.source.force_renewal()
            await wire.execute()
            assert wire.transport.requests_by_code == {"200": 6}

    asyncio.run(run())


def test_a_token_seconds_old_is_not_thrown_away(upstream: Upstream, clock: Clock) -> None:
    """Row 87: a token that was renewed because of a refusal is given the time to become known."""
    upstream.api.always(_spreads(clock, 10, status(401)))
    upstream.token.always(grants(lifetime_seconds=600))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            for _ in range(10):
                await failure_of(wire.execute())
                clock.advance(1)
            await wire.execute()

    asyncio.run(run())
    assert len(upstream.token.journal) == 2


def test_a_forbidden_request_renews_nothing(upstream: Upstream, clock: Clock) -> None:
    """Row 42: 403 is about rights, not about the token."""
    upstream.api.always(status(403))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            for _ in range(3):
                assert (await failure_of(wire.execute())).reason is Reason.FORBIDDEN

    asyncio.run(run())
    assert len(upstream.token.journal) == 1


# ------------------------------------------------------------------------------------------ the endpoint's faults

FAULTS: dict[str, tuple[Behaviour, Reason]] = {
    "46 reset": (reset, Reason.RESET),
    "46 500": (status(500), Reason.HTTP_5XX),
    "50 429": (status(429), Reason.HTTP_429),
    "50 503": (status(503), Reason.HTTP_5XX),
    "51 an error with 200": (answer({"error": "temporarily_unavailable"}), Reason.OAUTH_ERROR),
    "51 an error of its own": (oauth_error("error_of_its_own"), Reason.OAUTH_ERROR),
    "52 HTML": (status(200), Reason.CONTENT_TYPE),
    "a redirect": (redirect(302, "https://elsewhere.test/login"), Reason.REDIRECT),
    "404": (status(404), Reason.HTTP_4XX),
    "broken JSON": (reply(b"{"), Reason.JSON),
    "a list": (reply(b"[]"), Reason.JSON),
    "nothing": (reply(b""), Reason.JSON),
    "53 empty": (grants(access_token=""), Reason.BAD_TOKEN),
    "53 null": (grants(access_token=None), Reason.BAD_TOKEN),
    "53 a number": (grants(access_token=12), Reason.BAD_TOKEN),
    "53 1 MB": (grants(access_token="x" * 1_000_000), Reason.BAD_TOKEN),
    "53 a line break": (grants(access_token="x\r\ny: z"), Reason.BAD_TOKEN),
    "53 not ASCII": (grants(access_token="tök"), Reason.BAD_TOKEN),
    "54 zero": (grants(expires_in=0), Reason.BAD_TOKEN),
    "54 words": (grants(expires_in="abc"), Reason.BAD_TOKEN),
    "55 mac": (grants(token_type="mac"), Reason.TOKEN_TYPE),
}


@pytest.mark.parametrize(("behaviour", "reason"), FAULTS.values(), ids=FAULTS.keys())
def test_a_failed_early_renewal_costs_no_poll(
    upstream: Upstream, clock: Clock, behaviour: Behaviour, reason: Reason
) -> None:
    """Rows 46 and 50 to 55: while the old token lives polls go on with it; past its end the API is not asked.

    The endpoint is asked ever more rarely, and when it is well again everything is.
    """
    upstream.token.once(grants(lifetime_seconds=3600))
    upstream.token.always(behaviour)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            asked = await renewed_in_background(wire, clock, seconds=3599)
            waits = [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
            assert asked == [0, 3300, *(3300 + total for total in itertools.accumulate(waits))]
            await wire.execute()
            assert wire.source.status().renewals == {("ok", ""): 1, ("error", reason.value): len(asked) - 1}
            failed = wire.source.status().last_failure
            assert failed is not None
            assert failed.reason is reason
            assert "s3cret" not in failed.detail

            clock.advance(2)
            assert not wire.source.status().valid
            before = len(upstream.token.journal), len(upstream.api.journal)
            for _ in range(5):
                assert (await failure_of(wire.execute())).reason is Reason.TOKEN
            assert (len(upstream.token.journal), len(upstream.api.journal)) == before

            upstream.token.always(grants())
            clock.advance(60)
            await wire.execute()
            assert wire.source.status().last_failure is None

    asyncio.run(run())


def test_a_hiccup_at_the_start_fails_no_poll(upstream: Upstream) -> None:
    """A first request that fails is repeated after half a second, within the poll that waits for it."""
    upstream.token.once(status(502), status(502))

    async def run() -> None:
        async with wired(upstream) as wire:
            await wire.execute()
            assert wire.source.status().renewals == {("error", "http_5xx"): 2, ("ok", ""): 1}

    asyncio.run(run())


def test_an_endpoint_that_is_down_from_the_start(upstream: Upstream) -> None:
    """Row 48: polls fail with `token`, the API is not asked, and the endpoint is not hammered."""
    upstream.token.always(status(503))

    async def run() -> None:
        async with wired(upstream) as wire:
            failures = await asyncio.gather(*(failure_of(wire.execute()) for _ in range(20)))
            assert {failure.reason for failure in failures} == {Reason.TOKEN}
            status = wire.source.status()
            assert (status.valid, status.blocked, status.expiry_time) == (False, False, None)
            assert len(upstream.token.journal) == 3

    asyncio.run(run())
    assert upstream.api.journal == []


@pytest.mark.parametrize(
    ("behaviour", "seconds"),
    [
        (status(429, retry_after="40"), 40),
        (status(503, retry_after="100"), 100),
        (status(503, retry_after="0"), 0.5),
        (status(429, retry_after="99999999"), 3600),
        (reply(code=429, headers={"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": DATE}), 30),
        (status(401, retry_after="900"), 900),
        (status(401, retry_after="40"), 300),
        (reply(b"x", code=503, headers={"retry-after": "100", "content-encoding": "gzip"}), 100),
    ],
    ids=[
        "429",
        "503",
        "none",
        "for ever",
        "a date",
        "a client that is refused",
        "one that is refused for a while",
        "503 with a broken body",
    ],
)
def test_the_endpoint_is_left_alone_as_long_as_it_asks(
    upstream: Upstream, clock: Clock, behaviour: Behaviour, seconds: float
) -> None:
    """Row 50: Retry-After is a promise, an hour at most."""
    upstream.token.once(behaviour)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            assert await renewed_in_background(wire, clock, seconds=seconds) == [0, seconds]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (oauth_error("invalid_client", code=401), Reason.INVALID_CLIENT),
        (oauth_error("invalid_client"), Reason.INVALID_CLIENT),
        (status(401), Reason.INVALID_CLIENT),
        (oauth_error("unauthorized_client"), Reason.OAUTH_ERROR),
        (oauth_error("invalid_scope"), Reason.OAUTH_ERROR),
        (oauth_error("unsupported_grant_type"), Reason.OAUTH_ERROR),
        (oauth_error("invalid_request"), Reason.OAUTH_ERROR),
        (oauth_error("invalid_grant"), Reason.OAUTH_ERROR),
    ],
    ids=lambda value: getattr(value, "value", None) or "",
)
def test_who_is_refused_for_good_asks_every_five_minutes(
    upstream: Upstream, clock: Clock, behaviour: Behaviour, reason: Reason
) -> None:
    """Row 49: a wrong client, grant or scope is no matter of trying again soon, however many polls there are."""
    upstream.token.always(behaviour)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            assert await renewed_in_background(wire, clock, seconds=700) == [0, 300, 600]
            for _ in range(5):
                failed = await failure_of(wire.execute())
                assert failed.reason is Reason.TOKEN
            seen = wire.source.status()
            assert seen.blocked
            assert seen.renewals == {("error", reason.value): 3}
            assert "\n" not in failed.detail

    asyncio.run(run())
    assert len(upstream.token.journal) == 3


def test_a_new_secret_ends_the_wait(upstream: Upstream, clock: Clock, tmp_path: Path) -> None:
    """Row 49: when the secret's file changes, the endpoint is asked within five seconds, and polls work again."""
    secret = tmp_path / "secret"
    secret.write_text("old\n")

    async def only_the_new(call: Any) -> None:
        await (grants() if call.request.basic[1] == "new" else oauth_error("invalid_client", code=401))(call)

    upstream.token.always(only_the_new)

    async def run() -> None:
        async with wired(upstream, clock=clock, client_secret=Secret(file=secret)) as wire:
            assert await renewed_in_background(wire, clock, seconds=60) == [0]
            secret.unlink()
            assert await renewed_in_background(wire, clock, seconds=10) == []
            secret.write_text("wrong again")
            assert await renewed_in_background(wire, clock, seconds=4) == [0]
            secret.write_text("new\n")
            asked = await renewed_in_background(wire, clock, seconds=4)
            assert len(asked) == 1
            assert asked[0] < 5
            assert not wire.source.status().blocked
            await wire.execute()

    asyncio.run(run())


def test_a_new_secret_helps_the_next_poll_at_once(upstream: Upstream, clock: Clock, tmp_path: Path) -> None:
    """A poll does not wait for the next look at the file."""
    secret = tmp_path / "secret"
    secret.write_text("old")
    upstream.token.once(oauth_error("invalid_client"))

    async def run() -> None:
        async with wired(upstream, clock=clock, client_secret=Secret(file=secret)) as wire:
            await failure_of(wire.execute())
            await failure_of(wire.execute())
            assert len(upstream.token.journal) == 1
            secret.write_text("new")
            await wire.execute()

    asyncio.run(run())


def test_an_unreadable_secret_is_told_and_looked_for(upstream: Upstream, clock: Clock, tmp_path: Path) -> None:
    """A secret that is not there yet is a failure of its own, and used within five seconds of its coming."""
    secret = tmp_path / "secret"

    async def run() -> None:
        async with wired(upstream, clock=clock, client_secret=Secret(file=secret)) as wire:
            failed = await failure_of(wire.execute())
            assert failed.reason is Reason.SECRET
            assert str(secret) in failed.detail
            assert await renewed_in_background(wire, clock, seconds=100) == []
            secret.write_text("there")
            asked = await renewed_in_background(wire, clock, seconds=5)
            assert len(asked) == 1
            assert wire.source.status().valid

    asyncio.run(run())


def test_a_secret_is_read_at_each_renewal(upstream: Upstream, clock: Clock, tmp_path: Path) -> None:
    """A secret that is rotated while all is well is used at the next renewal."""
    secret = tmp_path / "secret"
    secret.write_text("first")

    async def run() -> None:
        async with wired(upstream, clock=clock, client_secret=Secret(file=secret)) as wire:
            await wire.source.token()
            secret.write_text("second")
            await renewed_in_background(wire, clock, seconds=3301)

    asyncio.run(run())
    assert [request.basic[1] for request in upstream.token.journal] == ["first", "second"]


@pytest.mark.parametrize("pause_seconds", [0.3, 30.0])
def test_id_and_secret_are_rotated_as_one_pair(
    upstream: Upstream, clock: Clock, tmp_path: Path, pause_seconds: float
) -> None:
    """A rotation that writes the id first: a short gap is waited out, a long one costs seconds."""
    client_id, secret = tmp_path / "id", tmp_path / "secret"
    client_id.write_text("id-1")
    secret.write_text("secret-1")

    async def only_pairs(call: Any) -> None:
        well = call.request.basic in (("id-1", "secret-1"), ("id-2", "secret-2"))
        await (grants() if well else oauth_error("invalid_client", code=401))(call)

    upstream.token.always(only_pairs)

    async def run() -> None:
        files: dict[str, Any] = {"client_id": Secret(file=client_id), "client_secret": Secret(file=secret)}
        async with wired(upstream, clock=clock, **files) as wire:
            await wire.source.token()
            clock.advance(3300)
            client_id.write_text("id-2")
            renewal = asyncio.ensure_future(wire.source.force_renewal())
            await until(lambda: clock.sleeping)
            clock.advance(pause_seconds)
            if pause_seconds > 1:
                assert (await failure_of(renewal)).reason is Reason.INVALID_CLIENT
                assert wire.source.status().valid  # the old token goes on meanwhile
            secret.write_text("secret-2")
            if pause_seconds < 1:
                clock.advance(0.2)
                await until(lambda: clock.sleeping)
                clock.advance(0.5)
                await renewal
            else:
                assert len(await renewed_in_background(wire, clock, seconds=5)) == 1
            assert not wire.source.status().blocked
            assert wire.source.status().valid

    asyncio.run(run())
    asked = [request.basic for request in upstream.token.journal]
    mixed = [("id-2", "secret-1")] if pause_seconds > 1 else []
    assert asked == [("id-1", "secret-1"), *mixed, ("id-2", "secret-2")]


def test_renewal_survives_a_fault_of_ours(upstream: Upstream, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even an error that nobody thought of is only a failed renewal, named `internal`."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            with monkeypatch.context() as patch:
                patch.setattr("exporter.upstream.access_token.read_token", broken)
                await renewed_in_background(wire, clock, seconds=1)
            assert wire.source.status().renewals[("error", "internal")] == 2
            clock.advance(1)
            await wire.execute()

    asyncio.run(run())


def test_a_revocation_survives_a_fault_of_ours(
    upstream: Upstream, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody thought of is a revocation that is not confirmed: the token stays in use, and is renewed."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            with monkeypatch.context() as patch:
                patch.setattr("exporter.upstream.access_token.revocation_failure", broken)
                failed = await wire.source.replace()
                assert failed is not None
                assert (failed.reason, failed.detail) == (Reason.INTERNAL, "ZeroDivisionError")
            assert wire.source.status().valid
            await wire.source.force_renewal()
            await wire.execute()

    asyncio.run(run())


# ---------------------------------------------------------------------------------------------------- lifetimes


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def test_the_jwt_is_read_by_the_servers_clock(upstream: Upstream, clock: Clock) -> None:
    """Row 56: an `exp` sooner than expires_in counts, compared by the answer's own Date, and is told."""
    told = {"access_token": jwt(exp=1445412480 + 60), "expires_in": 3600}
    upstream.token.always(answer(told, headers={"date": DATE}))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            token = await wire.source.token()
            assert token.expires_at == clock.now + 60
            assert wire.source.status().lifetime_mismatch
            upstream.token.always(grants())
            await wire.source.force_renewal()
            assert not wire.source.status().lifetime_mismatch

    asyncio.run(run())


@pytest.mark.parametrize(("expires_in", "seconds"), [(None, 300), ("3600", 3600), (3600.0, 3600), (1e12, 86400)])
def test_every_form_of_expires_in(upstream: Upstream, clock: Clock, expires_in: object, seconds: float) -> None:
    """Row 54: nothing, a string, a float and an age of the world are understood."""
    upstream.token.always(grants(expires_in=expires_in))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            assert (await wire.source.token()).expires_at == clock.now + seconds

    asyncio.run(run())


def test_tokens_that_hardly_live_do_not_make_a_storm(upstream: Upstream, clock: Clock) -> None:
    """However short the tokens, the background asks twice a second at most."""
    upstream.token.always(grants(lifetime_seconds=0.001))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            assert len(await renewed_in_background(wire, clock, seconds=10)) <= 21

    asyncio.run(run())


# --------------------------------------------------------------------------------------------------- revocation


@pytest.mark.parametrize(
    ("behaviour", "cause"),
    [
        (reply(), None),
        (status(503), "the revocation endpoint answered 503"),
        (
            oauth_error("unsupported_token_type"),
            "the revocation endpoint answered unsupported_token_type: the server's own words",
        ),
        (silence, "no whole answer within 0.2 s"),
    ],
    ids=["200", "503", "400", "hang"],
)
def test_revocation_is_asked_for_once(
    upstream: Upstream, clock: Clock, behaviour: Behaviour, cause: str | None
) -> None:
    """Rows 77 and 90: exactly one request with the token and the client's credentials, and an end in any case, with the
    cause in the server's own words."""
    upstream.revocation.always(behaviour)

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.source.token()
            deadline_seconds = 0.2 if behaviour is silence else PATIENCE_SECONDS
            failure = await wire.source.revoke(deadline_seconds=deadline_seconds)
            assert (failure and str(failure)) == cause
            assert not wire.source.status().valid
            assert await wire.source.revoke() is None

    asyncio.run(run())
    (request,) = upstream.revocation.journal
    assert request.form == {"token": "token-1", "token_type_hint": "access_token"}
    assert request.basic == (CLIENT_ID, CLIENT_SECRET)


def test_a_stolen_token_can_be_revoked(upstream: Upstream, clock: Clock) -> None:
    """Any token's text can be revoked; the present one stays in use."""

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            stolen = (await wire.source.token()).text
            await wire.source.force_renewal()
            assert await wire.source.revoke(stolen) is None
            await wire.execute()
        async with wired(upstream, clock=clock, revocation_url=None) as wire:
            assert await wire.source.revoke("x") is not None

    asyncio.run(run())
    assert set(upstream.granted) == {"token-2"}


def test_a_renewal_can_be_forced_without_losing_a_poll(upstream: Upstream, clock: Clock) -> None:
    """The old token serves until the new one is there, and a wait after a failure does not count."""
    released = threading.Event()
    upstream.token.once(grants(), status(503, retry_after="100"), when(released, grants()))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            await wire.execute()
            await failure_of(wire.source.force_renewal())
            forced = asyncio.create_task(wire.source.force_renewal())
            await until(lambda: len(upstream.token.journal) == 3)
            await wire.execute()
            released.set()
            await forced
            await wire.execute()

    asyncio.run(run())
    assert [request.bearer for request in upstream.api.journal] == ["token-1", "token-1", "token-3"]


def test_a_flapping_api_is_served_one_token(upstream: Upstream, clock: Clock) -> None:
    """Row 45: errors of the API other than 401 have nothing to do with the token."""
    upstream.api.always(in_turn([status(503), OK]))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            for _ in range(5):
                assert (await failure_of(wire.execute())).reason is Reason.HTTP_5XX
                await wire.execute()

    asyncio.run(run())
    assert len(upstream.token.journal) == 1


def test_failures_do_not_grow(upstream: Upstream, clock: Clock) -> None:
    """A failure that is told a thousand times keeps nothing of who was told."""
    upstream.token.always(oauth_error("invalid_client"))

    async def run() -> None:
        async with wired(upstream, clock=clock) as wire:
            for _ in range(100):
                with pytest.raises(TokenFailure) as told:
                    await wire.source.token()
            depth, frame = 0, told.value.__traceback__
            while frame is not None:
                depth, frame = depth + 1, frame.tb_next
            assert depth < 10

    asyncio.run(run())
