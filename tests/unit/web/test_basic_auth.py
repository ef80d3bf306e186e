"""User and password of an `Authorization` header."""

from __future__ import annotations

import asyncio

import pytest

from exporter.model.secret import Secret
from exporter.web.basic_auth import PasswordCheck, basic_credentials


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("Basic YWxpY2U6czNjcjN0", ("alice", b"s3cr3t")),
        ("basic  YWxpY2U6czNjcjN0 ", ("alice", b"s3cr3t")),
        ("Basic YTpiOmM=", ("a", b"b:c")),
        ("Basic Og==", ("", b"")),
        ("Basic w7w6w7w=", ("ü", "ü".encode())),
        ("Basic YWxpY2U=", None),
        ("Basic /w==", None),
        ("Basic /zph", None),
        ("Basic !", None),
        ("Basic", None),
        ("Bearer YWxpY2U6czNjcjN0", None),
        ("", None),
        (f"Basic {'A' * 4000}", None),
    ],
)
def test_credentials_are_read_from_a_header(header: str, found: tuple[str, bytes] | None) -> None:
    """RFC 7617: the scheme in any case, a password with colons, UTF-8; everything else is no credentials."""
    assert basic_credentials(header) == found


def test_a_hash_that_bcrypt_cannot_read_lets_nobody_in() -> None:
    """Neither its user nor an unknown one, whose password is compared with it; and that is no fault."""
    users = {"alice": Secret(inline="$2y$10$" + "a" * 53)}
    check = PasswordCheck()
    for user in ("alice", "nobody"):
        assert not asyncio.run(check.is_right(users, user, b"password", "192.0.2.1"))
    check.close()
