"""The command `token revoke`: takes a token that is in wrong hands out of use, and shows that it is."""

from __future__ import annotations

import sys

import click

from exporter.cli.account import fail, plan_of, run, source_of, upstreams_of
from exporter.cli.options import config_file_option, epilog
from exporter.config.credentials import Authorization
from exporter.config.source import Source
from exporter.model.config_files import ConfigFiles
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import Operation
from exporter.model.secret import Secret

_QUESTION = Operation("{ __typename }", {})
_DEADLINE_SECONDS = 10.0


@click.group(short_help="Revoke an access token.")
def token() -> None:
    """Commands on access tokens."""


@token.command(
    short_help="Revoke a token, and check that the API refuses it.",
    epilog=epilog("token revoke < token.txt", "token revoke --source=acme < token.txt"),
)
@config_file_option
@click.option("--source", "source_name", help="The source that the token is for, where several have oauth2.")
def revoke(config_file: ConfigFiles, source_name: str | None) -> None:
    """Revokes an access token, read from standard input, and shows that the API refuses it then."""
    sources = tuple(source for source in plan_of(config_file).sources if source.oauth2 is not None)
    if not sources:
        fail("no source has oauth2")
    if len(sources) > 1 and source_name is None:
        fail(f"several sources have oauth2; say which with --source: {', '.join(source.name for source in sources)}")
    source = source_of(sources, source_name)
    assert source.oauth2 is not None
    if source.oauth2.revocation_url is None:
        fail(f"{source.name} has no oauth2.revocation_url; add it")
    run(_revoke(source, _token_from_standard_input()))


def _token_from_standard_input() -> str:
    typed = sys.stdin.isatty()
    text = str(click.prompt("Access token", hide_input=True, err=True) if typed else sys.stdin.readline()).strip()
    if not text:
        fail("there is no token on standard input")
    if not text.isascii() or not text.isprintable() or " " in text:
        fail("what is on standard input is not an access token: it has characters that no token has")
    return text


async def _revoke(source: Source, text: str) -> None:
    async with upstreams_of((source,)) as opened:
        of_source = opened[source.name].token
        assert of_source is not None
        unconfirmed = await of_source.revoke(text, deadline_seconds=_DEADLINE_SECONDS)
        if unconfirmed is not None:
            why = f"{unconfirmed.reason}: {unconfirmed.detail}"
            fail(f"{source.name}: the revocation endpoint does not confirm it; the token may still work: {why}")
        click.echo(f"{source.name}: the server confirmed the revocation (servers also confirm unknown tokens)")
    thief = source.model_copy(update={"oauth2": None, "authorization": Authorization(credentials=Secret(inline=text))})
    async with upstreams_of((thief,)) as opened:
        try:
            await opened[source.name].client.execute(_QUESTION, deadline_seconds=_DEADLINE_SECONDS)
        except UpstreamFailure as failure:
            if failure.reason is Reason.UNAUTHORIZED:
                click.echo(f"{source.name}: the API answers 401 to it")
                return
            if failure.reason not in (Reason.GRAPHQL, Reason.SCHEMA):
                fail(f"{source.name}: whether the API still accepts it is unknown: {failure.reason}: {failure.detail}")
        fail(f"{source.name}: the API still accepts it; check again in a moment, because gateways cache tokens")
