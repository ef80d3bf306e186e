"""The keys of a configuration that say how to connect and authenticate: `tls_config`, `oauth2`, the static ways."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from exporter.config.headers import ConnectHeader, HttpHeaders, check_header_text
from exporter.config.proxy import ProxySettings, ProxyUrl
from exporter.config.scalars import File, NameText, Parameter, PositiveDuration, SecretText, Strict, Url
from exporter.model.secret import Secret


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
            _check_one_of(self, name)
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
            if url is not None and not is_protected(url):
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


class Authorization(Strict):
    """A static `Authorization` header; Prometheus' `authorization`."""

    type: Annotated[str, Field(min_length=1), AfterValidator(check_header_text)] = "Bearer"
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
        _check_one_of(self, "credentials")
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
        _check_one_of(self, "password")
        return self

    @property
    def secret(self) -> Secret:
        """The password, wherever it comes from."""
        return self.password or Secret(file=self.password_file)


def _check_one_of(section: Strict, name: str) -> None:
    """Raises `ValueError` unless a secret is given in one way: by itself, or as the file that it is in."""
    if (getattr(section, name) is None) == (getattr(section, f"{name}_file") is None):
        raise ValueError(f"needs exactly one of {name} and {name}_file; write one of the two")


def is_protected(url: str) -> bool:
    """Whether nobody on the way can read what is sent there: TLS, or loopback."""
    return urlsplit(url).scheme == "https" or is_on_loopback(url)


def is_on_loopback(url: str) -> bool:
    """Whether a URL's host is this machine."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
