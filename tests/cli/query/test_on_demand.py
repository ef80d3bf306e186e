"""Documents of the catalogue that are not polled, asked by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter.cli.main import command
from exporter.simulator import Simulator
from tests.support.configurations import choreo_environ, choreo_source
from tests.support.processes import finished


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("choreo/on_demand/providers", "--response=a.json", "--all"), "--all, --response: has no effect on choreo/"),
        (("choreo/on_demand/providers", "--save=a.json"), "--save: has no effect"),
        (("choreo/on_demand/providers", "--target=a"), "--target: has no effect"),
        (("environments", "--var=a=b"), "--var: has no effect on environments, as it is for choreo/on_demand/NAME"),
    ],
)
def test_a_flag_that_would_have_no_effect_is_refused(arguments: tuple[str, ...], said: str) -> None:
    """No request is sent, and no configuration is read."""
    run = CliRunner().invoke(command, ["query", *arguments, "--config.file=/nonexistent/config.yaml"])
    assert run.exit_code == 2
    assert said in " ".join(run.stderr.split())


@pytest.mark.parametrize(("called", "flag"), [(("query", "environments"), "--save"), (("verify",), "--record")])
def test_a_file_that_is_no_recording_is_not_replaced(called: tuple[str, ...], flag: str, tmp_path: Path) -> None:
    """And nothing is asked. A configuration that is named by a slip stays."""
    file = tmp_path / "config.yaml"
    file.write_text("sources:")
    run = CliRunner().invoke(command, [*called, f"--config.file={file}", f"{flag}={file}"])
    assert run.exit_code == 1
    assert run.stderr == f"error: {file}: is there already and no recording, so it is not replaced; name another file\n"
    assert file.read_text() == "sources:"


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


def test_a_document_of_choreo_is_asked_of_choreo(insights: Simulator, tmp_path: Path) -> None:
    """Without --source it is the first source with Choreo's schema, and not another API that comes before it."""
    shop = "sources:\n  - {name: shop, url: 'http://127.0.0.1:9/', labels: {organization: shop}}\n"
    file, name = tmp_path / "config.yaml", "choreo/on_demand/providers"
    of_shop = '\n  - {name: q, document: "{ n }", sources: [shop], metrics: [{name: n, help: N., value: n}]}\n'
    file.write_text(choreo_source().replace("sources:\n", shop) + of_shop)
    run = finished(
        "query", name, f"--config.file={file}", "--var=data.environmentId=x", environ=choreo_environ(insights)
    )
    assert f"{name} on acme" in run.stdout, run.stderr
