"""Access tokens by the client-credentials grant (RFC 6749 §4.4): fetched once for all, renewed early."""

from __future__ import annotations

import asyncio
import base64
import math
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias
from urllib.parse import quote_plus, urlencode

import structlog
from msgspec import Struct

from exporter.config.credentials import OAuth2, TLSConfig
from exporter.config.headers import header_secrets
from exporter.model.censor import Censor
from exporter.model.errors import Failure, Reason, SecretUnreadable, TokenFailure
from exporter.model.secret import Secret
from exporter.upstream.hints import log_fields
from exporter.upstream.tls import look_at_tls_files
from exporter.upstream.token_response import read_token, revocation_failure
from exporter.upstream.transport import Transport, WireResponse

BLOCKED_SECONDS: Final = 300.0
SECRET_CHECK_SECONDS: Final = 2.0
_SETTLE_SECONDS: Final = 0.5
_SETTLE_READS: Final = 10
_MAX_BACKOFF_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 1.0
_SHORTEST_SECONDS: Final = 0.5  # between two early renewals, however short the tokens live
_SPREADING_SECONDS: Final = 15.0  # until a new token is known to every node of an API, at the latest
_LONGEST_TRIAL_SECONDS: Final = 5.0  # between two trials of a token that is not known yet

_log = structlog.get_logger()
RenewalFailure: TypeAlias = TokenFailure | SecretUnreadable


@dataclass(frozen=True, slots=True)
class AccessToken:
    """An access token. Times with `_at` are monotonic; `expiry_time` is in Unix time, for show alone."""

    text: str = field(repr=False)
    generation: int
    obtained_at: float
    expires_at: float
    renew_at: float
    expiry_time: float

    @property
    def waiting_at(self) -> float:
        """From when polls wait for the next token: in the last min(10 s, lifetime/10)."""
        return self.expires_at - min(10.0, (self.expires_at - self.obtained_at) / 10)


class TokenStatus(Struct, frozen=True):
    """What telemetry shows of a token source. `expiry_time` is in Unix time; `renewals` is by result and reason."""

    valid: bool
    blocked: bool
    expiry_time: float | None
    renewals: Counter[tuple[str, str]]
    forced_renewals: int
    lifetime_mismatch: bool
    last_failure: RenewalFailure | None
    wanted: bool = True
    age_seconds: float | None = None


