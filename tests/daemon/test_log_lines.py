"""What the program prints, read where users read it: in the output of the running process."""

from __future__ import annotations

import socket
from functools import partial
from pathlib import Path

import pytest

from exporter.simulator import Simulator
from tests.conftest import StartExporter
from tests.support.certificates import OURS, authority_file, pair
from tests.support.configurations import ENVIRONMENTS
from tests.support.processes import Exporter, eventually, get
from tests.support.serving import cut_off, received
from tests.support.upstream import Upstream, answer, server_context
from tests.web.test_server import CUT_REQUESTS, WRONG_REQUESTS

OLD_FILES_STAY = 'level=warning msg="changed TLS files cannot be used; the old ones stay"'
FAULT = """
import os, sys

def fail(event, arguments):
    if event == "open" and str(arguments[0]).endswith({file!r}) and os.path.exists({switch!r}):
        raise RuntimeError("a text that nobody reads")

sys.addaudithook(fail)
"""
"""A module that the interpreter of the exporter loads first: a file cannot be opened while another one is there."""


def lines(exporter: Exporter, wanted: str) -> list[str]:
    """The lines of the log with that text."""
    return [line for line in exporter.log.splitlines() if wanted in line]


def _more_lines(exporter: Exporter, before: int) -> bool:
    return len(lines(exporter, OLD_FILES_STAY)) > before


def test_changed_tls_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Where a certificate, a key or an authority becomes garbage, polls go on with the old ones, and the log names the
    files, once for each change."""
    authority = authority_file(tmp_path)
    files = pair(tmp_path, "client.test")
    config = tmp_path / "config.yaml"
    with Upstream(tls=server_context(OURS, "127.0.0.1", clients_of=OURS)) as upstream:
        upstream.api.always(answer({"data": {"value": 1}}))
        config.write_text(
            f"""
sources:
  - name: acme
    url: {upstream.api_url}
    tls_config: {{ca_file: {authority}, cert_file: {files.cert}, key_file: {files.key}}}
queries:
  - name: q
    interval: 200ms
    timeout: 200ms
    document: "{{ value }}"
    metrics: [{{name: value, help: A value., value: value}}]
"""
        )
        with Exporter(config, tmp_path / "exporter.log") as exporter:
            exporter.wait_until_ready()
            for file in (files.cert, files.key, authority):
                before = len(lines(exporter, OLD_FILES_STAY))
                garbage = tmp_path / "garbage"
                garbage.write_text("garbage")
                garbage.replace(file)  # a poll must not see it empty
                eventually(partial(_more_lines, exporter, before), f"line about {file}")
                upstream.api.wait_for(len(upstream.api.journal) + 3)
            told = lines(exporter, OLD_FILES_STAY)
            assert len(told) == 3
            assert all(f"cannot use {authority}, {files.cert}, {files.key}: " in line for line in told)
            assert "PRIVATE KEY" not in exporter.log
            assert exporter.samples("value")


def test_a_fault_of_ours_in_a_page_is_printed(
    insights: Simulator, start_exporter: StartExporter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says which page could not be made, and where in the code: one line, without a traceback and without the
    text of the fault, which may quote anything."""
    switch = tmp_path / "switch"
    (tmp_path / "sitecustomize.py").write_text(FAULT.format(file="/proc/self/stat", switch=str(switch)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    exporter = start_exporter(insights, ENVIRONMENTS.replace("interval: 1s", "interval: 1h")).wait_until_ready()
    switch.touch()
    answered = get(f"{exporter.url}/metrics")
    assert (answered.status_code, answered.text) == (500, "Internal Server Error\n")
    (line,) = lines(exporter, 'level=error msg="a request could not be answered"')
    assert 'path=/metrics fault="RuntimeError in Telemetry._of_the_process (metrics.py, line ' in line
    assert "Traceback" not in exporter.log
    assert "nobody reads" not in exporter.log
    switch.unlink()
    assert get(f"{exporter.url}/metrics").status_code == 200


def test_what_clients_do_wrong_is_no_line(insights: Simulator, start_exporter: StartExporter) -> None:
    """Whoever sends nonsense, or vanishes at any moment, does not fill the log."""
    exporter = start_exporter(insights, ENVIRONMENTS.replace("interval: 1s", "interval: 1h")).wait_until_ready()
    before = exporter.log
    for request in (*(param.values[0] for param in WRONG_REQUESTS), *CUT_REQUESTS):
        assert isinstance(request, bytes)
        with socket.create_connection(("127.0.0.1", exporter.port)) as client:
            client.sendall(request)
            if request not in CUT_REQUESTS:
                assert received(client).startswith(b"HTTP/1.1 4")
                continue
        cut_off(socket.create_connection(("127.0.0.1", exporter.port)), request)
    eventually(lambda: exporter.value("insights_exporter_web_connections") == 1, "end of all other connections")
    assert exporter.log == before
