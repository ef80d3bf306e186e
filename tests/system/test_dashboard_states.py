"""States on the dashboards, as a real Prometheus works them out of what is polled and recorded."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.days import rules_test
from tests.support.grafana import expression_of, panels, shipped
from tests.support.processes import program

OVERVIEW: Final = shipped()["choreo-insights-overview.json"]
ALERTS: Final = shipped()["choreo-insights-alerts.json"]
EXPORTER: Final = shipped()["choreo-insights-exporter.json"]
TABLE: Final = "APIs, the worst first"
# Of each API: requests, answers with 5xx and with 429 in five minutes, and seconds of the 95th percentile.
APIS: Final = {
    "failing": (100, 10, 0, 0.3),
    "some fail": (500, 10, 400, 0.3),
    "throttled": (100, 0, 90, 0.3),
    "slow": (100, 0, 0, 9.0),
    "well": (100, 0, 0, 0.3),
    "well, but for a single failure": (15, 1, 0, 0.3),
    "nothing new": (0, 0, 0, 0.3),
}


def series(*, counters: bool) -> Iterator[dict[str, str]]:
    """What the exporter publishes of these APIs for ten minutes, with and without what rules are made of."""
    for api, (requests, failed, throttled, p95) in APIS.items():
        labels = (
            f'organization="acme",environment_id="e1",environment="Production",tenant="carbon.super",api_id="{api}",'
            f'api="{api}",version="1.0.0",job="insights-exporter",instance="one:10093"'
        )
        yield {"series": f"choreo_api_info{{{labels}}}", "values": "1x10"}
        yield {"series": f"choreo_api_response_latency_p95_seconds{{{labels}}}", "values": f"{p95}x10"}
        for name, code, count in (
            ("requests", "", requests),
            ("target_errors", ',code="503"', failed),
            ("proxy_errors", ',code="429"', throttled),
        ):
            yield {"series": f"choreo_window_api_{name}{{{labels}{code}}}", "values": f"{count}x10"}
            if counters:
                total = f"choreo_api_{name}_total{{{labels}{code}}}"
                yield {"series": total, "values": f"1000+{count / 5}x10"}


def state_words() -> dict[str, str]:
    """The numbers of states, by their words."""
    (panel,) = [one for one in panels(OVERVIEW) if one["title"] == TABLE]
    (column,) = [one for one in panel["fieldConfig"]["overrides"] if one["matcher"]["options"] == "State now"]
    mapped = next(one["value"] for one in column["properties"] if one["id"] == "mappings")
    return {shown["text"]: value for value, shown in mapped[0]["options"].items()}


@pytest.mark.parametrize("counters", [True, False], ids=["as rules know it", "from windows alone"])
def test_the_table_of_apis_says_what_is_wrong_with_each(tmp_path: Path, counters: bool) -> None:
    """Whoever opens Overview reads the state of each API in a word, from what the rules count and from
    windows alone: also that clients are throttled where nothing fails; a single failure is not yet a state."""
    numbers = state_words()
    samples = [
        {
            "labels": f'{{api="{api}", environment="Production", organization="acme", version="1.0.0"}}',
            "value": int(numbers[api.partition(",")[0]]),
        }
        for api in APIS
    ]
    asked = {"expr": expression_of(OVERVIEW, TABLE, 0, "5m"), "eval_time": "9m", "exp_samples": samples}
    assert_answers(tmp_path / "states.json", list(series(counters=counters)), asked)


def assert_answers(file: Path, given: list[dict[str, str]], *asked: dict[str, Any], evaluation: str = "1m") -> None:
    """Prometheus has these answers to the expressions, of series a minute apart."""
    rules_test(file, given, evaluation, list(asked))
    command = [program("promtool"), "test", "rules", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def query_metrics(instance: str, query: str, *, success: str, up: str) -> Iterator[dict[str, str]]:
    """What an exporter publishes of the polls of a query, which has an interval of a minute."""
    labels = f'job="insights-exporter",instance="{instance}",source="acme",query="{query}"'
    for name, values in (("last_success_timestamp_seconds", success), ("up", up), ("interval_seconds", "60x60")):
        if values:
            yield {"series": f"insights_exporter_query_{name}{{{labels}}}", "values": values}


@pytest.mark.parametrize(
    ("success", "up", "state"),
    [("0+60x60", "1x60", 0), ("0+60x60", "0x60", 1), ("0+60x17 1020x60", "0x60", 2), ("0x60", "0x60", 3),
     ("", "0x60", 3)],
    ids=["current", "polls fail", "late", "stopped", "never succeeded"],
)  # fmt: skip
@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_an_exporter_that_works_does_not_hide_one_that_does_not(
    tmp_path: Path, order: tuple[str, str], success: str, up: str, state: int
) -> None:
    """Where several exporters poll the same query, the first line of a page, and on Exporter the table, say how the
    worst of them is."""
    well, ill = order
    given = [
        *query_metrics(well, "overview", success="0+60x60", up="1x60"),
        *query_metrics(ill, "overview", success=success, up=up),
    ]
    asked = [{"expr": expression_of(page, "Are these figures current?", 0, "5m"), "eval_time": "20m",
              "exp_samples": [{"labels": "{}", "value": state}]} for page in (OVERVIEW, EXPORTER)]  # fmt: skip
    of_query = '{query="overview", source="acme"}'
    asked.append({"expr": expression_of(EXPORTER, "Queries", 0, "5m"), "eval_time": "20m",
                  "exp_samples": [{"labels": of_query, "value": int(up[0])}]})  # fmt: skip
    age = {"0x60": 20, "0+60x17 1020x60": 3}.get(success, 0)
    asked.append({"expr": expression_of(EXPORTER, "Queries", 1, "5m"), "eval_time": "20m",
                  "exp_samples": [{"labels": of_query, "value": age}]})  # fmt: skip
    assert_answers(tmp_path / "several.json", given, *asked)


def test_the_budget_that_is_left_is_the_same_in_the_rules_and_on_the_dashboards(tmp_path: Path) -> None:
    """After a first day at half of the errors that the objective allows, a sixtieth of the budget of 30 days is spent:
    so say Overview and the rule that somebody may alert on."""
    labels = (
        'organization="acme",environment_id="e1",environment="Production",tenant="carbon.super",api_id="a1",'
        'api="Orders API",version="1.0.0",job="insights-exporter",instance="one:10093"'
    )
    given = [
        {"series": f"choreo_api_info{{{labels}}}", "values": "1x1450"},
        {"series": f"choreo_api_requests_total{{{labels}}}", "values": "0+1200x1450"},
        {"series": f'choreo_api_target_errors_total{{{labels},code="503"}}', "values": "0+3x1450"},
    ]
    shown = expression_of(OVERVIEW, "Error budget left now", 0, "5m")
    asked = [
        {"expr": f"round({expr}, 0.001)", "eval_time": "24h", "exp_samples": [{"labels": "{}", "value": 0.983}]}
        for expr in (shown, "min(api:choreo_api_error_budget_left:ratio30d)")
    ]
    # Prometheus 3 looks back for less than five minutes: not as far as to the last value of every five.
    assert_answers(tmp_path / "budget.json", given, *asked, evaluation="4m")


@pytest.mark.parametrize(
    ("pods", "raised"),
    [
        ({"one": "50x50 stale _x28 51x60"}, 1),
        ({"one": "50x70 stale", "two": "_x73 50x7 52x60"}, 2),
        ({"one": "50x70 2x60"}, 2),
        ({"one": "_x70 3x60"}, 3),
        ({"one": "50x70 53x60", "two": "50x71 53x60"}, 3),
    ],
    ids=["absent for half an hour", "another pod", "midnight", "birth", "replicas"],
)
def test_alerts_of_choreo_are_counted_once(tmp_path: Path, pods: dict[str, str], raised: int) -> None:
    """A gap in the figures, a new pod or midnight adds nothing to the alerts that were raised in the range."""
    labels = (
        'organization="acme",environment="Production",api="Orders API",severity="HIGH",job="insights-exporter",'
        'instance="{0}",pod="{0}"'
    )
    given = [
        {"series": f"choreo_alerts_total{{{labels.format(pod)}}}", "values": values} for pod, values in pods.items()
    ]
    asked = {"expr": expression_of(ALERTS, "Raised", 0, "1h"), "eval_time": "2h",
             "exp_samples": [{"labels": "{}", "value": raised}]}  # fmt: skip
    assert_answers(tmp_path / "alerts.json", given, asked)
