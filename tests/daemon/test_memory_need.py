"""The limits of memory that a process finds around itself."""

from __future__ import annotations

import subprocess
import sys
from contextlib import ExitStack

import pytest

from tests.support import memory_limits

MIB = 2**20
_PRINT = "from exporter.daemon.memory_need import memory_limit; print(memory_limit())"


def test_a_real_control_group_is_found(stack: ExitStack) -> None:
    """A process in a group of the system's own finds the limit of that group."""
    prefix = stack.enter_context(memory_limits.memory_limit(300 * MIB))
    if not prefix:
        pytest.skip("no control group can be made here")
    found = subprocess.run([*prefix, sys.executable, "-c", _PRINT], capture_output=True, text=True, check=True).stdout
    assert int(found) == 300 * MIB


def test_a_limit_of_the_address_space_is_found() -> None:
    """`ulimit -v`: what is left of it for memory."""
    limited = f"ulimit -v {4 * 2**20}; exec {sys.executable} -c '{_PRINT}'"
    found = subprocess.run(["sh", "-c", limited], capture_output=True, text=True, check=True).stdout
    assert 2 * 1024 * MIB < int(found) < 4 * 1024 * MIB
