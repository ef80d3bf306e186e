"""TLS of the exporter's own pages: every key of `tls_server_config`, and files that change while it serves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import uvloop

from exporter.config.web import CIPHERS
from exporter.web.web_config import WebConfiguration
from tests.support.certificates import FOREIGN, Pair, authority_file, pair, self_signed, trusting
from tests.support.serving import ASite, Running, eventually, running

LOOPS = pytest.mark.parametrize("loop_of", [uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
REQUEST = b"GET /-/healthy HTTP/1.0\r\n%b\r\n"


@contextlib.contextmanager
def serving(
    folder: Path, config: Mapping[str, Any], loop_of: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
) -> Iterator[tuple[Running, WebConfiguration]]:
    """A web server with that web configuration, which follows its files."""
    file = folder / "web.yml"
    file.write_text(json.dumps(config))
    web_config = WebConfiguration(file, check_seconds=0.05)
    with (
        contextlib.closing(web_config),
        running(ASite(10), tls=web_config.tls, guard=web_config.guarded, loop_of=loop_of) as web,
        web.beside(web_config.keep_current()),
    ):
        yield web, web_config


def answered(web: Running, context: ssl.SSLContext, *fields: bytes) -> str:
    """The status of one request over TLS, or `refused` where the connection ends without an answer."""
    try:
        with (
            web.connect() as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False) as client,
        ):
            client.sendall(REQUEST % b"".join(field + b"\r\n" for field in fields))
            answer = client.recv(1024)
            return answer.split(b" ", 2)[1].decode() if answer else "refused"
    except (ssl.SSLError, ConnectionError):
        return "refused"


def tls(folder: Path, **more: Any) -> dict[str, Any]:
    """A web configuration with a certificate for the loopback address."""
    pair(folder, "127.0.0.1")
    return {"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key", **more}}


@LOOPS
def test_certificate_and_key_serve_https(tmp_path: Path, loop_of: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Who trusts the authority is answered over HTTP/1.1 and TLS 1.2 or later; plain HTTP is not."""
    with serving(tmp_path, tls(tmp_path), loop_of) as (web, _):
        context = trusting()
        assert answered(web, context) == "200"
        assert answered(web, trusting(FOREIGN)) == "refused"
        context.set_alpn_protocols(["h2", "http/1.1"])
        with web.connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            assert client.selected_alpn_protocol() == "http/1.1"
            assert client.version() == "TLSv1.3"
        assert not web.exchange(REQUEST % b"").startswith(b"HTTP/1.1 200")


def test_a_certificate_that_stands_in_the_file(tmp_path: Path) -> None:
    """`cert`, `key` and `client_ca` hold PEM text instead of a file's name; the key is shown nowhere."""
    files = pair(tmp_path, "127.0.0.1")
    key = files.key.read_text()
    config = {
        "cert": files.cert.read_text(),
        "key": key,
        "client_ca": "# Behörde\n" + authority_file(tmp_path).read_text(),  # as certifi's has comments
        "client_auth_type": "RequireAndVerifyClientCert",
    }
    with serving(tmp_path, {"tls_server_config": config}) as (web, web_config):
        assert answered(web, trusting(shows=pair(tmp_path, "prometheus", name="client"))) == "200"
        assert answered(web, trusting()) == "refused"
        assert key.splitlines()[2] not in repr(vars(web_config))


# Go's policies: whom each lets in, of clients with no certificate, one of our authority, one of another
POLICIES = {
    "NoClientCert": (True, True, True),
    "VerifyClientCertIfGiven": (True, True, False),
    "RequireAndVerifyClientCert": (False, True, False),
}


