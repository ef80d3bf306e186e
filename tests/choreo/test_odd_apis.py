"""Odd but plausible APIs, by configuration alone: the right figures from the running program, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.graphql_api import graphql_api
from tests.support.processes import Exporter, finished

SDL = """
scalar JSON
scalar BigInt
interface Asset { id: ID!, usage: Usage }
type Usage { used: Float }
type Disk implements Asset { id: ID!, usage: Usage, size: String! }
type Vm implements Asset { id: ID!, usage: Usage, cores: Int!, active: Boolean! }
type Person { login: String! }
union Found = Disk | Vm | Person
enum Tag { HOT COLD }
type Info { hasNextPage: Boolean!, endCursor: String }
type TeamEdge { node: Team }
type Teams { edges: [TeamEdge], pageInfo: Info!, totalCount: Int }
type RepoEdge { node: Repo }
type Repos { edges: [RepoEdge] }
type Repo { name: String!, stars: Int, stats: JSON, tags: [Tag!], price: String, big: BigInt }
type Team { name: String!, repos(first: Int!, order: Order): Repos }
type Org { name: String!, teams(first: Int!, after: String): Teams }
input Order { field: String = "name", desc: Boolean }
input Filter { tags: [Tag!], range: Range }
input Range { from: Int!, to: Int }
type Note { text: String, author: Person }
type Query {
  org: Org
  assets: [Asset!]!
  search(q: String!): [Found]
  words: [String!]!
  cube: [[Float!]!]!
  counts(min: Int = 1, filter: Filter): [Int]
  stamps: JSON
  repo: Repo
  me: Person
  notes: [Note!]!
}
"""


def repo(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "stars": 5, "stats": {"by_day": {"mon": 1, "tue": 2}}, "tags": ["HOT", "COLD"], **more}


RED = {
    "name": "red",
    "repos": {
        "edges": [{"node": repo("r1")}, None, {"node": repo("r2", stars=7, tags=[], stats=None)}, {"node": None}]
    },
}
BLUE = {"name": "blue", "repos": {"edges": [{"node": repo("r3", stats={"by_day": {}})}]}}
GREY = {"name": "grey", "repos": None}


def teams(_: object, first: int, after: str | None = None) -> dict[str, Any]:
    """The teams in pages, as Relay's connections have them."""
    start = int(after or 0)
    nodes = [RED, BLUE, GREY][start : start + first]
    end = start + len(nodes)
    info = {"hasNextPage": end < 3, "endCursor": str(end)}
    return {"edges": [{"node": node} for node in nodes], "totalCount": 3, "pageInfo": info}


def counts(_: object, min: int, filter: dict[str, Any] | None = None) -> list[int | None]:  # noqa: A002 - the API's
    return [min, None, None if filter is None else filter["range"]["from"]]


VM = {"__typename": "Vm", "id": "v1", "usage": None, "cores": 4, "active": True}
DISK = {"__typename": "Disk", "id": "d1", "usage": {"used": 1.5}, "size": "10 GiB"}
DATA: dict[str, Any] = {
    "org": {"name": "acme", "teams": teams},
    "assets": [DISK, VM, {**VM, "id": "v2", "usage": {"used": 3}, "active": False}],
    "search": lambda _, q: [DISK, None, {"__typename": "Person", "login": q}, VM],
    "words": ["x", "y", "x"],
    "cube": [[0.5], [1.5, 2.5]],
    "counts": counts,
    "stamps": {"a": 1767225600123, "b": "1767225600456", "c": "2026-01-01"},
    "repo": repo("solo", price="-1.5e3", big="12345678901234567890"),
    "me": {"login": "amy"},
    "notes": [{"text": '{"price": 3}', "author": {"login": "amy"}}, {"text": "no JSON", "author": None}],
}

