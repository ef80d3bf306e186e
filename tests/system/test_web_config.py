"""The running exporter behind a web configuration, as its operator and a real Prometheus meet it."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path

import bcrypt
import httpx

from exporter.simulator import Simulator
from tests.conftest import StartExporter
from tests.daemon.test_app import command
from tests.support.certificates import Pair, authority_file, pair, trusting
from tests.support.configurations import ENVIRONMENTS, choreo_environ, choreo_source
from tests.support.processes import Exporter, Prometheus, eventually

PASSWORD = "the scrapers' own"


def web_file(folder: Path, password: str = PASSWORD) -> Path:
    """A web configuration that wants a client's certificate and a password."""
    authority_file(folder)
    pair(folder, "127.0.0.1")
    users = {"prometheus": bcrypt.hashpw(password.encode(), bcrypt.gensalt(5)).decode()}
    file = folder / "web.yml"
    tls = {
        "cert_file": "server.crt",
        "key_file": "server.key",
        "client_ca_file": "ca.pem",
        "client_auth_type": "RequireAndVerifyClientCert",
        "client_allowed_sans": ["prometheus.example"],
    }
    file.write_text(
        json.dumps({"tls_server_config": tls, "basic_auth_users": users, "http_server_config": {"http2": True}})
    )
    return file


def https(exporter: Exporter, shows: Pair, password: str = PASSWORD) -> httpx.Client:
    """A client that the exporter lets in."""
    url = exporter.url.replace("http:", "https:")
    return httpx.Client(base_url=url, verify=trusting(shows=shows), auth=("prometheus", password), timeout=30)


def test_prometheus_scrapes_over_tls_with_certificate_and_password(
    insights: Simulator, start_exporter: StartExporter, stack: ExitStack, tmp_path: Path
) -> None:
    """A real Prometheus with `tls_config` and `basic_auth` scrapes; without a password it cannot."""
    file = web_file(tmp_path)
    shows = pair(tmp_path, "prometheus.example", name="client")
    exporter = start_exporter(insights, ENVIRONMENTS, f"--web.config.file={file}")
    tls = {"ca_file": str(tmp_path / "ca.pem"), "cert_file": str(shows.cert), "key_file": str(shows.key)}
    user = {"basic_auth": {"username": "prometheus", "password": PASSWORD}}
    prometheuses = []
    for name, access in (("let-in", user), ("refused", {})):
        folder = tmp_path / name
        folder.mkdir()
        scrape = {"scheme": "https", "tls_config": tls, **access}
        prometheuses.append(stack.enter_context(Prometheus(folder, f"127.0.0.1:{exporter.port}", scrape=scrape)))
    let_in, refused = prometheuses
    eventually(lambda: let_in.query("choreo_environment_info"), f"scrape: {exporter.log} {let_in.log}", 90)
    assert let_in.query("insights_exporter_web_config_last_reload_successful == 1")
    eventually(lambda: refused.query("up == 0"), "failed scrape")
    assert "the metrics are at this address" in exporter.log
    assert f"https://127.0.0.1:{exporter.port}/metrics" in exporter.log
    assert "http2 has no effect" in exporter.log
    assert exporter.stopped() == 0


def test_a_certificate_is_renewed_without_a_restart(
    insights: Simulator, start_exporter: StartExporter, tmp_path: Path
) -> None:
    """Row 72 in the whole program: a new certificate and password hold in seconds; garbage is kept out."""
    file = web_file(tmp_path)
    shows = pair(tmp_path, "prometheus.example", name="client")
    exporter = start_exporter(insights, ENVIRONMENTS, f"--web.config.file={file}")

    def status(password: str, path: str = "/-/ready") -> int:
        try:
            with https(exporter, shows, password) as client:
                return client.get(path).status_code
        except httpx.HTTPError:
            return 0

    eventually(lambda: status(PASSWORD) == 200, "readiness", 90)
    web_file(tmp_path, "new")
    eventually(lambda: status("new") == 200, "new password")
    assert status(PASSWORD) == 401
    file.write_text("basic_auth_users: {prometheus: plain text}")
    eventually(lambda: "the web configuration cannot be used; the old one stays" in exporter.log, "error in the log")
    assert "web.yml:1: basic_auth_users.prometheus: not a bcrypt hash" in exporter.log
    with https(exporter, shows, "new") as client:
        assert "insights_exporter_web_config_last_reload_successful 0.0" in client.get("/metrics").text
    for text in ("plain text", "BEGIN PRIVATE KEY", "$2b$"):
        assert text not in exporter.log


def test_a_web_configuration_that_cannot_be_used_is_refused(insights: Simulator, tmp_path: Path) -> None:
    """The start and the check name file, line, key and remedy, and end with exit code 1."""
    config, file = tmp_path / "config.yaml", tmp_path / "web.yml"
    config.write_text(choreo_source() + ENVIRONMENTS)
    file.write_text(
        "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  curve_preferences: [P-256]\n"
    )
    for flags in ((), ("--config.check",)):
        run = command(f"--config.file={config}", f"--web.config.file={file}", *flags, environ=choreo_environ(insights))
        assert run.returncode == 1
        assert run.stderr.splitlines() == [
            f"error: {file}:4: tls_server_config.curve_preferences[0]: not one of the allowed words;"
            " write 'CurveP256', 'CurveP384', 'CurveP521' or 'X25519'"
        ]