class TokenSource:
    """One access token, shared by all who ask for it."""

    def __init__(
        self,
        oauth2: OAuth2,
        transport: Transport,
        censor: Censor | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.sources: tuple[str, ...] = ()
        """The sources that use it, for the log."""
        self.hints: Callable[[Failure], Sequence[str]] = lambda _: ()
        """What is likely wrong where a renewal fails."""
        self._oauth2 = oauth2
        self._transport = transport
        self._censor = censor or Censor()
        self._monotonic = monotonic
        self._wall = wall
        self._sleep = sleep
        self._jitter = jitter
        self._wanted = asyncio.Event()
        self._token: AccessToken | None = None
        self._spare: AccessToken | None = None  # the one before, until every node of the API knows the present one
        self._dropped: AccessToken | None = None  # what others may be answered with, until there is another
        self._taken_generation = 0
        self._refused_trials = 0
        self._next_trial_at = -math.inf
        self._renewal: asyncio.Task[AccessToken] | None = None
        self._revocation_failure: Failure | None = None
        self._generation = 0
        self._failure: RenewalFailure | None = None
        self._failures_in_a_row = 0
        self._not_before_at = -math.inf
        self._refused_credentials: tuple[str, str] | None = None
        self._changed = False
        self._granted_credentials: tuple[str, str] | None = None
        self._forced = 0
        self._forced_in_a_row = 0
        self._force_not_before_at = -math.inf
        self._lifetime_mismatch = False
        self._renewals: Counter[tuple[str, str]] = Counter()

    async def token(self) -> AccessToken:
        """A token to use now; waits for a renewal only near or past the end of the old one.

        Raises `TokenFailure` or `SecretUnreadable`, as everything here that fetches a token.
        """
        self._wanted.set()
        token, now = self._token, self._monotonic()
        if (spare := self._spare_to_use(now)) is not None:
            return spare
        if token is None or now >= token.expires_at:
            return await self._next_token_patiently()
        if now < token.waiting_at or (self._renewal is None and now < self._due_at()):
            return token
        with suppress(Failure, TimeoutError):
            async with asyncio.timeout((token.expires_at - now) / 2):
                return await self._next_token()
        return token

    async def until_there(self, seconds: float) -> None:
        """Waits for a token where there is none to use, for so long at most. Why none comes, `token` says."""
        if self._token is None or self._monotonic() >= self._token.expires_at:
            self._wanted.set()
            with suppress(Failure, TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._next_token_patiently()

    def _spare_to_use(self, now: float) -> AccessToken | None:
        """The token before the present one, while the API does not know that yet; None to try the present one."""
        spare = self._spare
        if spare is None or not self._refused_trials:
            return None
        if not self._serves(spare, now):
            self._spare = None
            return None
        if now < self._next_trial_at:
            return spare
        self._next_trial_at = now + self._trial_seconds()  # one request at a time tries it
        return None

    def _serves(self, spare: AccessToken, now: float) -> bool:
        """Whether the token before the present one may still be used: not so late that a request with it might arrive
        when it has expired, and where the API has taken the present one, only until that is known to all its nodes."""
        token = self._token
        is_taken = token is not None and token.generation == self._taken_generation
        return now < spare.waiting_at and not (token is not None and is_taken and now >= _spread_at(token))

    def _trial_seconds(self) -> float:
        return float(min(_LONGEST_TRIAL_SECONDS, 2.0 ** min(self._refused_trials - 1, 10)))

    def reject(self, token: AccessToken) -> bool:
        """Takes in that the API does not know a token, and says whether another try makes sense: with the token before,
        as long as the present one is new to the API, else with the next one.

        Where new tokens are refused too, the token is not the reason: then such renewals become rarer and rarer.
        """
        now, is_spare = self._monotonic(), self._spare is not None and self._spare.generation == token.generation
        if is_spare:
            self._spare = None
            if not self._refused_trials:  # it was sent before there was the present one, which ended it
                return True
        elif self._token is None or self._token.generation != token.generation:
            return True
        elif self._spare is not None and self._serves(self._spare, now):
            self._refused_trials += 1
            self._next_trial_at = now + self._trial_seconds()
            return True
        return self._drop(now)

    def _drop(self, now: float) -> bool:
        """Drops the present token, unless it is too soon for that. Whether another try makes sense."""
        token = self._token
        is_new = token is not None and token.generation != self._taken_generation
        if token is not None and self._forced_in_a_row and now < _spread_at(token):
            return False  # it was renewed for this very reason, and may only not be known yet
        if now < self._force_not_before_at or now + _PATIENCE_SECONDS < self._next_request_at():
            return False
        self._token, self._spare, self._dropped = None, None, None if is_new else token
        _log.info("the API does not know the access token; it is renewed", **self._about)
        self._forced += 1
        self._forced_in_a_row += 1
        self._force_not_before_at = now + self._backoff_seconds(self._forced_in_a_row)
        return True

    def accept(self, token: AccessToken, *, was_forced: bool = False) -> None:
        """Takes in that the API knows a token, and with `was_forced` that it took a request that it had refused: the
        forced renewal was right. That other requests are taken says nothing of the refusal."""
        if self._token is None or token.generation != self._token.generation:
            return
        self._taken_generation, self._refused_trials = token.generation, 0
        if was_forced:
            self._forced_in_a_row = 0
            self._force_not_before_at = -math.inf

    @property
    def forced_renewals(self) -> int:
        """How many tokens were dropped because the API did not know them."""
        return self._forced

    async def force_renewal(self) -> AccessToken:
        """The endpoint's next token, at once, whatever waits are due."""
        self._not_before_at = -math.inf
        return await self._next_token()

    async def until_wanted(self) -> None:
        """Waits until a token was first asked for: there may be nothing to poll with it."""
        await self._wanted.wait()

    async def keep_renewed(self) -> None:
        """Renews early, for ever; a renewal that fails is only a later renewal."""
        while True:
            await self._look_at_credentials()
            wait_seconds = self._due_at() - self._monotonic()
            if wait_seconds > 0:
                longest = SECRET_CHECK_SECONDS if self._failure is not None else 60.0
                await self._sleep(min(wait_seconds, longest))
                continue
            with suppress(Failure):
                await self._next_token()

    async def revoke(self, text: str | None = None, *, deadline_seconds: float | None = None) -> Failure | None:
        """Revokes a token (RFC 7009), by default the present one, which is forgotten.

        Why the server does not confirm it; None where it does, and where there is nothing to revoke.
        """
        if text is None:
            if self._renewal is not None:  # what it brings is to be revoked too
                with suppress(Failure, TimeoutError):
                    async with asyncio.timeout(None if deadline_seconds is None else deadline_seconds / 2):
                        await asyncio.shield(self._renewal)
            token, self._token, self._spare, self._dropped = self._token or self._dropped, None, None, None
            if token is None:
                return None
            text = token.text
        if self._oauth2.revocation_url is None:
            return TokenFailure(Reason.OAUTH_ERROR, "there is no revocation_url")
        fields = {"token": text, "token_type_hint": "access_token"}
        try:
            response = await self._post(
                self._oauth2.revocation_url, fields, await self._credentials(), deadline_seconds
            )
            return revocation_failure(response)
        except Failure as failure:
            return failure
        except Exception as error:  # a fault of ours: it must end neither the renewals nor the process
            return TokenFailure(Reason.INTERNAL, type(error).__name__)

    @property
    def can_revoke(self) -> bool:
        """Whether there is an endpoint for it."""
        return self._oauth2.revocation_url is not None

    async def replace(self) -> Failure | None:
        """Revokes the present token and fetches another; who asks for a token meanwhile waits for that.

        Why the server does not confirm the revocation; then the present token stays in use. Raises where it was revoked
        and there is no other.
        """
        while self._renewal is not None:
            with suppress(Failure):
                await asyncio.shield(self._renewal)
        old = self._token
        self._renewal = asyncio.create_task(self._replace(old))
        self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._renewal)
        return self._revocation_failure

    async def _replace(self, old: AccessToken | None) -> AccessToken:
        """Revokes first, as the endpoint may grant the same token again while it is valid."""
        self._token = self._spare = self._dropped = None
        try:
            self._revocation_failure = None if old is None else await self.revoke(old.text)
        except BaseException:
            self._renewal = None  # else all who ask for a token get this again
            raise
        if old is not None and self._revocation_failure is not None:
            self._token, self._renewal = old, None
            return old
        return await self._renew()

    def status(self) -> TokenStatus:
        """What is known at this moment."""
        token = self._token
        return TokenStatus(
            valid=token is not None and self._monotonic() < token.expires_at,
            blocked=self._is_blocked,
            expiry_time=None if token is None else token.expiry_time,
            renewals=Counter(self._renewals),
            forced_renewals=self._forced,
            lifetime_mismatch=self._lifetime_mismatch,
            last_failure=self._failure,
            wanted=self._wanted.is_set(),
            age_seconds=None if token is None else self._monotonic() - token.obtained_at,
        )

    @property
    def _is_blocked(self) -> bool:
        return isinstance(self._failure, TokenFailure) and self._failure.permanent

    def _due_at(self) -> float:
        """When the next renewal is due: by the token's age, and not before a failure's wait is over."""
        return max(-math.inf if self._token is None else self._token.renew_at, self._next_request_at())

    def _next_request_at(self) -> float:
        """When the endpoint may be asked again after a failure: sooner if it refused other credentials than today's."""
        return -math.inf if self._changed else self._not_before_at

    async def _look_at_credentials(self) -> None:
        """Finds out whether a permanent refusal may be over: the client's id or secret is not what was refused."""
        refused = self._refused_credentials
        try:
            self._changed = refused is not None and await self._credentials() != refused
        except SecretUnreadable:
            self._changed = False

    async def _credentials(self) -> tuple[str, str]:
        """The client's id, and its secret or what changes with its certificate. Raises `SecretUnreadable`."""
        oauth2 = self._oauth2
        if not oauth2.has_secret:
            return await oauth2.id_secret.read(), await _certificate_state(oauth2.tls_config)
        return await oauth2.id_secret.read(), await oauth2.key_secret.read()

    async def _stable_credentials(self) -> tuple[str, str]:
        """The client's id and secret as one pair. Raises `SecretUnreadable`.

        A rotation may write one file after the other: where they are not those that worked, they are read until they
        are the same twice.
        """
        found = await self._credentials()
        if self._granted_credentials is None or found == self._granted_credentials:
            return found
        for _ in range(_SETTLE_READS):
            await self._sleep(_SETTLE_SECONDS)
            before, found = found, await self._credentials()
            if before == found:
                break
        return found

    async def _next_token_patiently(self) -> AccessToken:
        """The next token; waits out a first short back-off, so that one hiccup of the endpoint fails no poll."""
        while True:
            try:
                return await self._next_token()
            except Failure:
                wait_seconds = self._next_request_at() - self._monotonic()
                if wait_seconds > _PATIENCE_SECONDS:
                    raise
            await self._sleep(max(wait_seconds, 0.0))

    async def _next_token(self) -> AccessToken:
        """The next token, by one request that all callers share; who is cancelled does not cancel it."""
        if self._renewal is None and self._refused_credentials is not None:
            await self._look_at_credentials()
        if self._renewal is None:
            if self._failure is not None and self._monotonic() < self._next_request_at():
                raise self._failure.with_traceback(None)
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._renewal)

    async def _renew(self) -> AccessToken:
        """One token request, and what it means for the next. Raises a `RenewalFailure` and nothing else."""
        credentials: tuple[str, str] | None = None
        try:
            credentials = await self._stable_credentials()
            token = await self._fetch(credentials)
        except Failure as failure:
            raise self._note(failure, credentials) from None
        except Exception as error:  # a fault of ours must not end the renewals
            raise self._note(TokenFailure(Reason.INTERNAL, type(error).__name__), credentials) from error
        finally:
            self._renewal = None
        if self._failure is not None:
            _log.info("the access token is renewed again", **self._about)
        self._failure, self._failures_in_a_row, self._not_before_at = None, 0, -math.inf
        self._refused_credentials, self._granted_credentials, self._changed = None, credentials, False
        self._renewals["ok", ""] += 1
        self._keep_spare(self._token, token)
        self._token, self._dropped = token, None
        return token

    def _keep_spare(self, old: AccessToken | None, new: AccessToken) -> None:
        """Keeps what the API is known to take, until it has taken the new token. Where that has run out meanwhile, the
        old token has had more time to become known than the new one."""
        if old is None or old.text == new.text:
            return
        has_run_out = self._spare is not None and self._monotonic() >= self._spare.waiting_at
        if old.generation != self._taken_generation and not has_run_out:
            return
        self._spare, self._refused_trials, self._next_trial_at = old, 0, -math.inf

    def _note(self, failure: Failure, credentials: tuple[str, str] | None) -> RenewalFailure:
        """The failure as one of the renewal, with the wait that it brings."""
        if not isinstance(failure, RenewalFailure):
            failure = TokenFailure(failure.reason, failure.detail, retry_after_seconds=failure.retry_after_seconds)
        is_known = self._failure is not None and self._failure.detail == failure.detail
        self._failure = failure
        self._failures_in_a_row += 1
        self._refused_credentials = credentials if self._is_blocked else None
        self._changed = False
        wait_seconds = self._wait_seconds(failure)
        self._not_before_at = self._monotonic() + wait_seconds
        self._take_back_dropped()
        self._renewals["error", failure.reason.value] += 1
        say = _log.debug if is_known else _log.warning
        say(
            "the access token was not renewed" + ("; the old one stays in use" if self.status().valid else ""),
            **self._about,
            reason=failure.reason.value,
            detail=failure.detail,
            next_try_in_seconds=round(wait_seconds, 1),
            **log_fields(self.hints(failure)),
        )
        return failure

    def _take_back_dropped(self) -> None:
        """Uses a dropped token on, as there is no other and the API may have refused one query alone. It is renewed as
        soon as the endpoint may be asked."""
        dropped, self._dropped = self._dropped, None
        if self._token is None and dropped is not None and self._monotonic() < dropped.expires_at:
            self._token = replace(dropped, renew_at=-math.inf)

    @property
    def _about(self) -> dict[str, str]:
        return {"source": ", ".join(self.sources)} if self.sources else {}

    def _wait_seconds(self, failure: RenewalFailure) -> float:
        if isinstance(failure, SecretUnreadable):  # nobody was asked
            return SECRET_CHECK_SECONDS
        if failure.permanent:
            return max(BLOCKED_SECONDS, failure.retry_after_seconds or 0.0)
        return max(self._backoff_seconds(self._failures_in_a_row), failure.retry_after_seconds or 0.0)

    def _backoff_seconds(self, times: int) -> float:
        """0.5 s, 1 s, 2 s … 60 s, less up to a quarter, so that exporters do not come back all at once."""
        return min(_MAX_BACKOFF_SECONDS, 2.0 ** min(times - 2, 10)) * (1 - self._jitter() / 4)

    async def _fetch(self, credentials: tuple[str, str]) -> AccessToken:
        """The token that the endpoint grants; the same one again keeps its expiry, and is asked for again late."""
        requested_at = self._monotonic()
        fields = {"grant_type": "client_credentials", **await self._endpoint_params()}
        if self._oauth2.scopes:
            fields["scope"] = " ".join(self._oauth2.scopes)
        response = await self._post(self._oauth2.token_url, fields, credentials)
        wall_time = self._wall()
        granted = read_token(response, wall_time)
        self._censor.add(granted.text)
        self._lifetime_mismatch = granted.mismatch
        now, old = self._monotonic(), self._token
        if old is not None and old.text == granted.text and now < old.expires_at:
            return replace(old, renew_at=old.waiting_at if now < old.waiting_at else old.expires_at)
        self._generation += 1
        lifetime_seconds = granted.lifetime_seconds
        expires_at = requested_at + lifetime_seconds
        return AccessToken(
            text=granted.text,
            generation=self._generation,
            obtained_at=requested_at,
            expires_at=expires_at,
            renew_at=max(expires_at - min(300.0, lifetime_seconds / 2), requested_at + _SHORTEST_SECONDS),
            expiry_time=wall_time + expires_at - now,
        )

    async def _endpoint_params(self) -> dict[str, str]:
        """Raises `SecretUnreadable`."""
        params = self._oauth2.endpoint_params
        return {name: await one.read() if isinstance(one, Secret) else one for name, one in params.items()}

    async def _post(
        self,
        url: str,
        fields: dict[str, str],
        credentials: tuple[str, str],
        deadline_seconds: float | None = None,
    ) -> WireResponse:
        """The answer to a form, sent as the client. Raises `UpstreamFailure`, `SecretUnreadable`."""
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        further = [(name, await secret.read()) for name, secret in header_secrets(self._oauth2.http_headers)]
        if self._oauth2.auth_style == "header":
            # RFC 6749 §2.3.1: each part form-encoded before Base64
            pair = ":".join(quote_plus(part) for part in credentials)
            encoded = base64.b64encode(pair.encode()).decode()
            self._censor.add(encoded)
            headers["authorization"] = f"Basic {encoded}"
        elif self._oauth2.auth_style == "params":
            fields = {**fields, "client_id": credentials[0], "client_secret": credentials[1]}
        else:  # the certificate is the proof (RFC 8705 §2)
            fields = {**fields, "client_id": credentials[0]}
        return await self._transport.post(
            url,
            headers=[*headers.items(), *further],
            content=urlencode(fields).encode(),
            deadline_seconds=self._oauth2.timeout.total_seconds() if deadline_seconds is None else deadline_seconds,
        )


def _spread_at(token: AccessToken) -> float:
    """When a token is known to every node of an API, at the latest."""
    return token.obtained_at + _SPREADING_SECONDS


async def _certificate_state(config: TLSConfig) -> str:
    """What changes with a client's certificate. Raises `SecretUnreadable`."""
    try:
        return repr(await look_at_tls_files(config))
    except OSError as error:
        raise SecretUnreadable(f"cannot look at the files of tls_config: {error.strerror}") from None
