"""Where a server listens, as the flag says it."""

from __future__ import annotations

import re

import pytest

from exporter.model.listen_address import ListenAddress


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10093", ListenAddress(None, 10093)),
        ("127.0.0.1:0", ListenAddress("127.0.0.1", 0)),
        ("[::1]:9000", ListenAddress("::1", 9000)),
        ("localhost:65535", ListenAddress("localhost", 65535)),
        ("[fe80::1%2]:1", ListenAddress("fe80::1%2", 1)),
    ],
)
def test_listen_addresses_are_read(text: str, address: ListenAddress) -> None:
    """As Prometheus' own flag has them, and back."""
    assert ListenAddress.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["", "10093", "::1:9", ":65536", "host:", "http://x:1", "[::1]", ":-1", ":1 "])
def test_bad_listen_addresses_are_refused_by_name(text: str) -> None:
    """The error repeats what was written and says what is right."""
    with pytest.raises(ValueError, match=re.escape(repr(text)) + " is not a listen address"):
        ListenAddress.parse(text)
