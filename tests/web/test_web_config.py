"""A web configuration file that changes while the exporter serves: what is taken, and what the log says of the rest."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.web.web_config import WebConfiguration, web_configuration
from tests.support.certificates import pair, trusting
from tests.support.processes import get
from tests.support.serving import ASite, Running, eventually, running
from tests.web.test_tls import answered, der, served_certificate, serving, tls

LIMIT = {"rate_limit": {"interval": "2h", "burst": 1}}


def status(web: Running) -> int:
    return get(web.url + "/-/healthy").status_code


def test_a_rate_limit_follows_the_file(tmp_path: Path) -> None:
    """A new limit begins with a full bucket. A change of another key fills no bucket, and its headers come with the
    refusals too."""
    with serving(tmp_path, LIMIT) as (web, _):
        assert [status(web), status(web)] == [200, 429]
        headers = {"http_server_config": {"headers": {"X-Frame-Options": "deny"}}}
        (tmp_path / "web.yml").write_text(json.dumps(LIMIT | headers))
        assert eventually(lambda: get(web.url + "/-/healthy").headers.get("X-Frame-Options") == "deny")
        assert web.server.requests_by_code["200"] == 1
        (tmp_path / "web.yml").write_text(json.dumps({"rate_limit": {"interval": "2h", "burst": 2}}))
        assert eventually(lambda: status(web) == 200)
        assert [status(web), status(web)] == [200, 429]
        (tmp_path / "web.yml").write_text("{}")
        assert eventually(lambda: [status(web), status(web)] == [200, 200])


def test_a_certificate_that_is_named_before_it_is_written_is_taken_when_it_comes(tmp_path: Path) -> None:
    """The file need not be touched a second time."""
    with serving(tmp_path, tls(tmp_path)) as (web, web_config):
        named = {"tls_server_config": {"cert_file": "later.crt", "key_file": "later.key"}}
        (tmp_path / "web.yml").write_text(json.dumps(named))
        assert eventually(lambda: not web_config.status.successful)
        later = pair(tmp_path, "127.0.0.1", name="later")
        assert eventually(lambda: served_certificate(web, trusting()) == der(later))
        assert web_config.status.successful


@pytest.mark.parametrize("begins_with_tls", [True, False])
def test_tls_is_turned_on_and_off_by_a_restart_alone(tmp_path: Path, begins_with_tls: bool) -> None:
    """Clients are served as before, and the log says what to do."""
    with_tls, without = tls(tmp_path), {"http_server_config": {"headers": {"X-Frame-Options": "deny"}}}
    first, second = (with_tls, without) if begins_with_tls else (without, with_tls)
    with capture_logs() as logs, serving(tmp_path, first) as (web, web_config):
        (tmp_path / "web.yml").write_text(json.dumps(second))
        assert eventually(lambda: not web_config.status.successful)
        assert (answered(web, trusting()) == "200") == begins_with_tls
        assert begins_with_tls or status(web) == 200
    [line] = logs
    assert line["event"] == "the web configuration cannot be used; the old one stays"
    assert line["detail"] == (
        f"{tmp_path / 'web.yml'}: tls_server_config: TLS cannot be turned on or off while serving; restart the exporter"
    )


def test_an_empty_file_takes_nothing_away(tmp_path: Path) -> None:
    """A file that is being written is empty for a moment: what was there holds on, and the log says why."""
    file = tmp_path / "web.yml"
    with capture_logs() as logs, serving(tmp_path, LIMIT) as (web, web_config):
        file.write_text("# nothing\n")
        assert eventually(lambda: not web_config.status.successful)
        assert [status(web), status(web)] == [200, 429]
    [line] = logs
    wrong = "is empty; write tls_server_config or basic_auth_users, or {} for neither"
    assert line["detail"] == f"{file}: {wrong}"


def test_a_file_that_asks_for_nothing_may_do_so_again(tmp_path: Path) -> None:
    """A mistake in a file that was empty at the start is mended where it is taken out."""
    file = tmp_path / "web.yml"
    file.write_text("")
    web_config = WebConfiguration(file, check_seconds=0.05)
    with (
        contextlib.closing(web_config),
        running(ASite(10), guard=web_config.guarded) as web,
        web.beside(web_config.keep_current()),
    ):
        file.write_text("rate_limits: {}\n")
        assert eventually(lambda: not web_config.status.successful)
        file.write_text("# nothing\n")
        assert eventually(lambda: web_config.status.successful)
        assert [status(web), status(web)] == [200, 200]


def test_a_change_is_logged_with_what_may_not_be_meant(tmp_path: Path) -> None:
    """As at the start; a file that is written again with the same content is no change."""
    with capture_logs() as logs, serving(tmp_path, {}) as (_, web_config):
        (tmp_path / "web.yml").write_text(json.dumps({}, indent=4))
        (tmp_path / "web.yml").write_text(json.dumps({"rate_limit": {"interval": "1s", "burst": 0}}))
        assert eventually(lambda: len(logs) > 1)
        assert web_config.status.successful
    assert [line["event"] for line in logs] == [
        "the web configuration was reloaded",
        "rate_limit has a burst of 0, so that every request gets 429",
    ]


def test_clients_that_the_system_verifies_are_said_to_be(tmp_path: Path) -> None:
    """Whoever forgets the authority's file finds out from the log whose certificates open the pages."""
    (tmp_path / "web.yml").write_text(json.dumps(tls(tmp_path, client_auth_type="RequireAndVerifyClientCert")))
    with capture_logs() as logs:
        WebConfiguration(tmp_path / "web.yml").close()
    [line] = logs
    assert line["event"] == "clients are verified with the system's authorities, because client_ca_file is missing"


def test_a_sound_configuration_is_read_without_a_word(tmp_path: Path) -> None:
    """Nothing is remarked where everything has its effect; without the flag there is nothing to read."""
    file = tmp_path / "web.yml"
    config = tls(tmp_path) | {"rate_limit": {"interval": "1s", "burst": 1}}
    for text in (json.dumps(config), "{}", ""):
        file.write_text(text)
        with capture_logs() as logs:
            found = web_configuration(file)
        assert found is not None
        found.close()
        assert logs == []
    assert web_configuration(None) is None
