"""Polls: from an answer's bytes to the page, beside a loop written by hand and query-exporter; neighbours; growth."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec

from bench.answers import LABELS, SERIES_NAME, answer, plan, rows
from bench.figures import Figure, alternating, at_most, number, told
from bench.growth import drawing
from bench.running import FIRST, cpu_seconds
from exporter.daemon.process import tune
from exporter.exposition import Format, Joiner
from exporter.exposition.block import Block
from exporter.plan.plan import Plan, Target
from exporter.polling.course import Course
from exporter.polling.poll import Poller, render_ahead
from exporter.series.store import Store
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.transport import Transport, WireResponse
from tests.support.processes import Process, eventually, free_port

ROOT = Path(__file__).resolve().parents[1]
_QUERY_EXPORTER = "5.0.2"
_ROWS = 100_000


class _Answering:
    """Stands for the network: gives a body that has come already."""

    def __init__(self, body: bytes) -> None:
        self._answer = WireResponse(200, {"content-type": "application/json"}, body)

    async def post(self, url: str, **_: object) -> WireResponse:
        return self._answer


class Exchange:
    """Polls one query of a plan, and makes the page, without network."""

    def __init__(self, made: Plan) -> None:
        self._plan = made
        self.store = Store(made.max_series)
        self._joiner = Joiner()

    async def take(self, body: bytes, at: int = 0, target: Target | None = None) -> None:
        """An answer to a query (or one of its targets), to the store."""
        query, source, target = self._plan.queries[at], self._plan.sources[0], target or Target({})
        client = GraphQLClient("", cast("Transport", _Answering(body)), None)
        poller, course = Poller(client, self.store.surroundings), Course(query, source)
        outcome = (await poller.poll(course, {target: None})).outcomes[target]
        assert outcome.result is not None, outcome
        ahead = await render_ahead(outcome)
        self.store.fold(course.owner(target), target, outcome, 0.0, 0.0, ahead)

    def page(self) -> bytes:
        """The page, compressed."""
        return self._joiner.join(self.store.page(), b"", Format.TEXT, True)


def poll_to_page(folder: Path) -> Iterator[Figure]:
    """An answer of 100 000 rows with four labels, from its bytes to a page that can be sent."""
    bodies = [answer(_ROWS, generation) for generation in (0, 1)]
    exchange, loop = Exchange(plan()), asyncio.new_event_loop()
    tune()  # as the program does; the peer by hand gains as well
    turn = iter(range(10**9))

    def ours() -> None:
        loop.run_until_complete(exchange.take(bodies[next(turn) % 2]))
        exchange.page()

    def by_hand() -> bytes:
        lines = [
            f'{SERIES_NAME}{{number="0",api="{row["api"]}",application="{row["application"]}",'
            f'method="{row["method"]}",code="{row["code"]}"}} {row["requests"]}\n'
            for row in json.loads(bodies[next(turn) % 2])["data"]["usage"]
        ]
        return "".join(lines).encode()

    decode = _decoder().decode

    def by_shape() -> bytes:
        lines = [
            f'{SERIES_NAME}{{number="0",api="{row.api}",application="{row.application}",'
            f'method="{row.method}",code="{row.code}"}} {row.requests}\n'
            for row in decode(bodies[next(turn) % 2]).data.usage
        ]
        return "".join(lines).encode()

    text = by_hand()
    assert by_shape().count(b"\n") == _ROWS

    def compressed() -> None:
        Block.of([text])

    whole, hand, shaped, deflating = alternating(ours, by_hand, by_shape, compressed, rounds=11)
    loop.close()
    what = "100 000 rows, bytes to page"
    yield at_most(
        f"{what}, without compression",
        1000 * (whole - deflating),
        1000 * hand,
        0.9,
        "ms",
        "json.loads and a loop by hand",
    )
    limit_of_it = (
        f"{1000 * (whole - deflating):.0f} ms",
        f"{1000 * shaped:.0f} ms (a decoder of the shape and a loop by hand)",
    )
    yield told(f"{what}, the same compared with the limit", *limit_of_it, number((whole - deflating) / shaped))
    cells = (f"{1000 * whole:.0f} ms", f"{1000 * (hand + deflating):.0f} ms (by hand)")
    yield told(f"{what}, with compression of {1000 * deflating:.0f} ms", *cells, number(whole / (hand + deflating)))
    peer = _query_exporter_seconds(folder)
    beside = f"{what}, compared with query-exporter, both without compression"
    yield at_most(beside, 1000 * (whole - deflating), 1000 * peer, 0.04, "ms", "query-exporter")


def _decoder() -> msgspec.json.Decoder[Any]:
    """What reads these answers and no others, as somebody would write it who knows them."""
    fields = [*((name, str) for name in LABELS), ("requests", int)]
    row = msgspec.defstruct("Row", fields, gc=False)
    data = msgspec.defstruct("Data", [("usage", list[row])])  # type: ignore[valid-type]  # made here
    return msgspec.json.Decoder(msgspec.defstruct("Answer", [("data", data)]))


def neighbours(_: Path) -> Iterator[Figure]:
    """What one change among many costs: of a thousand queries, and of a thousand targets of a query."""
    for what, queries, families in (("query", 1000, 1000), ("target", 1, 0)):
        costs = {count: _change_and_round(plan(queries, families=families), count) for count in (100, 1000)}
        (small, small_round), (big, big_round) = costs[100], costs[1000]
        share = (f"one {what} of 1 000 changes", 1e3 * big, 1e3 * small)
        yield at_most(*share, 2, "ms", "one of 100")
        yield at_most(
            f"all of 1 000 change, each a {what}", 1e3 * big_round, 1e4 * small_round, 1.5, "ms", "10 rounds of 100"
        )


def growth(folder: Path) -> Iterator[Figure]:
    """A poll by the number of its rows, in a line if all is well; drawn into docs/pictures."""
    seconds: dict[int, float] = {}
    loop = asyncio.new_event_loop()
    for count in (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000):
        body, exchange = answer(count), Exchange(plan())

        def once(body: bytes = body, exchange: Exchange = exchange) -> None:
            loop.run_until_complete(exchange.take(body))
            exchange.page()

        once()
        (seconds[count],) = alternating(once, rounds=max(1, min(9, 300_000 // count)))
    loop.close()
    (ROOT / "docs" / "pictures").mkdir(exist_ok=True)
    (folder / "growth.svg").write_text(drawing(seconds))
    each = {count: 1e6 * taken / count for count, taken in seconds.items()}
    for count in (1_000, 10_000, 100_000):
        yield told(f"poll of {count:,} rows".replace(",", " "), f"{each[count]:.2f} µs a row")
    yield at_most("poll of 1 000 000 rows", each[1_000_000], each[10_000], 1.5, "µs a row", "of 10 000")


def _change_and_round(made: Plan, count: int) -> tuple[float, float]:
    """Seconds of a change of one query (or target) and its page, and of a change of all of them one by one."""
    exchange, loop = Exchange(made), asyncio.new_event_loop()
    bodies = [answer(20, generation) for generation in (0, 1)]
    targets = [Target({"number": at}, str(at)) if len(made.queries) == 1 else None for at in range(count)]
    turn = iter(range(10**9))

    def change(at: int) -> None:
        where = 0 if len(made.queries) == 1 else at
        body = bodies[next(turn) % 2] if targets[at] is None else _numbered(bodies[next(turn) % 2], at)
        loop.run_until_complete(exchange.take(body, where, targets[at]))

    def one() -> None:
        change(count // 2)
        exchange.page()

    def all_of_them() -> None:
        for at in range(count):
            change(at)
        exchange.page()

    all_of_them()
    taken = alternating(*[one] * 10, all_of_them, rounds=5)
    loop.close()
    return statistics.median(taken[:-1]), taken[-1]


def _numbered(body: bytes, number: int) -> bytes:
    """The same answer with series that no other target has."""
    return body.replace(b'"application-', f'"application-{number}-'.encode())


def _query_exporter_seconds(folder: Path) -> float:
    """Processor seconds of a poll with query-exporter; a query without an interval runs at each scrape."""
    tool = subprocess.run(
        ["sh", "scripts/tool.sh", "query-exporter", _QUERY_EXPORTER],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    database = folder / "usage.sqlite"
    with sqlite3.connect(database) as connection:
        connection.execute(f"CREATE TABLE usage ({', '.join(LABELS)}, {SERIES_NAME})")
        values = [tuple(row.values()) for row in rows(_ROWS)]
        connection.executemany("INSERT INTO usage VALUES (?, ?, ?, ?, ?)", values)
    connection.close()
    config = folder / "query-exporter.yaml"
    columns = [*LABELS, SERIES_NAME]
    config.write_text(
        json.dumps(
            {
                "databases": {"bench": {"dsn": f"sqlite:///{database}"}},
                "metrics": {SERIES_NAME: {"type": "gauge", "labels": list(LABELS)}},
                "queries": {
                    "usage": {
                        "databases": ["bench"],
                        "metrics": [SERIES_NAME],
                        "sql": f"SELECT {', '.join(columns)} FROM usage",
                    }
                },
            }
        )
    )
    port = free_port()
    command = [*FIRST, f"{tool}/query-exporter", "--host=127.0.0.1", f"--port={port}", f"--config={config}"]
    with Process(command, folder / "query-exporter.log") as running:
        url = f"http://127.0.0.1:{port}"
        eventually(lambda: _is_up(url), "query-exporter", 60)
        taken = []
        for _ in range(3):
            began = cpu_seconds(running)
            page = httpx.get(f"{url}/metrics", headers={"accept-encoding": "identity"}, timeout=120).text
            taken.append(cpu_seconds(running) - began)
            assert page.count(f"\n{SERIES_NAME}{{") >= _ROWS, f"{page[:500]} {running.log}"
        return statistics.median(taken)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url, timeout=60).status_code < 500
    except httpx.HTTPError:
        return False
