"""A source of a configuration: where to ask, and as whom. Frozen types, their defaults and their rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from msgspec import Struct
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from exporter.config.proxy import ProxySettings
from exporter.config.scalars import (
    ByteCount,
    Count,
    File,
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
    Zone,
    check_url,
    mark_credentials,
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


def _proxy_url(value: str) -> str:
    if "@" in value:
        remedy = 'write proxy_connect_header: {Proxy-Authorization: ["Basic ${PROXY_CREDENTIALS}"]}'
        raise ValueError(f"a URL must not carry a user or a password; {remedy}")
    return check_url(value)


ProxyUrl: TypeAlias = Annotated[str, AfterValidator(_proxy_url)]
ConnectHeader: TypeAlias = Mapping[str, Annotated[tuple[SecretText, ...], Field(min_length=1)]]


class TLSConfig(Strict):
    """How the upstream's certificate is verified, and the client's own; Prometheus' `tls_config`."""

    ca_file: File | None = None
    """The trusted authorities, instead of the system's; PEM. Reloaded when it changes.

    Example: tls/ca.pem"""
    cert_file: File | None = None
    """The client's own certificate chain; PEM.

    Example: tls/client.pem"""
    key_file: File | None = None
    """The key of `cert_file`, not encrypted; PEM.

    Example: tls/client-key.pem"""
    server_name: str | None = None
    """The name in the certificate, if it is not the URL's host.

    Example: api.example.com"""
    insecure_skip_verify: bool = False
    """Turns verification off. Not recommended.

    Example: true"""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"
    """The oldest TLS version.

    Example: TLS13"""
    x509_strict: bool = False
    """Refuses certificates that break a rule of RFC 5280, as Python 3.13 does; those of many private authorities do.

    Example: true"""

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together; write both or neither")
        return self


class HeaderValues(Strict):
    """The values of a header, one line for each; Prometheus' form."""

    values: tuple[str, ...] = ()
    """Values that may be shown.

    Example: [acme]"""
    secrets: tuple[SecretText, ...] = ()
    """Values that are secret.

    Example: ["${API_KEY}"]"""
    files: tuple[File, ...] = ()
    """Files with a value each; read at each use, so that a key can be rotated.

    Example: [secrets/api-key]"""

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not (self.values or self.secrets or self.files):
            raise ValueError("has no value; write values, secrets or files")
        return self

    @property
    def hidden(self) -> tuple[Secret, ...]:
        """The values that are secret."""
        return (*self.secrets, *(Secret(file=each) for each in self.files))

    @property
    def all(self) -> tuple[Secret, ...]:
        """Every value, wherever it comes from."""
        return (*(Secret(inline=each) for each in self.values), *self.hidden)


def _kind_of_header(value: object) -> str:
    listed = isinstance(value, HeaderValues) or (
        isinstance(value, dict) and value.keys() <= HeaderValues.model_fields.keys()
    )
    return "[values]" if listed else "[text]"


def _header_text(value: object) -> object:
    if isinstance(value, dict):
        raise ValueError("not a header's value; write text, or lists of values, secrets and files")
    return value


_Headers: TypeAlias = Mapping[
    str,
    Annotated[
        Annotated[NameText, BeforeValidator(_header_text), Tag("[text]")] | Annotated[HeaderValues, Tag("[values]")],
        Discriminator(_kind_of_header),
    ],
]
HttpHeaders: TypeAlias = Annotated[_Headers, AfterValidator(mark_credentials)]
"""Headers, each as a secret text or with its values, secrets and files."""


def header_secrets(headers: _Headers) -> tuple[tuple[str, Secret], ...]:
    """The lines of headers: name and value, wherever it comes from."""
    return tuple(
        (name, secret)
        for name, value in headers.items()
        for secret in (value.all if isinstance(value, HeaderValues) else (value,))
    )


