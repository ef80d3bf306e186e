"""The exporter's own metrics: rendered seldom, and never older than a reload."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from exporter.polling.polling import Polling
from exporter.telemetry.metrics import Telemetry, WebFigures
from exporter.telemetry.reload_status import ReloadStatus
from exporter.telemetry.reporter import Reporter
from tests.support.plans import planned

QUERY = '- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}'


def value(pieces: tuple[bytes, ...], name: str) -> float:
    """The value of the only series of that name."""
    (found,) = (
        sample.value
        for family in text_string_to_metric_families(b"".join(pieces).decode())
        for sample in family.samples
        if sample.name == f"insights_exporter_{name}"
    )
    return float(found)


def test_own_metrics_are_rendered_once_a_second_and_after_each_reload() -> None:
    """Many scrapes cost little, and who has just reloaded sees how it went."""
    now, requests, status, reporter = [100.0], {"200": 1}, ReloadStatus(), Reporter()
    telemetry = Telemetry(
        Polling(planned(QUERY), reporter),
        reporter.counts,
        status,
        WebFigures(requests, lambda: 0),
        task_count=lambda: 1,
        monotonic=lambda: now[0],
    )
    first = telemetry.render(openmetrics=False)
    assert value(first, "web_requests_total") == 1
    requests["200"] = 2
    now[0] += 0.9
    assert telemetry.render(openmetrics=False) == first
    status.note(successful=False)
    reloaded = telemetry.render(openmetrics=False)
    assert value(reloaded, "config_last_reload_successful") == 0
    assert value(reloaded, "config_last_reload_success_timestamp_seconds") == status.success_time
    assert value(reloaded, "web_requests_total") == 2
    requests["200"] = 3
    now[0] += 1.0
    assert value(telemetry.render(openmetrics=False), "web_requests_total") == 3


def test_what_a_query_without_polls_has_is_said_of_it() -> None:
    """It is not up, and has no targets, no series and no time of success."""
    reporter = Reporter()
    polling = Polling(planned(QUERY), reporter)
    telemetry = Telemetry(polling, reporter.counts, ReloadStatus(), WebFigures({}, lambda: 0), task_count=lambda: 1)
    page = telemetry.render(openmetrics=False)
    assert [value(page, f"query_{name}") for name in ("up", "targets", "series")] == [0, 0, 0]
    assert b"insights_exporter_query_last_success_timestamp_seconds{" not in b"".join(page)


def test_of_thousands_of_queries_only_what_has_changed_is_rendered_again() -> None:
    """A scrape of thousands of queries costs little: a family whose values are the same stays the same piece."""
    many = "".join(
        f'- {{name: q{at}, document: "{{ n }}", metrics: [{{name: n{at}, help: N., value: n}}]}}\n' for at in range(200)
    )
    now, reporter = [100.0], Reporter()
    polling = Polling(planned(many), reporter)
    telemetry = Telemetry(
        polling,
        reporter.counts,
        ReloadStatus(),
        WebFigures({}, lambda: 0),
        task_count=lambda: 1,
        monotonic=lambda: now[0],
    )
    before = telemetry.render(openmetrics=False)
    reporter.counts.of("q7", "acme").pack_refusals += 1
    now[0] += 1.0
    after = telemetry.render(openmetrics=False)
    changed = [new for old, new in zip(before, after, strict=True) if old is not new and b"q7" in new]
    assert [piece.count(b"# TYPE") for piece in changed] == [1]
    assert b'insights_exporter_pack_refusals_total{source="acme",query="q7"} 1.0\n' in changed[0]
    assert sum(piece.count(b'q7"') for piece in after) == sum(piece.count(b'q8"') for piece in after)
