"""What a Prometheus or its promtool takes part in, on Prometheus 3 as well as on the one that is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.configurations import ROOT
from tests.support.go_programs import build_prometheus_3

pytestmark = [pytest.mark.long, pytest.mark.timeout(2400)]

FILES = sorted(
    file.name
    for file in (ROOT / "tests" / "system").glob("test_*.py")
    if file.name != Path(__file__).name and any(word in file.read_text("utf-8") for word in ("prometheus", "promtool"))
)


@pytest.fixture(scope="module")
def prometheus_3() -> Path:
    """The folder of its programs."""
    return build_prometheus_3()


def test_it_is_prometheus_3(prometheus_3: Path) -> None:
    """Both programs are of the third major version's module (v0.3xx)."""
    for name in ("prometheus", "promtool"):
        run = subprocess.run(["go", "version", "-m", prometheus_3 / name], capture_output=True, text=True, check=True)
        assert "\tgithub.com/prometheus/prometheus\tv0.3" in run.stdout


@pytest.mark.parametrize("file", FILES)
def test_the_system_tests_pass_on_prometheus_3(file: str, prometheus_3: Path) -> None:
    """The same tests, with its programs before the installed ones; none is skipped."""
    environ = {**os.environ, "PATH": f"{prometheus_3}:{os.environ['PATH']}"}
    environ.pop("PYTEST_XDIST_WORKER", None)
    plugins = ["-p", "no:xdist", "-p", "no:cacheprovider", "-p", "tests.support.no_skips"]
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--tb=short",
            "-m",
            "not long",
            *plugins,
            f"tests/system/{file}",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=environ,
    )
    assert run.returncode in (0, 5), run.stdout + run.stderr  # 5: all tests of the file are long