class OAuth2(Strict):
    """The client-credentials grant (RFC 6749 §4.4); Prometheus' `oauth2`."""

    token_url: Url
    """The token endpoint; `https`, or `http` on loopback.

    Example: https://api.asgardeo.io/t/acme/oauth2/token"""
    revocation_url: Url | None = None
    """Where tokens are revoked (RFC 7009).

    Example: https://api.asgardeo.io/t/acme/oauth2/revoke"""
    revoke_on_exit: bool = False
    """Revokes the access token when the exporter stops; off where replicas may share a token.

    Example: true"""
    client_id: NameText | None = None
    """The client's id, on Choreo the consumer key. One of this and `client_id_file`.

    Example: ${CLIENT_ID}"""
    client_id_file: File | None = None
    """The file with the client's id; read at each use.

    Example: secrets/client-id"""
    client_secret: SecretText | None = None
    """The client's secret, on Choreo the consumer secret. One of this and `client_secret_file`, unless `auth_style` is
    `tls_client_auth`.

    Example: ${CLIENT_SECRET}"""
    client_secret_file: File | None = None
    """The file with the client's secret; read at each use.

    Example: secrets/client-secret"""
    scopes: tuple[str, ...] = ()
    """The requested scopes.

    Example: [insights.read]"""
    endpoint_params: Mapping[str, Parameter] = Field(default_factory=dict)
    """Further parameters of the token request, such as Choreo's `orgHandle`: text, or a secret as `{secret: TEXT}`,
    `{env: NAME}` or `{file: PATH}`.

    Example: {orgHandle: acme}"""
    auth_style: Literal["header", "params", "tls_client_auth"] = "header"
    """Where the token request has id and secret: in the `Authorization` header, or in the parameters. With
    `tls_client_auth` (RFC 8705) the certificate of `tls_config` authenticates the client, without a secret.

    Example: params"""
    http_headers: HttpHeaders = Field(default_factory=dict)
    """Further headers for the token endpoint, as the source's.

    Example: {X-Tenant: acme}"""
    tls_config: TLSConfig = TLSConfig()
    """TLS to the token endpoint, and to its proxy.

    Example: {ca_file: tls/ca.pem}"""
    proxy_url: ProxyUrl | None = None
    """A proxy for the token endpoint; without a proxy key here, the source's are used.

    Example: http://proxy.example.com:3128"""
    no_proxy: str = ""
    """Hosts that are reached without `proxy_url`, as the source's.

    Example: localhost,10.0.0.0/8"""
    proxy_from_environment: bool = False
    """Takes the proxy from the environment, as the source's.

    Example: true"""
    proxy_connect_header: ConnectHeader = Field(default_factory=dict)
    """Headers for the proxy, as the source's.

    Example: {Proxy-Authorization: ["Basic ${PROXY_CREDENTIALS}"]}"""
    timeout: PositiveDuration = timedelta(seconds=30)
    """Timeout of a token request.

    Example: 10s"""

    @model_validator(mode="after")
    def _sound_credentials(self) -> Self:
        for name in ("client_id", "client_secret") if self.has_secret else ("client_id",):
            given = [getattr(self, name) is not None, getattr(self, f"{name}_file") is not None]
            if sum(given) != 1:
                raise ValueError(f"needs exactly one of {name} and {name}_file; write one of the two")
        if not self.has_secret and self.tls_config.cert_file is None:
            raise ValueError("auth_style tls_client_auth needs a certificate; add cert_file and key_file to tls_config")
        if not self.has_secret and (self.client_secret or self.client_secret_file):
            raise ValueError("has a client secret as well as auth_style tls_client_auth; remove it")
        return self

    @model_validator(mode="after")
    def _sound_revocation(self) -> Self:
        if self.revoke_on_exit and self.revocation_url is None:
            raise ValueError("revoke_on_exit needs revocation_url; add it")
        return self

    @model_validator(mode="after")
    def _sound_urls(self) -> Self:
        for key in ("token_url", "revocation_url"):
            url = getattr(self, key)
            if url is not None and not _is_protected(url):
                wrong = f"{key} would send the client secret in clear text"
                raise ValueError(f"{wrong}; use https:// (http:// only on loopback)")
        return self

    @model_validator(mode="after")
    def _sound_proxy(self) -> Self:
        self.proxy  # noqa: B018 - which says what is wrong
        return self

    @property
    def proxy(self) -> ProxySettings:
        """The proxy of its own."""
        return ProxySettings(self.proxy_url, self.no_proxy, self.proxy_from_environment, self.proxy_connect_header)

    @property
    def has_secret(self) -> bool:
        """Whether a secret proves the client, and not a certificate."""
        return self.auth_style != "tls_client_auth"

    @property
    def id_secret(self) -> Secret:
        """The client id, wherever it comes from."""
        return self.client_id or Secret(file=self.client_id_file)

    @property
    def key_secret(self) -> Secret:
        """The client secret, wherever it comes from; there is none unless `has_secret`."""
        return self.client_secret or Secret(file=self.client_secret_file)


