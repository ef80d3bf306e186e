"""The web configuration: TLS, users and headers of the exporter's own pages, in the keys of the exporter-toolkit.

Source: https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from exporter.config.problems import Places, describe, file_text
from exporter.config.scalars import Strict
from exporter.config.yaml_reader import parse_nodes
from exporter.model.errors import ConfigError, Problem
from exporter.model.file_read import MAX_PEM_BYTES, read_file
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
# Go's HTTP/2 server does not start without one of them, so the toolkit refuses the file (RFC 9113 §9.2.2)
_HTTP2_CIPHERS: Final = frozenset({"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"})
_GO_DURATION: Final = re.compile(r"[-+]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|[-+]?0")
_GO_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
# The salt's 128 bits leave two in its last character (bcrypt takes no others)
_BCRYPT: Final = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_HEADER_TEXT: Final = re.compile(r"[\t -~]*")

_POLICIES: Final = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_VERIFY_NOTHING: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
Version: TypeAlias = Literal["TLS10", "TLS11", "TLS12", "TLS13"]
Curve: TypeAlias = Literal["CurveP256", "CurveP384", "CurveP521", "X25519"]


def _policy(value: str) -> str:
    if value not in ("", *_POLICIES, *_VERIFY_NOTHING):
        raise ValueError(f"not one of the allowed words; write {', '.join(_POLICIES)}")
    return value


def _cipher(value: str) -> str:
    if value not in CIPHERS and value not in _TLS13_CIPHERS:
        raise ValueError(f"not a supported cipher suite; write {', '.join((*CIPHERS, *_TLS13_CIPHERS))}")
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
        raise ValueError("has characters that a header cannot contain; write one line of ASCII")
    return value


def _headers(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, text in value.items():
        if name not in _HEADERS:
            raise ValueError(f"{name} cannot be set; write one of {', '.join(_HEADERS)}")
        if _HEADERS[name] and text not in ("", *_HEADERS[name]):
            raise ValueError(f"{name} has a value that is not allowed; write {' or '.join(_HEADERS[name])}")
    return {name: text for name, text in value.items() if text}


def _text(value: object) -> object:
    """A scalar as the toolkit's YAML library writes it where a text is wanted."""
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return ""
    return str(value) if isinstance(value, int | float) else value


def _interval_seconds(value: object) -> float:
    """Go's duration, which is in nanoseconds where it has no unit and is no text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value / 1e9
    if not isinstance(value, str) or not _GO_DURATION.fullmatch(value):
        raise ValueError("not a duration; write one such as 500ms, 1s or 1m30s, or 0 for no limit")
    parts = re.findall(r"([\d.]+)([a-zµμ]+)", value)
    seconds = sum(float(number) * _GO_UNITS[unit] for number, unit in parts)
    return -seconds if value.startswith("-") else seconds


def _inline_secret(value: object) -> Secret:
    if not isinstance(value, str):
        raise ValueError("must be text; write the key as a block that begins with |")
    return Secret(inline=value)


PasswordHash: TypeAlias = Annotated[Secret, BeforeValidator(_password_hash), PlainSerializer(str)]


Text: TypeAlias = Annotated[str, BeforeValidator(_text)]


class _Section(Strict):
    """A section in which a key without a value is as good as none, as the toolkit has it."""

    @model_validator(mode="before")
    @classmethod
    def _drop_empty_keys(cls, value: object) -> object:
        if value is None:
            return {}
        return {key: each for key, each in value.items() if each is not None} if isinstance(value, dict) else value


class TLSServer(_Section):
    """Who we are, whom we let in, and how we speak; the toolkit's `tls_server_config`.

    Of a text and its file, the file is taken, as the toolkit does. An empty text is none.
    """

    cert: str = ""
    cert_file: str = ""
    key: Annotated[Secret, BeforeValidator(_inline_secret), PlainSerializer(str)] = Secret(inline="")
    key_file: str = ""
    client_ca: str = ""
    client_ca_file: str = ""
    client_auth_type: Annotated[str, AfterValidator(_policy)] = ""
    client_allowed_sans: tuple[Text, ...] | None = None
    min_version: Version = "TLS12"
    max_version: Version = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_cipher)], ...] = ()
    curve_preferences: tuple[Curve, ...] = ()
    prefer_server_cipher_suites: bool = True

    @property
    def is_enabled(self) -> bool:
        """Whether the section asks for TLS: only these keys do, in the toolkit as here."""
        pair = (self.cert, self.cert_file, self.key.reveal(), self.key_file)
        return any(pair) or self.has_authority or bool(self.client_auth_type)

    @property
    def asks_clients(self) -> bool:
        """Whether clients are asked for a certificate. A policy that verifies none keeps nobody out, so none is asked
        for: Python's ssl verifies each that it gets."""
        return self.client_auth_type in _POLICIES[1:]

    @property
    def verifies_nothing(self) -> bool:
        """Whether the policy is one of those that take any certificate."""
        return self.client_auth_type in _VERIFY_NOTHING

    @property
    def has_authority(self) -> bool:
        """Whether it says who vouches for clients; where it does not, the system's authorities do."""
        return bool(self.client_ca or self.client_ca_file)

    @property
    def lowest_version(self) -> Version:
        """The oldest version that is spoken: suites of TLS 1.3 alone leave no other."""
        only_new = bool(self.cipher_suites) and not any(name in CIPHERS for name in self.cipher_suites)
        return "TLS13" if only_new else self.min_version

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not self.is_enabled:
            return self
        if not (self.cert or self.cert_file):
            raise ValueError("needs cert_file, or the certificate itself in cert; add one of the two")
        if not (self.key.reveal() or self.key_file):
            raise ValueError("needs key_file, or the key itself in key; add one of the two")
        if self.has_authority and self.client_auth_type in ("", "NoClientCert"):
            raise ValueError("has a client CA but asks no client for a certificate; write client_auth_type")
        if self.client_allowed_sans is not None and not self.asks_clients:
            raise ValueError("client_allowed_sans needs client_auth_type RequireAndVerifyClientCert")
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version; lower it")
        if self.lowest_version > self.max_version:
            raise ValueError("cipher_suites has none for TLS 1.2; add one, or write max_version: TLS13")
        return self


