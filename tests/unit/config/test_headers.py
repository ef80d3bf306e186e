"""Headers of a configuration: the lines that are sent, and which of them nobody may see."""

from __future__ import annotations

from pathlib import Path

import httpcore
import httpx
import pytest
from pydantic import TypeAdapter, ValidationError

from exporter.config.headers import HeaderName, check_header_text, header_secrets, hidden_headers
from exporter.config.source import Source
from exporter.model.secret import Secret

KEY = Secret(file=Path("/etc/exporter/key"))
SOURCE = Source.model_validate(
    {
        "name": "acme",
        "url": "https://api.example/graphql",
        "http_headers": {
            "X-Tenant": {"values": ["acme", "other"], "files": ["key"]},
            "X-Key": "s3cret",
        },
        "proxy_url": "http://proxy.example",
        "proxy_connect_header": {"X-Proxy": ["s3cret"]},
    },
    context={"folder": Path("/etc/exporter")},
)


def test_a_header_is_sent_in_a_line_for_each_value() -> None:
    """Text is one line; values come before what is in files."""
    assert header_secrets(SOURCE.http_headers) == (
        ("X-Tenant", Secret(inline="acme")),
        ("X-Tenant", Secret(inline="other")),
        ("X-Tenant", KEY),
        ("X-Key", Secret(inline="s3cret")),
    )


def test_only_values_may_be_seen() -> None:
    """What is written as text, as a secret or in a file is a secret, with its key; so are the proxy's headers."""
    assert tuple(hidden_headers(SOURCE, ("sources",))) == (
        (("sources", "http_headers", "X-Tenant"), KEY),
        (("sources", "http_headers", "X-Key"), Secret(inline="s3cret")),
        (("sources", "proxy_connect_header", "X-Proxy"), Secret(inline="s3cret")),
    )


def is_sent(name: str, value: str) -> bool:
    """Whether the libraries that send requests take a header."""
    api = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    try:
        headers = httpx.Headers([("Host", "a"), (name, value)]).raw
        with httpcore.ConnectionPool(network_backend=httpcore.MockBackend([api])) as pool:
            return pool.request("GET", "http://a/", headers=headers).status == 200
    except (UnicodeEncodeError, httpcore.LocalProtocolError):
        return False


@pytest.mark.parametrize("name", ["X-Api-Key", "x_api.key", "X-Api-Key:", "X Y", "", "X-Ä", "X\nY", "X(Y)"])
def test_a_name_is_taken_that_can_be_sent(name: str) -> None:
    """And no other, as every poll would fail."""
    try:
        is_taken = bool(TypeAdapter(HeaderName).validate_python(name))
    except ValidationError:
        is_taken = False
    assert is_taken is is_sent(name, "a")


@pytest.mark.parametrize("text", ["a", "a b", "a\tb", "", "ü", " a", "a ", "a\t", "a\nb", "a\r", "a\0"])
def test_a_value_is_taken_that_can_be_sent(text: str) -> None:
    """And no other."""
    try:
        is_taken = check_header_text(text) == text
    except ValueError:
        is_taken = False
    assert is_taken is is_sent("X", text)
