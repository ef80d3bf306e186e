"""Access tokens by the client-credentials grant (RFC 6749 §4.4): fetched once for all, renewed early."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import random
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal
from urllib.parse import quote_plus, urlencode

import httpx

from exporter.errors import Failure, Reason, TokenFailure
from exporter.retry import retry_after_seconds
from exporter.secret import Secret
from exporter.transport import Transport, WireResponse

MAX_LIFETIME_SECONDS: Final = 86_400.0
DEFAULT_LIFETIME_SECONDS: Final = 300.0
BLOCKED_SECONDS: Final = 300.0
SECRET_CHECK_SECONDS: Final = 2.0
_MAX_TOKEN_LENGTH: Final = 64 * 1024
_MAX_BACKOFF_SECONDS: Final = 60.0
_TRANSIENT_ERRORS: Final = frozenset({"server_error", "temporarily_unavailable"})
_ALLOWED_MISMATCH_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class OAuth2Settings:
    """Where tokens come from, and as whom; the keys of Prometheus' `oauth2`."""

    token_url: str
    client_id: Secret
    client_secret: Secret
    scopes: tuple[str, ...] = ()
    endpoint_params: Mapping[str, str] = field(default_factory=dict)
    revocation_url: str | None = None
    auth_style: Literal["header", "params"] = "header"
    deadline_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token. `obtained_at` and `expires_at` are monotonic; `repeated`: it was handed out before."""

    text: str = field(repr=False)
    obtained_at: float
    expires_at: float
    generation: int
    repeated: bool = False
    lifetime_mismatch: bool = False

    @property
    def early_at(self) -> float:
        """When background renewal is due: in the last min(300 s, lifetime/2)."""
        return self.waiting_at if self.repeated else self.expires_at - min(300.0, self._lifetime_seconds / 2)

    @property
    def waiting_at(self) -> float:
        """From when polls wait for the renewal: in the last min(10 s, lifetime/10)."""
        return self.expires_at - min(10.0, self._lifetime_seconds / 10)

    @property
    def _lifetime_seconds(self) -> float:
        return self.expires_at - self.obtained_at


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """What telemetry shows of a token source. `expiry_time` is in Unix time; `renewals` by result and reason."""

    valid: bool
    blocked: bool
    expiry_time: float | None
    renewals: Counter[tuple[str, str]]
    forced_renewals: int
    lifetime_mismatch: bool
    last_failure: TokenFailure | None


class TokenSource:
    """One access token, shared by all who ask for it."""

    def __init__(
        self,
        settings: OAuth2Settings,
        transport: Transport,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._monotonic = monotonic
        self._wall = wall
        self._sleep = sleep
        self._jitter = jitter
        self._token: AccessToken | None = None
        self._renewal: asyncio.Task[AccessToken] | None = None
        self._failure: TokenFailure | None = None
        self._failures = 0
        self._not_before = 0.0
        self._used_credentials = ""
        self._generation = 0
        self._forced = 0
        self._refused_in_a_row = 0
        self._force_not_before = 0.0
        self._renewals: Counter[tuple[str, str]] = Counter()

    async def token(self) -> AccessToken:
        """A token to use now; waits for a renewal only near or past the end of the old one. Raises `TokenFailure`."""
        token = self._token
        if token is not None and self._monotonic() < token.waiting_at:
            return token
        try:
            return await self._renewed()
        except TokenFailure:
            if token is not None and token is self._token and self._monotonic() < token.expires_at:
                return token
            raise

    def refused(self, token: AccessToken) -> bool:
        """Drops a token that the API answered with 401, and says whether another try makes sense.

        Where fresh tokens are refused too, they are not the reason: then renewals become rarer and rarer.
        """
        if self._token is not None and self._token.generation != token.generation:
            return True
        now = self._monotonic()
        if now < self._force_not_before:
            return False
        if self._token is not None:
            self._token = None
            self._forced += 1
            self._refused_in_a_row += 1
            if self._refused_in_a_row > 1:
                self._force_not_before = now + min(BLOCKED_SECONDS, 5.0 * 2.0 ** min(self._refused_in_a_row, 10))
        return True

    def accepted(self) -> None:
        """Notes that the API took a token."""
        self._refused_in_a_row = 0
        self._force_not_before = 0.0

    async def keep_renewed(self) -> None:
        """Renews early, for ever; a renewal that fails is only a later renewal."""
        while True:
            wait = self._due_at() - self._monotonic()
            if wait > 0:
                await self._sleep(min(wait, SECRET_CHECK_SECONDS if self._failure is not None else 60.0))
            if self._due_at() <= self._monotonic():
                try:
                    await self._renewed()
                except TokenFailure:
                    await self._sleep(0)

    async def revoke(self) -> bool:
        """Revokes the token (RFC 7009) and forgets it. Whether that is confirmed; so is nothing to revoke."""
        token, self._token = self._token, None
        if token is None or self._settings.revocation_url is None:
            return token is None
        fields = {"token": token.text, "token_type_hint": "access_token"}
        try:
            return (await self._post(self._settings.revocation_url, fields)).status == 200
        except Failure:
            return False

    def status(self) -> TokenStatus:
        """What is known at this moment."""
        token, now = self._token, self._monotonic()
        return TokenStatus(
            valid=token is not None and now < token.expires_at,
            blocked=self._failure is not None and self._failure.permanent,
            expiry_time=None if token is None else self._wall() + token.expires_at - now,
            renewals=self._renewals,
            forced_renewals=self._forced,
            lifetime_mismatch=token is not None and token.lifetime_mismatch,
            last_failure=self._failure,
        )

    def _due_at(self) -> float:
        due = 0.0 if self._token is None else self._token.early_at
        return due if self._credentials_changed() else max(due, self._not_before)

    def _credentials_changed(self) -> bool:
        """Whether a latched refusal may be over: the client's id or secret is another than was refused."""
        if self._failure is None or not self._failure.permanent:
            return False
        try:
            return self._credentials() != self._used_credentials
        except TokenFailure:
            return False

    def _credentials(self) -> str:
        return f"{quote_plus(self._settings.client_id.reveal())}:{quote_plus(self._settings.client_secret.reveal())}"

    async def _renewed(self) -> AccessToken:
        """The next token, by one request that all callers share; who is cancelled does not cancel it."""
        if self._renewal is None:
            if self._failure is not None and self._monotonic() < self._not_before and not self._credentials_changed():
                raise self._failure
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._renewal)

    async def _renew(self) -> AccessToken:
        try:
            token = await self._fetched()
        except TokenFailure as failure:
            self._failures += 1
            self._failure = failure
            self._not_before = self._monotonic() + self._wait_seconds(failure)
            self._renewals["error", failure.reason.value] += 1
            raise
        finally:
            self._renewal = None
        self._failure, self._failures, self._not_before = None, 0, 0.0
        self._renewals["ok", ""] += 1
        self._token = token
        return token

    def _wait_seconds(self, failure: TokenFailure) -> float:
        if failure.permanent:
            return BLOCKED_SECONDS
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        return min(_MAX_BACKOFF_SECONDS, 2.0 ** min(self._failures - 1, 10)) * (1 - self._jitter() / 4)

    async def _fetched(self) -> AccessToken:
        self._used_credentials = self._credentials()
        requested_at = self._monotonic()
        fields = {"grant_type": "client_credentials", **self._settings.endpoint_params}
        if self._settings.scopes:
            fields["scope"] = " ".join(self._settings.scopes)
        try:
            response = await self._post(self._settings.token_url, fields)
        except TokenFailure:
            raise
        except Failure as failure:
            raise TokenFailure(failure.reason, failure.detail) from None
        granted = granted_token(response, self._wall())
        old = self._token
        if old is not None and old.text == granted.text:
            return AccessToken(old.text, old.obtained_at, old.expires_at, old.generation, True, granted.mismatch)
        self._generation += 1
        expires_at = requested_at + granted.lifetime_seconds
        return AccessToken(granted.text, requested_at, expires_at, self._generation, False, granted.mismatch)

    async def _post(self, url: str, fields: dict[str, str]) -> WireResponse:
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if self._settings.auth_style == "header":
            # RFC 6749 §2.3.1: each part form-encoded before Base64
            headers["authorization"] = f"Basic {base64.b64encode(self._credentials().encode()).decode()}"
        else:
            secret = self._settings.client_secret.reveal()
            fields = {**fields, "client_id": self._settings.client_id.reveal(), "client_secret": secret}
        return await self._transport.post(
            url,
            headers=headers,
            content=urlencode(fields).encode(),
            deadline_seconds=self._settings.deadline_seconds,
        )