QUERIES = r"""
queries:
  - name: nested_connections
    document: |
      query ($n: Int!, $after: String, $order: Order = {desc: true}) {
        org {
          name
          teams(first: $n, after: $after) {
            totalCount
            pageInfo { hasNextPage endCursor }
            edges { node { name repos(first: 9, order: $order) { edges { node { name stars stats tags } } } } }
          }
        }
      }
    pages: {size: 2, limit: n, cursor: after, info: org.teams.pageInfo}
    rows: org.teams.edges.node
    metrics:
      - name: repo_stars
        help: S.
        value: repos.edges.node.stars
        labels: {org: org.name, team: org.teams.edges.node.name, repo: .name}
      - name: repo_days
        help: S.
        value: repos.edges.node.stats.by_day.*
        labels: {repo: repos.edges.node.name, day: .@key}
      - name: team_repos
        help: S.
        value: repos.edges.node
        labels: {team: org.teams.edges.node.name}
        aggregate: count
      - {name: teams, help: S., value: totalCount}
      - {name: tag_info, help: S., value: {const: 1, of: repos.edges.node.tags}, labels: {repo: .name, tag: .}}
      - name: last_edge
        help: S.
        value: repos.edges.*.@key
        labels: {team: org.teams.edges.node.name}
        aggregate: max
  - name: interface
    document: |
      { assets { __typename id ... on Asset { usage { used } } ...D ... on Vm { cores active } } }
      fragment D on Disk { size }
    rows: assets
    labels: {kind: __typename, id: id}
    metrics:
      - {name: asset_used, help: U., value: usage.used}
      - {name: asset_size_bytes, help: U., value: size, from: size}
      - {name: asset_cores, help: U., value: cores}
      - {name: asset_active, help: U., value: active, states: ["true", "false"]}
  - name: union
    document: |
      query A { me { login } }
      query B ($q: String!, $x: Boolean!, $y: Boolean = true) {
        search(q: $q) {
          __typename
          ... on Vm { id cores @include(if: $x) }
          ... on Disk { id size @skip(if: $y) }
          ... on Person { login }
        }
        ...Root
      }
      fragment Root on Query { me { login } }
    operation: B
    variables: {q: bob, x: false}
    rows: search
    metrics:
      - {name: found, help: F., value: 1, labels: {kind: __typename, id: id, login: login, me: me.login}}
      - {name: found_cores, help: F., value: cores}
  - name: lists
    document: "{ words cube }"
    metrics:
      - {name: words, help: W., value: words, aggregate: count, labels: {word: .}}
      - {name: cube, help: C., value: cube.*.*, labels: {row: cube.*.@key, column: .@key}}
      - {name: cube_values, help: C., value: cube.*.*, labels: {row: cube.*.@key}, aggregate: count}
  - name: rows_of_texts
    document: "{ words }"
    rows: words
    metrics:
      - {name: word, help: W., value: ., states: [x, y], aggregate: count}
      - {name: word_at, help: W., value: .@key, labels: {word: .}, aggregate: max}
  - name: values
    document: |
      query ($filter: Filter) {
        repo { a: price b: price big }
        stamps
        counts(min: 4)
        others: counts(filter: $filter)
      }
    variables: {filter: {tags: [HOT], range: {from: 9}}}
    metrics:
      - {name: price_a, help: P., value: repo.a, from: string}
      - {name: price_b, help: P., value: repo.b, from: string}
      - {name: big, help: P., value: repo.big, from: string}
      - {name: stamp_seconds, help: P., value: stamps.*, from: timestamp, format: unix_ms, labels: {key: .@key}}
      - {name: fourth, help: P., value: "counts[0]"}
      - {name: ninth, help: P., value: "others[-1]"}
  - name: days
    document: "{ repo { stats } }"
    rows: repo.stats.by_day.*
    metrics: [{name: day, help: D., value: ., labels: {day: .@key}}]
  - name: fed
    for_each: {day: {query: days, where: {.@key: tue}}}
    document: "query ($q: String!) { search(q: $q) { ... on Person { login } } }"
    variables: {q: "{{ day.@key }}"}
    rows: search
    metrics: [{name: fed, help: F., value: 1, labels: {login: login}, where: {login: tue}}]
  - name: texts
    document: "{ notes { text author { login } } }"
    json_texts: [notes.text]
    rows: notes
    on_bad_row: skip
    metrics: [{name: note_price, help: T., value: text.price, labels: {who: author.login}}]
"""

SERIES = """
repo_stars{org="acme",repo="r1",team="red"} 5
repo_stars{org="acme",repo="r2",team="red"} 7
repo_stars{org="acme",repo="r3",team="blue"} 5
repo_days{day="mon",repo="r1"} 1
repo_days{day="tue",repo="r1"} 2
team_repos{team="red"} 2
team_repos{team="blue"} 1
teams 3
tag_info{repo="r1",tag="HOT"} 1
tag_info{repo="r1",tag="COLD"} 1
tag_info{repo="r3",tag="HOT"} 1
tag_info{repo="r3",tag="COLD"} 1
last_edge{team="red"} 3
last_edge{team="blue"} 0
asset_used{id="d1",kind="Disk"} 1.5
asset_used{id="v2",kind="Vm"} 3.0
asset_size_bytes{id="d1",kind="Disk"} 10737418240
asset_cores{id="v1",kind="Vm"} 4
asset_cores{id="v2",kind="Vm"} 4
asset_active{id="v1",kind="Vm",state="true"} 1
asset_active{id="v1",kind="Vm",state="false"} 0
asset_active{id="v2",kind="Vm",state="true"} 0
asset_active{id="v2",kind="Vm",state="false"} 1
found{id="d1",kind="Disk",login="",me="amy"} 1
found{id="",kind="Person",login="bob",me="amy"} 1
found{id="v1",kind="Vm",login="",me="amy"} 1
words{word="x"} 2
words{word="y"} 1
cube{column="0",row="0"} 0.5
cube{column="0",row="1"} 1.5
cube{column="1",row="1"} 2.5
cube_values{row="0"} 1
cube_values{row="1"} 2
word{state="x"} 2
word{state="y"} 1
word_at{word="x"} 2
word_at{word="y"} 1
price_a -1500.0
price_b -1500.0
big 1.2345678901234567e+19
stamp_seconds{key="a"} 1767225600.123
stamp_seconds{key="b"} 1767225600.456
fourth 4
ninth 9
day{day="mon"} 1
day{day="tue"} 2
fed{login="tue"} 1
note_price{who="amy"} 3
"""


