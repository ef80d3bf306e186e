"""Certificates in files, of authorities that live as long as the tests."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

DAY: Final = timedelta(days=1)

OURS: Final = trustme.CA()
FOREIGN: Final = trustme.CA()


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


def authority_file(folder: Path, authority: trustme.CA = OURS, name: str = "ca.pem") -> Path:
    """The authority's own certificate, as a file in that folder."""
    file = folder / name
    authority.cert_pem.write_to_path(str(file))
    return file


def pair(folder: Path, *identities: str, authority: trustme.CA = OURS, name: str = "server") -> Pair:
    """A new certificate for these names (DNS, IP, e-mail), written to `name.crt` and `name.key` in that folder."""
    made = authority.issue_cert(*identities)
    files = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    made.cert_chain_pems[0].write_to_path(str(files.cert))
    made.private_key_pem.write_to_path(str(files.key))
    return files


def trusting(authority: trustme.CA = OURS, shows: Pair | None = None) -> ssl.SSLContext:
    """A client's context that trusts the authority alone, and shows a certificate of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    if shows is not None:
        context.load_cert_chain(shows.cert, shows.key)
    return context


def self_signed(folder: Path, uri: str) -> Pair:
    """A certificate that nobody vouches for, whose only name is a URI."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "self-signed")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - DAY, now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = Pair(folder / "self.crt", folder / "self.key")
    files.cert.write_bytes(made.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files
