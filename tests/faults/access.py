"""Cases of what a source as a whole can do: refusals, waits, tokens (rows 27, 39 to 59)."""

from __future__ import annotations

import base64
import json
import time
from email.utils import formatdate
from typing import Any, Final

from tests.faults.causes import api, api_of, api_once, client_refused, redirecting, token, token_of
from tests.faults.experiment import Case, Evidence, Fault, Place, Sign, who_is_known
from tests.faults.signs import (
    asked,
    elsewhere_hears_nothing,
    ever,
    every,
    expires_in,
    fails,
    first_fails,
    goes_on,
    grows,
    left_alone,
    renewals_fail,
    shows,
    token_endpoint_left_alone,
)
from tests.support.upstream import (
    MISSING,
    Behaviour,
    Call,
    answer,
    grants,
    in_turn,
    reply,
    reset,
    silence,
    status,
)

_GOOD: Final = who_is_known(answer({"data": {"value": 1}}))
_ODD_HEADERS: Final = {"x-owner": "M\xfcller", "x-raw": "\x80\xff", "Content-Type": "application/json"}
_GOOD_BUT_ODD: Final = who_is_known(answer({"data": {"value": 1}}, headers=_ODD_HEADERS))
_IS_BACKED_OFF: Final = shows("upstream_backoff_seconds", lambda seconds: seconds > 0)
_IS_NOT_BACKED_OFF: Final = shows("upstream_backoff_seconds", lambda seconds: seconds == 0)


def of_source(row: int, variant: str, fault: Fault, sign: Sign, **more: Any) -> Case:
    """A case that touches its source as a whole."""
    return Case(row, variant, fault, sign, alone=True, **more)


def of_renewals(row: int, variant: str, behaviour: Behaviour, sign: Sign, **more: Any) -> Case:
    """A case in which the token endpoint does this, where tokens live for two intervals."""
    return of_source(row, variant, token(behaviour), sign, **{"lifetime_intervals": 2, "token_requests": 6, **more})


def _retry_after(value: str) -> Fault:
    return api(status(429, retry_after=value))


def _until_a_date(seconds: float) -> Behaviour:
    """429, with the moment that is so far away."""

    async def behaviour(call: Call) -> None:
        await status(429, retry_after=formatdate(time.time() + seconds, usegmt=True))(call)

    return behaviour


def _errors(code: str) -> dict[str, object]:
    return {"errors": [{"message": "no", "extensions": {"code": code}}]}


def _forgets(refusal: Behaviour) -> Behaviour:
    """The API does not know the token any more that it is shown first, and says so in this way."""
    forgotten: set[str] = set()

    async def behaviour(call: Call) -> None:
        if not forgotten:
            forgotten.add(call.request.bearer)
        await (refusal if call.request.bearer in forgotten else _GOOD)(call)

    return behaviour


_CHALLENGE: Final = 'Bearer realm="api", error="invalid_token", error_description="it was revoked"'
_SPREADING_INTERVALS: Final = 10  # a lifetime in which the last trial of a new token comes well before its end


def _spreads(place: Place, seconds: float) -> Behaviour:
    """The API knows each new token only after a while."""
    lifetime_seconds, begun_at = _SPREADING_INTERVALS * place.pace.interval_seconds, time.monotonic()

    async def behaviour(call: Call) -> None:
        granted_at = call.upstream.granted.get(call.request.bearer, 0.0) - lifetime_seconds
        is_known = granted_at < begun_at or granted_at + seconds < time.monotonic()
        await (_GOOD if is_known else status(401))(call)

    return behaviour


def _throttled(place: Place) -> Behaviour:
    """A GraphQL error that asks to wait for two intervals."""
    extensions = {"code": "THROTTLED", "retryAfter": 2 * place.pace.interval_seconds}
    return answer({"errors": [{"message": "Throttled", "extensions": extensions}]})