class HTTPServer(_Section):
    """The toolkit's `http_server_config`. `http2` has no effect: HTTP/1.1 is served."""

    http2: bool = True
    headers: Annotated[
        Mapping[str, Annotated[str, BeforeValidator(_text), AfterValidator(_header)]], AfterValidator(_headers)
    ] = Field(default_factory=dict)


class RateLimit(_Section):
    """The toolkit's `rate_limit`: a bucket of `burst` requests that gets one more in each interval."""

    interval: Annotated[float, BeforeValidator(_interval_seconds)] = 0.0
    burst: int = 0

    @property
    def is_enabled(self) -> bool:
        """Whether there is a limit: an interval of nothing is none."""
        return self.interval > 0


class WebConfig(_Section):
    """A whole web configuration file."""

    tls_server_config: TLSServer = TLSServer()
    http_server_config: HTTPServer = HTTPServer()
    rate_limit: RateLimit = RateLimit()
    basic_auth_users: Mapping[Annotated[str, AfterValidator(_user)], PasswordHash] = Field(default_factory=dict)

    @property
    def tls(self) -> TLSServer | None:
        """TLS as it is served; None where pages are served without."""
        return self.tls_server_config if self.tls_server_config.is_enabled else None

    @property
    def lacks_http2_suite(self) -> bool:
        """Whether HTTP/2 is wanted without a suite that it needs."""
        tls = self.tls
        if tls is None or not tls.cipher_suites or tls.min_version == "TLS13" or not self.http_server_config.http2:
            return False
        return _HTTP2_CIPHERS.isdisjoint(tls.cipher_suites)


@dataclass(frozen=True, slots=True)
class WebSettings:
    """A web configuration with what its files hold at one moment: two that are equal mean the same."""

    config: WebConfig
    places: Places = field(compare=False, repr=False)
    cert: bytes = b""
    key: bytes = field(default=b"", repr=False)
    client_ca: bytes | None = None
    is_blank: bool = False  # nothing stands in the file


def load_web(file: Path) -> WebSettings:
    """The settings in `file` and in the files that it names. Raises `ConfigError` with every problem."""
    nodes = parse_nodes(file_text(file), str(file))
    places = Places(nodes)
    try:
        config = WebConfig.model_validate(nodes.value)
    except ValidationError as error:
        raise ConfigError(_problems(error, places)) from None
    if config.lacks_http2_suite:
        wrong = "has no suite that HTTP/2 needs, so the exporter-toolkit does not take it"
        remedy = f"add {' or '.join(sorted(_HTTP2_CIPHERS))}, or write http2: false in http_server_config"
        raise ConfigError((places.problem(("tls_server_config", "cipher_suites"), wrong, remedy),))
    tls = config.tls
    if tls is None:
        return WebSettings(config, places, is_blank=nodes.value is None)
    reader = _Files(places, file.parent)
    cert = reader.content("cert", tls.cert, tls.cert_file)
    key = reader.content("key", tls.key.reveal(), tls.key_file)
    client_ca = reader.content("client_ca", tls.client_ca, tls.client_ca_file) if tls.has_authority else None
    if reader.problems:
        raise ConfigError(tuple(reader.problems))
    return WebSettings(config, places, cert, key, client_ca)


def files_of(config: WebConfig, folder: Path) -> tuple[Path, ...]:
    """The files that a configuration in that folder names and that are read."""
    tls = config.tls
    named = () if tls is None else (tls.cert_file, tls.key_file, tls.client_ca_file)
    return tuple(folder / name for name in named if name)


def _problems(error: ValidationError, places: Places) -> tuple[Problem, ...]:
    problems = []
    for details in error.errors(include_url=False, include_input=False):
        where = tuple(part for part in details["loc"] if part != "[key]")
        problems.append(places.problem(where, *describe(details, WebConfig)))
    return tuple(sorted(problems, key=lambda problem: problem.line or 0))


class _Files:
    """Reads what keys name, collecting what cannot be read."""

    def __init__(self, places: Places, folder: Path) -> None:
        self._places, self._folder = places, folder
        self.problems: list[Problem] = []

    def content(self, key: str, inline: str, name: str) -> bytes:
        if not name:
            return inline.encode()
        try:
            return read_file(self._folder / name, MAX_PEM_BYTES)
        except OSError as error:
            wrong = f"{self._folder / name} cannot be read: {error.strerror}"
            remedy = "name a PEM file that this user can read"
            self.problems.append(self._places.problem(("tls_server_config", f"{key}_file"), wrong, remedy))
            return b""
