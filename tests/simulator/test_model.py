"""The seeded model of traffic: the promises that every simulated answer rests on."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator import Settings
from exporter.simulator.asking import nearest_rank
from exporter.simulator.faults import Faults
from exporter.simulator.model import FIRST_TENANT, Model, Request
from exporter.simulator.model.minutes import poisson
from tests.support.configurations import ROOT

NOON = int(datetime(2026, 3, 18, 12, tzinfo=UTC).timestamp())
DAY = 86_400


class Clock:
    """A wall clock that stands where it is put."""

    def __init__(self, time: float = NOON) -> None:
        self.time = time

    def __call__(self) -> float:
        return self.time


class World:
    """A model with its faults and its clock, seen from one environment and tenant."""

    def __init__(self, time: float = NOON, **options: Any) -> None:
        self.clock = Clock(time)
        self.faults = Faults(self.clock)
        self.model = Model(Settings(**options), self.faults)
        self.environment = self.model.organizations[0].environment("Production")

    def requests(self, start: float, end: float, known_at: float | None = None) -> list[Request]:
        """The single requests of a range."""
        return list(self.model.requests(self.environment.id, FIRST_TENANT, start, end, known_at))

    def count(self, start: float, end: float, known_at: float) -> int:
        """How many requests an answer counts."""
        tally = self.model.traffic.tally(
            self.environment.id, FIRST_TENANT, round(start * 1000), round(end * 1000), round(known_at * 1000)
        )
        return tally.total()


QUIET = World(rate=0.05)
EVENTFUL = World(rate=0.05, late_share=0.1, late_by_seconds=9000, correction_share=0.1)
EVENTFUL.clock.time = NOON - 30_000
EVENTFUL.faults.set(error_ratio=0.5, silent_apis=["Orders API"], latency_factor=3)
EVENTFUL.clock.time = NOON - 20_000
EVENTFUL.faults.set(error_ratio=0.0, throttle_ratio=0.3, silent_apis=[])

FAULTY = World(rate=0.05)
FAULTY.clock.time = NOON - 30_000
FAULTY.faults.set(error_ratio=0.5, latency_factor=2)

FLOODED = World(rate=0.05)
FLOODED.clock.time = NOON - 3000
FLOODED.faults.set(flood_rate=2.0, flooding_applications=["Mobile App"])
FLOODED.clock.time = NOON - 1010
FLOODED.faults.clear()

moments = st.integers(min_value=(NOON - 2 * DAY) * 1000, max_value=(NOON + 600) * 1000)


@settings(max_examples=40, deadline=None)
@given(st.lists(moments, min_size=3, max_size=6))
def test_parts_add_up_to_the_whole(cuts: list[int]) -> None:
    """However a range is cut, to the millisecond, its parts have together as many requests as the whole."""
    for world in (QUIET, EVENTFUL, FAULTY, FLOODED):
        edges = sorted(cut / 1000 for cut in cuts)
        parts = sum(world.count(start, end, NOON) for start, end in pairwise(edges))
        assert parts == world.count(edges[0], edges[-1], NOON)


@settings(max_examples=40, deadline=None)
@given(moments, moments, moments)
def test_answers_count_single_requests(first: int, second: int, known_at: int) -> None:
    """A tally, by whatever short cuts it was made, is the count over single requests known at that moment."""
    start, end = sorted((first / 1000, second / 1000))
    for world in (QUIET, EVENTFUL, FAULTY, FLOODED):
        single = world.requests(start, end, known_at / 1000)
        assert world.count(start, end, known_at / 1000) == len(single)
        assert all(start <= r.time < end for r in single)
        assert [r.time_ms for r in single] == sorted(r.time_ms for r in single)


def test_patterns_of_a_tally_are_those_of_its_requests() -> None:
    """Not only the number agrees: every property of the counted requests does, across settled days and faults."""
    for world in (QUIET, EVENTFUL, FAULTY, FLOODED):
        start, end = NOON - 3 * DAY + 1234, NOON - 17
        tally = world.model.traffic.tally(
            world.environment.id, FIRST_TENANT, start * 1000, end * 1000, (NOON + DAY) * 1000
        )
        by_answer: Counter[tuple[object, ...]] = Counter()
        for index, count in tally.items():
            by_answer[tuple(world.model.traffic.patterns[index])] += count
        assert by_answer == Counter(tuple(r[3:]) for r in world.requests(start, end))


def test_a_range_begins_with_its_first_millisecond_and_ends_before_its_last() -> None:
    """A request made at `from` counts, one made at `to` does not: neighbouring windows share none and lose none."""
    for request in QUIET.requests(NOON - 3600, NOON - 1800)[:20]:
        assert QUIET.count(request.time, request.time + 0.001, NOON) == 1
        assert QUIET.count(request.time - 0.001, request.time, NOON) == 0
        assert QUIET.count(request.time + 0.001, request.time + 0.002, NOON) == 0


def test_the_seed_decides() -> None:
    """The same seed gives the same requests, in another program too; another seed gives others."""
    start, end = NOON - 3600, NOON
    assert World(rate=0.1).requests(start, end) == World(rate=0.1).requests(start, end)
    assert World(rate=0.1).requests(start, end) != World(rate=0.1, seed=2).requests(start, end)


def test_a_range_can_be_asked_for_in_any_order() -> None:
    """What was asked before does not change an answer."""
    forward, backward = World(rate=0.1), World(rate=0.1)
    ranges = [(NOON - 50_000, NOON - 40_000), (NOON - DAY, NOON - 600), (NOON - 45_000, NOON)]
    answers = [forward.count(*r, NOON) for r in ranges]
    assert answers == [backward.count(*r, NOON) for r in reversed(ranges)][::-1]


def test_late_requests_fill_up_a_bucket() -> None:
    """A bucket asked for right at its end is short, fills up, and is complete after the delay."""
    world = World(rate=2.0, delay_seconds=120.0)
    counts = [world.count(NOON - 60, NOON, NOON + later) for later in (0, 10, 30, 60, 120, 121, 9999)]
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[2] < counts[4]
    assert counts[4] == counts[-1] == len(world.requests(NOON - 60, NOON))


def test_much_later_requests() -> None:
    """A chosen share of requests is counted a chosen time later, and exactly those are missing before."""
    world = World(rate=1.0, late_share=0.25, late_by_seconds=7200)
    whole = world.requests(NOON - 3600, NOON)
    late = [r for r in whole if r.arrival_ms - r.time_ms >= 7_200_000]
    assert len(late) / len(whole) == pytest.approx(0.25, abs=0.05)
    assert world.count(NOON - 3600, NOON, NOON + 200) == len(whole) - len(late)
    assert world.count(NOON - 3600, NOON, NOON + 8000) == len(whole)


def test_corrections_take_requests_back() -> None:
    """A chosen share of requests is taken back some time after it was counted."""
    world = World(rate=1.0, correction_share=0.2, correction_after_seconds=600)
    at_first = world.count(NOON - 300, NOON, NOON + 130)
    later = world.count(NOON - 300, NOON, NOON + 900)
    assert later < at_first
    assert later == len(world.requests(NOON - 300, NOON))


def test_the_rate_is_that_of_the_busiest_hour() -> None:
    """The setting is the rate at the height of the day; nights are quieter, and an even rate is even."""
    world = World(rate=1.0)
    busy, quiet = (len(world.requests(NOON + at, NOON + at + 3600)) / 3600 for at in (1800, 13 * 3600))
    assert busy == pytest.approx(1.0, abs=0.06)
    assert quiet == pytest.approx(0.35, abs=0.06)
    even = World(rate=1.0, daily_rhythm=False)
    assert len(even.requests(NOON + 12 * 3600, NOON + 13 * 3600)) / 3600 == pytest.approx(1.0, abs=0.06)


def test_errors_have_the_share_that_was_asked_for() -> None:
    """The share of errors is the setting's; every error has a side, a category, a reason and a failing status."""
    requests = World(rate=2.0, error_share=0.1).requests(NOON - 4 * 3600, NOON)
    errors = [r for r in requests if r.failed]
    assert len(errors) / len(requests) == pytest.approx(0.1, abs=0.01)
    assert all(r.status_code >= 400 and r.category and r.reason for r in errors)
    assert {r.category for r in errors} == {"AUTH", "TARGET_CONNECTIVITY", "THROTTLED", "OTHER"}
    assert all(r.status_code < 400 and r.category is None for r in requests if not r.failed)
    assert all(r.backend_ms is None for r in errors if r.error_side == "proxy")


