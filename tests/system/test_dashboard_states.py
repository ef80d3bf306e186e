"""The state of each API on Overview, as a real Prometheus works it out of what is polled and recorded."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.support.days import rules_test
from tests.support.grafana import expression_of, panels, shipped
from tests.support.processes import program

OVERVIEW: Final = shipped()["choreo-insights-overview.json"]
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
    file = tmp_path / "states.json"
    rules_test(file, list(series(counters=counters)), "1m", [asked])
    command = [program("promtool"), "test", "rules", str(file)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
