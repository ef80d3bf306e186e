"""The dashboards against the types that Grafana publishes of them (@grafana/schema, Apache-2.0), of three versions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.configurations import ROOT
from tests.support.grafana import FOLDER
from tests.support.processes import program

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

VERSIONS: Final = ("11.6.9", "12.4.11", "13.2.3")
TYPESCRIPT: Final = "5.9.3"
OVERVIEW: Final = FOLDER / "dashboards" / "choreo-insights-overview.json"


@pytest.fixture(scope="module", params=VERSIONS)
def types(request: pytest.FixtureRequest) -> Path:
    """A folder with the types of a version, kept in .cache; npm fetches them where they are missing."""
    npm = program("npm")
    folder = ROOT / ".cache" / "grafana-types" / str(request.param)
    if not (folder / "node_modules" / "typescript").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = [f"@grafana/schema@{request.param}", f"typescript@{TYPESCRIPT}"]
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *wanted]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        assert run.returncode == 0, run.stderr
    return folder


def complaints(types: Path, *dashboards: Path) -> list[str]:
    """What is wrong with the dashboards by the types in that folder."""
    command = [program("node"), *map(str, (ROOT / "tests" / "tools" / "grafana_types.js", types, *dashboards))]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def test_every_dashboard_is_of_grafanas_own_types(types: Path) -> None:
    """Nothing of a wrong type, nothing that the version does not know, nothing that it calls deprecated."""
    assert complaints(types, *sorted((FOLDER / "dashboards").glob("*.json"))) == []


def test_what_is_wrong_is_found(types: Path, tmp_path: Path) -> None:
    """A key that no version has, a value that is none of a list, and a property that is deprecated (in version 13) are
    named."""

    def planted(change: Any, kind: str = "stat") -> str:
        dashboard = json.loads(OVERVIEW.read_text("utf-8"))
        change(next(one for one in dashboard["panels"] if one["type"] == kind))
        file = tmp_path / "planted.json"
        file.write_text(json.dumps(dashboard), "utf-8")
        return "\n".join(complaints(types, file))

    assert "bogus" in planted(lambda panel: panel["options"].update(bogus=1))
    assert "bogus" in planted(lambda panel: panel.update(bogus=1))
    assert "colourful" in planted(lambda panel: panel["options"].update(colorMode="colourful"))
    if types.name.startswith("13."):
        found = planted(lambda panel: panel["options"]["legend"].update(asTable=True), "timeseries")
        assert "asTable: deprecated" in found