@dataclass(frozen=True, slots=True)
class Granted:
    """What a token endpoint granted."""

    text: str = field(repr=False)
    lifetime_seconds: float
    mismatch: bool


def granted_token(response: WireResponse, wall_time: float) -> Granted:
    """The token of an answer (RFC 6749 §5.1). `wall_time` stands in for a missing `Date`. Raises `TokenFailure`."""
    _check_status(response)
    answer = _answer(response)
    if "error" in answer:
        raise _oauth_failure(answer)
    text = answer.get("access_token")
    if not isinstance(text, str) or not text or len(text) > _MAX_TOKEN_LENGTH:
        raise TokenFailure(Reason.BAD_TOKEN, "the answer has no usable access_token")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise TokenFailure(Reason.BAD_TOKEN, "the access_token has characters that a header cannot carry")
    kind = answer.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise TokenFailure(Reason.TOKEN_TYPE, "the token_type is not Bearer")
    told = _expires_in(answer.get("expires_in"))
    own = _jwt_lifetime(text, response.headers.get("date"), wall_time)
    if own is not None and own <= 0:
        raise TokenFailure(Reason.BAD_TOKEN, "the access token has expired already, by its own exp")
    known = [seconds for seconds in (told, own) if seconds is not None]
    lifetime = min([*known, MAX_LIFETIME_SECONDS]) if known else DEFAULT_LIFETIME_SECONDS
    mismatch = told is not None and own is not None and abs(told - own) > _ALLOWED_MISMATCH_SECONDS
    return Granted(text, lifetime, mismatch)


