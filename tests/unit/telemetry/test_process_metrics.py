"""The metrics of the process and of Python: those of every Prometheus client."""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from exporter.exposition import Format, head, pieces
from exporter.model.samples import Samples
from exporter.telemetry.process_metrics import process_metrics, python_metrics


def read(page: str) -> dict[str, Metric]:
    """The families of a page, by their names, as Prometheus' own parser reads them."""
    return {family.name: family for family in text_string_to_metric_families(page)}  # type: ignore[no-untyped-call]


def written(found: Iterable[Samples]) -> dict[str, Metric]:
    """The same of what is on our page."""
    lines = (b"".join((head(one.family, Format.OPENMETRICS), *pieces(one))) for one in found)
    return read(f"{b''.join(lines).decode()}# EOF\n")


@pytest.fixture
def theirs() -> dict[str, Metric]:
    """What prometheus_client says of this process."""
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return read(generate_openmetrics(registry).decode())  # type: ignore[no-untyped-call]


def test_dashboards_for_any_python_program_fit(theirs: dict[str, Metric]) -> None:
    """The families, their types, help and labels are those of prometheus_client, and so are the values at a moment."""
    ours = written((*process_metrics(), *python_metrics()))
    assert ours.keys() == theirs.keys()
    for name, family in ours.items():
        expected = theirs[name]
        assert (family.type, family.documentation) == (expected.type, expected.documentation), name
        assert [(one.name, one.labels) for one in family.samples] == [
            (one.name, one.labels) for one in expected.samples
        ], name
        for one, other in zip(family.samples, expected.samples, strict=True):
            assert one.value == pytest.approx(other.value, rel=0.1, abs=2), one


@contextmanager
def no_more_files() -> Iterator[None]:
    """No further file can be opened."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_page_without_file_descriptors() -> None:
    """A process that has used up its files still has a page, with what is known of Python."""
    with no_more_files():
        of_the_process, of_python = list(process_metrics()), list(python_metrics())
    assert of_the_process == []
    assert len(of_python) == 4
