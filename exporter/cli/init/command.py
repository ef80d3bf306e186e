"""The command `init`: from credentials to a configuration that runs, and what is missing where that fails."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, Final

import click
from pydantic import ValidationError

from exporter.cli.account import fail, run, upstreams_of
from exporter.cli.atomic_file import atomic_file
from exporter.cli.init.files import Account, Found, SecretPlace, config_text
from exporter.cli.init.git import keep_out_of_git
from exporter.cli.options import epilog, refuse
from exporter.cli.schema import schema_text
from exporter.config.confidential import shown_url
from exporter.config.source import Source
from exporter.daemon.check import check
from exporter.daemon.logs import configure_logging
from exporter.model.errors import ConfigError, Failure
from exporter.model.outcome import Operation
from exporter.model.samples import Json
from exporter.model.secret import Secret
from exporter.upstream.hints import WRONG_HANDLE, WRONG_ID, likely_causes
from exporter.upstream.upstream import Upstream

_DEADLINE_SECONDS: Final = 30.0
_API: Final = "https://choreocontrolplane.choreo.dev/93tu/insights/1.0.0/query-api"
_TOKENS: Final = "https://sts.choreo.dev/oauth2/token"
_REVOCATION: Final = "https://sts.choreo.dev/oauth2/revoke"


@click.command(
    short_help="Write a configuration for your Choreo account.",
    epilog=epilog("init", "init --organization=acme --output=acme.yaml"),
)
@click.option("--organization", envvar="CHOREO_ORG_HANDLE", help="Your organization's handle.  [CHOREO_ORG_HANDLE]")
@click.option("--consumer-key", envvar="CHOREO_CONSUMER_KEY", help="The consumer key.  [CHOREO_CONSUMER_KEY]")
@click.option(
    "--consumer-secret-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file with the consumer secret; without it, CHOREO_CONSUMER_SECRET or a prompt.",
)
@click.option(
    "--organization-id", envvar="CHOREO_ORG_ID", help="Your organization's UUID, if it is not found.  [CHOREO_ORG_ID]"
)
@click.option("--url", envvar="CHOREO_INSIGHTS_URL", default=_API, show_default=True, help="The Insights API.")
@click.option("--token-url", envvar="CHOREO_TOKEN_URL", default=_TOKENS, show_default=True, help="The token endpoint.")
@click.option(
    "--revocation-url", envvar="CHOREO_REVOCATION_URL", default=_REVOCATION, show_default=True, help="For revocation."
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("config.yaml"),
    show_default=True,
    help="The configuration to write.",
)
@click.option("--force", is_flag=True, help="Replace existing files.")
def init(
    organization: str | None,
    consumer_key: str | None,
    consumer_secret_file: Path | None,
    organization_id: str | None,
    url: str,
    token_url: str,
    revocation_url: str,
    output: Path,
    force: bool,
) -> None:
    """Proves your Choreo credentials, finds your environments and writes a configuration that runs.

    The consumer secret is never an argument: it comes from CHOREO_CONSUMER_SECRET, a file or a prompt.
    """
    configure_logging("error", "logfmt")
    secret_file = output.with_suffix(".secret")
    _refuse_to_overwrite(output, force)
    handle = organization or _prompt("Organization handle", "--organization or CHOREO_ORG_HANDLE")
    key = consumer_key or _prompt("Consumer key", "--consumer-key or CHOREO_CONSUMER_KEY")
    secret, place = _secret(consumer_secret_file, secret_file, force)
    account = Account(url, token_url, revocation_url, handle, key, secret)
    found = run(_explore(account, organization_id))
    if place.written:
        with atomic_file(secret_file, mode=0o600) as file:  # for this user alone
            file.write(f"{secret.reveal()}\n".encode())
    schema = output.with_suffix(".schema.json")
    if force or not schema.exists():
        with atomic_file(schema) as file:
            file.write(schema_text().encode())
    with atomic_file(output) as file:
        file.write(config_text(account, found, place, schema.name).encode())
    _check(output)
    shown = "" if place.written is None else f", and {secret_file} with the secret, readable only by you"
    click.echo(f"Written: {output}{shown}")
    if place.written is not None:
        click.echo(f"Git:     {keep_out_of_git(secret_file)}")
    click.echo(f"Editors: {schema} completes and explains its keys (VS Code with YAML by Red Hat, and others)")
    click.echo(f"Next:    insights-exporter --config.file={output}")


def _refuse_to_overwrite(file: Path, force: bool) -> None:
    if file.exists() and not force:
        fail(f"{file} is there already; write --force to replace it, or --output to name another")
    if not file.absolute().parent.is_dir():
        fail(f"{file}: the folder is not there; make it, or write --output to name another")


def _prompt(what: str, instead: str, *, hide: bool = False) -> str:
    """What the user types. Without a terminal there is nobody to ask."""
    if not sys.stdin.isatty():
        fail(f"{what} is missing; give {instead}")
    return str(click.prompt(what, hide_input=hide, err=True)).strip()


def _secret(file: Path | None, secret_file: Path, force: bool) -> tuple[Secret, SecretPlace]:
    """The consumer secret, and how the configuration will refer to it."""
    if file is not None:
        return Secret(file=file), SecretPlace(file=file.absolute())
    if os.environ.get("CHOREO_CONSUMER_SECRET"):
        return Secret(env="CHOREO_CONSUMER_SECRET"), SecretPlace()
    _refuse_to_overwrite(secret_file, force)
    text = _prompt("Consumer secret", "CHOREO_CONSUMER_SECRET or --consumer-secret-file", hide=True)
    return Secret(inline=text), SecretPlace(file=Path(secret_file.name), written=secret_file)


def _source(account: Account) -> Source:
    """The account as a source. Ends the command where a value cannot be one."""
    try:
        return Source.model_validate(
            {
                "name": "choreo",
                "schema": "choreo",
                "url": account.url,
                "oauth2": {
                    "token_url": account.token_url,
                    "revocation_url": account.revocation_url,
                    "client_id": Secret(inline=account.key),
                    "client_secret": account.secret,
                    "scopes": ["apim:api_manage"],
                    "endpoint_params": {"orgHandle": account.handle},
                },
            }
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        fail(f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}")


async def _explore(account: Account, organization_id: str | None) -> Found:
    """What the account sees. Ends the command with the likely causes where it sees nothing."""
    source = _source(account)
    async with upstreams_of((source,)) as upstreams:
        upstream = upstreams[source.name]
        assert upstream.token is not None
        try:
            token = await upstream.token.token()
        except Failure as failure:
            fail(
                f"no access token from {shown_url(account.token_url)}: {failure.detail}",
                likely_causes(failure, upstream.source),
            )
        seconds = token.expires_at - token.obtained_at
        click.echo(f"Access token: granted, lives {seconds:.0f} seconds")
        return await _list_environments(upstream, account, organization_id)


async def _list_environments(upstream: Upstream, account: Account, organization_id: str | None) -> Found:
    organizations = await _rows(upstream, "query { listOrganizations { uuid handle name } }", {}, "listOrganizations")
    mine = next((one for one in organizations if account.handle == one["handle"]), None)
    if mine is None and organization_id is None:
        seen = ", ".join(str(one["handle"]) for one in organizations) or "none"
        fail(f"the token does not see the organization {account.handle} (it sees: {seen})", [WRONG_HANDLE])
    if mine is not None and organization_id not in (None, mine["uuid"]):
        fail(f"the organization {account.handle} has the UUID {mine['uuid']}, not {organization_id}", [WRONG_ID])
    identity = organization_id or str(mine["uuid"] if mine else "")
    name = str(mine["name"]) if mine else account.handle
    click.echo(f"Organization: {name}, {identity}")
    document = "query ($org: OrgFilter!) { listEnvironments(org: $org) { id name type } }"
    environments = await _rows(upstream, document, {"org": {"orgId": identity}}, "listEnvironments")
    if not environments:
        fail("the organization has no environments", [WRONG_ID, "it has none yet: deploy something in the console"])
    pairs = tuple((str(one["name"]), str(one["type"])) for one in environments)
    click.echo(f"Environments: {', '.join(name for name, _ in pairs)}")
    document = "query ($of: TenantDataFilter!) { listTenants(tenantDataFilter: $of) }"
    of_each = await asyncio.gather(
        *(
            _rows(upstream, document, {"of": {"orgId": identity, "envId": one["id"]}}, "listTenants")
            for one in environments
        )
    )
    tenants = tuple(dict.fromkeys(str(tenant) for found in of_each for tenant in found))
    click.echo(f"Tenants:      {', '.join(tenants) or 'none'}")
    return Found(identity, name, pairs, tenants)


async def _rows(upstream: Upstream, document: str, variables: dict[str, Json], field: str) -> list[Any]:
    """The list in the answer. Ends the command with the likely causes where there is none."""
    try:
        response = await upstream.client.execute(Operation(document, variables), deadline_seconds=_DEADLINE_SECONDS)
    except Failure as failure:
        fail(f"the Insights API gives no {field}: {failure.detail}", likely_causes(failure, upstream.source))
    found = (response.data or {}).get(field)
    if response.errors:
        fail(f"the Insights API gives no {field}: {response.errors[0].message}", [WRONG_ID, WRONG_HANDLE])
    return [item for item in found if item is not None] if isinstance(found, list) else []


def _check(file: Path) -> None:
    try:
        found = check(file, os.environ)
    except ConfigError as error:
        refuse(error)
    if found.unmet:
        refuse(ConfigError(found.unmet))
