"""The shipped rules, their tests and their runbook: what they name exists, and each alert keeps its promise."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.model.errors import Reason
from exporter.simulator import Simulator
from tests.conftest import StartExporter
from tests.support.configurations import ENVIRONMENTS, ROOT
from tests.support.processes import program

PROMETHEUS = ROOT / "prometheus"
RULE_FILES = sorted((PROMETHEUS / "rules").glob("*.yaml"))
TEST_FILES = sorted((PROMETHEUS / "tests").glob("*.yaml"))


def rules(kind: str) -> list[dict[str, Any]]:
    """All shipped rules of a kind, `alert` or `record`."""
    contents = [yaml.safe_load(file.read_text("utf-8")) for file in RULE_FILES]
    return [rule for content in contents for group in content["groups"] for rule in group["rules"] if kind in rule]


def cases() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The file and name of a test, and one of its checks of an alert."""
    for file in TEST_FILES:
        for test in yaml.safe_load(file.read_text("utf-8"))["tests"]:
            for check in test.get("alert_rule_test", ()):
                yield file.name, test["name"], check


def metric_names(expression: str) -> set[str]:
    """The names of metrics in an expression, recorded ones with their colons."""
    without_matchers = re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)
    return set(re.findall(r"[a-z_]+:[a-z0-9_:]+|(?<![\w:])(?:choreo|insights_exporter)_[a-z0-9_]+", without_matchers))


@pytest.mark.parametrize(
    "command",
    [
        ("promtool", "check", "rules", *(str(file) for file in RULE_FILES)),
        ("promtool", "check", "config", str(PROMETHEUS / "prometheus.yml")),
        ("amtool", "check-config", str(PROMETHEUS / "alertmanager.yml")),
        *(("promtool", "test", "rules", str(file)) for file in TEST_FILES),
    ],
    ids=lambda command: " ".join(
        [command[0], command[-2] if command[1] == "check" else command[1], Path(command[-1]).name]
    ),
)
def test_the_tools_of_prometheus_accept_what_is_shipped(command: tuple[str, ...]) -> None:
    """`promtool` and `amtool` find the rules and the configurations sound, and every case of an alert as it is told."""
    run = subprocess.run([program(command[0]), *command[1:]], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


def test_an_alert_says_what_it_means_how_grave_it_is_and_where_to_read_on() -> None:
    """Each alert has a summary that never changes, a description, a severity, and an entry in the runbook."""
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbook.md").read_text("utf-8"), re.MULTILINE)
    alerts = rules("alert")
    for alert in alerts:
        notes = alert["annotations"]
        assert notes.keys() == {"summary", "description", "runbook_url"}, alert["alert"]
        assert not re.search(r"\b\d+\b|\{\{", notes["summary"]), alert["alert"]
        assert "{{ $labels." in notes["description"], alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning", "info"), alert["alert"]
        assert notes["runbook_url"].endswith(f"/docs/runbook.md#{alert['alert'].lower()}"), alert["alert"]
    assert sorted(headings) == sorted({alert["alert"] for alert in alerts})
    assert len({alert["annotations"]["runbook_url"].partition("#")[0] for alert in alerts}) == 1


def test_the_runbook_explains_every_reason_for_which_a_poll_fails() -> None:
    """Whoever sees a `reason` finds it in the table of the runbook, with what to do."""
    explained = set(re.findall(r"^\| (`.+?) \|", (ROOT / "docs" / "runbook.md").read_text("utf-8"), re.MULTILINE))
    assert {word for cell in explained for word in re.findall(r"`(\w+)`", cell)} == {reason.value for reason in Reason}


def test_an_alert_has_cases_in_which_it_fires_waits_and_stays_quiet() -> None:
    """Each alert is shown to fire, to wait for its `for` in the same case, and to stay quiet in another."""
    told = list(cases())
    for name in {rule["alert"] for rule in rules("alert")}:
        checks = [(file, test, check) for file, test, check in told if check["alertname"] == name]
        firing = {(file, test) for file, test, check in checks if check["exp_alerts"]}
        waiting = {(file, test) for file, test, check in checks if not check["exp_alerts"]} & firing
        quiet = {(file, test) for file, test, check in checks} - firing
        assert firing, name
        assert waiting, name
        assert quiet, name


def test_every_rule_asks_for_what_the_exporter_has(
    insights: Simulator, start_exporter: StartExporter, tmp_path: Path
) -> None:
    """Every metric in a rule is published by the catalogue or by the exporter itself, or recorded by another rule."""
    web_config = tmp_path / "web.yaml"
    web_config.write_text("{}")
    exporter = start_exporter(insights, ENVIRONMENTS, f"--web.config.file={web_config}")
    page = exporter.wait_until_ready().page()
    known = set(re.findall(r"^# TYPE (insights_exporter_\w+) ", page, re.MULTILINE))
    for file in (ROOT / "exporter" / "choreo" / "catalogue").glob("*.yaml"):
        queries = yaml.safe_load(file.read_text("utf-8")).get("queries", ())
        known |= {metric["name"] for query in queries for metric in query.get("metrics", ())}
    recorded = {rule["record"] for rule in rules("record")}
    asked = {name for kind in ("alert", "record") for rule in rules(kind) for name in metric_names(str(rule["expr"]))}
    assert len(asked) > 40
    assert asked - recorded - known == set()


def test_every_threshold_of_an_api_follows_the_table() -> None:
    """Each number in the table is used, and each one by API is made of the four kinds of lines of its own name."""
    table = {rule["record"] for rule in rules("record") if re.match(r"choreo:|insights_exporter:", rule["record"])}
    made = {rule["record"]: rule["expr"] for rule in rules("record") if rule["record"].startswith("api:")}
    for name in table:
        of_api = f"api:{name.replace('choreo:', 'choreo_')}"
        if of_api in made:
            assert made[of_api].count(name) == 4, name
            assert metric_names(made[of_api]) == {"api:choreo_api_info:max", name}, name
    used = {name for kind in ("alert", "record") for rule in rules(kind) for name in metric_names(str(rule["expr"]))}
    assert table <= used


def test_every_recorded_series_can_be_asked_for_at_any_time() -> None:
    """An instant query looks back for five minutes: a group that is evaluated less often has gaps."""
    files = sorted((ROOT / "prometheus" / "rules").glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    for group in groups:
        assert re.fullmatch(r"[1-4]m|\d{1,2}s", group.get("interval", "1m")), group["name"]
