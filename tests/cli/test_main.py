"""The command line: its flags, its commands, its streams."""

from __future__ import annotations

import subprocess
import sys

from tests.support.configurations import ROOT


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
