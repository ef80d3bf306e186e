"""The whole stack, by the shipped `compose.yaml` itself; only Grafana, whose image has no stand-in, is left out."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.configurations import ROOT
from tests.support.containers import Containers
from tests.support.processes import eventually, free_port

pytestmark = pytest.mark.timeout(900)

SERVICES = ("exporter", "prometheus", "alertmanager")
# After a moment in which Prometheus finds its Alertmanager: it tells an alert again only a minute later.
_RULE = {"alert": "Always", "expr": "vector(1)", "for": "8s"}
ALWAYS = {"groups": [{"name": "test", "interval": "1s", "rules": [_RULE]}]}
COMPOSED = yaml.safe_load((ROOT / "compose.yaml").read_text())


class Stack:
    """The running services of one project. `ports` are those of this machine."""

    def __init__(self, containers: Containers, folder: Path) -> None:
        self.containers = containers
        self.project = f"stack-{folder.name}"
        self.ports = {name: free_port() for name in SERVICES}
        self._environ = containers.environ | {f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        self._folder = folder
        for name in ("compose.yaml", "config.example.yaml"):
            shutil.copy(ROOT / name, folder / name)
        shutil.copytree(ROOT / "prometheus", folder / "prometheus")
        (folder / "prometheus/rules/always.yaml").write_text(yaml.safe_dump(ALWAYS))

    def compose(self, *arguments: str) -> None:
        """Runs podman-compose on the shipped file, beside one more rule, which always fires."""
        command = [sys.executable, "-m", "podman_compose", "-p", self.project, *arguments]
        done = subprocess.run(
            command, cwd=self._folder, env=self._environ, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def container(self, service: str) -> str:
        """The name of a service's container."""
        return f"{self.project}_{service}_1"

    def get(self, service: str, path: str) -> httpx.Response | None:
        """An answer of a service on this machine's port; None while there is none."""
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[service]}{path}", timeout=10)
        except httpx.HTTPError:
            return None


@pytest.fixture(scope="module")
def stack(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack on stand-ins for the pinned images."""
    images = {service: COMPOSED["services"][service]["image"] for service in ("prometheus", "alertmanager")}
    containers.import_program(images["prometheus"], "prometheus", "/prometheus")
    templates = Path("/usr/share/prometheus/alertmanager")  # Debian keeps outside the program what is part of it
    containers.import_program(images["alertmanager"], "prometheus-alertmanager", "/alertmanager", templates)
    made = Stack(containers, tmp_path_factory.mktemp("compose"))
    try:
        made.compose("up", "-d", "--no-build", *SERVICES)
        yield made
    finally:
        containers.podman("rm", "-f", "-t", "0", *map(made.container, SERVICES))


def test_prometheus_scrapes_the_exporter_by_its_name(stack: Stack) -> None:
    """The exporter's page is in Prometheus, and the rules are loaded."""

    def scraped() -> bool:
        answer = stack.get("prometheus", "/api/v1/query?query=sum(choreo_window_requests)")
        return answer is not None and answer.status_code == 200 and bool(answer.json()["data"]["result"])

    eventually(scraped, "scraped series", 180)
    answer = stack.get("prometheus", "/api/v1/rules")
    assert answer is not None
    files = {Path(group["file"]).name for group in answer.json()["data"]["groups"]}
    assert {file.name for file in (ROOT / "prometheus/rules").glob("*.y*ml")} <= files


def test_a_firing_alert_reaches_alertmanager(stack: Stack) -> None:
    """What Prometheus fires arrives, by the service's name."""

    def arrived() -> bool:
        answer = stack.get("alertmanager", "/api/v2/alerts")
        return answer is not None and any(alert["labels"]["alertname"] == "Always" for alert in answer.json())

    eventually(arrived, "alert in Alertmanager", 180)


@pytest.mark.parametrize("service", SERVICES)
def test_each_health_check_passes(stack: Stack, service: str) -> None:
    """The check that the service or its image brings gives exit code 0."""
    run = ("healthcheck", "run", stack.container(service))
    eventually(lambda: stack.containers.exit_code(*run) == 0, f"healthy {service}", 120)


def test_nothing_listens_beyond_this_machine(stack: Stack) -> None:
    """Every published port is one of 127.0.0.1, in what runs and, Grafana included, in what is written."""
    for service in SERVICES:
        bindings = stack.containers.inspected(stack.container(service))["HostConfig"]["PortBindings"]
        assert {host["HostIp"] for hosts in bindings.values() for host in hosts} == {"127.0.0.1"}
    for service in COMPOSED["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert "network_mode" not in service


def test_every_image_is_pinned_and_every_service_confined() -> None:
    """An exact version each; read-only, without capabilities and new privileges; a health check."""
    for name, service in COMPOSED["services"].items():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        if "build" not in service:
            assert ":" in service["image"].rpartition("/")[2], f"{name} has no version"
            assert not service["image"].endswith(":latest")
            assert "healthcheck" in service


def test_the_stack_stops_at_once(stack: Stack) -> None:
    """The exporter ends within five seconds, with exit code 0."""
    began_at = time.monotonic()
    stack.containers.podman("stop", "--time=20", stack.container("exporter"))
    assert time.monotonic() - began_at < 5
    assert stack.containers.inspected(stack.container("exporter"))["State"]["ExitCode"] == 0
