"""What an API takes: granularities, and aliases in one operation."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from exporter.cli.ad_hoc import Round
from exporter.cli.verify.probing import Probed, data_filter, probe_api
from exporter.model.errors import Failure, Reason, UpstreamFailure
from exporter.model.outcome import Operation, Response
from tests.support.clients import Answering, asked, clock_at, course_of, with_errors
from tests.support.plans import planned

PLAN = planned('- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}')
COURSE = course_of(PLAN, "q")
FILTER: dict[str, Any] = {"orgId": "o", "environmentId": "e", "tenant": "t"}
NOW = 1_795_478_400.0 + 1234


def refuse(*_: object) -> Response:
    return with_errors("refused")


def probed(
    granularity: Callable[[str], Mapping[str, Any] | Response | Failure],
    most_taken: int,
    most_asked: int,
    refusal: Callable[..., Response | Failure] = refuse,
) -> tuple[Probed, list[Operation]]:
    """What is found of an API with these limits, and what it was asked."""

    def answer(operation: Operation) -> Mapping[str, Any] | Response | Failure:
        if "getSuccessSummary" in operation.document:
            return granularity(str(operation.variables.get("granularity", "")))
        return {"a0": 1} if aliases(operation) <= most_taken else refusal()

    client = Answering(answer)
    a_round = Round(PLAN, lambda *_: client, clock_at(NOW))
    found = asyncio.run(probe_api(a_round, asked(COURSE, Response({"n": 1})), FILTER, NOW, most_asked))
    return found, client.sent


def aliases(operation: Operation) -> int:
    return len(re.findall(r"a\d+: getTotalTraffic", operation.document))


def test_granularities_are_read_back() -> None:
    """Each is asked over a range that has one; what is refused is none, and what is taken by itself is named."""
    found, sent = probed(
        lambda name: {"found": {"granularity": name or "15m"}} if name != "7d" else with_errors("no such"), 1, 1
    )
    assert found.granularities == {"": "15m", "1m": "1m", "15m": "15m", "1h": "1h", "1d": "1d", "7d": None}
    assert found.trouble == ""
    ranges = {one.variables.get("granularity", ""): one.variables["time"] for one in sent if "getSuc" in one.document}
    assert (
        ranges[""] == ranges["1h"] == {"from": "2026-11-23T22:00:00.000+00:00", "to": "2026-11-24T00:00:00.000+00:00"}
    )
    assert ranges["7d"] == {"from": "2026-11-17T00:00:00.000+00:00", "to": "2026-11-24T00:00:00.000+00:00"}
    assert all(one.variables["data"] == FILTER for one in sent)
    nothing, _ = probed(lambda _: {"found": None}, 1, 1)
    assert nothing.granularities["1h"] == "1h"


@pytest.mark.parametrize("most_asked", [0, 1, 7, 64])
@pytest.mark.parametrize("most_taken", [0, 1, 2, 3, 23, 32, 63, 64, 1000])
def test_the_number_of_aliases_is_found_exactly(most_taken: int, most_asked: int) -> None:
    """With few requests, and none with more than the user allows."""
    found, sent = probed(lambda _: {}, most_taken, most_asked)
    asked_for = [aliases(one) for one in sent if aliases(one)]
    assert found.aliases == min(most_taken, most_asked)
    assert found.refused_aliases == (most_taken + 1 if most_taken < most_asked else None)
    assert max(asked_for, default=0) <= max(most_asked, 0)
    assert len(asked_for) == len(set(asked_for)) <= 13


@pytest.mark.parametrize("reason", [Reason.GRAPHQL, Reason.HTTP_4XX, Reason.TOO_LARGE])
def test_a_refusal_is_no_trouble(reason: Reason) -> None:
    """It is the answer to the question."""
    found, _ = probed(lambda _: {}, 3, 8, lambda: UpstreamFailure(reason, "no"))
    assert (found.aliases, found.refused_aliases, found.trouble) == (3, 4, "")


def test_trouble_is_kept() -> None:
    """Where the API is down in between, what was found until then is kept, and nothing is taken for a refusal."""
    found, _ = probed(lambda _: {}, 3, 8, lambda: UpstreamFailure(Reason.TIMEOUT, "late"))
    assert (found.aliases, found.refused_aliases, found.trouble) == (2, None, "timeout: late")
    found, _ = probed(lambda _: UpstreamFailure(Reason.HTTP_429, "slow down"), 3, 8)
    assert (found.granularities, found.trouble) == ({}, "http_429: slow down")


def test_the_filter_is_that_of_a_poll_that_worked() -> None:
    """The first variable that has all that a DataFilter needs."""
    without = asked(COURSE, Response({}), variables={"data": {"orgId": "o"}, "x": 5})
    with_more = asked(COURSE, Response({}), variables={"t": "x", "d": {**FILTER, "apiIdIn": ["a"]}})
    assert data_filter((without, with_more)) == (with_more, {**FILTER, "apiIdIn": ["a"]})
    exact = asked(COURSE, Response({}), variables={"d": FILTER})
    assert data_filter((exact,)) == (exact, FILTER)
    assert data_filter((without,)) is None
    assert data_filter(()) is None
