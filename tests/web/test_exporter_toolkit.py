"""The exporter-toolkit's own test data, and what a server and its clients make of it.

Source: https://github.com/prometheus/exporter-toolkit/blob/v0.20.0/web/tls_config_test.go
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from exporter.model.errors import ConfigError
from exporter.web.web_config import WebConfiguration
from tests.support.serving import ASite, Running, running

DATA = Path(__file__).parents[1] / "data" / "exporter_toolkit"
FILES = sorted([*DATA.glob("*.yml"), *DATA.glob("*.yaml")])
# What the toolkit's Serve refuses; it takes all others.
REFUSED = frozenset(
    {
        "web_config_auth_clientCAs_invalid.bad.yml",
        "web_config_auth_user_list_invalid.bad.yml",
        "web_config_headers_content_type_options.bad.yml",
        "web_config_headers_extra_header.bad.yml",
        "web_config_headers_frame_options.bad.yml",
        "web_config_junk.yml",
        "web_config_junk_key.yml",
        "web_config_noAuth.bad.yml",
        "web_config_noAuth_certPath_empty.bad.yml",
        "web_config_noAuth_certPath_invalid.bad.yml",
        "web_config_noAuth_certPath_keyPath_empty.bad.yml",
        "web_config_noAuth_certPath_keyPath_invalid.bad.yml",
        "web_config_noAuth_cert_empty.bad.yml",
        "web_config_noAuth_inventedCiphers.bad.yml",
        "web_config_noAuth_inventedCurves.bad.yml",
        "web_config_noAuth_keyPath_empty.bad.yml",
        "web_config_noAuth_keyPath_invalid.bad.yml",
        "web_config_noAuth_key_empty.bad.yml",
        "web_config_noAuth_noHTTP2Cipher.bad.yml",
        "web_config_noAuth_wrongTLSVersion.bad.yml",
    }
)
REQUEST = b"GET /-/healthy HTTP/1.0\r\nHost: localhost\r\n%b\r\n"
DAVE = b"Authorization: Basic ZGF2ZTpkYXZlMTIz\r\n"
MALLORY = b"Authorization: Basic ZGF2ZTpiYWQ=\r\n"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_file_gets_the_toolkits_verdict(file: Path) -> None:
    """What every other exporter takes is taken here, and what they refuse is refused."""
    if file.name not in REFUSED:
        WebConfiguration(file).close()
        return
    with pytest.raises(ConfigError):
        WebConfiguration(file)


def test_all_files_are_there() -> None:
    """41 files and the documented sample."""
    assert len(FILES) == 42
    assert {file.name for file in FILES} >= REFUSED


@contextlib.contextmanager
def serving(file: Path) -> Iterator[Running]:
    web_config = WebConfiguration(file)
    with contextlib.closing(web_config), running(ASite(10), tls=web_config.tls, guard=web_config.guarded) as web:
        yield web


def client(shows: str | None = None, *, suites: str | None = None, curve: str | None = None) -> ssl.SSLContext:
    """A client that takes any server: OpenSSL takes the toolkit's authority, which Go takes, for no server's.

    With `suites` it speaks TLS 1.2.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if shows is not None:
        context.load_cert_chain(DATA / f"{shows}.pem", DATA / f"{shows}.key")
    if suites is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suites)
    if curve is not None:
        context.set_ecdh_curve(curve)
    return context


def status(web: Running, context: ssl.SSLContext | None, fields: bytes = b"") -> str:
    """The status of one request, or `refused` where the connection ends without an answer."""
    if context is None:
        return web.exchange(REQUEST % fields).split(b" ", 2)[1].decode()
    try:
        with web.connect() as plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(REQUEST % fields)
            answer = connection.recv(1024)
    except (ssl.SSLError, ConnectionError):
        return "refused"
    return answer.split(b" ", 2)[1].decode() if answer else "refused"


AES128, AES256 = "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"


@pytest.mark.parametrize(
    ("name", "context", "expected"),
    [
        ("web_config_noAuth.good.yml", client(), "200"),
        ("web_config_noAuth.good.yml", client("client_selfsigned"), "refused"),
        ("web_config_noAuth.good.blocking.yml", client(), "refused"),
        ("web_config_noAuth.good.blocking.yml", client("client_selfsigned"), "refused"),
        ("web_config_auth_clientCAs_missing.bad.yml", client(), "refused"),
        ("web_config_noAuth_tlsInline.good.yml", client(), "200"),
        ("web_config_noAuth_allCiphers.good.yml", client(), "200"),
        ("web_config_noAuth_someCiphers.good.yml", client(suites=AES128), "200"),
        ("web_config_noAuth_someCiphers.good.yml", client(suites="ECDHE-RSA-AES256-SHA"), "refused"),
        ("web_config_noAuth_allCurves.good.yml", client(), "200"),
        ("web_config_noAuth_someCurves.good.yml", client(curve="secp521r1"), "200"),
        ("web_config_noAuth_someCurves.good.yml", client(curve="secp384r1"), "refused"),
        ("web_config_noAuth_noHTTP2.good.yml", client(), "200"),
        ("tls_config_noAuth.requireanyclientcert.good.yml", client("client_selfsigned"), "200"),
        ("tls_config_noAuth.requireanyclientcertkeyinline.good.yml", client("client_selfsigned"), "200"),
        ("tls_config_noAuth.requireandverifyclientcert.good.yml", client("client_selfsigned"), "200"),
        ("tls_config_noAuth.requireandverifyclientcert.good.yml", client("client2_selfsigned"), "refused"),
        ("tls_config_noAuth.requireandverifyclientcert.good.yml", client(), "refused"),
        ("web_config_auth_client_san.good.yaml", client("client2_selfsigned"), "200"),
        ("web_config_auth_client_san.bad.yaml", client("client2_selfsigned"), "refused"),
        ("web_config_users.good.yml", client(), "401"),
    ],
)
def test_clients_are_answered_as_by_the_toolkit(name: str, context: ssl.SSLContext, expected: str) -> None:
    """The table of the toolkit's own tests, row by row."""
    with serving(DATA / name) as web:
        assert status(web, context) == expected