def test_latencies_of_hops_make_up_the_response() -> None:
    """The response takes as long as its hops; a cache hit and a proxy error never reach the backend."""
    for r in World(rate=1.0, error_share=0.1).requests(NOON - 3600, NOON):
        hops = (r.request_mediation_ms, r.backend_ms or 0, r.response_mediation_ms or 0)
        assert r.response_ms == sum(hops)
        assert (r.backend_ms is None) == (r.cache == "hit" or r.error_side == "proxy")


def test_a_large_organization_has_traffic_on_every_api() -> None:
    """With 300 APIs and 40 applications there are as many of each, and every API is called within a day."""
    world = World(rate=2.0, apis=300, applications=40)
    organization = world.model.organizations[0]
    assert (len(organization.apis()), len(organization.applications())) == (300, 40)
    called = {r.api.id for r in world.requests(NOON - DAY, NOON)}
    assert called == {api.id for api in organization.apis()}


def test_environments_of_two_organizations_have_the_same_names_and_other_traffic() -> None:
    """Names alike, ids different, requests different."""
    model = World(rate=0.5).model
    first, second = (o.environment("Production") for o in model.organizations)
    assert first.id != second.id
    counts = [len(list(model.requests(e.id, FIRST_TENANT, NOON - 3600, NOON))) for e in (first, second)]
    assert counts[0] != counts[1]


