"""Private authorities as they are met in the field: each signs a server's certificate for 127.0.0.1 in its own way."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

_DAY: Final = timedelta(days=1)
_HOST: Final = ipaddress.ip_address("127.0.0.1")
_Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Extension: TypeAlias = tuple[x509.ExtensionType, bool]


def _key() -> _Key:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, slots=True)
class Member:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: _Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _usage(**given: bool) -> x509.KeyUsage:
    names = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
        " encipher_only decipher_only"
    )
    return x509.KeyUsage(**{name: given.get(name, False) for name in names.split()})


CA_BASICS: Final[Extension] = (x509.BasicConstraints(ca=True, path_length=None), True)
CA_USAGE: Final[Extension] = (_usage(key_cert_sign=True, crl_sign=True), True)
LEAF_BASICS: Final[Extension] = (x509.BasicConstraints(ca=False, path_length=None), True)
NAMES: Final[Extension] = (x509.SubjectAlternativeName([x509.IPAddress(_HOST)]), False)
SERVER: Final[Extension] = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)


def _make(
    name: str,
    signer: Member | None,
    extensions: Sequence[Extension],
    *,
    identifiers: bool = True,
    key: _Key | None = None,
    days: tuple[float, float] = (-1, 30),
) -> Member:
    """A certificate of that name, signed by another or by itself, with key identifiers unless told otherwise."""
    own = key or _key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)] if name else [])
    issuer = subject if signer is None else signer.certificate.subject
    now = datetime.now(UTC)
    begin, end = (now + day * _DAY for day in days)
    builder = x509.CertificateBuilder(issuer, subject, own.public_key(), x509.random_serial_number(), begin, end)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    signing: Any = own if signer is None else signer.key
    if identifiers:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key())
        builder = builder.add_extension(authority, critical=False)
    digest = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Member(builder.sign(signing, digest), own)


def _root(*extensions: Extension, **more: Any) -> Member:
    return _make("Private Root", None, extensions or (CA_BASICS, CA_USAGE), **more)


def _intermediate(root: Member, *extensions: Extension, **more: Any) -> Member:
    return _make("Private Intermediate", root, extensions or (CA_BASICS, CA_USAGE), **more)


def _leaf(signer: Member | None, *extensions: Extension, name: str = "server", **more: Any) -> Member:
    return _make(name, signer, extensions or (LEAF_BASICS, NAMES, SERVER), **more)


Kind: TypeAlias = tuple[Member, list[Member]]
"""What the client trusts, and what the server shows, its own certificate first."""


def _plain() -> Kind:
    root = _root()
    return root, [_leaf(root)]


def _with_intermediate() -> Kind:
    root = _root()
    between = _intermediate(root)
    return root, [_leaf(between), between]


def _missing_intermediate() -> Kind:
    root = _root()
    return root, [_leaf(_intermediate(root))]


def _intermediate_alone() -> Kind:
    between = _intermediate(_root())
    return between, [_leaf(between)]


def _intermediate_of_an_expired_root() -> Kind:
    root = _root(days=(-30, -1))
    between = _intermediate(root)
    return between, [_leaf(between), between]


def _pinned_leaf() -> Kind:
    leaf = _leaf(_root())
    return leaf, [leaf]


def _self_signed_leaf() -> Kind:
    leaf = _leaf(None)
    return leaf, [leaf]


def _bare_self_signed_leaf() -> Kind:
    leaf = _leaf(None, NAMES, identifiers=False)
    return leaf, [leaf]


def _no_key_identifiers() -> Kind:
    root = _root(identifiers=False)
    return root, [_leaf(root, identifiers=False)]


def _basic_constraints_not_critical() -> Kind:
    root = _root((CA_BASICS[0], False), CA_USAGE)
    return root, [_leaf(root)]


def _no_key_usage() -> Kind:
    root = _root(CA_BASICS)
    return root, [_leaf(root)]


def _no_basic_constraints() -> Kind:
    root = _root(CA_USAGE)
    return root, [_leaf(root)]


def _no_basic_constraints_in_the_leaf() -> Kind:
    root = _root()
    return root, [_leaf(root, NAMES)]


def _no_subject() -> Kind:
    root = _root()
    return root, [_leaf(root, LEAF_BASICS, NAMES, SERVER, name="")]


def _rsa() -> Kind:
    root = _root(key=rsa.generate_private_key(65537, 2048))
    return root, [_leaf(root, key=rsa.generate_private_key(65537, 2048))]


def _ed25519() -> Kind:
    root = _root(key=ed25519.Ed25519PrivateKey.generate())
    return root, [_leaf(root)]


def _permitted_name() -> Kind:
    loopback = x509.NameConstraints([x509.IPAddress(ipaddress.ip_network("127.0.0.0/8"))], None)
    root = _root(CA_BASICS, CA_USAGE, (loopback, True))
    return root, [_leaf(root)]


def _excluded_name() -> Kind:
    loopback = x509.NameConstraints(None, [x509.IPAddress(ipaddress.ip_network("127.0.0.0/8"))])
    root = _root(CA_BASICS, CA_USAGE, (loopback, True))
    return root, [_leaf(root)]


def _path_too_long() -> Kind:
    root = _root((x509.BasicConstraints(ca=True, path_length=0), True), CA_USAGE)
    between = _intermediate(root)
    return root, [_leaf(between), between]


def _no_authority() -> Kind:
    root = _root(LEAF_BASICS, (_usage(digital_signature=True), True))
    return root, [_leaf(root)]


def _for_clients() -> Kind:
    root = _root()
    client = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)
    return root, [_leaf(root, LEAF_BASICS, NAMES, client)]


def _expired_root() -> Kind:
    root = _root(days=(-30, -1))
    return root, [_leaf(root)]


def _weak_key() -> Kind:
    root = _root(key=rsa.generate_private_key(65537, 1024))
    return root, [_leaf(root)]


def _another_authority_of_that_name() -> Kind:
    return _root(), [_leaf(_root())]


KINDS: Final[tuple[Callable[[], Kind], ...]] = (
    _plain,
    _with_intermediate,
    _intermediate_alone,
    _intermediate_of_an_expired_root,
    _pinned_leaf,
    _self_signed_leaf,
    _bare_self_signed_leaf,
    _no_key_identifiers,
    _basic_constraints_not_critical,
    _no_key_usage,
    _no_basic_constraints,
    _no_basic_constraints_in_the_leaf,
    _no_subject,
    _rsa,
    _ed25519,
    _permitted_name,
    _missing_intermediate,
    _excluded_name,
    _path_too_long,
    _no_authority,
    _for_clients,
    _expired_root,
    _weak_key,
    _another_authority_of_that_name,
)


PROVES_NOTHING: Final = frozenset(
    {
        "missing_intermediate",
        "excluded_name",
        "path_too_long",
        "no_authority",
        "for_clients",
        "expired_root",
        "weak_key",
        "another_authority_of_that_name",
    }
)
"""Kinds that prove nothing."""
REFUSED_STRICTLY: Final = frozenset(
    {"no_key_identifiers", "basic_constraints_not_critical", "no_key_usage", "no_basic_constraints", "no_subject"}
)
"""Kinds that are good, except by the letter of RFC 5280."""


def write_kinds(folder: Path) -> None:
    """Writes each kind as `NAME.trusted.pem`, `NAME.server.pem` (with its chain) and `NAME.key.pem`."""
    for kind in KINDS:
        name = kind.__name__.strip("_")
        trusted, shown = kind()
        (folder / f"{name}.trusted.pem").write_bytes(trusted.pem)
        (folder / f"{name}.server.pem").write_bytes(b"".join(member.pem for member in shown))
        (folder / f"{name}.key.pem").write_bytes(shown[0].key_pem)
