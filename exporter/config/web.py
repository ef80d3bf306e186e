"""The web configuration: TLS, users and headers of the exporter's own pages, in the keys of the exporter-toolkit.

Source: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, ValidationError, model_validator

from exporter.config.nodes import parse_nodes
from exporter.config.problems import Places, describe, file_text
from exporter.config.scalars import File, SecretText, Strict
from exporter.model.errors import ConfigError, Problem
from exporter.model.secret import Secret

# Go's names (crypto/tls, which are IANA's) of what its CipherSuites() lists, and OpenSSL's
CIPHERS: Final[Mapping[str, str]] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
# TLS 1.3 has its own, which cannot be chosen, in Go as here
_TLS13_CIPHERS: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")
_HEADERS: Final[Mapping[str, tuple[str, ...]]] = {
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_UNSUPPORTED: Final[Mapping[tuple[str, ...], str]] = {
    ("tls_server_config", "curve_preferences"): "OpenSSL chooses the curve; remove the key",
    ("tls_server_config", "prefer_server_cipher_suites"): "the server's order holds always; remove the key",
    ("rate_limit",): "the number of connections is limited already; remove the key",
}
_BCRYPT: Final = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}")
_HEADER_TEXT: Final = re.compile(r"[\t -~]*")

ClientAuthType: TypeAlias = Literal["NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert"]
_VERIFY_NOTHING: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
Version: TypeAlias = Literal["TLS10", "TLS11", "TLS12", "TLS13"]


def _client_auth_type(value: object) -> object:
    """Refuses Go's policies that take any certificate: Python's ssl verifies each that it asks for."""
    if value in _VERIFY_NOTHING:
        raise ValueError(
            f"{value} verifies no certificate, so anybody could make one; "
            "write RequireAndVerifyClientCert with a client_ca_file, or NoClientCert"
        )
    return value or "NoClientCert"


def _cipher(value: str) -> str:
    if value not in CIPHERS and value not in _TLS13_CIPHERS:
        raise ValueError(f"not a cipher suite that may stand here; write {', '.join((*CIPHERS, *_TLS13_CIPHERS))}")
    return value


def _password_hash(value: object) -> Secret:
    if not isinstance(value, str) or not _BCRYPT.fullmatch(value):
        raise ValueError("not a bcrypt hash; make one with: htpasswd -nBC 10 NAME")
    return Secret(inline=value)


def _user(value: str) -> str:
    if not value or ":" in value:
        raise ValueError("not a user's name; a name is not empty and has no colon (RFC 7617)")
    return value


def _header(value: str) -> str:
    if not _HEADER_TEXT.fullmatch(value):
        raise ValueError("has characters that a header cannot carry; write one line of ASCII")
    return value


def _headers(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, text in value.items():
        if name not in _HEADERS:
            raise ValueError(f"{name} cannot be set; write one of {', '.join(_HEADERS)}")
        if _HEADERS[name] and text not in ("", *_HEADERS[name]):
            raise ValueError(f"{name} has a value that is not allowed; write {' or '.join(_HEADERS[name])}")
    return {name: text for name, text in value.items() if text}


def _none_as_empty(value: object) -> object:
    return {} if value is None else value


PasswordHash: TypeAlias = Annotated[Secret, BeforeValidator(_password_hash), PlainSerializer(str)]


class TLSServer(Strict):
    """Who we are, whom we let in, and how we speak; the toolkit's `tls_server_config`."""

    cert: str | None = None
    cert_file: File | None = None
    key: SecretText | None = None
    key_file: File | None = None
    client_ca: str | None = None
    client_ca_file: File | None = None
    client_auth_type: Annotated[ClientAuthType, BeforeValidator(_client_auth_type)] = "NoClientCert"
    client_allowed_sans: tuple[str, ...] | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_cipher)], ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        for name in ("cert", "key"):
            given = [getattr(self, name) is not None, getattr(self, f"{name}_file") is not None]
            if sum(given) != 1:
                raise ValueError(f"needs exactly one of {name} and {name}_file")
        if self.client_ca is not None and self.client_ca_file is not None:
            raise ValueError("has both client_ca and client_ca_file; keep one")
        has_authority = self.client_ca is not None or self.client_ca_file is not None
        if has_authority and self.client_auth_type == "NoClientCert":
            raise ValueError("has a client CA but asks no client for a certificate; write client_auth_type")
        if self.client_auth_type != "NoClientCert" and not has_authority:
            raise ValueError(f"client_auth_type {self.client_auth_type} needs a client_ca_file to verify with")
        if self.client_allowed_sans is not None and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version; lower it")
        if (
            self.min_version < "TLS13"
            and self.cipher_suites
            and not any(name in CIPHERS for name in self.cipher_suites)
        ):
            raise ValueError("cipher_suites has none for TLS 1.2; add one, or write min_version: TLS13")
        return self


