"""Rows of firewalls, in a network of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.configurations import ROOT
from tests.support.processes import program


@pytest.mark.timeout(200)
def test_row_104_forgotten_connection(tmp_path: Path) -> None:
    """A firewall that forgets kept connections, without a word, costs a query one poll at most; then there is a new
    connection."""
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)  # which a changed root (chroot) does not allow
    apart = [program("unshare"), *as_root, "--net"]
    for needed in ("ip", "iptables"):
        program(needed)
    command = [*apart, sys.executable, "-m", "tests.faults.forgotten", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
