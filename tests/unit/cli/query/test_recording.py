"""Answers kept in a file, and given again without the API."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from exporter.cli.query.recording import (
    Recording,
    RecordingError,
    read_recording,
    recording_json,
    recording_of,
    write_recording,
)
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import GraphQLError, Operation, Response
from exporter.plan.plan import Target
from tests.support.clients import asked, course_of
from tests.support.plans import planned
from tests.support.wiring import failure_of

PLAN = planned("""
- {name: shops, document: "{ shops { id } }", rows: shops}
- name: orders
  for_each: {shop: shops}
  window: {length: 1m}
  document: "query ($id: ID, $to: T, $org: ID) { open(id: $id, to: $to, org: $org) }"
  variables: {id: "{{ shop.id }}", to: "{{ window.end }}", org: "{{ source.org }}"}
  metrics: [{name: shop_open_orders, help: Orders., value: open}]
  labels: {shop: "{{ shop.id }}"}
""")
SHOPS, ORDERS = course_of(PLAN, "shops"), course_of(PLAN, "orders")
ONE, TWO = (Target({"shop.id": identity}, identity) for identity in ("s-1", "s-2"))
PAGES = (Response({"open": 1}), Response({"open": None}, (GraphQLError("partly", ("open", 0)),)))
NOW = 1_795_478_400.5


def recording() -> Recording:
    two_pages = asked(ORDERS, PAGES[0], ONE, {"id": "s-1", "org": "secret"})
    further = asked(ORDERS, PAGES[1], ONE)
    polls = (
        asked(SHOPS, Response({"shops": [{"id": "s-1"}]})),
        type(two_pages)(ORDERS, ONE, two_pages.exchanges + further.exchanges, two_pages.outcome),
        asked(ORDERS, UpstreamFailure(Reason.TIMEOUT, "late"), TWO),
    )
    return recording_of(polls, NOW)


def test_a_file_has_what_was_answered_and_no_credentials(tmp_path: Path) -> None:
    """Variables stand there as they are written, with the target's values alone; failed polls are left out."""
    file = tmp_path / "r.json"
    write_recording(file, recording_json(recording()))
    assert json.loads(file.read_text()) == {
        "format": "insights-exporter recording 1",
        "time": "2026-11-24T00:00:00.500+00:00",
        "answers": [
            {
                "query": "shops",
                "source": "acme",
                "variables": {},
                "responses": [{"data": {"shops": [{"id": "s-1"}]}}],
            },
            {
                "query": "orders",
                "source": "acme",
                "variables": {"id": "s-1", "to": "{{ window.end }}", "org": "{{ source.org }}"},
                "responses": [
                    {"data": {"open": 1}},
                    {"data": {"open": None}, "errors": [{"message": "partly", "path": ["open", 0]}]},
                ],
            },
        ],
    }


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    """With its time, whatever letters there are, and what stood beside the data."""
    file = tmp_path / "r.json"
    write_recording(file, recording_json(recording()))
    assert read_recording(file) == recording()
    answer = Response({"shops": "ü😀"}, extensions={"cost": 3})
    write_recording(file, recording_json(recording_of((asked(SHOPS, answer),), NOW)))
    assert "ü😀" in file.read_text(encoding="utf-8")
    assert read_recording(file).answers[0].responses == (answer,)


def test_answers_come_again_page_by_page() -> None:
    """For this query and target alone, in their order; what was not kept is a failure that says so."""

    async def run() -> None:
        kept, operation = recording(), Operation("{ other }", {})
        client = kept.client(ORDERS, ONE)
        for page in PAGES:
            assert await client.execute(operation, deadline_seconds=1) == page
        for nothing in (client, kept.client(ORDERS, TWO), Recording(0.0).client(SHOPS, Target({}))):
            failed = await failure_of(nothing.execute(operation, deadline_seconds=1))
            assert failed.reason is Reason.DECODE
            assert failed.detail == "the file has no answer to this request; save it again with --save"
        again = kept.client(ORDERS, ONE)
        assert await again.execute(operation, deadline_seconds=1) == PAGES[0]
        assert await kept.client(SHOPS, Target({})).execute(operation, deadline_seconds=1) != PAGES[0]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"{", "not JSON in UTF-8; name a file that --save has written"),
        (b"\xff", "not JSON in UTF-8; name a file that --save has written"),
        (b"[" * 200_000, "not JSON in UTF-8; name a file that --save has written"),
        (b"[]", 'has no "format": "insights-exporter recording 1"; name a file that --save has written'),
        (b'{"format": "2"}', 'has no "format": "insights-exporter recording 1"; name a file that --save has written'),
        (b'{"format": "insights-exporter recording 1"}', "not a whole recording ('time'); save it again with --save"),
    ],
)
def test_a_file_that_is_no_recording_is_refused(content: bytes, wrong: str, tmp_path: Path) -> None:
    """With its name, what is wrong and what to do."""
    file = tmp_path / "r.json"
    file.write_bytes(content)
    with pytest.raises(RecordingError) as refused:
        read_recording(file)
    assert str(refused.value) == f"{file}: {wrong}"


@pytest.mark.parametrize(
    "change",
    [
        {"time": "yesterday"},
        {"time": 5},
        {"answers": [{}]},
        {"answers": [{"query": "a", "source": "b", "variables": {}, "responses": [{"data": []}]}]},
        {"answers": [{"query": "a", "source": "b", "variables": 5, "responses": []}]},
        {"answers": [{"query": "a", "source": "b", "variables": {}, "responses": [{"data": {}, "errors": [{}]}]}]},
    ],
)
def test_a_recording_that_was_changed_by_hand_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    """Nothing of it is guessed."""
    file = tmp_path / "r.json"
    whole = {"format": "insights-exporter recording 1", "time": "2026-11-24T00:00:00.000Z", "answers": []}
    file.write_text(json.dumps(whole))
    assert read_recording(file).answers == ()
    file.write_text(json.dumps(whole | change))
    with pytest.raises(RecordingError, match=rf"^{re.escape(str(file))}: not a whole recording \(.*\); save it again"):
        read_recording(file)


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    """In the system's words."""
    file = tmp_path / "nowhere" / "r.json"
    with pytest.raises(RecordingError, match="cannot be read: No such file or directory; name a file that --save"):
        read_recording(file)
    with pytest.raises(RecordingError, match="cannot be written: No such file or directory"):
        write_recording(file, {})
