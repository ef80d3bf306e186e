"""The container image, built and run for real, and the whole stack on it, by the shipped `compose.yaml` itself.

One file, as the image is built once for all of them. Of the stack only Grafana, whose image has no stand-in, is not in.
"""

from __future__ import annotations

import configparser
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from exporter.simulator import Settings
from tests.conftest import StartInsights
from tests.support import containers as support
from tests.support.configurations import ENVIRONMENTS, ROOT, TRAFFIC, choreo_environ, choreo_source
from tests.support.containers import BASE, IMAGE, Containers, confined
from tests.support.processes import eventually, free_port, get

pytestmark = pytest.mark.timeout(900)

MAX_ADDED_BYTES = 60_000_000
STOP_SECONDS = 5.0
SERVICES = ("exporter", "prometheus", "alertmanager")
# After a moment in which Prometheus finds its Alertmanager: it tells an alert again only a minute later.
_RULE = {"alert": "Always", "expr": "vector(1)", "for": "8s"}
ALWAYS = {"groups": [{"name": "test", "interval": "1s", "rules": [_RULE]}]}
COMPOSED = yaml.safe_load((ROOT / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """This project's image, on a stand-in for Python's."""
    with support.containers() as made:
        made.import_python(BASE)
        made.build(IMAGE)
        yield made


# ------------------------------------------------------------------------------------------------------------ the image


def _stopped(containers: Containers, name: str) -> tuple[int, float]:
    """Stops a container with SIGTERM: its exit code, and how many seconds it took."""
    began_at = time.monotonic()
    containers.podman("stop", "--time=60", name)
    return int(containers.inspected(name)["State"]["ExitCode"]), time.monotonic() - began_at


def _wait_until_up(port: int, query: str) -> None:
    """Waits until the container's page says that a query works."""

    def is_up() -> bool:
        try:
            return f"insights_exporter_query_up{{{query}}} 1.0" in get(f"http://127.0.0.1:{port}/metrics").text
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


# ------------------------------------------------------------------------------------------------------------ the stack


class Stack:
    """The running services of one project. `ports` are those of this machine."""

    def __init__(self, containers: Containers, folder: Path) -> None:
        self.containers = containers
        # Of this run alone: a network's name server is found by its name, also the one that a killed run left behind.
        self.project = f"stack-{secrets.token_hex(4)}"
        self.ports = {name: free_port() for name in SERVICES}
        self._environ = containers.environ | {f"{name.upper()}_PORT": str(port) for name, port in self.ports.items()}
        self._folder = folder
        shutil.copy(ROOT / "compose.yaml", folder)
        for name in ("prometheus", "deploy/compose"):
            shutil.copytree(ROOT / name, folder / name)
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
def composed(containers: Containers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
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


def test_prometheus_scrapes_the_exporter_by_its_name(composed: Stack) -> None:
    """The exporter's page is in Prometheus, and the rules are loaded."""

    def scraped() -> bool:
        answer = composed.get("prometheus", "/api/v1/query?query=sum(choreo_window_requests)")
        return answer is not None and answer.status_code == 200 and bool(answer.json()["data"]["result"])

    eventually(scraped, "scraped series", 180)
    answer = composed.get("prometheus", "/api/v1/rules")
    assert answer is not None
    files = {Path(group["file"]).name for group in answer.json()["data"]["groups"]}
    assert {file.name for file in (ROOT / "prometheus/rules").glob("*.y*ml")} <= files


def test_a_firing_alert_reaches_alertmanager(composed: Stack) -> None:
    """What Prometheus fires arrives, by the service's name."""

    def arrived() -> bool:
        answer = composed.get("alertmanager", "/api/v2/alerts")
        return answer is not None and any(alert["labels"]["alertname"] == "Always" for alert in answer.json())

    eventually(arrived, "alert in Alertmanager", 180)


@pytest.mark.parametrize("service", SERVICES)
def test_each_health_check_passes(composed: Stack, service: str) -> None:
    """The check that the service or its image brings gives exit code 0."""
    run = ("healthcheck", "run", composed.container(service))
    eventually(lambda: composed.containers.exit_code(*run) == 0, f"healthy {service}", 120)


def test_nothing_listens_beyond_this_machine(composed: Stack) -> None:
    """Every published port is one of 127.0.0.1, in what runs and, Grafana included, in what is written."""
    for service in SERVICES:
        bindings = composed.containers.inspected(composed.container(service))["HostConfig"]["PortBindings"]
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


OWN_CONFIG = """\
sources:
  - name: mine
    url: https://${MY_API_HOST}/graphql
    oauth2: {token_url: "https://${MY_API_HOST}/token", client_id: me, client_secret_file: config.secret}
queries:
  - name: orders
    document: "{ orders }"
    metrics: [{name: orders, help: Orders., value: orders}]
"""


def test_a_folder_of_configuration_starts(containers: Containers, tmp_path: Path) -> None:
    """A folder as `init` writes it, whose secret only its owner can read, is enough: the exporter has the variables
    that the configuration names, and reads the secret. It does not have Grafana's password."""
    stack = Stack(containers, tmp_path)
    folder = tmp_path / "insights"
    folder.mkdir()
    (folder / "config.yaml").write_text(OWN_CONFIG)
    (folder / "config.secret").write_text("only-for-its-owner\n")
    (folder / "config.secret").chmod(0o600)
    for file in (folder, *folder.iterdir()):
        os.chown(file, 1234, 1234)
    example = (ROOT / ".env.example").read_text().replace("# EXPORTER_", "EXPORTER_")
    own = {"EXPORTER_USER=1000:1000": "EXPORTER_USER=1234:1234", "# GRAFANA_PASSWORD=": "GRAFANA_PASSWORD=for-grafana"}
    for old, new in own.items():
        assert old in example
        example = example.replace(old, new)
    (tmp_path / ".env").write_text(f"{example}\nMY_API_HOST=127.0.0.1:1\n")
    try:
        stack.compose("up", "-d", "--no-build", "exporter")
        failed = 'insights_exporter_token_renewals_total{source="mine",result="error",reason="connect"}'

        def tried() -> bool:
            page = stack.get("exporter", "/metrics")
            return page is not None and failed in page.text

        eventually(tried, "attempt to get a token with the secret", 90)
        shown = stack.get("exporter", "/config")
        assert shown is not None
        assert "https://127.0.0.1:1/graphql" in shown.text
        assert "for-grafana" not in str(containers.inspected(stack.container("exporter"))["Config"]["Env"])
    finally:
        containers.podman("rm", "-f", "-t", "0", stack.container("exporter"))


def test_grafana_has_a_login_only_with_a_password() -> None:
    """Without GRAFANA_PASSWORD its settings are empty, and Grafana reads them from its file: no user, no login form."""
    environ = COMPOSED["services"]["grafana"]["environment"]
    settings = configparser.ConfigParser()
    settings.read(ROOT / "grafana/grafana.ini")
    for section, key in (("auth", "disable_login_form"), ("security", "disable_initial_admin_creation")):
        assert settings[section][key] == "true"
        assert environ[f"GF_{section}_{key}".upper()] == "${GRAFANA_PASSWORD:+false}"
    assert environ["GF_SECURITY_ADMIN_PASSWORD"] == "${GRAFANA_PASSWORD:-}"


def test_the_stack_stops_at_once(composed: Stack) -> None:
    """The exporter ends long before it would be killed, with exit code 0."""
    began_at = time.monotonic()
    composed.containers.podman("stop", "--time=60", composed.container("exporter"))
    assert time.monotonic() - began_at < 30
    assert composed.containers.inspected(composed.container("exporter"))["State"]["ExitCode"] == 0
