"""`insights-exporter schema`."""

from __future__ import annotations

import subprocess
import sys

from tests.support.configurations import ROOT

SCHEMA = ROOT / "exporter" / "config" / "config.schema.json"


def test_the_command_prints_the_schema() -> None:
    """`insights-exporter schema` prints the file that `make docs` writes."""
    command = [sys.executable, "-m", "exporter", "schema"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == SCHEMA.read_text("utf-8")
