"""What has no shape, fed to all that reads from outside: it is read or refused, and nothing breaks.

Some hundred cases of each in every run; FUZZ_CASES says how many instead. `make fuzz` lets coverage guide the same
tests for as long as it is told.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from exporter.config.load import load
from exporter.exposition import Format
from exporter.model.errors import ConfigError, Reason, TokenFailure
from exporter.model.samples import Json
from exporter.plan.operation import label_values
from exporter.plan.plan import Target
from exporter.plan.planner import plan
from exporter.polling.course import Course
from exporter.polling.poll import Poller
from exporter.series.label_texts import Surroundings
from exporter.series.store import Owner, Store
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.token_response import MAX_LIFETIME_SECONDS, read_token
from exporter.upstream.transport import Transport, WireResponse
from tests.support.plans import planned
from tests.support.processes import Snapshot
from tests.support.serving import ASite, Running, received, running

pytestmark = pytest.mark.timeout(1800)  # thousands of cases on a busy machine
CASES: Final = int(os.environ.get("FUZZ_CASES", "300"))
SECRET: Final = "hunter2SECRET"

leaves: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**308, 10**400, -(2**63), "1e308", "9" * 5000, "2021-08-16T12:00:00Z", "\ud800", "a\n\0"])
    | st.floats()
    | st.text(max_size=5)
)


def trees(*names: str) -> st.SearchStrategy[Json]:
    """JSON whose objects have mostly these names."""
    keys = st.sampled_from(names) | st.text(max_size=3)
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=25
    )


def broken(text: bytes) -> st.SearchStrategy[bytes]:
    """The text with a piece cut out and something else in its place."""
    places = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)), st.binary(max_size=12))
    return places.map(lambda cut: text[: min(cut[:2])] + cut[2] + text[max(cut[:2]) :])


def bodies(shapes: st.SearchStrategy[Json], good: bytes) -> st.SearchStrategy[bytes]:
    """Bodies that are JSON of some shape, almost a good one, or nothing of the kind."""
    return shapes.map(lambda content: json.dumps(content).encode()) | broken(good) | st.binary(max_size=200)


content_types = st.sampled_from(["application/json", "application/graphql-response+json", "text/html", "", ";"])
statuses = st.just(200) | st.integers(100, 999)
headers = st.fixed_dictionaries(
    {"content-type": content_types},
    optional={"retry-after": st.text(max_size=8) | st.just("9" * 400), "date": st.text(max_size=30)},
)

# ------------------------------------------------------------------------------------------------ answers of an API

QUERY: Final = planned("""
- name: items
  document: "{ items { id value at nested { name } } errors: other }"
  rows: items
  labels: {id: id}
  on_partial: publish
  metrics:
    - {name: plain, help: Plain., value: value, labels: {name: nested.name}}
    - {name: text, help: Text., value: id, from: string, aggregate: last}
    - {name: time, help: Time., value: at, from: timestamp, aggregate: max}
    - {name: counted, help: Counted., value: 1, aggregate: sum}
