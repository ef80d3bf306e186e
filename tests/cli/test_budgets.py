"""Commands at an API that says what is left of its budget, over real sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.processes import finished
from tests.support.upstream import Behaviour, Upstream, answer

_SHOPS: Final = {"shops": [{"id": "one"}, {"id": "two"}]}
_ORDERS: Final = {"orders": {"count": 1}}
# How APIs say that nothing is left, and for how long.
_SPENT: Final[Mapping[str, tuple[dict[str, str], dict[str, Any]]]] = {
    "reset": ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "3"}, {}),
    "draft": ({"ratelimit": '"default";r=0;t=3'}, {}),
    "cost": (
        {},
        {
            "cost": {
                "requestedQueryCost": 30,
                "throttleStatus": {"maximumAvailable": 100, "currentlyAvailable": 0, "restoreRate": 10},
            }
        },
    ),
}
_QUERIES: Final = [
    {"name": "shops", "document": "query shops { shops { id } }", "rows": "shops", "interval": "1m"},
    {
        "name": "orders",
        "for_each": {"shop": "shops"},
        "interval": "1m",
        "window": {"length": "1m"},
        "document": "query orders($id: ID, $from: T, $to: T) { orders(id: $id, from: $from, to: $to) { count } }",
        "variables": {"id": "{{ shop.id }}", "from": "{{ window.start }}", "to": "{{ window.end }}"},
        "labels": {"shop": "{{ shop.id }}"},
        "metrics": [{"name": "orders", "help": "Orders.", "value": "orders.count"}],
    },
]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as found:
        found.operation("orders").always(answer({"data": _ORDERS}))
        yield found


def _spent(way: str) -> Behaviour:
    headers, extensions = _SPENT[way]
    return answer({"data": _SHOPS, "extensions": extensions}, headers=headers)


@pytest.mark.parametrize(
    ("way", "command"),
    [
        ("reset", ("query", "orders")),
        ("cost", ("query", "orders")),
        ("draft", ("verify", "--query=orders", "--watch=0s", "--max-aliases=0")),
        ("reset", ("backfill", "--from=2m", "--to=1m", "--label=job=a", "--label=instance=b", "--output=past.txt")),
    ],
)
def test_a_spent_budget_is_left_alone(way: str, command: tuple[str, ...], upstream: Upstream, tmp_path: Path) -> None:
    """After an answer that leaves nothing of the budget, no request is sent before it is whole again, and the command
    says what it waits for."""
    upstream.operation("shops").always(_spent(way))
    config = {"sources": [{"name": "acme", "url": upstream.api_url}], "queries": _QUERIES}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    run = finished(*command, "--config.file=config.yaml", cwd=tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"acme: the next request is sent in [23] s", run.stderr)
    assert run.stderr.count("the next request is sent") == 1
    (shops,), orders = upstream.operation("shops").journal, upstream.operation("orders").journal
    assert orders
    assert orders[0].at - shops.at >= 2.8
