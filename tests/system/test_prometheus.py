"""What a real Prometheus makes of the exporter."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from exporter.exposition import Board, Format, Joiner, body
from exporter.model.samples import Family, MetricType, Number, Samples
from exporter.simulator import Simulator
from tests.conftest import StartExporter
from tests.support.configurations import APIS, ENVIRONMENTS, TRAFFIC
from tests.support.processes import Exporter, Prometheus, eventually, get, program


def test_prometheus_reads_the_figures_of_the_model(
    insights: Simulator, start_exporter: StartExporter, start_prometheus: Callable[[Exporter], Prometheus]
) -> None:
    """Prometheus scrapes the exporter, and a value asked from it equals a count over the model's single requests."""
    exporter = start_exporter(insights, ENVIRONMENTS + TRAFFIC.replace("align: 1s", "align: 1m")).wait_until_ready()
    prometheus = start_prometheus(exporter)
    eventually(lambda: prometheus.query("up == 1"), "scrape")
    environment = insights.model.organizations[0].environments[0]
    selector = f'{{environment_id="{environment.id}",environment="{environment.name}"}}'

    def agrees() -> bool:
        ends = prometheus.query('insights_exporter_query_window_end_timestamp_seconds{query="traffic"}')
        shown = prometheus.query(f"choreo_window_requests{selector}")
        failed = prometheus.query(f"choreo_window_errors{selector}")
        if not (ends and shown and failed):
            return False
        requests = list(insights.model.requests(environment.id, "carbon.super", ends[0][1] - 300, ends[0][1]))
        errors = sum(request.error_side != "none" for request in requests)
        return (shown[0][1], failed[0][1]) == (len(requests), errors)

    eventually(agrees, "agreement of Prometheus with the model")


def test_a_label_of_the_target_does_not_take_the_place_of_ours(
    insights: Simulator, start_exporter: StartExporter, start_prometheus: Callable[[Exporter], Prometheus]
) -> None:
    """Many set-ups put `environment` on their targets: with `honor_labels` our series keep their own, and those that
    have none get the target's."""
    exporter = start_exporter(insights, ENVIRONMENTS + TRAFFIC).wait_until_ready()
    prometheus = start_prometheus(exporter)
    names = {environment.name for environment in insights.model.organizations[0].environments}
    eventually(lambda: len(prometheus.query("choreo_window_requests")) == len(names), "scrape of every environment")
    assert {labels["environment"] for labels, _ in prometheus.query("choreo_window_requests")} == names
    assert not prometheus.query('{__name__=~"choreo_.*",exported_environment!=""}')
    assert {labels["environment"] for labels, _ in prometheus.query("insights_exporter_query_up")} == {"of the target"}


def test_a_series_that_disappears_goes_stale_at_the_next_scrape(
    insights: Simulator, start_exporter: StartExporter, start_prometheus: Callable[[Exporter], Prometheus]
) -> None:
    """A series that is no longer there is stale in Prometheus at once, not after five minutes."""
    exporter = start_exporter(insights, ENVIRONMENTS + APIS).wait_until_ready()
    prometheus = start_prometheus(exporter)
    eventually(lambda: prometheus.query("choreo_api_info"), "scrape of the APIs")
    gone = prometheus.query("choreo_api_info")[0][0]["api_id"]
    insights.faults.set(removed_apis=(gone,))
    eventually(lambda: not prometheus.query(f'choreo_api_info{{api_id="{gone}"}}'), "staleness")
    assert prometheus.query("choreo_api_info")


def test_promtool_has_nothing_to_say(insights: Simulator, start_exporter: StartExporter) -> None:
    """`promtool check metrics` passes the page without a word."""
    exporter = start_exporter(insights, ENVIRONMENTS + APIS + TRAFFIC).wait_until_ready()
    page = get(f"{exporter.url}/metrics").content
    run = subprocess.run([program("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


def test_promtool_takes_odd_labels_and_numbers() -> None:
    """Whatever an API returns as a name, and however large or small its figures are, Prometheus' own linter accepts."""
    odd: dict[tuple[str, ...], Number] = {('q"b\\n\n',): 1, ("🦊\0\ud800",): 0.1, ("",): 2**60, ("tiny",): 1e-300}
    family = Family("choreo_requests_total", MetricType.COUNTER, "Requests.", ("api",))
    board = Board()
    board.put(1, family, body(Samples.of(family, odd)))
    board.put(2, family, body(Samples.of(family, {("other",): 3})))
    gauge = Family("choreo_window_requests", MetricType.GAUGE, "Requests.", ("api", "code"))
    board.put(3, gauge, body(Samples.of(gauge, {("a", "b"): 1e-300})))
    page = Joiner().join(board.page(), b"", Format.TEXT, gzip=False)
    run = subprocess.run([program("promtool"), "check", "metrics"], input=page, capture_output=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")