""")
GOOD_ANSWER: Final = json.dumps(
    {"data": {"items": [{"id": "a", "value": 1, "at": "2021-08-16T12:00:00Z", "nested": {"name": "n"}}], "errors": 1}}
).encode()
answers = bodies(
    trees("data", "errors", "items", "id", "value", "at", "nested", "name", "message", "path")
    | st.fixed_dictionaries({"data": trees("items", "id", "value", "at", "nested", "name", "errors")})
    | st.fixed_dictionaries(
        {
            "data": st.fixed_dictionaries(
                {
                    "errors": leaves,
                    "items": st.lists(
                        st.fixed_dictionaries({"id": leaves, "value": leaves, "at": leaves, "nested": trees("name")})
                    ),
                }
            )
        }
    ),
    GOOD_ANSWER,
)


class _Answering(Transport):
    """A transport that has the answer already."""

    def __init__(self, answer: WireResponse) -> None:
        self._answer = answer

    async def post(self, *_: object, **__: object) -> WireResponse:
        return self._answer


@given(status=statuses, fields=headers, body=answers)
@example(200, {"content-type": "application/json"}, GOOD_ANSWER)
@settings(max_examples=CASES)
def test_answers_of_an_api(status: int, fields: Mapping[str, str], body: bytes) -> None:
    """Whatever an API answers, the poll yields series that stand well on a page, or fails with a reason."""
    (query,) = QUERY.queries
    (source,) = QUERY.sources
    client = GraphQLClient("http://127.0.0.1/", _Answering(WireResponse(status, fields, body)), None)
    target = Target({}, "")
    around = Surroundings(label_values(source, target))
    poller = Poller(client, lambda *_: around)
    outcome = asyncio.run(poller.poll(Course(query, source), {target: None})).outcomes[target]
    assert outcome.reason is not Reason.INTERNAL, outcome.detail
    assert outcome.detail.isprintable()
    store = Store(1000)
    outcome = store.fold(Owner(query.name, source.name, ""), target, outcome, 0.0, 0.0)
    page = Snapshot(b"".join(store.page().raw(Format.TEXT)).decode())
    count = outcome.result.series_count if outcome.result is not None else 0
    assert sum(len(page.samples(name)) for name in ("plain", "text", "time", "counted")) == count


# ------------------------------------------------------------------------------------- answers of a token endpoint

GOOD_GRANT: Final = (
    b'{"access_token":"eyJhbGciOiJub25lIn0.eyJleHAiOjE5MDAwMDAwMDB9.x","token_type":"Bearer","expires_in":3600}'
)
grants = bodies(
    trees("access_token", "token_type", "expires_in", "error")
    | st.fixed_dictionaries(
        {"access_token": leaves | st.text(st.characters(max_codepoint=126), min_size=1)},
        optional={"token_type": st.just("bearer") | leaves, "expires_in": leaves, "error": leaves},
    ),
    GOOD_GRANT,
)


@given(status=statuses, fields=headers, body=grants, wall_time=st.floats(0, 1e11))
@example(200, {"content-type": "application/json"}, GOOD_GRANT, 1.6e9)
@settings(max_examples=CASES)
def test_answers_of_a_token_endpoint(status: int, fields: Mapping[str, str], body: bytes, wall_time: float) -> None:
    """Whatever a token endpoint answers, it grants a token that a header can carry, for a while, or none."""
    try:
        granted = read_token(WireResponse(status, fields, body), wall_time)
    except TokenFailure as refused:
        failure = refused
    else:
        assert re.fullmatch("[!-~]+", granted.text)
        assert 0 < granted.lifetime_seconds <= MAX_LIFETIME_SECONDS
        return
    assert failure.detail.isprintable()
    assert 0 <= (failure.retry_after_seconds or 0) <= 3600


# -------------------------------------------------------------------------------------------- configuration files

GOOD_CONFIG: Final = f"""\
sources:
  - name: acme
    url: https://api.example/graphql
    oauth2: {{token_url: https://sts.example/, client_id: a, client_secret: {SECRET}}}
    values: {{org: "1"}}
queries:
  - name: rows
    document: "{{ rows {{ id }} }}"
    rows: rows
  - name: calls
    interval: 1m
    for_each: {{row: rows}}
    window: {{length: 5m, delay: 1m}}
    period: day
    document: "query ($id: ID, $from: Time) {{ calls(id: $id, from: $from) {{ api count }} }}"
    variables: {{id: "{{{{ row.id }}}}", from: "{{{{ window.start }}}}"}}
    rows: calls
    labels: {{id: "{{{{ row.id }}}}"}}
    metrics:
      - {{name: calls, help: Calls., value: count, labels: {{api: api}}}}
      - {{name: calls_total, type: counter, help: Calls., value: count, labels: {{api: api}}, aggregate: sum}}
"""
WORDS: Final = sorted(set(re.findall(r"\w+", GOOD_CONFIG)) - {SECRET})


def _changed(change: tuple[int, Json, str]) -> str:
    """The good configuration with one of its values replaced, and one of its keys perhaps."""
    place, value, key = change
    content: Any = yaml.safe_load(GOOD_CONFIG)
    places = list(_places(content))
    holder, at = places[place % len(places)]
    if key and isinstance(holder, dict):
        holder[key] = holder.pop(at)
    else:
        holder[at] = value
    return yaml.safe_dump(content)


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every place of a tree that has a value: what it is in, and its key there."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for key, inner in items for found in [(node, key), *_places(inner)]]


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
values = st.sampled_from([*WORDS, "{{ row.id }}", "${HOME}", "${", "{{", "{ a }", "1m", "-1", ".", "a..b", "a[0]"])
config_trees = st.recursive(
    plain | values, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(values, inner, max_size=3), max_leaves=8
)
changes = st.tuples(st.integers(0, 200), config_trees, st.just("") | values).map(_changed)
configurations = changes.map(lambda text: text.encode("utf-8", "replace")) | broken(GOOD_CONFIG.encode())


@given(text=configurations)
@example(GOOD_CONFIG.encode())
@settings(max_examples=CASES)
def test_configuration_files(text: bytes) -> None:
    """Whatever stands in a configuration, it is taken, or refused in words that tell no secret."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "config.yaml")
        file.write_bytes(text)
        told = None
        try:
            plan(load(file, {"HOME": "/"}))
        except ConfigError as error:
            told = str(error)
    assert told is None or (told and SECRET not in told)


# --------------------------------------------------------------------------------- requests to the web server

GOOD_REQUEST: Final = (
    b"GET /metrics HTTP/1.1\r\nhost: localhost:10093\r\n"
    b"accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*\r\n"
    b"accept-encoding: gzip;q=0.3, identity\r\nauthorization: Basic cmVhZGVyOnJpZ2h0\r\ncontent-length: 3\r\n\r\nabc"
)
PARTS: Final = [b"GET ", b"HEAD ", b"POST ", b"/metrics", b"/", b"//..%2f", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n"]
PARTS.extend(
    [b"accept-encoding: gzip;q=", b"transfer-encoding: chunked\r\n", b"content-length: ", b"expect: 100-continue"]
)
PARTS.extend(
    [b"connection: upgrade\r\nupgrade: h2c\r\n", b"5\r\nabcde\r\n", b"0\r\n\r\n", b"q=1e999", b"\0", b"\xff", b"9" * 30]
)
requests = (
    broken(GOOD_REQUEST)
    | st.lists(st.sampled_from(PARTS) | st.binary(max_size=4), max_size=12).map(b"".join)
    | st.binary(max_size=100)
)


_servers: list[Running] = []


@contextmanager
def serving() -> Iterator[None]:
    """A web server that the requests go to. Fails at the end if anything went wrong in its event loop."""
    with running(ASite(10)) as server:
        _servers.append(server)
        yield
        _servers.clear()


@pytest.fixture(scope="module", autouse=True)
def _serving() -> Iterator[None]:
    with serving():
        yield


@given(request=requests)
@example(GOOD_REQUEST)
@settings(max_examples=CASES)
def test_requests_to_the_web_server(request: bytes) -> None:
    """Whatever a client sends, it gets well-formed answers or none, and the next client is served."""
    (server,) = _servers
    with server.connect() as client:
        with suppress(ConnectionError):
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        answer = received(client)
    assert not answer or re.match(rb"HTTP/1\.1 (100|200|400|404|405|413|431) [A-Z]", answer), answer
    assert b"HTTP/1.1 500" not in answer
    assert server.exchange(b"GET /-/healthy HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
