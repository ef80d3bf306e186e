"""The command `generate`, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter.cli.main import command
from tests.support.configurations import ROOT
from tests.support.grafana import panels
from tests.support.logs import kept_logging

CONFIG = """\
sources:
  - {name: shop, url: "https://shop.example/graphql"}
queries:
  - name: orders
    document: "query { open }"
    metrics: [{name: shop_open_orders, help: Orders that are open., value: open}]
"""


def insights_exporter(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A run of the program to its end."""
    program = [sys.executable, "-m", "exporter", *arguments]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(program, cwd=folder, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("before", [True, False])
def test_a_dashboard_goes_to_standard_output(before: bool, tmp_path: Path) -> None:
    """`generate dashboard` prints a dashboard with the configuration's metrics, wherever --config.file stands."""
    (tmp_path / "shop.yaml").write_text(CONFIG)
    flag, words = ["--config.file=shop.yaml"], ["generate", "dashboard"]
    run = insights_exporter(*(flag + words if before else words + flag), folder=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    dashboard = json.loads(run.stdout)
    assert (dashboard["uid"], dashboard["title"]) == ("insights-exporter-shop", "Insights Exporter / shop")
    shown = {panel["title"]: panel["description"] for panel in panels(dashboard)}
    assert "Metric shop_open_orders, polled every" in shown["Orders that are open"]


def test_a_dashboard_goes_to_a_file(tmp_path: Path) -> None:
    """`--output` names a file, and `--title` the dashboard; the command says what it wrote."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    run = insights_exporter("generate", "dashboard", "--output=d.json", "--title=The shop", folder=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "d.json: dashboard 'The shop', uid the-shop, a panel for each metric: 1\n"
    dashboard = json.loads((tmp_path / "d.json").read_text())
    assert (dashboard["uid"], dashboard["title"]) == ("the-shop", "The shop")


def test_a_bad_configuration_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """What is wrong is said with its line, and a dashboard that was there stays."""
    (tmp_path / "config.yaml").write_text(CONFIG.replace("value: open", "value: closed"))
    (tmp_path / "d.json").write_text('{"panels": "as they were"}')
    run = insights_exporter("generate", "dashboard", "--output=d.json", folder=tmp_path)
    assert run.returncode == 1
    assert run.stderr.startswith("error: config.yaml:6: queries[0].metrics[0].value: ")
    assert (tmp_path / "d.json").read_text() == '{"panels": "as they were"}'


@pytest.mark.parametrize("content", [CONFIG, "[]", "3", '{"title": "a"}'])
def test_a_file_that_is_no_dashboard_is_not_replaced(content: str, tmp_path: Path) -> None:
    """A dashboard that is there is replaced; a configuration that is named by a slip stays."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    file = tmp_path / "other"
    file.write_text(content)
    arguments = ["generate", "dashboard", f"--config.file={tmp_path}/config.yaml", f"--output={file}"]
    with kept_logging():
        run = CliRunner().invoke(command, arguments)
        assert (run.exit_code, file.read_text()) == (1, content)
        assert f"{file} is there already and no dashboard" in run.stderr
        file.write_text('{"panels": []}')
        assert CliRunner().invoke(command, arguments).exit_code == 0


@pytest.mark.parametrize(
    "config", ["config.example.yaml", *(str(f.relative_to(ROOT)) for f in ROOT.glob("docs/examples/*/config.yaml"))]
)
def test_every_example_has_a_dashboard(config: str) -> None:
    """Each configuration of the documents gives a dashboard."""
    arguments = ["generate", "dashboard", f"--config.file={ROOT / config}"]
    with kept_logging():
        run = CliRunner().invoke(command, arguments)  # without the start of a process, which takes most of the time
    assert (run.exit_code, run.stderr) == (0, "")
    assert len(panels(json.loads(run.stdout))) > 1
