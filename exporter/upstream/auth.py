"""How a request authenticates: bearer token, fixed headers, Basic."""

from __future__ import annotations

import base64
import re
from typing import Final

from exporter.config.source import INVALID_TOKEN_CODES
from exporter.model.censor import Censor
from exporter.model.duration import seconds_text
from exporter.model.errors import Reason, SecretUnreadable, TokenFailure, UpstreamFailure
from exporter.model.secret import Secret
from exporter.upstream.access_token import AccessToken, TokenSource
from exporter.upstream.deadline import Deadline
from exporter.upstream.token_refusal import TokenRefusal
from exporter.upstream.transport import Send, WireResponse

_REPEATS: Final = 2  # with the token before, and with one that was renewed if that is refused, too


class BearerAuth:
    """The access token on every request; where the API refuses it, the token is renewed once and the request repeated
    once. A token that is too new for the API to know it is no reason to renew, as long as the one before it serves."""

    def __init__(self, source: TokenSource, refusal: TokenRefusal | None = None, censor: Censor | None = None) -> None:
        self._source = source
        self._refusal = refusal or TokenRefusal(INVALID_TOKEN_CODES)
        self._censor = censor or Censor()

    async def exchange(self, send: Send, deadline: Deadline) -> WireResponse:
        """The answer. Raises `UpstreamFailure`, for a token that does not come too, and `SecretUnreadable`."""
        token = await self._token(deadline)
        response, is_refused = await self._send(send, token)
        for _ in range(_REPEATS):
            forced_before = self._source.forced_renewals
            if not is_refused or not self._source.reject(token):
                break
            was_forced = self._source.forced_renewals > forced_before
            before, token = token, await self._token(deadline)
            response, is_refused = await self._send(send, token, was_forced=was_forced)
            if token.generation > before.generation:  # a renewal: there is nothing newer to try
                break
        return response

    async def _send(self, send: Send, token: AccessToken, *, was_forced: bool = False) -> tuple[WireResponse, bool]:
        """The answer, and whether it refuses the token. `was_forced`: its own refusal had the token renewed."""
        self._censor.add(token.text)  # the token may have come for another source, or before a reload
        response = await send(f"Bearer {token.text}")
        is_refused = self._refusal.is_in(response)
        if not is_refused and response.status < 400:  # a gateway that is busy may not have looked at the token
            self._source.accept(token, was_forced=was_forced)
        return response, is_refused

    async def _token(self, deadline: Deadline) -> AccessToken:
        try:
            async with deadline.limit():
                return await self._source.token()
        except TimeoutError:
            raise UpstreamFailure(Reason.TOKEN, f"no access token within {seconds_text(deadline.seconds)}") from None
        except TokenFailure as failure:
            raise UpstreamFailure(Reason.TOKEN, f"no request without credentials: {failure.detail}") from None


class HeaderAuth:
    """A fixed `Authorization` header; its secret is read at each use."""

    def __init__(self, kind: str, secret: Secret) -> None:
        self._kind = kind
        self._secret = secret

    async def exchange(self, send: Send, deadline: Deadline) -> WireResponse:
        """The answer. Raises `SecretUnreadable` where the secret cannot be read, or not be sent."""
        value = await _read(self._secret, deadline)
        if not re.fullmatch(r"[ -~]+", value):
            raise SecretUnreadable("the credentials have characters that a header cannot contain")
        return await send(f"{self._kind} {value}")


class BasicAuth:
    """HTTP Basic authentication (RFC 7617); the password is read at each use."""

    def __init__(self, username: str, password: Secret, censor: Censor | None = None) -> None:
        self._username = username
        self._password = password
        self._censor = censor or Censor()

    async def exchange(self, send: Send, deadline: Deadline) -> WireResponse:
        """The answer. Raises `SecretUnreadable`."""
        password = await _read(self._password, deadline)
        pair = base64.b64encode(f"{self._username}:{password}".encode()).decode()
        self._censor.add(pair)
        return await send(f"Basic {pair}")


async def _read(secret: Secret, deadline: Deadline) -> str:
    """A secret, within the poll's time. Raises `SecretUnreadable`."""
    try:
        async with deadline.limit():
            return await secret.read()
    except TimeoutError:
        raise SecretUnreadable(f"the credentials could not be read within {deadline.seconds:g} s") from None
