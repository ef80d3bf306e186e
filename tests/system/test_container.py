"""The container image, built and run for real."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx
import pytest

from exporter.simulator import Settings
from tests.conftest import StartInsights
from tests.support.configurations import ENVIRONMENTS, TRAFFIC, choreo_environ, choreo_source
from tests.support.containers import BASE, IMAGE, Containers, confined
from tests.support.processes import eventually, free_port

pytestmark = pytest.mark.timeout(900)

MAX_ADDED_BYTES = 60_000_000
STOP_SECONDS = 5.0


def _stopped(containers: Containers, name: str) -> tuple[int, float]:
    """Stops a container with SIGTERM: its exit code, and how many seconds it took."""
    began_at = time.monotonic()
    containers.podman("stop", "--time=20", name)
    return int(containers.inspected(name)["State"]["ExitCode"]), time.monotonic() - began_at


def _wait_until_up(port: int, query: str) -> None:
    """Waits until the container's page says that a query works."""

    def is_up() -> bool:
        try:
            return f"insights_exporter_query_up{{{query}}} 1.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
        except httpx.HTTPError:
            return False

    eventually(is_up, f"page on which {query} is up", 90)


def test_the_image_holds_what_runs_and_nothing_else(containers: Containers) -> None:
    """At most 60 MB on top of Python; no compiler, no pip cache, no tests, no version control; nobody's privileges."""
    image = containers.inspected(IMAGE)
    assert image["Size"] - containers.inspected(BASE)["Size"] <= MAX_ADDED_BYTES
    assert image["Config"]["User"] == "65532:65532"
    assert image["Config"]["Labels"]["org.opencontainers.image.title"] == "Insights Exporter"
    shell = ("run", "--rm", "--entrypoint=/bin/sh", IMAGE, "-c")
    tools = "for tool in gcc cc g++ c++ clang ld make git; do command -v $tool; done"
    left = "find / -xdev -name .git -o -name pytest -o -path '*/cache/pip*' -o -path '/root/.cache*'"
    shipped = "find /opt -name tests -o -name bench -o -name pip -o -name '*.lock' -o -name '*.c'"
    assert containers.podman("run", "--user=0", *shell[1:], f"{tools}; {left}; {shipped}") == ""
    assert containers.podman(*shell, "id -u") == "65532"


def test_the_demo_runs_confined_and_becomes_healthy(containers: Containers) -> None:
    """Read-only, without capabilities, in 256 MB, the demo answers its health check, and stops within five seconds."""
    port = free_port()
    containers.podman("run", "-d", "--name=demo", *confined(f"--publish=127.0.0.1:{port}:10093"), IMAGE, "demo")
    eventually(lambda: containers.exit_code("healthcheck", "run", "demo") == 0, "healthy container", 90)
    _wait_until_up(port, 'source="choreo",query="overview"')
    assert not containers.inspected("demo")["State"]["OOMKilled"]
    code, seconds = _stopped(containers, "demo")
    assert code == 0, containers.podman("logs", "demo")
    assert seconds < STOP_SECONDS


def test_secrets_come_from_mounted_files(containers: Containers, start_insights: StartInsights, tmp_path: Path) -> None:
    """Client id and secret are mounted as files that only its user can read; nothing of the container shows them."""
    insights = start_insights(Settings(delay_seconds=0, client_secret="only-in-a-mounted-file"))
    environ = choreo_environ(insights)
    folder = tmp_path / "mounted"
    folder.mkdir()
    for name in ("CHOREO_CONSUMER_KEY", "CHOREO_CONSUMER_SECRET"):
        file = folder / name.lower()
        file.write_text(environ.pop(name))
        file.chmod(0o400)
    for owned in (folder, *folder.iterdir()):
        os.chown(owned, 65532, 65532)
    source = choreo_source()
    for key, name in (("client_id", "CHOREO_CONSUMER_KEY"), ("client_secret", "CHOREO_CONSUMER_SECRET")):
        source = source.replace(f"{key}: ${{{name}}}", f"{key}_file: /run/secrets/{name.lower()}")
    config = tmp_path / "config.yaml"
    config.write_text(source + ENVIRONMENTS + TRAFFIC)
    port = free_port()
    containers.podman(
        *("run", "-d", "--name=secrets", "--network=host"),
        *confined(f"--volume={folder}:/run/secrets:ro", f"--volume={config}:/etc/insights-exporter/config.yaml:ro"),
        *(f"--env={name}={value}" for name, value in environ.items()),
        *(IMAGE, "--config.file=/etc/insights-exporter/config.yaml", f"--web.listen-address=127.0.0.1:{port}"),
    )
    _wait_until_up(port, 'source="acme",query="traffic"')
    shown = containers.podman("inspect", "secrets") + containers.podman("logs", "secrets")
    assert "only-in-a-mounted-file" not in shown
    code, seconds = _stopped(containers, "secrets")
    assert code == 0
    assert seconds < STOP_SECONDS
