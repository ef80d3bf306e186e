"""Programs that Go builds from the modules in tests/tools/go.mod. Go keeps what it has compiled, so that only the first
build takes minutes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.support.configurations import ROOT

TOOLS: Final = ROOT / "tests" / "tools"
_BUILD_SECONDS: Final = 1800


def build_programs(what: str, *packages: str) -> Path:
    """The folder in which the programs of these packages are; `what` they are together. The test is skipped, saying
    so, where Go is missing or older than the module asks for; it fails where the build fails."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"{what} is not tested here: it is built by Go, and there is no program go")
    folder = ROOT / ".cache" / what.lower().replace(" ", "-")
    folder.mkdir(parents=True, exist_ok=True)
    command = [go, "build", "-trimpath", "-buildvcs=false", "-o", f"{folder}/", *packages]
    run = subprocess.run(command, cwd=TOOLS, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS)
    if "go.mod requires go >=" in run.stderr:
        pytest.skip(f"{what} is not tested here: {run.stderr.strip()}")
    assert run.returncode == 0, run.stderr
    return folder


def build_prometheus_3() -> Path:
    """Prometheus 3 and its promtool."""
    module = "github.com/prometheus/prometheus"
    return build_programs("Prometheus 3", f"{module}/cmd/prometheus", f"{module}/cmd/promtool")


def build_helm_3() -> Path:
    """Helm 3."""
    return build_programs("Helm 3", "helm.sh/helm/v3/cmd/helm") / "helm"