def _asks_to_wait(code: int, header: str, value: str = "{:g}") -> Fault:
    """The API answers with that status, and with two intervals in a header."""
    return api_of(
        lambda place: reply(
            b"{}", code=code, headers={header: value.format(2 * place.pace.interval_seconds), **_NOTHING_LEFT}
        )
    )


def _spends(header: str, value: str) -> Fault:
    """The API answers well, and says that nothing is left of its budget for two intervals."""

    def behaviour(place: Place) -> Behaviour:
        headers = {header: value.format(2 * place.pace.interval_seconds), **_NOTHING_LEFT}
        return who_is_known(answer({"data": {"value": 1}}, headers=headers))

    return api_of(behaviour)


_NOTHING_LEFT: Final = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0"}
_IS_SPENT: Final = shows("upstream_budget_remaining", lambda remaining: remaining == 0)
_IS_LEFT_ALONE: Final = every(ever(_IS_BACKED_OFF), left_alone(intervals=2))


def _flaps(seen: Evidence) -> None:
    failures = seen.grown("poll_failures_total", reason="http_5xx")
    successes = seen.grown("polls_total") - seen.grown("poll_failures_total")
    assert failures >= 2, f"{failures:g} failures"
    assert successes >= 2, f"{successes:g} successes"
    assert seen.total("polls_in_flight") <= 1


REFUSALS: Final = (
    *(
        of_source(27, str(code), redirecting(code), every(fails("redirect"), elsewhere_hears_nothing))
        for code in (301, 302, 307, 308)
    ),
    of_source(82, "api", api(_GOOD_BUT_ODD), goes_on),
    of_source(
        39,
        "once",
        api_once(status(401)),
        every(goes_on, grows("token_forced_renewals_total", at_most=1)),
        token_requests=2,
    ),
    of_source(
        40,
        "always",
        api(status(401)),
        every(fails("unauthorized"), asked(at_most_per_poll=2), grows("poll_failures_total", by=3)),
        token_requests=8,
    ),
    *(
        of_source(
            85,
            variant,
            api_of(lambda _, refusal=refusal: _forgets(refusal)),  # type: ignore[misc]
            every(goes_on, grows("token_forced_renewals_total", at_most=1)),
            token_requests=2,
        )
        for variant, refusal in (
            ("code", answer(_errors("UNAUTHENTICATED"))),
            ("jwt", answer(_errors("invalid-jwt"), code=200)),
            ("beside_null", answer({"data": {"value": None}, **_errors("token_expired")})),
            ("status_400", answer(_errors("UNAUTHENTICATED"), code=400)),
            ("challenge", reply(b"no", code=403, headers={"www-authenticate": _CHALLENGE})),
            ("gateway", answer({"fault": {"code": 900901, "message": "Invalid Credentials"}}, code=403)),
        )
    ),
    of_source(
        85,
        "always",
        api(answer(_errors("UNAUTHENTICATED"))),
        every(fails("unauthorized"), asked(at_most_per_poll=2)),
        token_requests=4,
    ),
    *(
        of_source(
            87,
            f"after_{seconds}",
            api_of(lambda place, seconds=seconds: _spreads(place, seconds)),  # type: ignore[misc]
            every(
                goes_on,
                grows("token_renewals_total", result="ok", by=2),
                shows("token_forced_renewals_total", lambda forced: forced == 0),
            ),
            lifetime_intervals=_SPREADING_INTERVALS,
            token_requests=2,  # one may come while the exporter stops
        )
        for seconds in (3, 10)
    ),
    of_source(42, "always", api(status(403)), every(fails("forbidden"), asked(at_most_per_poll=1))),
    of_source(
        43,
        "seconds",
        api_of(lambda place: status(429, retry_after=f"{2 * place.pace.interval_seconds:g}")),
        every(ever(_IS_BACKED_OFF), fails("http_429"), left_alone(intervals=2)),
    ),
    of_source(
        44,
        "date",
        api_of(lambda place: _until_a_date(3 * place.pace.interval_seconds)),
        every(ever(_IS_BACKED_OFF), fails("http_429"), left_alone(intervals=3, less_seconds=2.05)),
    ),
    of_source(44, "past", _retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), every(fails("http_429"), _IS_NOT_BACKED_OFF)),
    of_source(44, "negative", _retry_after("-1"), every(fails("http_429"), _IS_NOT_BACKED_OFF)),
    of_source(44, "word", _retry_after("abc"), every(fails("http_429"), _IS_NOT_BACKED_OFF)),
    of_source(
        44,
        "huge",
        _retry_after("1000000000000"),
        every(first_fails("http_429"), shows("upstream_backoff_seconds", lambda seconds: 3500 < seconds <= 3600)),
        recovers=False,
    ),
    of_source(89, "403", _asks_to_wait(403, "retry-after"), every(_IS_LEFT_ALONE, fails("http_429"))),
    of_source(89, "301", _asks_to_wait(301, "retry-after"), every(_IS_LEFT_ALONE, fails("redirect"))),
    of_source(89, "reset", _asks_to_wait(403, "x-ratelimit-reset"), every(_IS_LEFT_ALONE, fails("http_429"))),
    of_source(89, "throttled", api_of(_throttled), every(_IS_LEFT_ALONE, fails("http_429"))),
    *(
        of_source(89, variant, _spends(header, value), every(_IS_LEFT_ALONE, _IS_SPENT, goes_on))
        for variant, header, value in (
            ("spent", "x-ratelimit-reset", "{:g}"),
            ("draft", "ratelimit", '"default";r=0;t={:g}'),
            ("older_draft", "ratelimit-reset", "{:g}"),
        )
    ),
    of_source(45, "flapping", api_of(lambda _: in_turn([status(503), _GOOD])), _flaps),
)