@pytest.mark.parametrize(("fields", "expected"), [(b"", "401"), (DAVE, "200"), (MALLORY, "401")])
def test_users_are_known(fields: bytes, expected: str) -> None:
    """Passwords of the toolkit's users open the pages, over TLS and without."""
    with serving(DATA / "web_config_users.good.yml") as web:
        assert status(web, client(), fields) == expected
    with serving(DATA / "web_config_users_noTLS.good.yml") as web:
        assert status(web, None, fields) == expected


def test_headers_that_are_numbers_are_sent() -> None:
    """`X-XSS-Protection: 1` is a number in YAML and a text in the answer."""
    with serving(DATA / "web_config_headers.good.yml") as web:
        answer = web.exchange(REQUEST % b"")
    assert b"\r\nx-xss-protection: 1\r\n" in answer
    assert b"\r\nx-frame-options: deny\r\n" in answer


def test_the_order_of_suites(tmp_path: Path) -> None:
    """The server's order decides, or with `prefer_server_cipher_suites: false` the client's."""
    text = (DATA / "web_config_noAuth_someCiphers_noOrder.good.yml").read_text()
    for word, chosen in (("false", AES128), ("true", AES256)):
        file = tmp_path / "web.yml"
        text_here = text.replace("suites: false", f"suites: {word}")
        file.write_text(text_here.replace('"server.', f'"{DATA}/server.'))
        with serving(file) as web, web.connect() as plain:
            context = client(suites=f"{AES128}:{AES256}")
            with context.wrap_socket(plain, server_hostname="localhost") as connection:
                assert (connection.cipher() or ("",))[0] == chosen


def test_a_rate_limit_of_nothing_limits_nothing() -> None:
    """`interval: 0` is no limit."""
    with serving(DATA / "web_config_rate_limiter_nonblocking.yaml") as web:
        assert [status(web, None) for _ in range(11)] == ["200"] * 11


def test_a_rate_limit_without_a_burst_refuses_everything() -> None:
    """The toolkit's bucket of no requests is never full: each gets 429, and the log says why."""
    with capture_logs() as logs, serving(DATA / "web_config_rate_limiter_one_second.yaml") as web:
        assert [status(web, None) for _ in range(3)] == ["429"] * 3
    assert [line["event"] for line in logs] == ["rate_limit has a burst of 0, so that every request gets 429"]


def test_a_burst_is_answered_and_what_is_beyond_it_is_not(tmp_path: Path) -> None:
    """A bucket of three that fills in hours lets three requests through, whoever they come from, and says when to come
    back; a change of another key fills no bucket."""
    file = tmp_path / "web.yml"
    file.write_text("rate_limit: {interval: 2h, burst: 3}")
    with serving(file) as web:
        assert [status(web, None) for _ in range(5)] == ["200", "200", "200", "429", "429"]
        assert b"retry-after: 7200\r\n" in web.exchange(REQUEST % b"")


@pytest.mark.parametrize("policy", ["RequestClientCert", "RequireAnyClientCert", "RequireClientCert"])
def test_a_policy_that_verifies_nothing_is_said_to_do_nothing(tmp_path: Path, policy: str) -> None:
    """A certificate that nobody verifies keeps nobody out: the log says so, and what to write instead."""
    file = tmp_path / "web.yml"
    pair = f"cert_file: {DATA / 'server.crt'}, key_file: {DATA / 'server.key'}"
    file.write_text(f"tls_server_config: {{{pair}, client_auth_type: {policy}}}")
    with capture_logs() as logs, serving(file) as web:
        assert status(web, client()) == "200"
    [line] = logs
    assert line["log_level"] == "warning"
    assert "this policy would verify none" in line["event"]
    assert line["remedy"] == "write RequireAndVerifyClientCert"


def test_what_has_no_effect_is_logged(tmp_path: Path) -> None:
    """Of a text and its file the file is read; HTTP/2 is not served; without a certificate there is no TLS."""
    file = tmp_path / "web.yml"
    file.write_text(
        f"tls_server_config: {{cert: x, cert_file: {DATA / 'server.crt'}, key: y, key_file: {DATA / 'server.key'}}}\n"
        "http_server_config: {http2: true}\n"
    )
    with capture_logs() as logs, serving(file) as web:
        assert status(web, client()) == "200"
    assert {line["key"] for line in logs} == {
        "http_server_config.http2",
        "tls_server_config.cert",
        "tls_server_config.key",
    }
    file.write_text("tls_server_config: {min_version: TLS13}")
    with capture_logs() as logs, serving(file) as web:
        assert status(web, None) == "200"
    assert ["served without TLS" in line["event"] for line in logs] == [True]
