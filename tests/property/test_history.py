"""Samples with time stamps, whatever their labels and numbers."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.cli.backfill.history import History
from exporter.model.outcome import Result
from exporter.model.samples import Family, MetricType, Number, Samples

GAUGE = Family("depth", MetricType.GAUGE, 'How "deep".', ("name",))


@given(
    st.lists(
        st.tuples(
            st.text(max_size=5),
            st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**30), 10**30)),
        ),
        min_size=1,
        unique_by=lambda pair: pair[0].encode("utf-8", "replace"),
    )
)
def test_any_label_and_any_number_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, Number]]
) -> None:
    """Whatever an API answers is in the file as the same number under the same label."""
    history = History(tmp_path_factory.mktemp("history") / "h")
    history.save("one", 1, Result((Samples.of(GAUGE, {(text,): value for text, value in pairs}),)))
    out = BytesIO()
    history.write(out, {})
    history.close()
    (family,) = text_string_to_metric_families(out.getvalue().decode())  # type: ignore[no-untyped-call]
    assert {sample.labels["name"]: sample.value for sample in family.samples} == {
        text: float(value) for text, value in pairs
    }
