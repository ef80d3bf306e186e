"""Alerts for real: the shipped rules with every duration divided by code, and Alertmanager with the shipped routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from exporter.model.duration import duration_seconds, duration_text
from exporter.simulator import Settings
from tests.support.configurations import ROOT
from tests.support.processes import Process, Prometheus, eventually, free_port, get, post, program
from tests.support.stack import Stack, running_stack

SHIPPED: Final = ROOT / "prometheus"
# Traffic without a fault: few APIs, so that each has enough requests in a short window.
HEALTHY: Final = Settings(delay_seconds=0, apis=3, applications=3, rate=8, daily_rhythm=False)
_AGES: Final = ("choreo:raised_alert_seconds:threshold", "insights_exporter:token_remaining_seconds:threshold")


def divided_expression(expression: str, divisor: float) -> str:
    """A PromQL expression with its ranges, resolutions and offsets divided."""

    def divided(match: re.Match[str]) -> str:
        if match[0].startswith('"'):
            return match[0]
        return re.sub(r"\b\d\w*", lambda one: _divided(one[0], divisor), match[0])

    return re.sub(r'"[^"]*"|\[[^]]+\]|\boffset \w+', divided, expression)


def divided_rules(folder: Path, divisor: float) -> list[Path]:
    """The files of the shipped rules, copied with every duration divided: ranges, `for`, intervals and ages."""
    files = []
    for shipped in sorted((SHIPPED / "rules").glob("*.yaml")):
        content = yaml.safe_load(shipped.read_text("utf-8"))
        for group in content["groups"]:
            _divide(group, "interval", divisor)
            for rule in group["rules"]:
                _divide(rule, "for", divisor)
                rule["expr"] = divided_expression(str(rule["expr"]), divisor)
                if rule.get("record") in _AGES:
                    rule["expr"] = str(float(rule["expr"]) / divisor)
        files.append(folder / f"rules-{shipped.name}")
        files[-1].write_text(json.dumps(content), "utf-8")
    return files


def _divided(duration: str, divisor: float) -> str:
    return duration_text(duration_seconds(duration) / divisor)


def _divide(holder: dict[str, Any], key: str, divisor: float) -> None:
    if key in holder:
        holder[key] = _divided(holder[key], divisor)


class Alertmanager(Process):
    """A real Alertmanager with the shipped routes, which tells at once."""

    def __init__(self, folder: Path) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        config = yaml.safe_load((SHIPPED / "alertmanager.yml").read_text("utf-8"))
        config["route"] |= {"group_wait": "1s", "group_interval": "1s"}
        file = folder / "alertmanager.yml"
        file.write_text(json.dumps(config), "utf-8")
        super().__init__(
            [
                program("prometheus-alertmanager"),
                f"--config.file={file}",
                f"--storage.path={folder / 'alertmanager'}",
                f"--web.listen-address={self.address}",
                "--cluster.listen-address=",
            ],
            folder / "alertmanager.log",
        )

    def wait_until_ready(self) -> Alertmanager:
        """Waits until it answers."""
        eventually(lambda: self.alerts() is not None, f"Alertmanager; its log is: {self.log}", 60)
        return self

    def alerts(self) -> list[dict[str, Any]] | None:
        """Its alerts with `labels`, `receivers` and `status`; None while it does not answer."""
        try:
            answer = get(f"http://{self.address}/api/v2/alerts")
        except httpx.HTTPError:
            return None
        if answer.status_code == 503:
            return None
        found: list[dict[str, Any]] = answer.raise_for_status().json()
        return found

    def processed(self) -> list[dict[str, Any]]:
        """Its alerts, once it has decided on all of them; none before that."""
        found = self.alerts() or []
        return [] if any(alert["status"]["state"] == "unprocessed" for alert in found) else found

    def names(self) -> set[str]:
        """The names of its alerts."""
        return {alert["labels"]["alertname"] for alert in self.alerts() or ()}

    def told(self, *alerts: dict[str, str]) -> None:
        """Hands it alerts with these labels."""
        body = [{"labels": labels} for labels in alerts]
        post(f"http://{self.address}/api/v2/alerts", json=body).raise_for_status()


@dataclass(frozen=True, slots=True)
class AlertingStack:
    """The stack with rules and an Alertmanager."""

    stack: Stack
    alertmanager: Alertmanager

    @property
    def prometheus(self) -> Prometheus:
        """Where the rules are evaluated."""
        return self.stack.prometheus

    def fired(self) -> set[str]:
        """The names of all alerts that have fired so far."""
        found = self.prometheus.query('count by (alertname) (max_over_time(ALERTS{alertstate="firing"}[1h]))')
        return {labels["alertname"] for labels, _ in found}

    def failing_rules(self) -> list[str]:
        """Names and errors of the rules that Prometheus cannot evaluate."""
        answer = get(f"http://127.0.0.1:{self.prometheus.port}/api/v1/rules").raise_for_status().json()
        rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
        assert len(rules) > 50
        return [f"{rule['name']}: {rule['lastError']}" for rule in rules if rule["health"] == "err"]

    def wait_for_evaluations(self, count: int) -> None:
        """Waits until the errors of every API have been judged so many times, once a second."""
        judged = f"min(count_over_time(api:choreo_api_errors:ratio5m[1h])) >= {count}"
        eventually(lambda: self.prometheus.query(judged), f"{count} evaluations", 120 + 2 * count)


@contextmanager
def alerting_stack(
    folder: Path, divisor: float, settings: Settings = HEALTHY, groups: tuple[str, ...] | None = None
) -> Iterator[AlertingStack]:
    """Simulated API, exporter, Prometheus with the shipped rules, Alertmanager, every duration divided."""
    relabel = yaml.safe_load((SHIPPED / "prometheus.yml").read_text("utf-8"))["alerting"]["alert_relabel_configs"]
    with (
        Alertmanager(folder) as alertmanager,
        running_stack(
            folder,
            settings,
            divisor=divisor,
            groups=groups,
            period="5m",
            rule_files=divided_rules(folder, divisor),
            alertmanager=alertmanager.address,
            alert_relabel_configs=relabel,
        ) as stack,
    ):
        yield AlertingStack(stack, alertmanager.wait_until_ready())
