"""Prometheus 3 and its promtool, built by Go from their module (tests/tools/go.mod). Go keeps what it has compiled, so
that only the first build takes minutes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.support.configurations import ROOT

TOOLS: Final = ROOT / "tests" / "tools"
FOLDER: Final = ROOT / ".cache" / "prometheus-3"
_MODULE: Final = "github.com/prometheus/prometheus"
_BUILD_SECONDS: Final = 1800


def build_prometheus_3() -> Path:
    """The folder in which `prometheus` and `promtool` are. The test is skipped, saying so, where Go is missing or older
    than the module asks for; it fails where the build fails."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Prometheus 3 is not tested here: it is built by Go, and there is no program go")
    FOLDER.mkdir(parents=True, exist_ok=True)
    programs = [f"{_MODULE}/cmd/{name}" for name in ("prometheus", "promtool")]
    command = [go, "build", "-trimpath", "-buildvcs=false", "-o", f"{FOLDER}/", *programs]
    run = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS)
    if "go.mod requires go >=" in run.stderr:
        pytest.skip(f"Prometheus 3 is not tested here: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    return FOLDER
