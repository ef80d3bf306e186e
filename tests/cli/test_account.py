"""What commands need of a configuration, where nobody answers."""

from __future__ import annotations

import asyncio

import click
import pytest

from exporter.cli.account import token_seconds, upstreams_of
from exporter.config.source import Source


def test_a_source_without_oauth_needs_no_token(capsys: pytest.CaptureFixture[str]) -> None:
    """And where there is none to be had, the command ends with the likely causes."""
    token_url = "http://127.0.0.1:1/"  # port 1: where nobody listens
    plain = Source.model_validate({"name": "a", "url": "https://a.example/"})
    with_token = Source.model_validate(
        {"name": "b", "url": plain.url, "oauth2": {"token_url": token_url, "client_id": "i", "client_secret": "s3cret"}}
    )

    async def seconds(source: Source) -> float | None:
        async with upstreams_of((source,)) as upstreams:
            return await token_seconds(upstreams[source.name], source)

    assert asyncio.run(seconds(plain)) is None
    with pytest.raises(click.exceptions.Exit):
        asyncio.run(seconds(with_token))
    error = capsys.readouterr().err
    assert error.startswith("error: no access token: connect: ")
    assert "likely: this machine cannot reach it" in error
    assert "s3cret" not in error
