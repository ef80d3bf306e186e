"""The files that `init` writes: a configuration without the secret, and the secret where it was typed in."""

from __future__ import annotations

import json
from pathlib import Path

from msgspec import Struct

from exporter.model.secret import Secret


class Account(Struct, frozen=True):
    """Where to ask and as whom."""

    url: str
    token_url: str
    revocation_url: str
    handle: str
    key: str
    secret: Secret


class Found(Struct, frozen=True):
    """What the account sees: the organization, and its environments' names, types and tenants."""

    organization_id: str
    organization_name: str
    environments: tuple[tuple[str, str], ...]
    tenants: tuple[str, ...]


class SecretPlace(Struct, frozen=True):
    """Where the configuration finds the secret: a file (`written` if we write it), else CHOREO_CONSUMER_SECRET."""

    file: Path | None = None
    written: Path | None = None


def config_text(account: Account, found: Found, place: SecretPlace, schema: str) -> str:
    """A configuration that runs on this account; editors check it against the JSON Schema in that file beside it."""
    secret = (
        "client_secret: ${CHOREO_CONSUMER_SECRET}"
        if place.file is None
        else f"client_secret_file: {_yaml_text(str(place.file))}"
    )
    needed = "# Needs:     CHOREO_CONSUMER_SECRET in the environment\n" if place.file is None else ""
    on_premise = ", ".join(name for name, kind in found.environments if kind == "ON_PREM")
    note = f"for on-premise environments: {on_premise}" if on_premise else "for on-premise environments"
    name = json.dumps(found.organization_name, ensure_ascii=False)
    return f"""\
# yaml-language-server: $schema={schema}
# Insights Exporter on the organization {name}, by `insights-exporter init`.
# Run it:    insights-exporter --config.file=FILE
# Check it:  insights-exporter --config.check --config.file=FILE
{needed}
sources:
  - name: choreo
    url: {_yaml_text(account.url)}
    schema: choreo
    labels: {{organization: {_yaml_text(account.handle)}}}
    oauth2:
      token_url: {_yaml_text(account.token_url)}
      revocation_url: {_yaml_text(account.revocation_url)}
      client_id: {_yaml_text(account.key)}
      {secret}
      scopes: [apim:api_manage]
      endpoint_params: {{orgHandle: {_yaml_text(account.handle)}}}
    values: {{org_id: {_yaml_text(found.organization_id)}}}

# Choreo's own Insights pages; environments, tenants and the names of APIs are found by themselves.
include:
  - choreo/overview               # requests, errors and latency of each environment
  - choreo/traffic                # by API, application, backend and resource
  - choreo/errors                 # by category, by class of the status code, by API and code
  - choreo/latency                # percentiles of each API by hop
  - choreo/cache                  # hits and misses
  - choreo/devices                # platforms and user agents
  - choreo/alerts                 # Choreo's own alerts
  # - choreo/reports              # usage by API and application, and the last 24 hours of each API
  # - choreo/geography            # by country; {note}
"""


def _yaml_text(text: str) -> str:
    """A YAML scalar in quotes that is read as this very text."""
    return json.dumps(text.replace("${", "$${"), ensure_ascii=False)
