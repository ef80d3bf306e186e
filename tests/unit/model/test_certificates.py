"""Certificates: which chains are good, the same on every Python."""

from __future__ import annotations

import ssl

import pytest
import trustme

from exporter.model.certificates import set_verification

ROOT = trustme.CA()
INTERMEDIATE = ROOT.create_child_ca()


def shake_hands(trusted: bytes, *, strict: bool = False) -> None:
    """A handshake in memory with a server below the intermediate authority. Raises `ssl.SSLError`."""
    served, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    INTERMEDIATE.issue_cert("api.example").configure_cert(served)
    client.load_verify_locations(cadata=trusted.decode())
    set_verification(client, strict=strict)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname="api.example"),
        served.wrap_bio(to_server, to_client, server_side=True),
    ]
    waiting = sides
    while waiting:
        again = []
        for side in waiting:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                again.append(side)
        waiting = again


def test_every_certificate_that_is_trusted_ends_a_chain() -> None:
    """Also that of an intermediate authority, whose root nobody has."""
    shake_hands(ROOT.cert_pem.bytes())
    shake_hands(INTERMEDIATE.cert_pem.bytes())


def test_an_authority_that_is_not_trusted_is_refused() -> None:
    """Whatever it calls itself."""
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(trustme.CA().cert_pem.bytes())


def test_what_this_python_begins_with_does_not_matter() -> None:
    """Strict rules hold where they are asked for, and nowhere else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    set_verification(context)
    assert not context.verify_flags & ssl.VerifyFlags.VERIFY_X509_STRICT
    set_verification(context, strict=True)
    assert context.verify_flags & ssl.VerifyFlags.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