def test_a_fault_leaves_earlier_requests_alone() -> None:
    """What was counted before a fault is the same after it was switched, and after it ended."""
    world = World(rate=1.0)
    before = world.requests(NOON - 3700, NOON)
    counted = world.count(NOON - 3700, NOON + 60, NOON + 300)
    world.faults.set(silent_apis=[api.name for api in world.model.organizations[0].apis()])
    assert world.requests(NOON - 3700, NOON) == before
    assert world.count(NOON - 3700, NOON + 60, NOON + 300) == len(before) < counted
    world.clock.time = NOON + 30
    world.faults.clear()
    after = world.requests(NOON, NOON + 60)
    assert after
    assert all(r.time >= NOON + 30 for r in after)


@pytest.mark.parametrize(
    ("fault", "matches"),
    [
        ({"error_ratio": 0.2}, lambda r: r.status_code in (500, 503) and r.failed),
        ({"throttle_ratio": 0.2}, lambda r: r.category == "THROTTLED" and r.status_code == 429),
    ],
)
def test_a_fault_hits_its_share(fault: dict[str, float], matches: Any) -> None:
    """The extra share of failing or throttled requests is what was asked for, of the named API alone."""
    world = World(rate=2.0, error_share=0.0)
    name = world.model.organizations[0].apis()[1].name
    world.faults.set(**fault, only_apis=[name])
    requests = world.requests(NOON, NOON + 4 * 3600)
    own = [r for r in requests if r.api.name == name]
    assert sum(map(matches, own)) / len(own) == pytest.approx(0.2, abs=0.03)
    assert not any(r.failed for r in requests if r.api.name != name)


def test_a_flood_comes_on_top_and_is_refused() -> None:
    """A client that asks far more than it may is refused each time with 429, of the API that it asks; what all others
    ask stays as it is, and the flood ends when it is over."""
    healthy, flooded = World(rate=0.5), World(rate=0.5)
    api = flooded.model.organizations[0].apis()[0]
    (application, *_) = [one for one in flooded.model.organizations[0].applications() if api.id in one.api_ids]
    flooded.clock.time = NOON + 90
    flooded.faults.set(flood_rate=20.0, flooding_applications=[application.name], only_apis=[api.name])
    flooded.clock.time = NOON + 690
    flooded.faults.clear()
    usual = Counter(healthy.requests(NOON, NOON + 1200))
    more = list((Counter(flooded.requests(NOON, NOON + 1200)) - usual).elements())
    assert Counter(flooded.requests(NOON, NOON + 1200)) - Counter(more) == usual
    assert len(more) == pytest.approx(20 * 600, rel=0.05)
    assert {(one.api, one.application, one.status_code, one.category) for one in more} == {
        (api, application, 429, "THROTTLED")
    }
    assert min(one.time for one in more) == pytest.approx(NOON + 90, abs=1)
    assert max(one.time for one in more) == pytest.approx(NOON + 690, abs=1)
    high = flooded.model.alerts.between(
        flooded.environment.id, FIRST_TENANT, NOON * 1000, (NOON + 1200) * 1000, (NOON + 1200) * 1000
    )
    assert (api.name, "TRAFFIC", "HIGH") in {(one.api.name, one.category, one.severity) for one in high}


