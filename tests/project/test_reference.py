"""The parts of the documentation that the code says."""

from __future__ import annotations

import subprocess
import sys

from tests.support.configurations import ROOT


def test_the_references_are_what_the_code_makes() -> None:
    """Whoever changes a key or a metric finds it in the documentation, and a key in the JSON Schema, as `make docs`
    writes them; what is stale is named."""
    command = [sys.executable, "scripts/reference.py", "--check"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
