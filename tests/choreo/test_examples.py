"""The examples in docs/examples: checked against the published schemas, and run against real servers of these."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from graphql import (
    FieldNode,
    GraphQLObjectType,
    GraphQLUnionType,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    parse,
    validate_schema,
    visit,
)
from prometheus_client.parser import text_string_to_metric_families

from exporter.cli.main import command
from exporter.config.load import load
from exporter.plan.planner import plan
from tests.support.configurations import ROOT
from tests.support.graphql_api import connection, graphql_api
from tests.support.logs import kept_logging
from tests.support.processes import Exporter, eventually
from tests.support.recorded_api import Recorded, recorded_apis

EXAMPLES = ROOT / "docs" / "examples"
NAMES = sorted(file.parent.name for file in EXAMPLES.glob("*/config.yaml"))
RECORDED = sorted(file.parent.name for file in EXAMPLES.glob("*/answers.json"))
# What the check says of an example: the name is that of another exporter, and no schema says what is inside JSON.
SAID = {
    "cloudflare": ["a name that ends in _count"] * 7 + ["the label quantile"] * 8 + ["a name that ends in _count"],
    "saleor": ["goes inside JSON", "goes inside JSON"],
    "shopify": ["extensions.cost.throttleStatus.currentlyAvailable"],
}
BASIC = f"Basic {base64.b64encode(b'ann:test-pass').decode()}"
HEADERS = {
    "buildkite": ("Authorization", "Bearer test-buildkite"),
    "cloudflare": ("Authorization", "Bearer test-cloudflare"),
    "dagster": ("Authorization", BASIC),
    "github": ("Authorization", "Bearer test-github"),
    "gitlab": ("Authorization", "Bearer test-gitlab"),
    "hasura": ("X-Hasura-Admin-Secret", "test-hasura"),
    "linear": ("Authorization", "test-linear"),
    "monday": ("Authorization", "test-monday"),
    "postgraphile": ("Authorization", "Bearer test-postgraphile"),
    "saleor": ("Authorization", "Bearer test-saleor"),
    "shopify": ("X-Shopify-Access-Token", "test-shopify"),
}
ENVIRON = {
    "BUILDKITE_TOKEN": "test-buildkite",
    "BUILDKITE_ORGANIZATION": "acme",
    "CLOUDFLARE_TOKEN": "test-cloudflare",
    "CLOUDFLARE_ZONE": "023e105f4ecef8ad9ca31a8372d0c353",
    "CLOUDFLARE_ZONE_NAME": "example.com",
    "CLOUDFLARE_ACCOUNT": "9a7806061c88ada191ed06f989cc3dac",
    "CLOUDFLARE_ACCOUNT_NAME": "Acme Inc",
    "CLOUDFLARE_ACCOUNT_LABEL": "acme-inc",
    "DAGSTER_USER": "ann",
    "DAGSTER_PASSWORD": "test-pass",
    "GITHUB_TOKEN": "test-github",
    "GITHUB_ORGANIZATION": "acme",
    "GITLAB_TOKEN": "test-gitlab",
    "GITLAB_GROUP": "acme",
    "HASURA_ADMIN_SECRET": "test-hasura",
    "LINEAR_API_KEY": "test-linear",
    "MONDAY_TOKEN": "test-monday",
    "MONDAY_BOARD": "1234567890",
    "POSTGRAPHILE_TOKEN": "test-postgraphile",
    "SALEOR_TOKEN": "test-saleor",
    "SALEOR_CHANNEL": "default",
    "SHOPIFY_SHOP": "lamps",
    "SHOPIFY_TOKEN": "test-shopify",
}


def sdl(name: str) -> str:
    """The published schema of an example's API."""
    return (EXAMPLES / name / "schema.graphql").read_text("utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_check_takes_an_example_as_it_is(name: str) -> None:
    """Every document, path and type of an example is right by the API's own schema, before anything is set."""
    with kept_logging():
        run = CliRunner().invoke(command, ["--config.check", f"--config.file={EXAMPLES / name / 'config.yaml'}"])
    assert run.exit_code == 0, run.stderr
    assert "fine (1 sources," in run.stdout
    said = [line for line in run.stderr.splitlines() if "the environment variable" not in line]
    assert len(said) == len(SAID.get(name, ()))
    assert all(text in line for text, line in zip(SAID.get(name, ()), said, strict=True))


@pytest.mark.parametrize(("name", "field"), [("github", "stargazerCount"), ("dagster", "lastHeartbeatTime")])
def test_a_wrong_field_in_an_example_is_named(name: str, field: str, tmp_path: Path) -> None:
    """The schema is really looked at: a field that the API does not have is refused, with the nearest that it has."""
    (tmp_path / "schema.graphql").write_text(sdl(name))
    wrong = (EXAMPLES / name / "config.yaml").read_text("utf-8").replace(field, f"{field}s")
    file = tmp_path / "config.yaml"
    file.write_text(wrong)
    line = next(number for number, text in enumerate(wrong.splitlines(), 1) if f"{field}s" in text)
    with kept_logging():
        run = CliRunner().invoke(command, ["--config.check", f"--config.file={file}"])
    assert run.exit_code == 1
    (said,) = [text for text in run.stderr.splitlines() if "Cannot query field" in text]
    assert said.startswith(f"error: {file}:{line}: queries[")
    assert f"did you mean '{field}'" in said


def environ_at(url: str) -> dict[str, str]:
    """What the examples take from the environment, where their APIs are served there."""
    urls = {f"{name.upper()}{'_URL' if name == 'dagster' else '_GRAPHQL_URL'}": f"{url}/{name}" for name in RECORDED}
    return {**urls, **ENVIRON}


class _Quoting(yaml.SafeDumper):
    """Writes variables in quotes, without which a number from the environment would be one."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style='"' if "${" in text else None)


_Quoting.add_representer(str, _Quoting.represent_text)


def all_in_one() -> str:
    """The configurations of all these examples as one, in which each query asks its own source.

    All sources of one configuration have the same labels, so theirs go to their queries, and each has `example`.
    """
    whole: dict[str, list[Any]] = {"sources": [], "queries": [], "lookups": [], "query_files": []}
    for name in RECORDED:
        config = yaml.safe_load((EXAMPLES / name / "config.yaml").read_text("utf-8"))
        (source,) = config["sources"]
        labels = {label: {"const": text} for label, text in source.pop("labels", {}).items()}
        own_schema = str(EXAMPLES / name / source["schema"])
        whole["sources"].append({**source, "schema": own_schema, "labels": {"example": name}})
        for query in config["queries"]:
            own = {"sources": [source["name"]], "labels": {**labels, **query.get("labels", {})}}
            whole["queries"].append({**query, **own})
        whole["lookups"] += config.get("lookups", [])
        whole["query_files"] += [str(EXAMPLES / name / file) for file in config.get("query_files", [])]
    return yaml.dump(whole, Dumper=_Quoting, sort_keys=False)


def by_series(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """The value of each series in a text of the text format, without the label `example`."""
    found = [one for family in text_string_to_metric_families(text) for one in family.samples]
    for one in found:
        one.labels.pop("example", None)
    series = {(one.name, frozenset(one.labels.items())): one.value for one in found}
    assert len(series) == len(found)
    return series


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of one exporter that runs all examples against servers of their answers."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "config.yaml").write_text(all_in_one())
    apis = {name: Recorded.of(EXAMPLES / name, HEADERS[name]) for name in RECORDED}
    with (
        recorded_apis(apis) as url,
        Exporter(folder / "config.yaml", folder / "log", environ=environ_at(url)) as exporter,
    ):
        exporter.wait_until_ready()
        failed = [labels for labels, up in exporter.samples("insights_exporter_query_up") if not up]
        assert not failed, exporter.log
        yield exporter.page()


@pytest.mark.parametrize("name", RECORDED)
def test_an_example_publishes_what_it_shows(page: str, name: str) -> None:
    """From the answers beside an example come the series beside it, to the last label and digit, and no others."""
    names = set(families(name, environ_at("http://localhost")))
    found = {series: value for series, value in by_series(page).items() if series[0] in names}
    assert found == by_series((EXAMPLES / name / "metrics.txt").read_text("utf-8"))
    assert {series[0] for series in found} == names


def test_there_are_eight_complete_examples() -> None:
    """Each has a configuration, a schema of no more than what it uses, answers and the series that come of them."""
    assert len(RECORDED) >= 8
    for name in RECORDED:
        assert (EXAMPLES / name / "metrics.txt").exists()
        assert len(sdl(name).splitlines()) < 200
        assert not validate_schema(build_schema(sdl(name)))


def test_the_cloudflare_example_has_the_families_of_the_exporter_it_replaces(page: str) -> None:
    """Whoever comes from lablabs/cloudflare-exporter finds each family and label here, or why it is not here."""
    text = (EXAMPLES / "cloudflare" / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    here, elsewhere = (dict(re.findall(r"^(\w+)\{(.*)\}$", block, re.MULTILINE)) for block in blocks)
    published: dict[str, set[str]] = {}
    for name, labels in by_series(page):
        if name.startswith("cloudflare_"):
            published[name] = published.get(name, set()) | {label for label, _ in labels}
    assert {name: set(labels.split(", ")) for name, labels in here.items()} == published
    assert (len(here), len(elsewhere)) == (35, 5)


@pytest.mark.parametrize("name", RECORDED)
def test_a_schema_has_no_more_than_its_example_uses(name: str) -> None:
    """Every field that stands there is selected; what types of a union or of an interface need besides is let be."""
    schema = build_schema(sdl(name))
    info, selected = TypeInfo(schema), set[tuple[str, str]]()

    class Fields(Visitor):
        def enter_field(self, node: FieldNode, *_: object) -> None:
            parent = info.get_parent_type()
            assert parent is not None
            selected.add((parent.name, node.name.value))

    for query in yaml.safe_load((EXAMPLES / name / "config.yaml").read_text("utf-8"))["queries"]:
        visit(parse(query["document"]), TypeInfoVisitor(info, Fields()))
    kinds = schema.type_map.values()
    needed = {member.name for kind in kinds if isinstance(kind, GraphQLUnionType) for member in kind.types}
    there = {
        (kind.name, field)
        for kind in kinds
        if isinstance(kind, GraphQLObjectType) and not kind.name.startswith("__")
        if not kind.interfaces and kind.name not in needed
        for field in kind.fields
    }
    assert there
    assert there <= selected


def families(name: str, environ: Mapping[str, str]) -> list[str]:
    """The metric families that an example publishes."""
    return [family.name for family in plan(load(EXAMPLES / name / "config.yaml", environ)).families]


REPOSITORIES: list[dict[str, Any]] = [
    {
        "name": f"repository-{number}",
        "visibility": "PUBLIC" if number % 3 else "PRIVATE",
        "primaryLanguage": {"name": "Python"} if number % 4 else None,
        "stargazerCount": number * 10,
        "forkCount": number,
        "diskUsage": number + 1,
        "pushedAt": "2026-03-18T12:00:00Z" if number else None,
        "issues": {"totalCount": number % 7},
        "pullRequests": {"totalCount": number % 5},
        "defaultBranchRef": {
            "target": {"__typename": "Commit", "statusCheckRollup": {"state": "SUCCESS" if number % 10 else "FAILURE"}}
        }
        if number
        else None,
    }
    for number in range(120)
]


def test_the_github_example_publishes_an_organization(tmp_path: Path) -> None:
    """A hundred and twenty repositories come in three pages behind a bearer token, and every metric has its series."""
    data = {
        "organization": lambda _, login: {"repositories": connection(REPOSITORIES)} if login == "acme" else None,
        "rateLimit": {"limit": 5000, "remaining": 4321, "resetAt": "2026-03-18T13:00:00Z"},
    }
    with graphql_api(sdl("github"), data, "Bearer test-token") as api:
        environ = {"GITHUB_GRAPHQL_URL": api.url, "GITHUB_TOKEN": "test-token", "GITHUB_ORGANIZATION": "acme"}
        with Exporter(EXAMPLES / "github" / "config.yaml", tmp_path / "log", environ=environ) as exporter:
            exporter.wait_until_ready()
            assert all(exporter.samples(name, organization="acme") for name in families("github", environ)), (
                exporter.log
            )
            assert exporter.value("github_repository_stars") == sum(number * 10 for number in range(120))
            assert exporter.value("github_repository_size_bytes", repository="repository-9") == 10 * 1024
            assert exporter.value("github_repository_default_branch_checks_failed") == 11
            assert len(exporter.samples("github_repository_default_branch_checks_failed")) == 119
            pushed = exporter.value("github_repository_last_push_timestamp_seconds", repository="repository-1")
            assert pushed == datetime(2026, 3, 18, 12, tzinfo=UTC).timestamp()
            assert exporter.value("github_repository_info", language="", visibility="PRIVATE") == 10
            assert exporter.value("github_rate_limit_remaining_points") == 4321
            assert "test-token" not in exporter.log + exporter.page()
        asked = [request["variables"] for request in api.requests if "repositories" in request["query"]]
        assert len({str(page) for page in asked[:3]}) == 3
        assert asked[3:] == asked[: len(asked) - 3]  # a second poll, where its tick came just after the start


def dagster_data(began: float) -> dict[str, Any]:
    """A Dagster with a run every ten minutes of the last two days, every fifth of which failed."""
    runs = [
        {"status": "FAILURE" if number % 5 == 0 else "SUCCESS", "updated": began - 600 * number}
        for number in range(288)
    ] + [{"status": "QUEUED", "updated": began}] * 3

    def of(_: Any, **arguments: Any) -> dict[str, Any]:
        given = arguments["filter"]
        low, high = given.get("updatedAfter", 0), given.get("updatedBefore", began + 1e6)
        found = [run for run in runs if run["status"] in given["statuses"] and low < run["updated"] < high]
        return {"__typename": "Runs", "count": len(found)}

    location = {"updatedTimestamp": began - 60}
    jobs = {"schedules": "scheduleState", "sensors": "sensorState"}
    return {
        "runsOrError": of,
        "instance": {
            "daemonHealth": {
                "allDaemonStatuses": [
                    {"daemonType": "SENSOR", "required": True, "healthy": True, "lastHeartbeatTime": began - 5},
                    {"daemonType": "BACKFILL", "required": False, "healthy": None, "lastHeartbeatTime": None},
                ]
            }
        },
        "workspaceOrError": {
            "__typename": "Workspace",
            "locationEntries": [
                {"name": "etl", **location, "locationOrLoadError": {"__typename": "RepositoryLocation"}},
                {"name": "broken", **location, "locationOrLoadError": {"__typename": "PythonError"}},
            ],
        },
        "repositoriesOrError": {
            "__typename": "RepositoryConnection",
            "nodes": [
                {
                    "name": "warehouse",
                    "location": {"name": "etl"},
                    **{
                        many: [
                            {"name": "hourly", state: {"status": "RUNNING"}},
                            {"name": "x", state: {"status": "STOPPED"}},
                        ]
                        for many, state in jobs.items()
                    },
                }
            ],
        },
    }


def test_the_dagster_example_publishes_a_deployment(tmp_path: Path) -> None:
    """Behind a user and a password: unions, a counter by time stamps, states as numbers; every metric works."""
    began = time.time() - 120
    authorization = f"Basic {base64.b64encode(b'ann:test-pass').decode()}"
    with graphql_api(sdl("dagster"), dagster_data(began), authorization) as api:
        environ = {"DAGSTER_URL": api.url, "DAGSTER_USER": "ann", "DAGSTER_PASSWORD": "test-pass"}
        with Exporter(EXAMPLES / "dagster" / "config.yaml", tmp_path / "log", environ=environ) as exporter:
            exporter.wait_until_ready()
            assert all(exporter.samples(name) for name in families("dagster", environ)), exporter.log
            assert exporter.value("dagster_runs", status="QUEUED") == 3
            assert exporter.value("dagster_daemon_healthy", daemon="SENSOR", required="true") == 1
            assert exporter.value("dagster_daemon_healthy", daemon="BACKFILL") is None
            loaded = {labels["location"]: up for labels, up in exporter.samples("dagster_code_location_loaded")}
            assert loaded == {"etl": 1, "broken": 0}
            where = {"location": "etl", "repository": "warehouse"}
            assert exporter.value("dagster_schedule_running", schedule="hourly", **where) == 1
            assert exporter.value("dagster_sensor_running", sensor="x", **where) == 0

            def ended_today() -> bool:
                end = exporter.value("insights_exporter_query_window_end_timestamp_seconds", query="finished_runs")
                midnight = datetime.fromtimestamp((end or 0) - 1, UTC).replace(
                    hour=0, minute=0, second=0, microsecond=0
                )
                times = [began - 600 * number for number in range(288)]
                made = sum(midnight.timestamp() < updated < (end or 0) for updated in times)
                return exporter.value("dagster_finished_runs_total") == made

            eventually(ended_today, "agreement of the runs that ended today")


def test_every_example_names_its_schema_and_where_that_is_from() -> None:
    """An example has a schema, shipped or beside it, and the page about the examples says whose it is."""
    page = (EXAMPLES / "README.md").read_text("utf-8")
    for name in NAMES:
        (source,) = yaml.safe_load((EXAMPLES / name / "config.yaml").read_text("utf-8"))["sources"]
        assert f"]({name}/config.yaml)" in page
        assert source["schema"] == "choreo" or f"]({name}/{source['schema']})" in page


@pytest.mark.parametrize("name", RECORDED)
def test_a_schema_says_where_it_is_published(name: str) -> None:
    """Whoever doubts a schema finds the API's own, and what was compared with it, in the first lines."""
    head = sdl(name).split("\n\n")[0]
    assert re.search(r"Published (are the rules|as|at|by|in) ", head)
    assert re.search(r"[Cc]ompared .*\b20\d\d-\d\d-\d\d\b|Not compared", head, re.DOTALL)
