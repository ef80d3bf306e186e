"""Headers of a configuration: the lines that are sent, and which of them nobody may see."""

from __future__ import annotations

from pathlib import Path

from exporter.config.headers import header_secrets, hidden_headers
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
