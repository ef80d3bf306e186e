"""Packs that a server refuses, or that fail: what is asked instead, and what becomes of each target."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome
from exporter.plan.operation import label_values, targets
from exporter.polling.course import Course
from exporter.polling.poll import PackOutcome, Poller
from exporter.series.label_texts import Surroundings
from exporter.upstream.graphql import GraphQLClient
from exporter.upstream.transport import Transport
from tests.support.plans import planned
from tests.support.scripted import Seen, http, json_answer, scripted

# What a server answers to the ids that it was asked for; None: it does not answer.
Answer = Callable[[list[str]], bytes | None]

QUERY = """
- name: q
  timeout: 3s
  for_each: {id: [%s]}
  pack: 100
  document: "query ($id: ID!) { n(id: $id) }"
  variables: {id: "{{ id }}"}
  labels: {id: "{{ id }}"}
  metrics: [{name: n, help: N., value: n}]
"""


def asked(seen: Seen) -> list[str]:
    return list(json.loads(seen.body)["variables"].values())


def values(ids: list[str], *errors: dict[str, Any]) -> bytes:
    """Each id's length; the keys are those of a pack, or of a single call."""
    keys = [f"t{position}_n" for position in range(len(ids))] if len(ids) > 1 else ["n"]
    data = dict(zip(keys, map(len, ids), strict=True))
    return json_answer({"data": data, **({"errors": list(errors)} if errors else {})})


def polled(ids: list[str], answer: Answer, size: int = 100) -> tuple[PackOutcome, dict[str, PollOutcome], list[int]]:
    """What came of one poll: in all, by id, and how many ids each request asked for."""

    over = asyncio.Event()

    async def script(seen: Seen, _: asyncio.StreamWriter) -> bytes | None:
        found = answer(asked(seen))
        if found is None:
            await over.wait()
        return found

    async def run() -> tuple[PackOutcome, dict[str, PollOutcome], list[int]]:
        plan = planned(QUERY % ", ".join(ids))
        (query,), (source,) = plan.queries, plan.sources
        transport = Transport()
        async with scripted(script) as upstream:
            client = GraphQLClient(upstream.url, transport, None)
            poller = Poller(client, lambda _, source, target: Surroundings(label_values(source, target)))
            found = await poller.poll(Course(query, source), dict.fromkeys(targets(query, (), 1000)), size)
            over.set()
            await transport.close()
            by_id = {str(target.values["id"]): outcome for target, outcome in found.outcomes.items()}
            return found, by_id, [len(asked(seen)) for seen in upstream.seen]

    return asyncio.run(run())


def works(outcome: PollOutcome) -> bool:
    return outcome.result is not None


IDS = [f"i{number}" for number in range(25)]


def test_a_limit_is_found_in_the_same_round() -> None:
    """Every target has its value, the size that works is known, and few calls are made for it."""
    found, by_id, requests = polled(IDS, lambda ids: values(ids) if len(ids) <= 10 else http(400))
    assert all(map(works, by_id.values()))
    assert found.accepted == 6
    assert found.refusal == "the API answered 400"
    assert requests == [25, 1, 12, 6, 6, 12, 6, 6]


def test_a_server_that_takes_no_aliases_is_asked_one_by_one() -> None:
    """Then packs are of one target."""
    found, by_id, requests = polled(IDS[:6], lambda ids: values(ids) if len(ids) == 1 else http(422))
    assert all(map(works, by_id.values()))
    assert found.accepted == 1
    assert requests.count(1) == 6


def test_an_api_that_fails_is_not_asked_for_each_target() -> None:
    """Two single calls that fail too show that it is not the pack; the others are not tried."""
    found, by_id, requests = polled(IDS, lambda ids: http(404))
    assert requests == [25, 1, 1]
    assert {outcome.reason for outcome in by_id.values()} == {Reason.HTTP_4XX}
    assert (found.accepted, found.refusal) == (100, "")


def test_an_outage_costs_one_call() -> None:
    """A server in trouble is not asked again in smaller pieces; its wish to be left alone is handed on."""
    found, by_id, requests = polled(IDS, lambda ids: http(503, retry_after="7"))
    assert requests == [25]
    assert {(outcome.reason, outcome.retry_after_seconds) for outcome in by_id.values()} == {(Reason.HTTP_5XX, 7.0)}
    assert found.accepted == 100


@pytest.mark.parametrize("bad", [IDS[0], IDS[7], IDS[24]])
def test_one_call_that_spoils_its_pack_fails_alone(bad: str) -> None:
    """A value that the server refuses with the whole request is found; it is no reason for smaller packs."""
    found, by_id, _ = polled(IDS, lambda ids: http(400) if bad in ids else values(ids))
    assert {one for one, outcome in by_id.items() if not works(outcome)} == {bad}
    assert (found.accepted, found.refusal) == (100, "")


def test_a_pack_that_comes_too_late_is_made_smaller() -> None:
    """Where single calls are answered in time, and the pack is not, fewer go into one."""
    found, by_id, requests = polled(IDS[:4], lambda ids: values(ids) if len(ids) <= 2 else None)
    assert all(map(works, by_id.values()))
    assert found.accepted == 2
    assert requests[0] == 4


def test_errors_beside_data_belong_to_their_alias() -> None:
    """An error with an alias is that target's; one without a place is everyone's."""
    own = {"message": "no such api", "path": ["t1_n"]}
    _, by_id, requests = polled(IDS[:3], lambda ids: values(ids, own))
    assert requests == [3]
    assert [works(outcome) for outcome in by_id.values()] == [True, False, True]
    assert by_id[IDS[1]].detail.startswith("no such api at n ")
    _, by_id, _ = polled(IDS[:3], lambda ids: values(ids, {"message": "late data"}))
    assert not any(map(works, by_id.values()))


def test_an_answer_that_lacks_an_alias_fails_that_target() -> None:
    """What a server leaves out is told, not taken for nothing."""
    _, by_id, _ = polled(IDS[:2], lambda ids: json_answer({"data": {"t0_n": 3}}))
    assert [outcome.reason for outcome in by_id.values()] == [None, Reason.SCHEMA]
