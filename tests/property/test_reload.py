"""Whatever is polled, fails, expires, vanishes or is reloaded: the page is one that Prometheus can read."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.exposition import Format, Joiner
from exporter.model.errors import Reason
from exporter.model.outcome import PollOutcome, Result
from exporter.model.samples import Family, MetricType, Samples
from exporter.plan.plan import Target
from exporter.series.store import Owner, Store

OWNERS = [Owner(query, "acme", target) for query in ("q1", "q2") for target in ("", "t")]
FAILED = PollOutcome(0.1, reason=Reason.TIMEOUT)
A_SHAPES = [
    Family("a", MetricType.GAUGE, "As.", ("x",)),
    Family("a", MetricType.GAUGE, "Other As.", ("x",)),
    Family("a", MetricType.GAUGE, "As.", ("x", "y")),
    Family("a_total", MetricType.COUNTER, "As.", ("x",)),
]
B = Family("b", MetricType.GAUGE, "Bs.", ("x",))
values = st.sampled_from("12")


@st.composite
def plans(draw: st.DrawFn) -> dict[str, list[Family]]:
    """What each query publishes under one configuration: all agree on a family's shape."""
    agreed = [draw(st.sampled_from(A_SHAPES)), B]
    return {query: draw(st.lists(st.sampled_from(agreed), min_size=1, unique=True)) for query in ("q1", "q2")}


@settings(max_examples=200)
@given(st.data())
def test_no_page_has_a_family_in_two_shapes_or_a_series_twice(data: st.DataObject) -> None:
    """Each result is on the page as a whole or not at all, under heads that stand once, in any order of events."""
    store, joiner = Store(data.draw(st.sampled_from([3, 100]))), Joiner()
    plan = data.draw(plans())
    for at in range(data.draw(st.integers(1, 20))):
        owner = data.draw(st.sampled_from(OWNERS))
        match data.draw(st.sampled_from(["poll", "poll", "poll", "fail", "reload", "drop"])):
            case "poll":
                samples = tuple(
                    Samples.of(family, {tuple(data.draw(values) for _ in family.label_names): 1.0})
                    for family in plan[owner.query]
                )
                store.fold(owner, Target({}, owner.target), PollOutcome(0.1, Result(samples)), at, at)
            case "fail":
                store.fold(owner, Target({}, owner.target), FAILED, at, at)
            case "reload":
                new = data.draw(plans())
                for query in plan:
                    if plan[query] != new[query]:
                        store.leave_over(query, "acme")
                plan = new
            case "drop":
                store.drop(owner)
        page = joiner.join(store.page(), b"", Format.OPENMETRICS, gzip=False).decode()
        families = list(text_string_to_metric_families(page))  # type: ignore[no-untyped-call]  # raises for a family that is split or headed twice
        names = [family.name for family in families]
        assert len(names) == len(set(names))
        for family in families:
            keys = [tuple(sorted(sample.labels.items())) for sample in family.samples]
            assert len(keys) == len(set(keys))
            assert len({tuple(sorted(sample.labels)) for sample in family.samples}) == 1
        assert sum(state.series for _, state in store.states()) == sum(len(family.samples) for family in families)