class HTTPServer(Strict):
    """The toolkit's `http_server_config`. `http2` has no effect: HTTP/1.1 is served."""

    http2: bool = True
    headers: Annotated[
        Mapping[str, Annotated[str, AfterValidator(_header)]],
        BeforeValidator(_none_as_empty),
        AfterValidator(_headers),
    ] = Field(default_factory=dict)


class WebConfig(Strict):
    """A whole web configuration file."""

    tls_server_config: TLSServer | None = None
    http_server_config: Annotated[HTTPServer, BeforeValidator(_none_as_empty)] = HTTPServer()
    basic_auth_users: Annotated[
        Mapping[Annotated[str, AfterValidator(_user)], PasswordHash], BeforeValidator(_none_as_empty)
    ] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """A web configuration with what its files hold at one moment: two that are equal mean the same."""

    config: WebConfig
    places: Places = field(compare=False, repr=False)
    cert: bytes = b""
    key: bytes = field(default=b"", repr=False)
    client_ca: bytes | None = None


def load_web(file: Path) -> WebSettings:
    """The settings in `file` and in the files that it names. Raises `ConfigError` with every problem."""
    nodes = parse_nodes(file_text(file), str(file))
    places = Places(nodes)
    if nodes.value is None:  # more likely a file that is being written than one that is meant to take all away
        remedy = "write tls_server_config or basic_auth_users, or {} for neither"
        raise ConfigError((places.problem((), "is empty", remedy),))
    try:
        config = WebConfig.model_validate(nodes.value, context={"folder": file.parent})
    except ValidationError as error:
        raise ConfigError(_problems(error, places)) from None
    tls = config.tls_server_config
    if tls is None:
        return WebSettings(config, places)
    reader = _Files(places)
    cert = reader.content("cert", tls.cert, tls.cert_file)
    key = reader.content("key", None if tls.key is None else tls.key.reveal(), tls.key_file)
    client_ca = reader.content("client_ca", tls.client_ca, tls.client_ca_file)
    if reader.problems:
        raise ConfigError(tuple(reader.problems))
    return WebSettings(config, places, cert or b"", key or b"", client_ca)


def _problems(error: ValidationError, places: Places) -> tuple[Problem, ...]:
    problems = []
    for details in error.errors(include_url=False, include_input=False):
        where = tuple(part for part in details["loc"] if part != "[key]")
        wrong, remedy = describe(details, WebConfig)
        if where in _UNSUPPORTED:
            wrong, remedy = "is not supported", _UNSUPPORTED[tuple(map(str, where))]
        problems.append(places.problem(where, wrong, remedy))
    return tuple(sorted(problems, key=lambda problem: problem.line or 0))


class _Files:
    """Reads what keys name, collecting what cannot be read."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.problems: list[Problem] = []

    def content(self, key: str, inline: str | None, file: Path | None) -> bytes | None:
        if file is None:
            return None if inline is None else inline.encode()
        try:
            return file.read_bytes()
        except OSError as error:
            wrong = f"{file} cannot be read: {error.strerror}"
            remedy = "name a PEM file that this user can read"
            self.problems.append(self._places.problem(("tls_server_config", f"{key}_file"), wrong, remedy))
            return None