@pytest.mark.parametrize(("policy", "welcome"), POLICIES.items(), ids=POLICIES)
@LOOPS
def test_client_auth_type(
    tmp_path: Path, policy: str, welcome: tuple[bool, ...], loop_of: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Each policy lets in whom Go's does, with TLS 1.3 and with 1.2."""
    more = {"client_auth_type": policy}
    if "Verify" in policy:
        authority_file(tmp_path)
        more["client_ca_file"] = "ca.pem"
    shown = [None, pair(tmp_path, "prometheus", name="ours"), pair(tmp_path, "x", authority=FOREIGN, name="foreign")]
    with serving(tmp_path, tls(tmp_path, **more), loop_of) as (web, _):
        for highest in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
            for shows, is_welcome in zip(shown, welcome, strict=True):
                context = trusting(shows=shows)
                context.maximum_version = highest
                assert answered(web, context) == ("200" if is_welcome else "refused"), shows


@pytest.mark.parametrize("name", ["prometheus.example", "10.1.2.3", "::1", "ops@example.com"])
@LOOPS
def test_client_allowed_sans(tmp_path: Path, name: str, loop_of: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """A certificate with one of the names is let in, one of the same authority without is not: DNS, IP or e-mail."""
    authority_file(tmp_path)
    policy = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.pem"}
    with serving(tmp_path, tls(tmp_path, **policy, client_allowed_sans=["another", name]), loop_of) as (web, _):
        assert answered(web, trusting(shows=pair(tmp_path, "a.example", name, name="right"))) == "200"
        assert answered(web, trusting(shows=pair(tmp_path, "a.example", name="wrong"))) == "refused"
        assert answered(web, trusting()) == "refused"


@LOOPS
def test_a_workload_is_known_by_its_uri(tmp_path: Path, loop_of: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """`client_allowed_sans` takes URIs, as SPIFFE has them."""
    name = "spiffe://cluster.example/ns/monitoring/sa/prometheus"
    for folder in ("0", "1"):
        (tmp_path / folder).mkdir()
    made = [self_signed(tmp_path / f"{number}", each) for number, each in enumerate((name, f"{name}-2"))]
    right, wrong = (trusting(shows=each) for each in made)
    authorities = "".join(each.cert.read_text() for each in made)
    policy = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca": authorities}
    with serving(tmp_path, tls(tmp_path, **policy, client_allowed_sans=[name]), loop_of) as (web, _):
        assert answered(web, right) == "200"
        assert answered(web, wrong) == "refused"


VERSIONS = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}


@pytest.mark.parametrize(
    ("config", "spoken"),
    [
        ({}, "TLS12 TLS13"),
        ({"min_version": "TLS13"}, "TLS13"),
        ({"max_version": "TLS12"}, "TLS12"),
        ({"min_version": "TLS10"}, "TLS10 TLS11 TLS12 TLS13"),
        ({"min_version": "TLS11", "max_version": "TLS11"}, "TLS11"),
    ],
    ids=str,
)
def test_versions(tmp_path: Path, config: dict[str, str], spoken: str) -> None:
    """`min_version` and `max_version` are the oldest and the newest that is spoken."""
    with serving(tmp_path, tls(tmp_path, **config)) as (web, _):
        for name, version in VERSIONS.items():
            context = trusting()
            context.set_ciphers("DEFAULT@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # the old versions are what is tested
                context.minimum_version = context.maximum_version = version
            assert answered(web, context) == ("200" if name in spoken else "refused"), name


@pytest.mark.parametrize("name", [name for name in CIPHERS if "ECDSA" in name])
def test_cipher_suites(tmp_path: Path, name: str) -> None:
    """A suite by Go's name is the only one that TLS 1.2 then has; TLS 1.3 has its own."""
    config = tls(tmp_path, cipher_suites=[name, "TLS_AES_128_GCM_SHA256"]) | {"http_server_config": {"http2": False}}
    with serving(tmp_path, config) as (web, _):
        context = trusting()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(":".join(CIPHERS.values()))
        with web.connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
            assert (client.cipher() or ("",))[0] == CIPHERS[name]
        context.set_ciphers(":".join(cipher for cipher in CIPHERS.values() if cipher != CIPHERS[name]))
        assert answered(web, context) == "refused"
        assert answered(web, trusting()) == "200"


def test_the_names_of_cipher_suites_are_openssls() -> None:
    """Every suite that the documentation names exists."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(":".join(CIPHERS.values()))
    assert set(CIPHERS.values()) <= {cipher["name"] for cipher in context.get_ciphers()}


def served_certificate(web: Running, context: ssl.SSLContext) -> bytes | None:
    with web.connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        return client.getpeercert(binary_form=True)


def der(files: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.cert.read_text())


def test_a_new_certificate_is_used_and_garbage_is_not(tmp_path: Path) -> None:
    """Row 72: new connections see the new certificate without a restart; garbage keeps the old, and shows."""
    config = tls(tmp_path)
    with serving(tmp_path, config) as (web, web_config):
        context = trusting()
        with web.connect() as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as kept:
            renewed = der(pair(tmp_path, "127.0.0.1"))
            assert eventually(lambda: served_certificate(web, context) == renewed)
            assert web_config.status.successful
            (tmp_path / "server.crt").write_text("garbage")
            assert eventually(lambda: not web_config.status.successful)
            assert served_certificate(web, context) == renewed
            (tmp_path / "server.crt").unlink()
            assert served_certificate(web, context) == renewed
            mended = der(pair(tmp_path, "127.0.0.1"))
            assert eventually(lambda: served_certificate(web, context) == mended)
            assert web_config.status.successful
            kept.sendall(REQUEST % b"")
            assert b" 200 " in kept.recv(100)


def test_a_key_of_another_certificate_keeps_the_old_pair(tmp_path: Path) -> None:
    """A certificate that is renewed before its key is not served with the old key; with the new key it is."""
    with serving(tmp_path, tls(tmp_path)) as (web, web_config):
        context = trusting()
        old = served_certificate(web, context)
        new = pair(tmp_path, "127.0.0.1", name="new")
        (tmp_path / "server.crt").write_bytes(new.cert.read_bytes())
        assert eventually(lambda: not web_config.status.successful)
        assert served_certificate(web, context) == old
        (tmp_path / "server.key").write_bytes(new.key.read_bytes())
        assert eventually(lambda: served_certificate(web, context) == der(new))


def test_users_authorities_and_headers_follow_the_file(tmp_path: Path) -> None:
    """A password that is taken away opens nothing from then on, though it was remembered; so with a client's CA."""
    authority_file(tmp_path)
    more = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": "ca.pem"}
    config = tls(tmp_path, **more) | {"basic_auth_users": {"a": bcrypt.hashpw(b"old", bcrypt.gensalt(4)).decode()}}
    old, new = b"Authorization: Basic YTpvbGQ=", b"Authorization: Basic YTpuZXc="
    ours = trusting(shows=pair(tmp_path, "prometheus", name="ours"))
    foreign = trusting(shows=pair(tmp_path, "prometheus", authority=FOREIGN, name="foreign"))
    with serving(tmp_path, config) as (web, web_config):
        assert [answered(web, ours, old), answered(web, ours, new)] == ["200", "401"]
        config["basic_auth_users"]["a"] = bcrypt.hashpw(b"new", bcrypt.gensalt(4)).decode()
        web_file = tmp_path / "web.yml"
        web_file.write_text(json.dumps(config))
        assert eventually(lambda: answered(web, ours, new) == "200")
        assert answered(web, ours, old) == "401"
        authority_file(tmp_path, FOREIGN)
        assert eventually(lambda: answered(web, foreign, new) == "200")
        assert answered(web, ours, new) == "refused"
        for harmful in ("", "basic_auth_users: {}", "basic_auth_users: {a: b}"):
            web_file.write_text(harmful)
            assert eventually(lambda: not web_config.status.successful)
            assert [answered(web, foreign), answered(web, foreign, new)] == ["401", "200"]
            web_file.write_text(json.dumps(config))
            assert eventually(lambda: web_config.status.successful)


def test_a_silent_client_holds_up_no_other(tmp_path: Path) -> None:
    """Rows 67 and 68: clients that say nothing, or stop in the handshake, are no matter to a scrape."""
    with serving(tmp_path, tls(tmp_path)) as (web, _), contextlib.ExitStack() as stack:
        for number in range(100):
            client = stack.enter_context(web.connect())
            if number % 2:
                client.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert answered(web, trusting()) == "200"


def test_an_encrypted_key_is_refused_without_a_question(tmp_path: Path) -> None:
    """A start in the background cannot be asked for a passphrase: the key is refused in words."""
    config = tls(tmp_path)
    key = (tmp_path / "server.key").read_text()
    encrypted = key.replace(
        "-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n", 1
    )
    (tmp_path / "server.key").write_text(encrypted)
    (tmp_path / "web.yml").write_text(json.dumps(config))
    with pytest.raises(Exception, match="the certificate and its key cannot be used") as refused:
        WebConfiguration(tmp_path / "web.yml")
    assert key.splitlines()[2] not in str(refused.value)