def test_the_scenes_of_the_documentation_are_seen() -> None:
    """Each fault that `docs/commands.md` gives to try does what it says on the simulated API as it is."""
    text = (ROOT / "docs" / "commands.md").read_text("utf-8")
    scenes = [json.loads(found) for found in re.findall(r"^\| [^|]+ \| `(\{.+\})` \|$", text, re.MULTILINE)]
    assert len(scenes) >= 6
    for scene in scenes:
        healthy, faulty = World(), World()
        state = faulty.faults.set(**scene)
        same = healthy.requests(NOON, NOON + 900) == faulty.requests(NOON, NOON + 900)
        assert same != state.shapes_traffic(), scene


def test_slower() -> None:
    """A latency factor makes every hop that much slower."""
    healthy, slow = World(rate=0.5), World(rate=0.5)
    slow.faults.set(latency_factor=4.0)
    pairs = list(zip(healthy.requests(NOON, NOON + 600), slow.requests(NOON, NOON + 600), strict=True))
    assert pairs
    assert all(b.response_ms == 4 * a.response_ms and b.time_ms == a.time_ms for a, b in pairs)


def test_alerts_are_kept_for_a_week_and_high_ones_come_with_a_fault() -> None:
    """Everyday alerts are low or medium and go after a week; a slow API raises HIGH ones while it is slow."""
    world = World(alerts_per_day=20)

    def alerts(now: int) -> list[Any]:
        return world.model.alerts.between(world.environment.id, FIRST_TENANT, 0, (now + DAY) * 1000, now * 1000)

    everyday = alerts(NOON)
    assert len(everyday) == pytest.approx(140, abs=40)
    assert {a.severity for a in everyday} == {"LOW", "MEDIUM"}
    assert all((NOON - 7 * DAY) * 1000 <= a.time_ms <= NOON * 1000 for a in everyday)
    world.faults.set(latency_factor=5.0, only_apis=["Orders API"])
    high = [a for a in alerts(NOON + 3600) if a.severity == "HIGH"]
    assert len(high) == 7
    assert {(a.api.name, a.category, a.metric) for a in high} == {("Orders API", "LATENCY", "RESPONSE_LATENCY")}


@given(st.lists(st.integers(0, 50), min_size=1, max_size=60), st.sampled_from([50, 95, 100]))
def test_percentiles_are_values_by_nearest_rank(values: list[int], percent: int) -> None:
    """A percentile is a value that occurred: the smallest that the share of all values does not exceed."""
    found = nearest_rank(Counter(values).items(), percent)
    assert found in values
    assert 100 * sum(v <= found for v in values) >= percent * len(values)
    assert 100 * sum(v < found for v in values) < percent * len(values)


def test_there_is_no_percentile_of_nothing() -> None:
    """Without requests there is no latency, not a zero."""
    assert nearest_rank([], 95) is None
    assert nearest_rank([(None, 4)], 95) is None


@given(st.floats(0.01, 200))
def test_counts_of_a_minute_follow_their_expectation(mean: float) -> None:
    """Counts by evenly spread draws have the expected mean."""
    draws = [poisson(mean, (index + 0.5) / 400) for index in range(400)]
    assert sum(draws) / 400 == pytest.approx(mean, abs=0.05 + mean * 0.02)


def test_options_that_cannot_be_are_refused() -> None:
    """A bad option is refused at once, in words."""
    for options in (
        {"granularities": ("2m",)},
        {"late_share": 1.5},
        {"apis": 0},
        {"token_lifetime_seconds": 0.0},
        {"rate": -1.0},
        {"default_granularity": "2h"},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            Settings(**options)
    for fault in ({"error_ratio": 2}, {"api": "odd"}, {"unknown": 1}, {"silent_apis": "one"}, {"latency_factor": 0},
                  {"flood_rate": -1}):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(fault))):
            QUIET.faults.set(**fault)
