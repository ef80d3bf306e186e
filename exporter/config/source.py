"""A source of a configuration: where to ask, and as whom. Frozen types, their defaults and their rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, model_validator

from exporter.config.scalars import (
    ByteCount,
    Count,
    File,
    Headers,
    LabelName,
    Name,
    NameText,
    Parameter,
    Parameters,
    PositiveDuration,
    ReferenceName,
    SecretSource,
    SecretText,
    Strict,
    Url,
    check_url,
    resolve_path,
)
from exporter.model.secret import Secret

INVALID_TOKEN_CODES: Final = (
    "UNAUTHENTICATED",  # Apollo and most others
    "UNAUTHORIZED",  # the name of status 401
    "401",
    "NOT_AUTHENTICATED",
    "AUTH_NOT_AUTHENTICATED",  # Hot Chocolate
    "AUTHENTICATION_REQUIRED",
    "AUTHENTICATION_FAILED",
    "AUTHENTICATION_ERROR",
    "INVALID_TOKEN",  # RFC 6750
    "INVALID_ACCESS_TOKEN",
    "INVALID_JWT",  # Hasura
    "JWT_EXPIRED",
    "TOKEN_EXPIRED",
    "EXPIRED_TOKEN",
    "ACCESS_TOKEN_EXPIRED",
    "TOKEN_REVOKED",
    "900901",  # WSO2's gateways: invalid, expired, inactive
    "900903",
    "900904",
)
SHIPPED_SCHEMAS: Final[Mapping[str, str]] = {"choreo": "insights.graphql"}


class TLSConfig(Strict):
    """How the upstream's certificate is verified, and the client's own; Prometheus' `tls_config`."""

    ca_file: File | None = None
    """The authorities that are trusted instead of the system's; PEM. Followed when it changes."""
    cert_file: File | None = None
    """The client's own certificate chain; PEM."""
    key_file: File | None = None
    """The key of `cert_file`, not encrypted; PEM."""
    server_name: str | None = None
    """The name that the certificate must have, where it is not the URL's host."""
    insecure_skip_verify: bool = False
    """Verifies nothing. Nobody should need it."""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    """The oldest version of TLS that is spoken."""
    x509_strict: bool = False
    """Refuses certificates that break a rule of RFC 5280, as many private authorities' do, as Python 3.13 does."""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together; write both or neither")
        return self


