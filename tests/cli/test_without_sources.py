"""The program where its sources are not: a copy of the package that was compiled, and is nothing else."""

from __future__ import annotations

import compileall
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.support.configurations import ROOT, choreo_environ
from tests.support.processes import finished


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as `.pyc` files and its data, without a line of source."""
    folder = tmp_path_factory.mktemp("compiled")
    package = folder / "exporter"
    shutil.copytree(ROOT / "exporter", package, ignore=shutil.ignore_patterns("__pycache__", "commit.txt"))
    assert compileall.compile_dir(package, legacy=True, quiet=1)
    for source in package.rglob("*.py"):
        source.unlink()
    return folder


def run(compiled: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A finished run of the compiled program, where the sources are not in reach."""
    return finished(*arguments, environ={"PYTHONPATH": str(compiled), **environ}, cwd=compiled)


def test_the_copy_is_what_runs(compiled: Path) -> None:
    """The other tests of this file see the compiled program, not the sources of this checkout."""
    command = [sys.executable, "-c", "import exporter.cli; print(exporter.cli.__file__)"]
    found = subprocess.run(command, cwd=compiled, capture_output=True, text=True, check=True).stdout
    assert found == f"{compiled / 'exporter' / 'cli' / '__init__.pyc'}\n"


def test_the_schema_is_printed(compiled: Path) -> None:
    """`schema` prints the same as with the sources."""
    printed = run(compiled, "schema")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert printed.stdout == (ROOT / "exporter" / "config" / "config.schema.json").read_text("utf-8")


def test_credentials_become_a_configuration_with_its_schema(compiled: Path, insights: Simulator) -> None:
    """`init` writes a configuration and its schema, and the configuration is fine."""
    environ = choreo_environ(insights)
    written = run(compiled, "init", "--force", **environ)
    assert (written.returncode, written.stderr) == (0, "")
    assert json.loads((compiled / "config.schema.json").read_text("utf-8"))["properties"].keys() > {
        "sources",
        "queries",
    }
    check = run(compiled, "--config.check", "--config.file=config.yaml", **environ)
    assert (check.returncode, check.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "environments", "--config.file=config.yaml"),
        ("generate", "dashboard", "--config.file=config.yaml"),
        ("verify", "--help"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_other_commands_run_too(compiled: Path, insights: Simulator, arguments: tuple[str, ...]) -> None:
    """No command reads the program's sources."""
    environ = choreo_environ(insights)
    shutil.copy(ROOT / "config.example.yaml", compiled / "config.yaml")
    ended = run(compiled, *arguments, **environ)
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 0, ended.stderr