def _check_status(response: WireResponse) -> None:
    status = response.status
    if status == 200:
        return
    wait = retry_after_seconds(response.headers.get("retry-after"), response.headers.get("date"))
    if status == 429:
        raise TokenFailure(Reason.HTTP_429, "the token endpoint asks to wait", retry_after_seconds=wait)
    if status >= 500:
        raise TokenFailure(Reason.HTTP_5XX, f"the token endpoint answered {status}", retry_after_seconds=wait)
    if 300 <= status < 400:
        raise TokenFailure(Reason.REDIRECT, "the token endpoint redirects, which is not followed; mend token_url")
    if status >= 400 and (answer := _answer_or_none(response)) is not None and "error" in answer:
        raise _oauth_failure(answer)
    if status == 401:
        raise TokenFailure(Reason.INVALID_CLIENT, "the token endpoint answered 401", permanent=True)
    raise TokenFailure(Reason.HTTP_4XX, f"the token endpoint answered {status}")


def _oauth_failure(answer: Mapping[str, Any]) -> TokenFailure:
    word = answer["error"] if isinstance(answer["error"], str) else ""
    shown = word if word.replace("_", "").isalnum() and len(word) < 60 and word.isascii() else "an error"
    reason = Reason.INVALID_CLIENT if word == "invalid_client" else Reason.OAUTH_ERROR
    permanent = bool(word) and word not in _TRANSIENT_ERRORS
    return TokenFailure(reason, f"the token endpoint answered {shown} (RFC 6749 §5.2)", permanent=permanent)


def _answer(response: WireResponse) -> Mapping[str, Any]:
    if "json" not in response.headers.get("content-type", "json").lower():
        raise TokenFailure(Reason.CONTENT_TYPE, "the token endpoint did not answer with JSON")
    answer = _answer_or_none(response)
    if answer is None:
        raise TokenFailure(Reason.JSON, "the token endpoint's answer is not a JSON object")
    return answer


def _answer_or_none(response: WireResponse) -> Mapping[str, Any] | None:
    try:
        answer = json.loads(response.body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _expires_in(value: object) -> float | None:
    if value is None:
        return None
    try:
        seconds = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else 0.0
    except (ValueError, OverflowError):
        seconds = 0.0
    if not seconds > 0:
        raise TokenFailure(Reason.BAD_TOKEN, "expires_in is not a number of seconds above 0")
    return min(seconds, MAX_LIFETIME_SECONDS)


def _jwt_lifetime(text: str, date: str | None, wall_time: float) -> float | None:
    """Seconds until a JWT's own `exp`, by the answer's clock; None for what is no JWT with one."""
    parts = text.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return None
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return None
    return float(expiry) - _date_seconds(date, wall_time)


def _date_seconds(date: str | None, wall_time: float) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() if date else wall_time
    except (ValueError, OverflowError):
        return wall_time


class BearerAuth(httpx.Auth):
    """The access token on every request; after a 401 the token is renewed once and the request repeated once."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        token = await self._source.token()
        request.headers["authorization"] = f"Bearer {token.text}"
        response = yield request
        if response.status_code == 401 and self._source.refused(token):
            token = await self._source.token()
            request.headers["authorization"] = f"Bearer {token.text}"
            response = yield request
        if response.status_code != 401:
            self._source.accepted()


class HeaderAuth(httpx.Auth):
    """A fixed `Authorization` header; its secret is read at each use."""

    def __init__(self, kind: str, secret: Secret) -> None:
        self._kind = kind
        self._secret = secret

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        request.headers["authorization"] = f"{self._kind} {self._secret.reveal()}"
        yield request


class BasicAuth(httpx.Auth):
    """HTTP Basic authentication (RFC 7617); the password is read at each use."""

    def __init__(self, username: str, password: Secret) -> None:
        self._username = username
        self._password = password

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        pair = f"{self._username}:{self._password.reveal()}".encode()
        request.headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        yield request
