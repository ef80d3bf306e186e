"""The commands that docs/commands.md tells: each of them runs, as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from exporter.simulator import Settings, Simulator
from tests.conftest import StartInsights
from tests.support.configurations import ROOT, choreo_environ
from tests.support.processes import program


def commands() -> list[str]:
    """The lines of the shell blocks, continued ones joined."""
    text = (ROOT / "docs" / "commands.md").read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


def access_token(insights: Simulator) -> str:
    """A token that the simulated API takes."""
    environ = choreo_environ(insights)
    form = {"grant_type": "client_credentials", "orgHandle": environ["CHOREO_ORG_HANDLE"], "scope": "apim:api_manage"}
    client = (environ["CHOREO_CONSUMER_KEY"], environ["CHOREO_CONSUMER_SECRET"])
    return str(httpx.post(insights.token_url, data=form, auth=client).raise_for_status().json()["access_token"])


@pytest.mark.timeout(300)
def test_every_command_of_the_document_runs(start_insights: StartInsights, tmp_path: Path) -> None:
    """One after the other, in one folder that has an access token at first: none of them fails."""
    insights = start_insights(Settings(delay_seconds=5))
    environ = {
        **choreo_environ(insights),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "ENVIRONMENT_ID": insights.model.organizations[0].environments[0].id,
    }
    (tmp_path / "token.txt").write_text(access_token(insights))
    assert commands()
    for command in commands():
        if not command.startswith("insights-exporter"):
            program(command.split()[0])
        run = subprocess.run(
            command, shell=True, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=250, check=False
        )
        assert run.returncode == 0, f"{command}\n{run.stderr}"
