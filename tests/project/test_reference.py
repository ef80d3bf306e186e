"""The parts of the documentation that the code says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.configurations import ROOT


@pytest.mark.parametrize("script", ["reference", "architecture", "operations_table"])
def test_the_references_are_what_the_code_makes(script: str) -> None:
    """Whoever changes a key, a metric, a module or an operation of the catalogue finds it in the documentation, and a
    key in the JSON Schema, as `make docs` writes them; what is stale is named."""
    command = [sys.executable, f"scripts/{script}.py", "--check"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
