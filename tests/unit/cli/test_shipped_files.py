"""The files that come with the package."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter.cli.main import command
from exporter.cli.shipped_files import copy_shipped_files, metrics_shown
from tests.support.configurations import ROOT

PLACES = {
    "dashboards/choreo-insights-overview.json": "grafana/dashboards/choreo-insights-overview.json",
    "rules/choreo.yaml": "prometheus/rules/choreo.yaml",
    "examples/github/config.yaml": "docs/examples/github/config.yaml",
    "config.example.yaml": "config.example.yaml",
    "insights-exporter.1": "docs/insights-exporter.1",
}


def test_dashboards_rules_examples_and_the_man_page_are_written(tmp_path: Path) -> None:
    """Each as the repository has it, into a folder that need not be there yet."""
    written = list(copy_shipped_files(tmp_path / "new", force=False))
    assert {file.name for file in written} == {file.name for file in (tmp_path / "new").iterdir()}
    for name, place in PLACES.items():
        assert (tmp_path / "new" / name).read_bytes() == (ROOT / place).read_bytes()


def test_what_dashboards_and_rules_show_is_known() -> None:
    """A metric of a dashboard and one of a rule are among the names, one that neither shows is not."""
    shown = metrics_shown()
    assert {"choreo_window_requests", "choreo_requests_total", "insights_exporter_query_up"} <= shown
    assert "choreo_errors_by_reason_total" not in shown


def test_nothing_is_replaced_without_force(tmp_path: Path) -> None:
    """What is there stays, and nothing else is written; the message says how to go on."""
    (tmp_path / "rules").mkdir()
    with pytest.raises(FileExistsError):
        list(copy_shipped_files(tmp_path, force=False))
    assert [file.name for file in tmp_path.iterdir()] == ["rules"]
    run = CliRunner().invoke(command, ["generate", "files", str(tmp_path)])
    assert run.exit_code == 1
    assert "rules is there already; write --force" in run.stderr
    assert CliRunner().invoke(command, ["generate", "files", str(tmp_path), "--force"]).exit_code == 0
    assert (tmp_path / "rules" / "choreo.yaml").exists()
