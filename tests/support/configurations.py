"""Configurations for tests: the source of the simulated API, and queries on it."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from exporter.simulator import Simulator

ROOT = Path(__file__).resolve().parents[2]

ENVIRONMENTS = """
  - name: environments
    interval: 1s
    document: "query ($org: OrgFilter!) { listEnvironments(org: $org) { id name type } }"
    variables: {org: {orgId: "{{ source.org_id }}"}}
    rows: listEnvironments
    metrics:
      - name: choreo_environment_info
        help: Environments.
        labels: {environment_id: id, environment: name}
        value: 1
"""

TRAFFIC = """
  - name: traffic
    interval: 1s
    for_each: {environment: environments}
    window: {length: 5m, align: 1s}
    document: |
      query ($recent: TimeFilter!, $data: DataFilter!) {
        requests: getTotalTraffic(filter: $recent, dataFilter: $data)
        errors: getTotalErrors(filter: $recent, dataFilter: $data)
        latency: getOverallLatency(filter: $recent, dataFilter: $data)
      }
    variables:
      recent: {from: "{{ window.start }}", to: "{{ window.end }}"}
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    labels: {environment_id: "{{ environment.id }}", environment: "{{ environment.name }}"}
    metrics:
      - {name: choreo_window_requests, help: Requests., value: requests}
      - {name: choreo_window_errors, help: Failed requests., value: errors}
      - {name: choreo_response_latency_p95_seconds, help: Latency., value: latency, from_unit: milliseconds}
"""

APIS = """
  - name: apis
    interval: 1s
    for_each: {environment: environments}
    document: "query ($data: DataFilter!) { listAllAPI(dataFilter: $data) { id name version } }"
    variables:
      data: {orgId: "{{ source.org_id }}", environmentId: "{{ environment.id }}", tenant: carbon.super}
    rows: listAllAPI
    labels: {environment_id: "{{ environment.id }}"}
    metrics:
      - {name: choreo_api_info, help: APIs., labels: {api_id: id, api: name, version: version}, value: 1}
"""


def choreo_source(extra: str = "") -> str:
    """The source section for the simulated API; `extra` lines are keys of the source."""
    return dedent(
        f"""\
        sources:
          - name: acme
            url: ${{CHOREO_INSIGHTS_URL}}
            schema: choreo
            labels: {{organization: "${{CHOREO_ORG_HANDLE}}"}}
            oauth2:
              token_url: ${{CHOREO_TOKEN_URL}}
              client_id: ${{CHOREO_CONSUMER_KEY}}
              client_secret: ${{CHOREO_CONSUMER_SECRET}}
              scopes: [apim:api_manage]
              endpoint_params: {{orgHandle: "${{CHOREO_ORG_HANDLE}}"}}
            values: {{org_id: "${{CHOREO_ORG_ID}}"}}
            {extra}
        queries:"""
    )


def choreo_environ(simulator: Simulator) -> dict[str, str]:
    """The environment variables with which the example configurations reach the simulated API."""
    return simulator.variables()


def fan_out(calls: int, interval: str) -> str:
    """A query that asks the same so many times, once for each number of a list."""
    return f"""
  - name: many
    interval: {interval}
    for_each: {{number: [{", ".join(str(number) for number in range(calls))}]}}
    document: "query ($org: OrgFilter!) {{ listEnvironments(org: $org) {{ id }} }}"
    variables: {{org: {{orgId: "{{{{ source.org_id }}}}"}}}}
    labels: {{number: "{{{{ number }}}}"}}
    metrics:
      - {{name: environments, help: Environments., value: 1}}
"""
