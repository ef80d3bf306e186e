"""How a request authenticates: bearer token, fixed headers, Basic."""

from __future__ import annotations

import base64
import re

from exporter.model.errors import Reason, SecretUnreadable, TokenFailure, UpstreamFailure
from exporter.model.secret import Secret
from exporter.upstream.access_token import AccessToken, TokenSource
from exporter.upstream.deadline import Deadline
from exporter.upstream.transport import Send, WireResponse


class BearerAuth:
    """The access token on every request; after a 401 the token is renewed once and the request repeated once."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    async def exchange(self, send: Send, deadline: Deadline) -> WireResponse:
        """The answer. Raises `UpstreamFailure`, for a token that does not come too, and `SecretUnreadable`."""
        token = await self._token(deadline)
        response = await send(f"Bearer {token.text}")
        if response.status == 401 and self._source.reject(token):
            token = await self._token(deadline)
            response = await send(f"Bearer {token.text}")
            if response.status != 401:
                self._source.accept()
        return response

    async def _token(self, deadline: Deadline) -> AccessToken:
        try:
            async with deadline.limit():
                return await self._source.token()
        except TimeoutError:
            raise UpstreamFailure(Reason.TOKEN, f"no access token within {deadline.seconds:g} s") from None
        except TokenFailure as failure:
            raise UpstreamFailure(Reason.TOKEN, f"no request without credentials: {failure.detail}") from None


class HeaderAuth:
    """A fixed `Authorization` header; its secret is read at each use."""

    def __init__(self, kind: str, secret: Secret) -> None:
        self._kind = kind
        self._secret = secret

    async def exchange(self, send: Send, deadline: Deadline) -> WireResponse:
        """The answer. Raises `SecretUnreadable` where the secret cannot be read, or not be sent."""
        value = self._secret.reveal()
        if not re.fullmatch(r"[ -~]+", value):
            raise SecretUnreadable("the credentials have characters that a header cannot carry")
        return await send(f"{self._kind} {value}")


class BasicAuth:
    """HTTP Basic authentication (RFC 7617); the password is read at each use."""

    def __init__(self, username: str, password: Secret) -> None:
        self._username = username
        self._password = password

    async def exchange(self, send: Send, deadline: Deadline) -> WireResponse:
        """The answer. Raises `SecretUnreadable`."""
        pair = f"{self._username}:{self._password.reveal()}".encode()
        return await send(f"Basic {base64.b64encode(pair).decode()}")
