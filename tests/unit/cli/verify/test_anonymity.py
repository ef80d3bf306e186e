"""Recordings without names: what is replaced, what stays, and that it still fits together."""

from __future__ import annotations

from typing import Any

from exporter.cli.ad_hoc import Asked
from exporter.cli.verify.anonymity import anonymous
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import Response
from exporter.plan.plan import Target
from tests.support.clients import asked, course_of, with_errors
from tests.support.plans import planned

PLAN = planned(
    """
- {name: shops, document: "query ($k: String) { shops(k: $k) { id name size at kind } }", rows: shops,
   variables: {k: retail}}
- name: orders
  for_each: {shop: shops}
  document: "query ($id: ID!) { orders(id: $id) { id count } }"
  variables: {id: "{{ shop.id }}"}
  rows: orders
  labels: {order: id, shop: "{{ shop.id }}"}
  metrics: [{name: shop_orders, help: Orders., value: count}]
"""
)
SHOPS, ORDERS = course_of(PLAN, "shops"), course_of(PLAN, "orders")


def shop(identity: str, name: str, **more: Any) -> dict[str, Any]:
    return {"id": identity, "name": name, "size": 3, "at": "2026-11-24T00:00:00Z", "kind": "retail", **more}


def data(one: Asked) -> Any:
    (response,) = one.responses
    return response.data


def test_names_and_ids_are_replaced_the_same_by_the_same() -> None:
    """Over all answers and targets, so that what referred to something still refers to it."""
    shops, orders = anonymous(
        (
            asked(SHOPS, Response({"shops": [shop("zeta", "Bob's"), shop("alpha", "Anna's")]})),
            asked(ORDERS, Response({"orders": [{"id": "zeta", "count": 4}]}), Target({"shop.id": "zeta"}, "key")),
        ),
        PLAN,
    )
    assert [(one["id"], one["name"]) for one in data(shops)["shops"]] == [("id-2", "name-2"), ("id-1", "name-1")]
    assert data(orders)["orders"] == [{"id": "id-2", "count": 4}]
    assert orders.target == Target({"shop.id": "id-2"}, "key")


def test_what_names_nobody_stays() -> None:
    """Numbers, times, empty texts, null and what the configuration itself says."""
    kept = shop("a", "", size=None, at="1795478400", kind="retail") | {"name": "-1.5e3"}
    (made,) = anonymous((asked(SHOPS, Response({"shops": [kept, shop("b", "x")]})),), PLAN)
    assert data(made)["shops"][0] == kept | {"id": "id-1"}
    assert data(made)["shops"][1]["at"] == "2026-11-24T00:00:00Z"
    (empty,) = anonymous((asked(SHOPS, Response({"shops": [shop("a", "")]})),), PLAN)
    assert data(empty)["shops"][0]["name"] == ""


def test_names_keep_their_order() -> None:
    """What was sorted stays so, whatever there is: numbers have as many digits as the last."""
    shops: list[Any] = [shop(f"s{number:02}", f"n{number:02}") for number in range(12)]
    (made,) = anonymous((asked(SHOPS, Response({"shops": shops})),), PLAN)
    names = [one["name"] for one in data(made)["shops"]]
    assert names == sorted(names)
    assert (names[0], names[-1]) == ("name-01", "name-12")


def test_errors_lose_their_text_and_failures_are_left_out() -> None:
    """A message may name somebody; a poll without an answer has nothing to keep."""
    polls = (
        asked(SHOPS, with_errors("no access for bob@example.com", shops=[])),
        asked(SHOPS, UpstreamFailure(Reason.TIMEOUT, "late")),
    )
    (made,) = anonymous(polls, PLAN)
    assert [error.message for error in made.responses[0].errors] == ["an error"]
