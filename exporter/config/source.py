"""A source of a configuration: what is asked, and how. Frozen types, their defaults and their rules."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from msgspec import Struct
from pydantic import (
    BeforeValidator,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)

from exporter.config.credentials import Authorization, BasicAuth, OAuth2, TLSConfig, is_on_loopback, is_protected
from exporter.config.headers import ConnectHeader, HttpHeaders, hidden_headers
from exporter.config.proxy import ProxySettings, ProxyUrl
from exporter.config.scalars import (
    ByteCount,
    Count,
    LabelName,
    Name,
    Parameters,
    PositiveDuration,
    ReferenceName,
    SecretSource,
    Strict,
    Url,
    Zone,
    resolve_path,
)
from exporter.model.secret import FromEnvironment, Secret
from exporter.model.template import exact_text

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


class RateLimit(Strict):
    """At most so many requests in any stretch of that length."""

    requests: Annotated[int, Field(ge=1)]
    """How many requests.

    Example: 300"""
    per: PositiveDuration
    """In any stretch of that length.

    Example: 5m"""


def _schema_name(value: object, info: ValidationInfo) -> str | tuple[str, ...] | None:
    match value:
        case None:
            return None
        case str() if value:
            return value if value in SHIPPED_SCHEMAS else _schema_pattern(value, info)
        case [*names] if names and all(isinstance(name, str) and name for name in names):
            return tuple(_schema_pattern(str(name), info) for name in names)
    raise ValueError("not a schema; write choreo, a file, or a list of files and patterns")


def _schema_pattern(name: str, info: ValidationInfo) -> str:
    """The pattern, which begins at the configuration's folder, whatever characters its name has."""
    folder = resolve_path(Path(), info)
    return str(Path(glob.escape(str(folder))) / name)


_SCHEMA_SCHEMA: Final = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
)


class Access(Struct, frozen=True):
    """All of a source that decides how it is reached, and as whom. Its fields are named as the source's keys are.

    What talks to a source gets nothing else, so that a reload cannot overlook a key: equal access, same connections.
    """

    url: str
    oauth2: OAuth2 | None
    invalid_token_codes: tuple[str, ...]
    authorization: Authorization | None
    basic_auth: BasicAuth | None
    http_headers: HttpHeaders
    params: Mapping[str, tuple[str | Secret, ...]]
    tls_config: TLSConfig
    proxy_url: str | None
    no_proxy: str
    proxy_from_environment: bool
    proxy_connect_header: Mapping[str, tuple[Secret, ...]]
    concurrency: int
    max_body_size: int

    @property
    def proxy(self) -> ProxySettings:
        """The proxy to the API."""
        return ProxySettings(self.proxy_url, self.no_proxy, self.proxy_from_environment, self.proxy_connect_header)

    @property
    def token_proxy(self) -> ProxySettings:
        """The proxy to the token endpoint: its own, else the API's."""
        return self.oauth2.proxy if self.oauth2 is not None and self.oauth2.proxy.is_set else self.proxy


def _keep_variables(value: object, check: ValidatorFunctionWrapHandler) -> Any:
    """The checked text, which still knows its variables; pydantic makes a plain text of it."""
    text = check(value)
    if not isinstance(value, FromEnvironment):
        return text
    return FromEnvironment(text, value.values, value.shown.rstrip("\r\n"))


class TargetGroup(Strict):
    """APIs of one kind with the same labels, as in Prometheus' `static_configs` and files of `file_sd_configs`."""

    targets: Annotated[tuple[Annotated[Url, WrapValidator(_keep_variables)], ...], Field(min_length=1)]
    """The URLs of their GraphQL endpoints.

    Example: ["https://bern.example.com/graphql"]"""
    labels: Mapping[ReferenceName, Annotated[str, WrapValidator(_keep_variables)]] = Field(default_factory=dict)
    """Labels of every series of these targets, and what `{{ target.NAME }}` refers to in the source. Those that begin
    with `__` are for references alone.

    Example: {shop: bern, __secret: secrets/bern}"""


class FileDiscovery(Strict):
    """Files with targets, in the format of Prometheus' `file_sd_configs`."""

    files: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
    """Names and patterns of files in YAML or JSON; relative ones are looked for beside the file that names them. The
    exporter follows them: a changed file is taken over within seconds, and a faulty one leaves the old targets in use.

    Example: [targets/*.yaml]"""


