"""Whether a configuration can run here."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.daemon.check import check, ready_to_start
from exporter.model.censor import EVERYTHING, Censor
from exporter.model.errors import ConfigError
from tests.support.certificates import OURS, authority_file, pair

CONFIG = """\
sources:
  - name: acme
    url: https://api.example/graphql
    authorization: {credentials_file: token.txt}
    proxy_url: http://proxy.example:3128
    proxy_connect_header: {Proxy-Authorization: ["${PROXY}"]}
    http_headers: {X-Key: "${KEY:-key-secret}"}
    secret_values: {tenant: {env: TENANT_OF_A_TEST}}
    tls_config: {ca_file: ca.pem}
    labels: {of: a}
  - name: basic
    url: https://api.example/other
    basic_auth: {username: alice, password_file: password.txt}
    labels: {of: b}
  - name: choreo
    url: https://api.example/third
    oauth2:
      token_url: https://sts.example/token
      client_id_file: id.txt
      client_secret_file: secret.txt
      tls_config: {cert_file: client.crt, key_file: client.key}
    labels: {of: c}
queries:
  - {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}], sources: [acme]}
"""
ENVIRON = {"PROXY": "Basic proxy-secret"}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose files are all there, but for the variable TENANT_OF_A_TEST."""
    for name in ("token", "password", "id", "secret"):
        (tmp_path / f"{name}.txt").write_text(f"{name}-text\n")
    authority_file(tmp_path)
    pair(tmp_path, "client.example", authority=OURS, name="client")
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    return file


def unmet(file: Path, environ: dict[str, str] = ENVIRON) -> list[str]:
    """What a check warns about, without the file's name."""
    return [str(problem).removeprefix(f"{file}:") for problem in check(file, environ).unmet]


def test_what_is_there_is_no_problem(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration whose variables are set and whose files can be used can start."""
    monkeypatch.setenv("TENANT_OF_A_TEST", "tenant-secret")
    found = check(config, ENVIRON)
    assert found.unmet == ()
    assert [query.name for query in found.plan.queries] == ["q"]
    assert found.loaded.config.sources[0].name == "acme"
    assert ready_to_start(config, ENVIRON).plan.sources == found.plan.sources


def test_every_secret_is_known_to_the_log(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all kinds and all sources, once the configuration was checked."""
    monkeypatch.setenv("TENANT_OF_A_TEST", "tenant-secret")
    check(config, ENVIRON)
    everything = {"token-text", "key-secret", "Basic proxy-secret", "tenant-secret", "password-text", "secret-text"}
    for text in everything:
        assert EVERYTHING.clean(f"a {text} b") == "a <secret> b"
        assert Censor().clean(f"a {text} b") == f"a {text} b"  # nobody uses it yet


def test_each_secret_and_file_that_is_missing_is_told_at_its_key(config: Path) -> None:
    """A check warns about all of them, with the line and what to do; a start refuses with the same."""
    for name in ("token.txt", "password.txt", "id.txt", "secret.txt", "client.key"):
        (config.parent / name).unlink()
    (config.parent / "ca.pem").write_text("no certificate")
    cannot_read = f"cannot read {config.parent}"
    remedy = "No such file or directory; make it readable for this user"
    no_certificates = "its certificates cannot be used: "
    expected = [
        f"4: sources[0].authorization.credentials_file: {cannot_read}/token.txt: {remedy}",
        "8: sources[0].secret_values.tenant: the environment variable TENANT_OF_A_TEST is unset or empty; set it",
        f"13: sources[1].basic_auth.password_file: {cannot_read}/password.txt: {remedy}",
        f"19: sources[2].oauth2.client_id_file: {cannot_read}/id.txt: {remedy}",
        f"20: sources[2].oauth2.client_secret_file: {cannot_read}/secret.txt: {remedy}",
    ]
    told = unmet(config)
    assert [line for line in told if no_certificates not in line] == expected
    of_tls = [line for line in told if no_certificates in line]
    assert [line.partition(": its")[0] for line in of_tls] == [
        "9: sources[0].tls_config",
        "21: sources[2].oauth2.tls_config",
    ]
    assert all(line.endswith("; name PEM files that this user can read") for line in of_tls)
    with pytest.raises(ConfigError) as refused:
        ready_to_start(config, ENVIRON)
    assert refused.value.problems == check(config, ENVIRON).unmet


def test_an_unset_variable_is_a_warning(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration can be checked where its variables are not set."""
    monkeypatch.setenv("TENANT_OF_A_TEST", "tenant-secret")
    (told,) = unmet(config, {})
    assert told.startswith("6: sources[0].proxy_connect_header.Proxy-Authorization[0]: the environment variable PROXY")


def test_all_faults_come_at_once_in_the_order_of_the_file(config: Path) -> None:
    """Faults of the file and of the plan, and what is unset, are one list; what is missing besides waits for these."""
    config.write_text(CONFIG.replace("value: n}", "value: m}") + "  - {name: q2, document: '{ n }', rows: o}\n")
    with pytest.raises(ConfigError) as refused:
        check(config, {})
    assert [problem.line for problem in refused.value.problems] == [6, 24, 25]
    config.write_text(CONFIG.replace("url: https://api.example/other", "url: nothing"))
    with pytest.raises(ConfigError, match=r"c\.yaml:12: sources\[1\]\.url: not a URL"):
        check(config, ENVIRON)