class OAuth2(Strict):
    """The client-credentials grant (RFC 6749 §4.4); Prometheus' `oauth2`."""

    token_url: Url
    """The token endpoint; `https`, or `http` on loopback."""
    revocation_url: Url | None = None
    """Where tokens are revoked (RFC 7009)."""
    revoke_on_exit: bool = False
    """Revokes the access token when the exporter stops; off where replicas may share a token."""
    client_id: NameText | None = None
    """The client's id, on Choreo the consumer key. One of this and `client_id_file`."""
    client_id_file: File | None = None
    """The file with the client's id; read at each use."""
    client_secret: SecretText | None = None
    """The client's secret, on Choreo the consumer secret. One of this and `client_secret_file`."""
    client_secret_file: File | None = None
    """The file with the client's secret; read at each use."""
    scopes: tuple[str, ...] = ()
    """The scopes that are asked for."""
    endpoint_params: Mapping[str, Parameter] = Field(default_factory=dict)
    """Further parameters of the token request, such as Choreo's `orgHandle`: text, or a secret as `{secret: TEXT}`,
    `{env: NAME}` or `{file: PATH}`."""
    auth_style: Literal["header", "params"] = "header"
    """Where id and secret stand in the token request: in the `Authorization` header, or among the parameters."""
    tls_config: TLSConfig = TLSConfig()
    """TLS to the token endpoint."""
    timeout: PositiveDuration = timedelta(seconds=30)
    """How long one token request may take in all."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name in ("client_id", "client_secret"):
            given = [getattr(self, name) is not None, getattr(self, f"{name}_file") is not None]
            if sum(given) != 1:
                raise ValueError(f"needs exactly one of {name} and {name}_file")
        if self.revoke_on_exit and self.revocation_url is None:
            raise ValueError("revoke_on_exit needs somewhere to ask; add revocation_url")
        for url in (self.token_url, self.revocation_url):
            if url is not None and not _is_protected(url):
                raise ValueError("would send the client secret in clear text; use https:// (http:// only on loopback)")
        return self

    @property
    def id_secret(self) -> Secret:
        """The client id, wherever it comes from."""
        return self.client_id or Secret(file=self.client_id_file)

    @property
    def key_secret(self) -> Secret:
        """The client secret, wherever it comes from."""
        return self.client_secret or Secret(file=self.client_secret_file)


def _is_protected(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


class Authorization(Strict):
    """A static `Authorization` header; Prometheus' `authorization`."""

    type: str = "Bearer"
    """The scheme of the header."""
    credentials: SecretText | None = None
    """What follows the scheme. One of this and `credentials_file`."""
    credentials_file: File | None = None
    """The file with the credentials; read at each use."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.credentials is None) == (self.credentials_file is None):
            raise ValueError("needs exactly one of credentials and credentials_file")
        return self

    @property
    def secret(self) -> Secret:
        """The credentials, wherever they come from."""
        return self.credentials or Secret(file=self.credentials_file)


class BasicAuth(Strict):
    """HTTP Basic authentication; Prometheus' `basic_auth`."""

    username: str
    """The user."""
    password: SecretText | None = None
    """The password. One of this and `password_file`."""
    password_file: File | None = None
    """The file with the password; read at each use."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("needs exactly one of password and password_file")
        return self

    @property
    def secret(self) -> Secret:
        """The password, wherever it comes from."""
        return self.password or Secret(file=self.password_file)


class RateLimit(Strict):
    """At most so many requests in any stretch of that length."""

    requests: Annotated[int, Field(ge=1)]
    """How many requests."""
    per: PositiveDuration
    """In any stretch of that length."""


def _schema_name(value: str, info: ValidationInfo) -> str:
    return value if value in SHIPPED_SCHEMAS else str(resolve_path(Path(value), info))


def _proxy_url(value: str) -> str:
    if "@" in value:
        remedy = 'write proxy_connect_header: {Proxy-Authorization: ["Basic ${PROXY_CREDENTIALS}"]}'
        raise ValueError(f"a URL must not carry a user or a password; {remedy}")
    return check_url(value)


@dataclass(frozen=True, slots=True)
class Access:
    """All of a source that decides how it is reached, and as whom. Its fields are named as the source's keys are.

    What talks to a source gets nothing else, so that a reload cannot overlook a key: equal access, same connections.
    """

    url: str
    oauth2: OAuth2 | None
    invalid_token_codes: tuple[str, ...]
    authorization: Authorization | None
    basic_auth: BasicAuth | None
    http_headers: Mapping[str, Secret]
    params: Mapping[str, tuple[str | Secret, ...]]
    tls_config: TLSConfig
    proxy_url: str | None
    proxy_connect_header: Mapping[str, tuple[Secret, ...]]
    concurrency: int
    max_body_size: int


class Source(Strict):
    """Where to ask, and as whom."""

    name: Name
    """The name, a label of the exporter's own metrics."""
    url: Url
    """The GraphQL endpoint; `https`, or `http` without credentials or on loopback."""
    schema_: Annotated[str, AfterValidator(_schema_name)] | None = Field(default=None, alias="schema")
    """`choreo` (shipped), or a file in SDL or with an introspection answer; documents and the types of their
    variables are checked against it."""
    labels: Mapping[LabelName, str] = Field(default_factory=dict)
    """Labels of every series of this source; all sources have the same names, with different values."""
    oauth2: OAuth2 | None = None
    """The client-credentials grant; the access token renews itself. Sources with the same `oauth2` share one token."""
    invalid_token_codes: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=100)] = (
        INVALID_TOKEN_CODES
    )
    """The codes of errors that mean, as status 401 does, that the API does not know the access token: it is renewed
    once, and the request repeated once. Case, `-` and `_` do not matter; a list of your own replaces this one."""
    authorization: Authorization | None = None
    """A static `Authorization` header."""
    basic_auth: BasicAuth | None = None
    """HTTP Basic authentication."""
    http_headers: Headers = Field(default_factory=dict)
    """Further headers; their values are secret."""
    params: Mapping[str, Parameters] = Field(default_factory=dict)
    """Parameters in the query of `url`, each with a value or a list of values: text, or a secret as `{secret: TEXT}`,
    `{env: NAME}` or `{file: PATH}`."""
    tls_config: TLSConfig = TLSConfig()
    """TLS to the API."""
    proxy_url: Annotated[str, AfterValidator(_proxy_url)] | None = None
    """A proxy, for the API and the token endpoint; the environment's proxies are not used."""
    proxy_connect_header: Mapping[str, Annotated[tuple[SecretText, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """Headers for the proxy, each with a list of values, which are secret: `{Proxy-Authorization: ["Basic
    ${PROXY_CREDENTIALS}"]}`."""
    values: Mapping[ReferenceName, Annotated[Any, WithJsonSchema({})]] = Field(default_factory=dict)
    """What `{{ source.NAME }}` refers to."""
    secret_values: Mapping[ReferenceName, SecretSource] = Field(default_factory=dict)
    """The same, from `{env: NAME}` or `{file: PATH}`, for variables only; never shown."""
    concurrency: Annotated[Count, Field(le=1000)] = 10
    """Polls at once."""
    rate_limit: RateLimit | None = None
    """Never more requests than that in any stretch of that length; queries wait in turn, however many calls each
    has."""
    max_body_size: ByteCount = 8 * 2**20
    """The largest answer."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        ways = [self.oauth2, self.authorization, self.basic_auth]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("has more than one of oauth2, authorization and basic_auth; keep one")
        if self.proxy_connect_header and self.proxy_url is None:
            raise ValueError("has proxy_connect_header but no proxy_url; add it")
        if any(name.lower() == "authorization" for name in self.http_headers) and any(ways):
            raise ValueError("http_headers sets Authorization beside another way to authenticate; keep one")
        for name in self.values:
            if name in self.secret_values:
                raise ValueError(f"{name} stands in both values and secret_values; keep one")
        if (any(ways) or self.secrets) and not _is_protected(self.url):
            raise ValueError("would send credentials in clear text; use https:// (http:// only on loopback)")
        return self

    @property
    def secrets(self) -> tuple[tuple[tuple[str, ...], Secret], ...]:
        """Every secret, with its key."""
        found: list[tuple[tuple[str, ...], Any]] = []
        if self.oauth2 is not None:
            params = self.oauth2.endpoint_params
            found.append((("oauth2", "client_id_file"), self.oauth2.id_secret))
            found.append((("oauth2", "client_secret_file"), self.oauth2.key_secret))
            found.extend((("oauth2", "endpoint_params", name), one) for name, one in params.items())
        if self.authorization is not None:
            found.append((("authorization", "credentials_file"), self.authorization.secret))
        if self.basic_auth is not None:
            found.append((("basic_auth", "password_file"), self.basic_auth.secret))
        of_proxy = self.proxy_connect_header
        found.extend((("http_headers", name), secret) for name, secret in self.http_headers.items())
        found.extend((("params", name), one) for name, some in self.params.items() for one in some)
        found.extend((("proxy_connect_header", name), one) for name, some in of_proxy.items() for one in some)
        found.extend((("secret_values", name), secret) for name, secret in self.secret_values.items())
        return tuple((key, secret) for key, secret in found if isinstance(secret, Secret))

    @property
    def access(self) -> Access:
        """How it is reached, and as whom."""
        return Access(**{field.name: getattr(self, field.name) for field in fields(Access)})
