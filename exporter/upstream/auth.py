"""How a request authenticates: bearer token, fixed headers, Basic."""

from __future__ import annotations

import base64
import re
from collections.abc import AsyncGenerator

import httpx

from exporter.model.errors import Reason, TokenFailure
from exporter.model.secret import Secret
from exporter.upstream.access_token import TokenSource


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
        """Raises `TokenFailure` (secret) where it cannot be read, or not be sent."""
        value = self._secret.reveal()
        if not re.fullmatch(r"[ -~]+", value):
            raise TokenFailure(Reason.SECRET, "the credentials have characters that a header cannot carry")
        request.headers["authorization"] = f"{self._kind} {value}"
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