def _token_answer(**fields: object) -> dict[str, object]:
    return {"access_token": "x", "token_type": "Bearer", "expires_in": 3600, **fields}


def _jwt(place_canary: str, expiry_time: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(expiry_time)}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{claims}.{place_canary}"


def _granting(**options: Any) -> Behaviour:
    """A token, in an answer of another form."""

    async def behaviour(call: Call) -> None:
        told = _token_answer(access_token=call.upstream.new_token(call.request.path, 3600))
        await answer(told, **options)(call)

    return behaviour


def _own_expiry(seconds: float, expires_in: object = 3600) -> Fault:
    """Tokens whose own `exp` is so far away."""
    return token_of(lambda place: grants(text=_jwt(place.canary, time.time() + seconds), expires_in=expires_in))


def _injected(seen: Evidence) -> None:
    assert not any("x-injected" in request.headers for request in seen.place.api.journal), "a header was injected"


def _asked_once_while_it_lasted(seen: Evidence) -> None:
    assert len(seen.token_requests) == 1, f"{len(seen.token_requests)} token requests"


def _asked_soon_after_the_change(seen: Evidence) -> None:
    mended_at = seen.place.notes["mended_at"]
    first = min(request.at for request in seen.token_requests if request.at > mended_at)
    assert first - mended_at <= 5, f"the new secret was used only after {first - mended_at:.1f} s"


_BLOCKED: Final = shows("token_blocked", lambda blocked: blocked == 1)
_FAILS_WITHOUT_TOKEN: Final = first_fails("token")
_MISMATCH: Final = shows("token_lifetime_mismatch", lambda mismatch: mismatch == 1)
_NO_MISMATCH: Final = shows("token_lifetime_mismatch", lambda mismatch: mismatch == 0)
_RENEWED: Final = every(goes_on, grows("token_renewals_total", result="ok"))

