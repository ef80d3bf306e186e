"""The command line: its flags, its commands, its streams."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from exporter.cli.main import command
from tests.support.configurations import ROOT
from tests.support.logs import kept_logging


def test_the_exporter_itself_loads_no_command() -> None:
    """A plain start imports no command and nothing that commands, passwords or patterns alone need."""
    needless = "('exporter.cli.query', 'exporter.cli.output', 'exporter.simulator', 'bcrypt', 're2')"
    imports = "import exporter.cli.main, exporter.daemon.app, sys"
    program = f"{imports}; print(*(n for n in sys.modules if n.startswith({needless})))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == "\n"


def test_a_start_heeds_a_signal_before_it_reads_a_configuration() -> None:
    """What reads configurations takes most of the imports' time: it comes after the signals are taken."""
    program = "import exporter.cli.main, sys; print(*(n for n in sys.modules if n in ('pydantic', 'exporter.config')))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == "\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--web.config.file=web.yml", "demo"], "--web.config.file: has no effect before the command demo; write it"),
        (["--config.check", "query", "x"], "--config.check: has no effect before the command query; query has no such"),
        (["--shard=0", "--log.level=debug", "simulate"], "--shard: has no effect before the command simulate"),
        (["--config.file=a.yaml", "schema"], "--config.file: has no effect before the command schema"),
    ],
)
def test_a_flag_before_a_command_that_does_not_see_it_is_refused(arguments: list[str], said: str) -> None:
    """With exit code 2, before the command does anything."""
    run = CliRunner().invoke(command, arguments)
    assert run.exit_code == 2
    assert said in " ".join(run.stderr.split())


@pytest.mark.parametrize("called", [["query", "x"], ["generate", "dashboard"], ["token", "revoke"]])
def test_the_configuration_may_be_named_before_a_command(tmp_path: Path, called: list[str]) -> None:
    """It is the one that the command reads."""
    with kept_logging():
        run = CliRunner().invoke(command, [f"--config.file={tmp_path}/none.yaml", *called])
    assert run.exit_code == 1
    assert f"{tmp_path}/none.yaml: cannot be read" in run.stderr
