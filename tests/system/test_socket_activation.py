"""`--web.systemd-socket`: serving on sockets that systemd, or whoever starts the process, passes."""

from __future__ import annotations

import fcntl
import socket
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from exporter.simulator import Simulator
from tests.support.configurations import ENVIRONMENTS, ROOT, choreo_environ, choreo_source
from tests.support.processes import Process, eventually, free_port, get, http_client, program

# Does what systemd does between fork and exec: the sockets from number 3 on, and whom they are for.
_PASS = """
import os, sys
count = int(sys.argv[1])
os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=sys.argv[2].replace("self", str(os.getpid())))
os.execv(sys.argv[3], sys.argv[3:])
"""


def command(tmp_path: Path, *flags: str) -> list[str]:
    """An exporter that would serve on a port that it cannot have, if it did not use what is passed."""
    config = tmp_path / "config.yaml"
    config.write_text(choreo_source() + ENVIRONMENTS)
    taken = "--web.listen-address=192.0.2.1:1"
    return [sys.executable, "-m", "exporter", f"--config.file={config}", taken, "--web.systemd-socket", *flags]


def started(
    stack: ExitStack, tmp_path: Path, insights: Simulator, sockets: list[socket.socket], pid: str = "self"
) -> Process:
    """The exporter with these sockets as numbers 3, 4, … of its file descriptors."""
    numbers = [each.fileno() for each in sockets]
    shuffle = "".join(f"os.dup2({number}, {3 + at}); " for at, number in enumerate(numbers))
    code = f"import os; {shuffle}{_PASS}"
    prefix = [sys.executable, "-c", code, str(len(numbers)), pid]
    environ = choreo_environ(insights) | {"PYTHONPATH": str(ROOT)}
    for each in sockets:
        each.set_inheritable(True)
    return stack.enter_context(
        Process([*prefix, *command(tmp_path)], tmp_path / "log", environ, pass_fds=tuple(numbers))
    )


def test_passed_sockets_are_served(insights: Simulator, stack: ExitStack, tmp_path: Path) -> None:
    """Two sockets, one of TCP and one of the file system, answer both; a client that came before the start, too."""
    tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    path = tmp_path / "web.sock"
    unix = stack.enter_context(socket.socket(socket.AF_UNIX))
    unix.bind(str(path))
    unix.listen()
    early = stack.enter_context(socket.create_connection(tcp.getsockname()))
    early.sendall(b"GET /-/healthy HTTP/1.0\r\n\r\n")
    early.settimeout(60)
    # Numbers above those that are assigned, so that none is overwritten before it is copied.
    high = [stack.enter_context(socket.socket(fileno=_high(each))) for each in (tcp, unix)]
    exporter = started(stack, tmp_path, insights, high)
    assert early.recv(100).startswith(b"HTTP/1.1 200 "), exporter.log
    port = tcp.getsockname()[1]
    assert "insights_exporter_build_info" in get(f"http://127.0.0.1:{port}/metrics").text
    with http_client(transport=httpx.HTTPTransport(uds=str(path))) as client:
        assert client.get("http://exporter/-/healthy").status_code == 200
        assert "insights_exporter_build_info" in client.get("http://exporter/metrics").text
    assert f"http://127.0.0.1:{port}/metrics" in exporter.log
    assert exporter.stopped() == 0
    assert path.exists()


def _high(each: socket.socket) -> int:
    return fcntl.fcntl(each.fileno(), fcntl.F_DUPFD, 50)


@pytest.mark.parametrize("pid", ["1", ""], ids=["for another process", "for nobody"])
def test_a_socket_that_is_not_ours_is_left_alone(
    insights: Simulator, stack: ExitStack, tmp_path: Path, pid: str
) -> None:
    """Sockets that were passed to a parent are no reason to serve on them: the start fails in words."""
    tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    high = stack.enter_context(socket.socket(fileno=_high(tcp)))
    exporter = started(stack, tmp_path, insights, [high], pid)
    assert exporter.popen.wait(60) == 1
    assert "systemd passed no socket to this process" in exporter.log
    assert "start it from a .socket unit" in exporter.log


def test_a_socket_that_nobody_can_connect_to_is_refused(insights: Simulator, stack: ExitStack, tmp_path: Path) -> None:
    """A datagram socket, as of a unit with ListenDatagram=, ends the start in words."""
    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind(("127.0.0.1", 0))
    high = stack.enter_context(socket.socket(fileno=_high(udp)))
    exporter = started(stack, tmp_path, insights, [high])
    assert exporter.popen.wait(60) == 1
    assert "the file descriptor 3 that systemd passed is no listening stream socket" in exporter.log


def test_systemd_itself_passes_a_socket(insights: Simulator, stack: ExitStack, tmp_path: Path) -> None:
    """Started by systemd's own program at the first connection, the exporter answers it."""
    activate, port = program("systemd-socket-activate"), free_port()
    environ = choreo_environ(insights) | {"PYTHONPATH": str(ROOT)}
    passed_on = [f"--setenv={name}={value}" for name, value in environ.items()]
    exporter = stack.enter_context(
        Process([activate, f"--listen=127.0.0.1:{port}", *passed_on, *command(tmp_path)], tmp_path / "log")
    )
    eventually(lambda: "Listening on" in exporter.log, "a listening socket")
    assert get(f"http://127.0.0.1:{port}/-/healthy").status_code == 200, exporter.log
    assert exporter.stopped() == 0
