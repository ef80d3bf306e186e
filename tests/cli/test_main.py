"""The command line: its flags, its commands, its streams."""

from __future__ import annotations

import subprocess
import sys

from tests.support.configurations import ROOT


def test_the_exporter_itself_loads_no_command() -> None:
    """A plain start imports none of the commands, nor what they alone print with."""
    needless = "('exporter.cli.query', 'exporter.cli.output', 'exporter.simulator')"
    imports = "import exporter.cli.main, exporter.daemon.app, sys"
    program = f"{imports}; print(*(n for n in sys.modules if n.startswith({needless})))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout == "\n"