class Source(Strict):
    """The APIs, and how to authenticate."""

    name: Name
    """The name, a label of the exporter's own metrics.

    Example: shop"""
    url: Url
    """The GraphQL endpoint; `https`, or `http` without credentials or on loopback. Or, for many APIs of one kind,
    `static_configs` or `file_sd_configs`.

    Example: https://shop.example.com/graphql"""
    static_configs: tuple[TargetGroup, ...] = ()
    """Many APIs of one kind, each of which becomes a source with the other keys of this one. It is named after this one
    and its labels, or the host and the path of its URL.

    Example: [{targets: ["https://bern.example.com/graphql"], labels: {shop: bern}}]"""
    file_sd_configs: tuple[FileDiscovery, ...] = ()
    """The same, from files.

    Example: [{files: [targets/*.yaml]}]"""
    schema_: Annotated[Any, BeforeValidator(_schema_name), _SCHEMA_SCHEMA] = Field(default=None, alias="schema")
    """`choreo` (shipped), a file in SDL or with an introspection answer, or a list of files in SDL, and patterns of
    their names, that are one schema together; documents and the types of their variables are checked against it.

    Example: schema.graphql"""
    labels: Mapping[LabelName, str] = Field(default_factory=dict)
    """Labels of every series of this source; all sources have the same names, with different values.

    Example: {shop: bern}"""
    oauth2: OAuth2 | None = None
    """The client-credentials grant; the exporter renews the access token. Sources with the same `oauth2` share one
    token; those that ask for the same token in different ways cannot, and `--config.check` warns of them.

    Example: {token_url: "https://id.example.com/token", client_id: exporter, client_secret_file: secrets/client}"""
    invalid_token_codes: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(max_length=100)] = (
        INVALID_TOKEN_CODES
    )
    """The codes of errors that mean, as status 401 does, that the API does not know the access token: it is renewed
    once, and the request repeated once. Case, `-` and `_` do not matter; a list of your own replaces this one.

    Example: [TOKEN_EXPIRED]"""
    authorization: Authorization | None = None
    """A static `Authorization` header.

    Example: {credentials: "${TOKEN}"}"""
    basic_auth: BasicAuth | None = None
    """HTTP Basic authentication.

    Example: {username: ann, password_file: secrets/password}"""
    http_headers: HttpHeaders = Field(default_factory=dict)
    """Further headers, each with a value, which is secret, or with `values`, `secrets` and `files` as in Prometheus.

    Example: {X-Api-Key: "${API_KEY}"}"""
    params: Mapping[str, Parameters] = Field(default_factory=dict)
    """Parameters in the query of `url`, each with a value or a list of values: text, or a secret as `{secret: TEXT}`,
    `{env: NAME}` or `{file: PATH}`.

    Example: {version: [v1, v2], key: {env: API_KEY}}"""
    tls_config: TLSConfig = TLSConfig()
    """TLS to the API.

    Example: {ca_file: tls/ca.pem}"""
    proxy_url: ProxyUrl | None = None
    """A proxy, for the API and the token endpoint, unless `oauth2` has its own; the environment's proxies are not used
    unless `proxy_from_environment` says so.

    Example: http://proxy.example.com:3128"""
    no_proxy: str = ""
    """Hosts that are reached without `proxy_url`, with commas between: domains with their subdomains, addresses,
    networks such as `10.0.0.0/8`, each with an optional port.

    Example: localhost,.example.com,10.0.0.0/8"""
    proxy_from_environment: bool = False
    """Takes the proxy from `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.

    Example: true"""
    proxy_connect_header: ConnectHeader = Field(default_factory=dict)
    """Headers for the proxy, each with a list of values, which are secret: `{Proxy-Authorization: ["Basic
    ${PROXY_CREDENTIALS}"]}`.

    Example: {Proxy-Authorization: ["Basic ${PROXY_CREDENTIALS}"]}"""
    values: Mapping[ReferenceName, Annotated[Any, WithJsonSchema({})]] = Field(default_factory=dict)
    """What `{{ source.NAME }}` refers to.

    Example: {channel: default}"""
    secret_values: Mapping[ReferenceName, SecretSource] = Field(default_factory=dict)
    """The same, from `{env: NAME}` or `{file: PATH}`, for variables only; never shown.

    Example: {key: {env: API_KEY}}"""
    concurrency: Annotated[Count, Field(le=1000)] = 10
    """Polls at once.

    Example: 4"""
    rate_limit: RateLimit | None = None
    """The largest number of requests in any period of that length; queries take turns.

    Example: {requests: 300, per: 5m}"""
    max_body_size: ByteCount = 8 * 2**20
    """The largest answer.

    Example: 32MiB"""
    timezone: Zone = ZoneInfo("UTC")
    """The clock of windows, of periods and of times without an offset, for queries without a `timezone`; an IANA
    name.

    Example: Asia/Colombo"""

    def __eq__(self, other: object) -> bool:
        """As of every section, but a value of another type is another one: 1 is not true."""
        if not isinstance(other, Source) or not super().__eq__(other):
            return False
        return exact_text(self.values) == exact_text(other.values)

    def __hash__(self) -> int:
        return hash(self.name)

    @model_validator(mode="after")
    def _sound(self) -> Self:
        ways = [self.oauth2, self.authorization, self.basic_auth]
        if sum(way is not None for way in ways) > 1:
            raise ValueError("has more than one of oauth2, authorization and basic_auth; keep one")
        if any(name.lower() == "authorization" for name in self.http_headers) and any(ways):
            raise ValueError("http_headers sets Authorization as well as another way to authenticate; keep one")
        return self

    @model_validator(mode="after")
    def _sound_proxy(self) -> Self:
        self.access.proxy  # noqa: B018 - which says what is wrong
        return self

    @model_validator(mode="after")
    def _sound_values(self) -> Self:
        for name in self.values:
            if name in self.secret_values:
                raise ValueError(f"{name} is in both values and secret_values; keep one")
        return self

    @model_validator(mode="after")
    def _sound_url(self) -> Self:
        if self._sends_credentials and not is_protected(self.url):
            raise ValueError("url would send credentials in clear text; use https:// (http:// only on loopback)")
        return self

    @model_validator(mode="after")
    def _sound_url_behind_proxy(self) -> Self:
        access, oauth2 = self.access, self.oauth2
        sent = [("url", self.url, access.proxy)] if self._sends_credentials else []
        if oauth2 is not None:
            sent += [("token_url", oauth2.token_url, access.token_proxy)]
            sent += [("revocation_url", oauth2.revocation_url or "", access.token_proxy)]
        for key, url, proxy in sent:
            if urlsplit(url).scheme == "http" and _leaves_machine(proxy):
                wrong = f"{key} would send credentials in clear text to the proxy"
                raise ValueError(f"{wrong}; add no_proxy: localhost beside proxy_url")
        return self

    @property
    def _sends_credentials(self) -> bool:
        return any((self.oauth2, self.authorization, self.basic_auth, self.secrets))

    @property
    def secrets(self) -> tuple[tuple[tuple[str, ...], Secret], ...]:
        """Every secret, with its key."""
        found: list[tuple[tuple[str, ...], Any]] = []
        if self.oauth2 is not None:
            params = self.oauth2.endpoint_params
            found.append((("oauth2", _written_key(self.oauth2, "client_id")), self.oauth2.id_secret))
            if self.oauth2.has_secret:
                found.append((("oauth2", _written_key(self.oauth2, "client_secret")), self.oauth2.key_secret))
            found.extend(hidden_headers(self.oauth2, ("oauth2",)))
            found.extend((("oauth2", "endpoint_params", name), one) for name, one in params.items())
        if (static := self.authorization) is not None:
            found.append((("authorization", _written_key(static, "credentials")), static.secret))
        if self.basic_auth is not None:
            found.append((("basic_auth", _written_key(self.basic_auth, "password")), self.basic_auth.secret))
        found.extend(hidden_headers(self, ()))
        found.extend((("params", name), one) for name, some in self.params.items() for one in some)
        found.extend((("secret_values", name), secret) for name, secret in self.secret_values.items())
        return tuple((key, secret) for key, secret in found if isinstance(secret, Secret))

    @property
    def access(self) -> Access:
        """How it is reached, and as whom."""
        return Access(**{name: getattr(self, name) for name in Access.__struct_fields__})


def _leaves_machine(proxy: ProxySettings) -> bool:
    """Whether a proxy elsewhere gets what is sent to loopback, too: with `no_proxy`, it never does."""
    return proxy.url is not None and not proxy.no_proxy and not is_on_loopback(proxy.url)


def _written_key(section: Strict, name: str) -> str:
    """The key of a section that has a secret: itself, or that of its file."""
    return name if getattr(section, name) is not None else f"{name}_file"
