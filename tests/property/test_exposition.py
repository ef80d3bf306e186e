"""Whatever is published: our page and the reference renderer's parse to the same samples."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterable, Iterator

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import generate_latest as latest_text
from prometheus_client.openmetrics.exposition import generate_latest as latest_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parsed_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parsed_text
from prometheus_client.registry import Collector

from exporter.exposition import Board, Format, Joiner, body
from exporter.model.samples import Family, LabelValues, MetricType, Number, Samples

Page = dict[str, dict[str, Samples]]  # family -> owner -> samples

# No colons: the reference renders `a:b` as `a_b` in OpenMetrics' sample lines, and as `a:b` in their heads.
names = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,6}", fullmatch=True)
label_names = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
texts = st.text(st.one_of(st.sampled_from('"\\\n\0\r\t n{}=,#%🦊é'), st.characters()), max_size=8)
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**53), 2**53),
    st.integers(-(10**30), 10**30),
)


@st.composite
def pages(draw: st.DrawFn) -> Page:
    page: Page = {}
    for stem in draw(st.lists(names, max_size=4, unique_by=lambda name: name.removesuffix("_total"))):
        kind = draw(st.sampled_from(MetricType))
        name = f"{stem}_total" if kind is MetricType.COUNTER else f"{stem}_x"
        labels = tuple(draw(st.lists(label_names, max_size=3, unique=True)))
        family = Family(name, kind, draw(texts), labels)
        values = st.tuples(*[texts] * len(labels))
        series: dict[LabelValues, Number] = draw(
            st.dictionaries(values, numbers.map(abs) if kind is MetricType.COUNTER else numbers, min_size=1, max_size=6)
        )
        owners: dict[str, dict[LabelValues, Number]] = {}
        for key, number in series.items():
            owners.setdefault(draw(st.sampled_from("pq")), {})[key] = number
        page[name] = {owner: Samples.of(family, of) for owner, of in owners.items()}
    return page


class Reference(Collector):
    """The same page for prometheus_client to render. It cannot encode lone surrogates: they are replaced before."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def collect(self) -> Iterator[Metric]:
        for name in sorted(self._page):
            owners = self._page[name]
            family = next(iter(owners.values())).family
            metric = Metric(name.removesuffix("_total"), _whole(family.help), family.type.value)
            for samples in owners.values():
                for values, number in samples.series.items():
                    labels = dict(zip(family.label_names, map(_whole, values), strict=True))
                    metric.add_sample(name, labels, float(number))
            yield metric


@given(pages())
def test_our_page_and_the_reference_renderer_s_parse_to_the_same(page: Page) -> None:
    """No name, label or value is read differently because of how fast it was written."""
    board = Board()
    for owners in page.values():
        for owner, samples in owners.items():
            board.put(owner, samples.family, body(samples))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Reference(page))
    for in_format in Format:
        ours = Joiner().join(board.page(), b"", in_format, gzip=False)
        assert gzip.decompress(Joiner().join(board.page(), b"", in_format, gzip=True)) == ours
        if in_format is Format.TEXT:
            assert _read(parsed_text(ours.decode())) == _read(parsed_text(latest_text(registry).decode()))
        else:
            theirs = latest_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
            assert _read_openmetrics(ours.decode()) == _read_openmetrics(theirs)


@given(numbers)
def test_a_value_comes_back_as_it_was(number: Number) -> None:
    """The text of a value is read as the float that is nearest to it, to the last bit and with its sign."""
    family = Family("x", MetricType.GAUGE, "", ())
    board = Board()
    board.put("o", family, body(Samples.of(family, {(): number})))
    (found,) = parsed_text(Joiner().join(board.page(), b"", Format.TEXT, gzip=False).decode())
    value = found.samples[0].value
    assert (value, math.copysign(1, value)) == (float(number), math.copysign(1, float(number)))


def _whole(text: str) -> str:
    return "".join("\ufffd" if "\ud800" <= letter <= "\udfff" else letter for letter in text)


def _read_openmetrics(text: str) -> list[object]:
    return _read(parsed_openmetrics(text))  # type: ignore[no-untyped-call]


def _read(metrics: Iterable[Metric]) -> list[object]:
    """What was understood, samples in any order: owners stand together, which the reference does not know."""
    return [
        (
            metric.name,
            metric.type,
            metric.documentation,
            sorted((sample.name, tuple(sorted(sample.labels.items())), sample.value) for sample in metric.samples),
        )
        for metric in metrics
    ]
