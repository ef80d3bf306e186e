"""Days of simulated traffic as series for `promtool test rules`: what the exporter would publish, minute by minute."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from exporter.model.outcome import PollOutcome, Result
from exporter.model.samples import Family, LabelValues, MetricType, Samples
from exporter.series.store import State, next_state
from exporter.simulator import Simulator
from exporter.simulator.model.traffic import Request
from tests.support.configurations import ROOT

DAY_MINUTES: Final = 1440
WINDOW_MINUTES: Final = 5
DELAY_MINUTES: Final = 2
QUARTER_MINUTES: Final = 15


@dataclass(slots=True)
class ApiMinutes:
    """What happened to one API: counts by the minute of the epoch."""

    requests: Counter[int] = field(default_factory=Counter)
    errors: dict[tuple[str, str], Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    response_ms: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))

    def add(self, request: Request) -> None:
        """Counts a request."""
        minute = request.time_ms // 60_000
        self.requests[minute] += 1
        self.response_ms[minute // QUARTER_MINUTES].append(request.response_ms)
        if request.failed:
            code = request.target_status_code if request.error_side == "target" else request.status_code
            self.errors[request.error_side, str(code)][minute] += 1


def in_window(counts: Mapping[int, int], minute: int) -> int:
    """The gauge of five minutes, two minutes late."""
    end = minute - DELAY_MINUTES
    return sum(counts.get(one, 0) for one in range(end - WINDOW_MINUTES, end))


def since_midnight(counts: Mapping[int, int], minutes: range) -> list[int]:
    """The counter at each minute: from the midnight before the window's end, two minutes late."""
    values, total = [], 0
    for minute in range(minutes.start // DAY_MINUTES * DAY_MINUTES, minutes.stop):
        last = minute - DELAY_MINUTES - 1  # the newest minute that is counted
        total = counts.get(last, 0) + (total if last % DAY_MINUTES else 0)
        if minute in minutes:
            values.append(total)
    return values


def quarter_p95_seconds(api: ApiMinutes, minute: int) -> float | None:
    """The 95th percentile of the newest whole quarter of an hour; None without requests."""
    quarter = (minute - DELAY_MINUTES) // QUARTER_MINUTES - 1
    found = sorted(api.response_ms.get(quarter, ()))
    return found[int(len(found) * 0.95)] / 1000 if found else None


def published(
    name: str, counts: Mapping[LabelValues, Mapping[int, int]], minutes: range, *, restart: int | None = None
) -> dict[LabelValues, list[float | None]]:
    """What the exporter publishes, at each minute, of a counter since midnight whose series begin with their first
    event: None while there is none. At the minute `restart` the exporter has forgotten what it knew."""
    family = Family(name, MetricType.COUNTER, "", ("code",))
    totals = {key: since_midnight(of, minutes) for key, of in counts.items()}
    state, values = State(), dict[LabelValues, list[float | None]]({key: [] for key in counts})
    for at, minute in enumerate(minutes):
        if minute == restart:
            state = State()
        end = minute - DELAY_MINUTES
        series = {key: total[at] for key, total in totals.items() if total[at]}
        result = Result(
            (Samples.of(family, series),),
            period_start_time=(end - 1) // DAY_MINUTES * DAY_MINUTES * 60.0,
            period_complete=end % DAY_MINUTES == 0,
        )
        state, (samples,) = next_state(state, PollOutcome(0.1, result), minute * 60.0, minute * 60.0)
        for key, of in values.items():
            of.append(samples.series.get(key))
    return values


def series_of(
    insights: Simulator, environment: str, minutes: range, *, restart: int | None = None
) -> list[dict[str, str]]:
    """The series of an environment of the first organization, a value each minute, as promtool reads them; the exporter
    is started again at the minute `restart`."""
    organization = insights.model.organizations[0]
    home = organization.environment(environment)
    apis = {api.id: ApiMinutes() for api in organization.apis()}
    begin = (minutes.start // DAY_MINUTES * DAY_MINUTES - 60) * 60
    for request in insights.model.requests(home.id, organization.tenants[0], begin, minutes.stop * 60):
        apis[request.api.id].add(request)
    found: list[dict[str, str]] = []

    def publish(name: str, labels: Mapping[str, str], values: Iterable[float | None]) -> None:
        inner = ",".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
        found.append(
            {"series": f"{name}{{{inner}}}", "values": " ".join("_" if v is None else f"{v:g}" for v in values)}
        )

    publish("up", {"job": "insights-exporter", "instance": "one:10093"}, (1 for _ in minutes))
    for api in organization.apis():
        counted = apis[api.id]
        labels = {
            "organization": organization.handle,
            "environment_id": home.id,
            "environment": home.name,
            "tenant": organization.tenants[0],
            "api_id": api.id,
            "api": api.name,
            "version": api.version,
            "job": "insights-exporter",
            "instance": "one:10093",
        }
        publish("choreo_api_info", labels, (1 for _ in minutes))
        publish("choreo_window_api_requests", labels, (in_window(counted.requests, minute) for minute in minutes))
        publish("choreo_window_15m_api_requests", labels, (3 * in_window(counted.requests, m) for m in minutes))
        publish("choreo_api_requests_total", labels, since_midnight(counted.requests, minutes))
        for side, name in (("target", "choreo_api_target_errors_total"), ("proxy", "choreo_api_proxy_errors_total")):
            of_side: dict[LabelValues, Mapping[int, int]] = {
                (code,): counts for (of, code), counts in counted.errors.items() if of == side
            }
            for (code,), values in published(name, of_side, minutes, restart=restart).items():
                publish(name, labels | {"code": code}, values)
        p95s = [quarter_p95_seconds(counted, minute) for minute in minutes]
        publish("choreo_api_response_latency_p95_seconds", labels, p95s)
        publish("choreo_api_backend_latency_p95_seconds", labels, p95s)
    return found


def rules_test(file: Path, series: list[dict[str, str]], evaluation: str, expressions: list[dict[str, Any]]) -> None:
    """Writes a test of the shipped rules on these series, a minute apart, for `promtool test rules`."""
    rule_files = sorted((ROOT / "prometheus" / "rules").glob("*.yaml"))
    contents = [yaml.safe_load(rules.read_text("utf-8")) for rules in rule_files]
    test = {
        "rule_files": [str(rules) for rules in rule_files],
        "evaluation_interval": evaluation,
        "group_eval_order": [group["name"] for content in contents for group in content["groups"]],
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": expressions}],
    }
    file.write_text(json.dumps(test), "utf-8")