RENEWALS: Final = (
    *(
        of_renewals(
            46,
            variant,
            behaviour,
            every(goes_on, renewals_fail(reason)),
            lifetime_intervals=6,
            token_requests=12,
            **more,
        )
        for variant, behaviour, reason, more in (
            ("503", status(503), "http_5xx", {}),
            ("reset", reset, "reset", {}),
            ("silence", silence, "timeout", {"oauth2": {"timeout": "1s"}}),
        )
    ),
    of_renewals(47, "503", status(503), every(fails("token"), renewals_fail("http_5xx"))),
    of_source(
        49,
        "refused",
        client_refused,
        every(
            fails("token"),
            renewals_fail("invalid_client"),
            _BLOCKED,
            _asked_once_while_it_lasted,
            grows("poll_failures_total", by=3),
        ),
        lifetime_intervals=2,
        aftermath=_asked_soon_after_the_change,
    ),
    *(
        of_source(
            50,
            str(code),
            token_of(lambda place, code=code: status(code, retry_after=f"{2 * place.pace.interval_seconds:g}")),  # type: ignore[misc]
            every(renewals_fail(reason), token_endpoint_left_alone(intervals=2)),
            lifetime_intervals=2,
        )
        for code, reason in ((429, "http_429"), (503, "http_5xx"))
    ),
    of_renewals(51, "error", answer({"error": "server_error"}), renewals_fail("oauth_error")),
    of_renewals(52, "page", status(200), renewals_fail("content_type")),
    *(
        of_renewals(53, variant, answer(_token_answer(access_token=text)), renewals_fail("bad_token"))
        for variant, text in (("empty", ""), ("null", None), ("number", 7), ("long", "x" * 1_000_000), ("accents", "é"))
    ),
    of_source(
        53,
        "line_end",
        token_of(lambda place: answer(_token_answer(access_token=f"{place.canary}\r\nx-injected: 1"))),
        every(renewals_fail("bad_token"), _injected),
        lifetime_intervals=2,
        token_requests=6,
    ),
    of_renewals(82, "token", _granting(headers=_ODD_HEADERS), _RENEWED),
    of_renewals(86, "error_null", grants(error=None), _RENEWED),
    of_renewals(86, "error_empty", grants(error=""), _RENEWED),
    *(
        of_renewals(86, kind.replace("/", "_").replace(", ", "_"), _granting(content_type=kind), _RENEWED)
        for kind in ("text/plain", "text/json", "text/html", "application/json, application/json")
    ),
    *(
        of_renewals(54, variant, grants(expires_in=told), expires_in(seconds))
        for variant, told, seconds in (
            ("missing", MISSING, 300),
            ("null", None, 300),
            ("text", "3600", 3600),
            ("fraction", 3600.5, 3600),
            ("huge", 1e12, 86400),
        )
    ),
    of_source(54, "own", _own_expiry(600, expires_in=MISSING), expires_in(600), lifetime_intervals=2),
    *(
        of_renewals(54, variant, grants(expires_in=told), renewals_fail("bad_token"))
        for variant, told in (("zero", 0), ("negative", -1), ("word", "abc"))
    ),
    *(
        of_renewals(55, variant, grants(token_type=told), _RENEWED)
        for variant, told in (("small", "bearer"), ("capital", "BEARER"), ("missing", MISSING))
    ),
    of_renewals(55, "mac", grants(token_type="mac"), renewals_fail("token_type")),
    of_source(56, "sooner", _own_expiry(900), every(expires_in(900), _MISMATCH), lifetime_intervals=2),
    of_source(56, "past", _own_expiry(-60), renewals_fail("bad_token"), lifetime_intervals=2, token_requests=6),
    of_renewals(56, "garbage", grants(text="a.b.c", expires_in=900), every(expires_in(900), _NO_MISMATCH)),
    of_source(
        57,
        "slow",
        token_of(lambda place: grants(delay_seconds=4 * place.pace.interval_seconds)),
        every(
            _FAILS_WITHOUT_TOKEN,
            grows("token_renewals_total", result="ok", at_most=1),
            _asked_once_while_it_lasted,
            shows("query_up", lambda up: up == 1),
        ),
        lifetime_intervals=2,
        oauth2={"timeout": "5m"},
    ),
    of_renewals(
        59,
        "two_seconds",
        grants(lifetime_seconds=2),
        every(goes_on, grows("token_renewals_total", result="ok", by=10)),
        token_requests=80,
    ),
)

CASES: Final = (*REFUSALS, *RENEWALS)