@contextmanager
def configuration(folder: Path, *, schema: bool) -> Iterator[Path]:
    """The file, while its API is there."""
    (folder / "schema.graphql").write_text(SDL)
    file = folder / "config.yaml"
    with graphql_api(SDL, DATA, "Bearer test-bearer") as api:
        known = ", schema: schema.graphql" if schema else ""
        file.write_text(
            f"sources: [{{name: api, url: '{api.url}', authorization: {{credentials: test-bearer}}{known}}}]"
        )
        file.write_text(file.read_text() + (QUERIES if schema else quote_keys(QUERIES)))
        yield file


def quote_keys(queries: str) -> str:
    """The queries as they are written without a schema, which would say where JSON begins."""
    return queries.replace("stats.by_day", 'stats["by_day"]')


@pytest.mark.parametrize("schema", [True, False], ids=["with a schema", "without"])
def test_odd_apis_are_read_right(tmp_path: Path, *, schema: bool) -> None:
    """Each figure is what is in the answer, whether or not a schema proves it; what cannot be read is counted."""
    with configuration(tmp_path, schema=schema) as file, Exporter(file, tmp_path / "log") as exporter:
        exporter.wait_until_ready()
        lines = [
            line
            for line in exporter.page().splitlines()
            if not line.startswith(("#", "insights_", "process_", "python_"))
        ]
        assert sorted(lines) == sorted(SERIES.split("\n")[1:-1]), exporter.log
        assert exporter.value("insights_exporter_values_skipped_total", query="values")
        assert exporter.value("insights_exporter_query_rows_skipped_total", query="texts")


def test_rows_of_a_map_are_shown(tmp_path: Path) -> None:
    """Whoever tries a query sees each value of a map as a row."""
    with configuration(tmp_path, schema=True) as file:
        run = finished("query", "days", f"--config.file={file}")
    assert (run.returncode, run.stderr) == (0, "")
    assert "Rows (2):\n  .\n  1\n  2\n" in run.stdout


def test_an_object_where_a_text_is_made_fails_that_target_alone(tmp_path: Path) -> None:
    """Of two rows, one has an object as its id. Its poll says so, in the API's terms; the other has its value. The
    command shows both, and keeps what was answered."""
    sdl = "scalar JSON type Item { id: JSON, name: String! } type Query { items: [Item!]!, size(of: String!): Int }"
    items = [{"id": {"shard": 1}, "name": "odd"}, {"id": "b", "name": "even"}]
    config, kept = tmp_path / "config.yaml", tmp_path / "kept.json"
    with graphql_api(sdl, {"items": items, "size": lambda _, of: len(of)}, "Bearer t") as api:
        config.write_text(f"""
sources: [{{name: shop, url: "{api.url}", authorization: {{credentials: t}}}}]
queries:
  - {{name: items, document: "{{ items {{ id name }} }}", rows: items}}
  - name: sizes
    for_each: {{item: items}}
    document: "query ($of: String!) {{ size(of: $of) }}"
    variables: {{of: "item-{{{{ item.id }}}}"}}
    labels: {{name: "{{{{ item.name }}}}"}}
    metrics: [{{name: item_size, help: Size., value: size}}]
""")
        wrong = "item.id is a list or an object, which cannot be a part of a text"
        with Exporter(config, tmp_path / "log") as exporter:
            exporter.wait_until_ready()
            assert exporter.samples("item_size") == [({"name": "even"}, 6.0)], exporter.log
            assert exporter.value("insights_exporter_poll_failures_total", query="sizes", reason="schema")
            assert wrong in exporter.log
        for flag in (f"--save={kept}", f"--response={kept}"):
            run = finished("query", "sizes", f"--config.file={config}", "--all", flag)
            assert run.returncode == 1
            assert wrong in run.stderr + run.stdout
            assert "Traceback" not in run.stderr
            assert "item_size" in run.stdout