def _is_protected(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


class Authorization(Strict):
    """A static `Authorization` header; Prometheus' `authorization`."""

    type: str = "Bearer"
    """The scheme of the header.

    Example: Token"""
    credentials: SecretText | None = None
    """What follows the scheme. One of this and `credentials_file`.

    Example: ${TOKEN}"""
    credentials_file: File | None = None
    """The file with the credentials; read at each use.

    Example: secrets/token"""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.credentials is None) == (self.credentials_file is None):
            raise ValueError("needs exactly one of credentials and credentials_file; write one of the two")
        return self

    @model_validator(mode="after")
    def _scheme_once(self) -> Self:
        written = self.credentials.inline if self.credentials is not None else None
        if written is not None and written.lower().startswith(f"{self.type.lower()} "):
            raise ValueError(f"credentials begin with {self.type}, which is sent before them; leave it out there")
        return self

    @property
    def secret(self) -> Secret:
        """The credentials, wherever they come from."""
        return self.credentials or Secret(file=self.credentials_file)


class BasicAuth(Strict):
    """HTTP Basic authentication; Prometheus' `basic_auth`."""

    username: str
    """The user.

    Example: ann"""
    password: SecretText | None = None
    """The password. One of this and `password_file`.

    Example: ${PASSWORD}"""
    password_file: File | None = None
    """The file with the password; read at each use.

    Example: secrets/password"""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.password is None) == (self.password_file is None):
            raise ValueError("needs exactly one of password and password_file; write one of the two")
        return self

    @property
    def secret(self) -> Secret:
        """The password, wherever it comes from."""
        return self.password or Secret(file=self.password_file)


class RateLimit(Strict):
    """At most so many requests in any stretch of that length."""

    requests: Annotated[int, Field(ge=1)]
    """How many requests.

    Example: 300"""
    per: PositiveDuration
    """In any stretch of that length.

    Example: 5m"""


def _hidden_headers(section: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Secret]]:
    """The secret headers of a section that talks to somebody: for them, and for the proxy before them."""
    for name, value in section.http_headers.items():
        hidden = value.hidden if isinstance(value, HeaderValues) else (value,)
        yield from (((*place, "http_headers", name), secret) for secret in hidden)
    for name, secrets in section.proxy_connect_header.items():
        yield from (((*place, "proxy_connect_header", name), secret) for secret in secrets)


def _schema_name(value: object, info: ValidationInfo) -> str | tuple[str, ...] | None:
    match value:
        case None:
            return None
        case str() if value:
            return value if value in SHIPPED_SCHEMAS else str(resolve_path(Path(value), info))
        case [*names] if names and all(isinstance(name, str) and name for name in names):
            return tuple(str(resolve_path(Path(str(name)), info)) for name in names)
    raise ValueError("not a schema; write choreo, a file, or a list of files and patterns")


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


class TargetGroup(Strict):
    """APIs of one kind with the same labels, as in Prometheus' `static_configs` and files of `file_sd_configs`."""

    targets: Annotated[tuple[Url, ...], Field(min_length=1)]
    """The URLs of their GraphQL endpoints.

    Example: ["https://bern.example.com/graphql"]"""
    labels: Mapping[ReferenceName, str] = Field(default_factory=dict)
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
    and its labels.

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
        ways = [self.oauth2, self.authorization, self.basic_auth]
        if (any(ways) or self.secrets) and not _is_protected(self.url):
            raise ValueError("url would send credentials in clear text; use https:// (http:// only on loopback)")
        return self

    @property
    def secrets(self) -> tuple[tuple[tuple[str, ...], Secret], ...]:
        """Every secret, with its key."""
        found: list[tuple[tuple[str, ...], Any]] = []
        if self.oauth2 is not None:
            params = self.oauth2.endpoint_params
            found.append((("oauth2", "client_id_file"), self.oauth2.id_secret))
            if self.oauth2.has_secret:
                found.append((("oauth2", "client_secret_file"), self.oauth2.key_secret))
            found.extend(_hidden_headers(self.oauth2, ("oauth2",)))
            found.extend((("oauth2", "endpoint_params", name), one) for name, one in params.items())
        if self.authorization is not None:
            found.append((("authorization", "credentials_file"), self.authorization.secret))
        if self.basic_auth is not None:
            found.append((("basic_auth", "password_file"), self.basic_auth.secret))
        found.extend(_hidden_headers(self, ()))
        found.extend((("params", name), one) for name, some in self.params.items() for one in some)
        found.extend((("secret_values", name), secret) for name, secret in self.secret_values.items())
        return tuple((key, secret) for key, secret in found if isinstance(secret, Secret))

    @property
    def access(self) -> Access:
        """How it is reached, and as whom."""
        return Access(**{name: getattr(self, name) for name in Access.__struct_fields__})
