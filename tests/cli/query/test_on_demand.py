"""Documents of the catalogue that are not polled, asked by name."""

from __future__ import annotations

from pathlib import Path

from exporter.simulator import Simulator
from tests.support.configurations import choreo_environ
from tests.support.processes import finished


def test_a_document_that_is_not_polled_runs_by_name(insights: Simulator, config: Path) -> None:
    """A document of the catalogue is asked by its name; blanks that are not filled in are listed."""
    environ, environment = choreo_environ(insights), insights.model.organizations[0].environments[0]
    name = "choreo/on_demand/custom_report_over_time"
    blank = finished("query", name, f"--config.file={config}", environ=environ)
    assert blank.returncode == 1
    assert "blanks to fill in: --var data.environmentId=… --var values=…" in blank.stderr
    api = insights.model.organizations[0].apis("carbon.super")[0]
    run = finished(
        "query", name, f"--config.file={config}", "--var", f"data.environmentId={environment.id}",
        "--var", f"values=[{api.name}]", environ=environ,
    )  # fmt: skip
    assert (run.returncode, run.stderr) == (0, "")
    assert '"getCustomReportOvertime"' in run.stdout
    unknown = finished("query", "choreo/on_demand/nothing", f"--config.file={config}", environ=environ)
    assert unknown.returncode == 1
    assert "choreo/on_demand/providers" in unknown.stderr
