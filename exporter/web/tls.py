"""TLS of the exporter's own pages: settings to a context, and a context that can be renewed while it serves."""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

from exporter.config.web import CIPHERS, TLSServer, WebSettings
from exporter.model.certificates import set_verification
from exporter.model.errors import ConfigError, Problem
from exporter.model.system_errors import tls_problem

_SERVES_OLD_VERSIONS: Final = "DEFAULT@SECLEVEL=0"  # OpenSSL 3 has TLS 1.0 and 1.1 at no higher level
_VERSIONS: Final = {
    "TLS10": "TLSv1",
    "TLS11": "TLSv1_1",
    "TLS12": "TLSv1_2",
    "TLS13": "TLSv1_3",
}
_VERIFY_MODES: Final = {
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}


class RenewableContext(ssl.SSLContext):
    """A server's context that hands every new connection to the `present` one, which may be replaced at any time."""

    present: ssl.SSLContext

    def __new__(cls, present: ssl.SSLContext) -> RenewableContext:
        self = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        self.present = present
        return self

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:
        """What asyncio and uvloop call for each connection."""
        return self.present.wrap_bio(*arguments, **options)


class _CheckedObject(ssl.SSLObject):
    """A connection whose client's certificate has one of the names that its context allows."""

    def do_handshake(self) -> None:
        super().do_handshake()
        allowed = cast("_ServerContext", self.context).allowed_names
        if allowed is not None and allowed.isdisjoint(_names(self.getpeercert() or {})):
            raise ssl.SSLCertVerificationError("the client's certificate has no allowed name")


class _ServerContext(ssl.SSLContext):
    sslobject_class = _CheckedObject
    allowed_names: frozenset[str] | None = None


def server_context(settings: WebSettings) -> ssl.SSLContext:
    """The context for a connection. Raises `ConfigError` for a certificate, key or CA that cannot be used."""
    config = settings.config.tls
    assert config is not None  # who has none serves without TLS
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    key = "client_ca_file" if config.client_ca_file else "client_ca"
    try:
        if settings.client_ca is not None:
            context.load_verify_locations(cadata=settings.client_ca.decode("ascii", "ignore"))  # comments may be UTF-8
        elif config.asks_clients:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        key = "cert_file" if config.cert_file else "cert"
        with _as_file(settings.cert) as cert_file, _as_file(settings.key) as key_file:
            context.load_cert_chain(cert_file, key_file, password=b"")  # an encrypted key is not asked for
        key = "cipher_suites"
        _speak(context, config)
        key = "curve_preferences"
        _choose_curves(context, config)
        _ask_clients(context, config)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError((_unusable(settings, key, tls_problem(error)),)) from None
    return context


def _unusable(settings: WebSettings, key: str, said: str) -> Problem:
    wrong, remedy = {
        "cert": (f"the certificate and its key cannot be used: {said}", "give a PEM chain and its unencrypted PEM key"),
        "client_ca": (f"the client CA cannot be used: {said}", "give PEM certificates"),
    }.get(key.removesuffix("_file"), (said, "choose another value"))
    return settings.places.problem(("tls_server_config", key), wrong, remedy)


def _speak(context: ssl.SSLContext, config: TLSServer) -> None:
    """Sets versions and ciphers. No session is resumed, so every connection is judged by the present settings."""
    ciphers = [CIPHERS[name] for name in config.cipher_suites if name in CIPHERS]
    if config.lowest_version < "TLS12":
        context.set_ciphers(":".join([*ciphers, "@SECLEVEL=0"]) if ciphers else _SERVES_OLD_VERSIONS)
    elif ciphers:
        context.set_ciphers(":".join(ciphers))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # who writes TLS10 has been told by everybody
        context.minimum_version = ssl.TLSVersion[_VERSIONS[config.lowest_version]]
        context.maximum_version = ssl.TLSVersion[_VERSIONS[config.max_version]]
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    if not config.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 0
    context.set_alpn_protocols(["http/1.1"])


def can_choose_curves(config: TLSServer) -> bool:
    """Whether this Python can tell OpenSSL these curves: before 3.15 it can tell it one."""
    return len(config.curve_preferences) <= 1 or hasattr(ssl.SSLContext, "set_groups")


def _choose_curves(context: ssl.SSLContext, config: TLSServer) -> None:
    curves = [_CURVES[name] for name in config.curve_preferences]
    if len(curves) == 1:
        context.set_ecdh_curve(curves[0])
    elif curves and can_choose_curves(config):
        cast("Any", context).set_groups(":".join(curves))


def _ask_clients(context: _ServerContext, config: TLSServer) -> None:
    """Sets whom clients must be. Each authority that is given is trusted, also one that another one vouches for."""
    set_verification(context)
    context.verify_mode = _VERIFY_MODES.get(config.client_auth_type, ssl.CERT_NONE)
    if config.client_allowed_sans is not None:
        context.allowed_names = frozenset(map(_canonical, config.client_allowed_sans))


def _names(certificate: dict[str, Any]) -> Iterator[str]:
    """The subject's alternative names: DNS, IP, e-mail and URI, as the toolkit compares them."""
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in ("DNS", "IP Address", "email", "URI"):
            yield _canonical(name)


def _canonical(name: str) -> str:
    with suppress(ValueError):
        return str(ipaddress.ip_address(name.strip()))
    return name


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A path under which OpenSSL reads the content, which is never written to a disk where the system can help it."""
    in_memory = hasattr(os, "memfd_create")
    with os.fdopen(os.memfd_create("pem"), "w+b") if in_memory else tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"
