"""The exporter as a service of systemd: what it tells the manager, and the unit that is shipped."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.support.configurations import ENVIRONMENTS, ROOT, choreo_environ, choreo_source
from tests.support.processes import PATIENCE_SECONDS, Exporter, program

UNIT = ROOT / "deploy/systemd/insights-exporter.service"
MAX_EXPOSURE = 2.0


class Manager:
    """The manager's end of the notification socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address[0] == "@" else address)
        self._socket.settimeout(PATIENCE_SECONDS)
        self.address = address

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def told(self, expected: str) -> None:
        """Waits until the service says that; what else it says before is passed over."""
        while expected not in self._socket.recv(4096).decode().splitlines():
            pass


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    """A listening socket, by its path or in the abstract name space."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@insights-exporter-{os.getpid()}"
    with Manager(address) as listening:
        yield listening


def test_the_manager_is_told_of_start_life_and_stop(
    manager: Manager, insights: Simulator, stack: ExitStack, tmp_path: Path
) -> None:
    """READY when it serves, WATCHDOG as long as its event loop runs, STOPPING before it ends."""
    config = tmp_path / "config.yaml"
    config.write_text(choreo_source() + ENVIRONMENTS)
    environ = choreo_environ(insights) | {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "200000"}
    exporter = stack.enter_context(Exporter(config, tmp_path / "exporter.log", environ=environ))
    manager.told("READY=1")
    assert "insights_exporter_build_info" in exporter.page()
    manager.told("WATCHDOG=1")
    manager.told("WATCHDOG=1")
    exporter.popen.terminate()
    manager.told("STOPPING=1")
    assert exporter.popen.wait(5) == 0


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The shipped unit, starting the program that is installed here: systemd looks for it."""
    text = UNIT.read_text()
    installed = shutil.which("insights-exporter", path=str(Path(sys.executable).parent))
    assert installed is not None
    assert "/opt/insights-exporter/bin/insights-exporter" in text
    file = tmp_path / UNIT.name
    file.write_text(text.replace("/opt/insights-exporter/bin/insights-exporter", installed))
    return file


def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    """`systemd-analyze verify` is silent."""
    command = [program("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def test_the_unit_is_locked_up_well(unit: Path) -> None:
    """`systemd-analyze security` gives an exposure of at most 2.0 of 10."""
    command = [program("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level is not None, done.stdout + done.stderr
    assert float(level[1]) <= MAX_EXPOSURE
