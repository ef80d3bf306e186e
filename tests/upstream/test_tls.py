"""TLS to the upstream: what is refused, before a secret is sent, and what the configuration can allow."""

from __future__ import annotations

import asyncio
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exporter.config.credentials import OAuth2, TLSConfig
from exporter.model.errors import Failure, Reason
from exporter.model.secret import Secret
from exporter.upstream.access_token import TokenSource
from exporter.upstream.tls import ssl_context
from exporter.upstream.transport import Transport
from tests.support.authorities import KINDS, PROVES_NOTHING, REFUSED_STRICTLY, Kind
from tests.support.certificates import FOREIGN, OURS, authority_file, pair
from tests.support.upstream import Proxy, Upstream, answer, raw, server_context
from tests.support.wiring import failure_of, post

YESTERDAY = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture
def ca_file(tmp_path: Path) -> Path:
    return authority_file(tmp_path)


def outcome(
    context: ssl.SSLContext, tls: TLSConfig, *, host: str = "127.0.0.1", proxy_url: str | None = None
) -> int | Failure:
    """The status, or the failure, of one POST; after a failure nothing has reached the server."""

    async def post(upstream: Upstream) -> int | Failure:
        transport = Transport(tls=tls, proxy_url=proxy_url)
        url = f"https://{host}:{upstream.port}/graphql"
        headers = {"authorization": "Bearer secret"}
        try:
            answered = await transport.post(url, headers=headers, content=b"{}", deadline_seconds=10)
        except Failure as failure:
            assert upstream.api.journal == []
            return failure
        finally:
            await transport.close()
        return answered.status

    with Upstream(tls=context) as upstream:
        upstream.api.always(answer({}))
        return asyncio.run(post(upstream))


REFUSED: dict[str, tuple[Callable[[], ssl.SSLContext], str]] = {
    "62 expired": (lambda: server_context(OURS, "127.0.0.1", not_after=YESTERDAY), "expired"),
    "62 another host": (lambda: server_context(OURS, "api.test"), "127.0.0.1"),
    "62 unknown authority": (lambda: server_context(FOREIGN, "127.0.0.1"), "unable to get local issuer certificate"),
    "63 TLS 1.0": (lambda: server_context(OURS, "127.0.0.1", highest=ssl.TLSVersion.TLSv1), ""),
    "63 TLS 1.1": (lambda: server_context(OURS, "127.0.0.1", highest=ssl.TLSVersion.TLSv1_1), ""),
    "a certificate is asked for": (
        lambda: server_context(OURS, "127.0.0.1", clients_of=OURS, highest=ssl.TLSVersion.TLSv1_2),
        "",
    ),
}


@pytest.mark.parametrize(("context", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_a_server_that_proves_nothing_gets_no_secret(
    ca_file: Path, context: Callable[[], ssl.SSLContext], words: str
) -> None:
    """Rows 62 and 63: the poll fails with `tls`, says why, and the server has not seen the request."""
    failed = outcome(context(), TLSConfig(ca_file=ca_file))
    assert isinstance(failed, Failure), failed
    assert failed.reason is Reason.TLS
    assert words in failed.detail
    assert "_ssl.c" not in failed.detail


def test_a_self_signed_certificate_is_refused(tmp_path: Path) -> None:
    """Row 62: without a CA file the system's authorities are asked, and they know no private one."""
    failed = outcome(server_context(OURS, "127.0.0.1"), TLSConfig())
    assert isinstance(failed, Failure)
    assert failed.reason is Reason.TLS


def test_the_token_endpoint_is_verified_too(ca_file: Path) -> None:
    """Row 62: the client's secret is not sent to whom the certificate does not prove."""
    with Upstream(tls=server_context(FOREIGN, "127.0.0.1")) as upstream:

        async def renew() -> None:
            transport = Transport(tls=TLSConfig(ca_file=ca_file))
            secret = Secret(inline="x")
            source = TokenSource(
                OAuth2(token_url=upstream.token_url, client_id=secret, client_secret=secret), transport
            )
            failed = await failure_of(source.force_renewal())
            assert failed.reason is Reason.TLS
            assert source.status().renewals == {("error", "tls"): 1}
            await transport.close()

        asyncio.run(renew())
        assert upstream.token.journal == []


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], threading.Event]]:
    """Has the system not say, until an event is set, what the files of a `tls_config` are, as where their mount
    hangs."""
    released, stat = threading.Event(), Path.stat

    def hanging_stat(file: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        assert threading.current_thread().name != "TLS files" or released.wait(60)
        return stat(file, follow_symlinks=follow_symlinks)

    def hang() -> threading.Event:
        monkeypatch.setattr(Path, "stat", hanging_stat)
        return released

    yield hang
    released.set()


def looks() -> int:
    """How many threads look at the files."""
    return sum(thread.name == "TLS files" for thread in threading.enumerate())


def test_a_mount_that_hangs_costs_one_thread(ca_file: Path, hanging: Callable[[], threading.Event]) -> None:
    """However many requests wait for the certificates' files and are given up, one thread looks at them; when they are
    there again, requests go on."""
    with Upstream(tls=server_context(OURS, "127.0.0.1")) as upstream:
        upstream.api.always(answer({}))

        async def run() -> None:
            transport = Transport(tls=TLSConfig(ca_file=ca_file))
            assert await post(transport, upstream.api_url) == 200
            released = hanging()
            for _ in range(3):
                given_up = (failure_of(post(transport, upstream.api_url, deadline_seconds=0.05)) for _ in range(10))
                assert {failed.reason for failed in await asyncio.gather(*given_up)} == {Reason.TIMEOUT}
            assert looks() == 1
            released.set()
            assert await post(transport, upstream.api_url) == 200
            await transport.close()

        asyncio.run(run())


def test_requests_go_on_while_a_mount_hangs(ca_file: Path, hanging: Callable[[], threading.Event]) -> None:
    """What was read of the files before they hung serves on: they are waited for for seconds, not for ever."""
    with Upstream(tls=server_context(OURS, "127.0.0.1")) as upstream:
        upstream.api.always(answer({}))

        async def run() -> None:
            transport = Transport(tls=TLSConfig(ca_file=ca_file))
            hanging()
            assert await post(transport, upstream.api_url, deadline_seconds=30) == 200
            await transport.close()

        asyncio.run(run())


def test_a_mount_that_hangs_fails_renewals_and_nothing_else(
    tmp_path: Path, hanging: Callable[[], threading.Event]
) -> None:
    """Where a certificate proves the client, its files hold up no event loop: the renewal fails and says why."""
    shown = pair(tmp_path, "acme.example", name="client")

    async def renew() -> None:
        tls = TLSConfig(cert_file=shown.cert, key_file=shown.key)
        oauth2 = OAuth2(
            token_url="https://sts.test/token",
            client_id=Secret(inline="acme"),
            auth_style="tls_client_auth",
            tls_config=tls,
        )
        transport = Transport()
        source = TokenSource(oauth2, transport)
        hanging()
        failed = await failure_of(source.force_renewal())
        assert failed.detail == "cannot look at the files of tls_config: no answer within 5 s"
        await transport.close()

    asyncio.run(renew())


def test_not_tls_at_all(ca_file: Path) -> None:
    """A server that speaks plain HTTP on the port of an https:// address is `tls`, not `protocol`."""
    with Upstream() as upstream:
        upstream.on_connect = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        async def post() -> None:
            transport = Transport(tls=TLSConfig(ca_file=ca_file))
            url = f"https://127.0.0.1:{upstream.port}/graphql"
            failed = await failure_of(transport.post(url, headers={}, content=b"", deadline_seconds=10))
            assert failed.reason is Reason.TLS
            await transport.close()

        asyncio.run(post())


@pytest.mark.parametrize(
    ("context", "settings"),
    [
        (lambda: server_context(OURS, "127.0.0.1"), {}),
        (lambda: server_context(OURS, "api.test"), {"server_name": "api.test"}),
        (lambda: server_context(OURS, "api.test"), {"insecure_skip_verify": True}),
        (lambda: server_context(OURS, "127.0.0.1", highest=ssl.TLSVersion.TLSv1_2), {}),
        (lambda: server_context(OURS, "127.0.0.1"), {"min_version": "TLS13"}),
    ],
    ids=["our authority", "server_name", "insecure_skip_verify", "TLS 1.2", "TLS 1.3"],
)
def test_what_the_configuration_allows(
    ca_file: Path, context: Callable[[], ssl.SSLContext], settings: dict[str, Any]
) -> None:
    """Private authorities, another name, no verification and the newer versions, as `tls_config` has them."""
    assert outcome(context(), TLSConfig(ca_file=ca_file, **settings)) == 200


@pytest.mark.parametrize("host", ["localhost", "localhost.", "LOCALHOST."])
def test_an_absolute_name_is_the_name(ca_file: Path, host: str) -> None:
    """A host with a dot at its end, which no search list can change, is proved by the certificate without the dot."""
    assert outcome(server_context(OURS, "localhost"), TLSConfig(ca_file=ca_file), host=host) == 200
    assert isinstance(outcome(server_context(OURS, "api.test"), TLSConfig(ca_file=ca_file), host=host), Failure)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("server_name", ["api.test", "api.test.", None])
def test_a_proxy_is_known_by_its_own_name(ca_file: Path, secure: bool, server_name: str | None) -> None:
    """`server_name` is the API's behind a proxy, too, and never the proxy's own; both are verified."""
    tls = TLSConfig(ca_file=ca_file, server_name=server_name)
    api = server_context(OURS, "127.0.0.1" if server_name is None else "api.test")
    with Proxy(tls=server_context(OURS, "localhost") if secure else None) as proxy:
        url = f"{'https' if secure else 'http'}://localhost:{proxy.port}"
        assert outcome(api, tls, proxy_url=url) == 200
        assert isinstance(outcome(server_context(OURS, "other.test"), tls, proxy_url=url), Failure)
        assert len(proxy.heads) == 2
    with Proxy(tls=server_context(FOREIGN, "localhost")) as stranger:
        failed = outcome(api, tls, proxy_url=f"https://localhost:{stranger.port}")
        assert isinstance(failed, Failure)
        assert failed.reason is Reason.TLS
        assert stranger.heads == []


def test_a_minimum_version_is_held(ca_file: Path) -> None:
    """With `min_version: TLS13` a server that has 1.2 is refused."""
    failed = outcome(
        server_context(OURS, "127.0.0.1", highest=ssl.TLSVersion.TLSv1_2),
        TLSConfig(ca_file=ca_file, min_version="TLS13"),
    )
    assert isinstance(failed, Failure)
    assert failed.reason is Reason.TLS


def test_the_client_shows_its_certificate(ca_file: Path, tmp_path: Path) -> None:
    """With `cert_file` and `key_file`, an API that wants a certificate answers."""
    ours = pair(tmp_path, "client.test")
    tls = TLSConfig(ca_file=ca_file, cert_file=ours.cert, key_file=ours.key)
    assert outcome(server_context(OURS, "127.0.0.1", clients_of=OURS), tls) == 200


def test_a_name_that_hides_behind_another(ca_file: Path) -> None:
    """The certificate is checked against the host of the address, whichever other names it has."""
    failed = outcome(server_context(OURS, "api.test", "127.0.0.2"), TLSConfig(ca_file=ca_file))
    assert isinstance(failed, Failure)
    assert failed.reason is Reason.TLS


def test_rotated_certificates_are_used_without_a_restart(tmp_path: Path) -> None:
    """New authorities and client certificates hold from the next request on, and garbage keeps the old."""
    ca_file = authority_file(tmp_path, FOREIGN)
    files = pair(tmp_path, "client.test", authority=FOREIGN)
    settings = TLSConfig(ca_file=ca_file, cert_file=files.cert, key_file=files.key)
    with Upstream(tls=server_context(OURS, "127.0.0.1", clients_of=OURS)) as upstream:
        upstream.api.always(answer({}))

        async def status(transport: Transport) -> int:
            posted = transport.post(upstream.api_url, headers={}, content=b"{}", deadline_seconds=10)
            return (await posted).status

        async def run() -> None:
            transport = Transport(tls=settings)
            assert (await failure_of(status(transport))).reason is Reason.TLS
            authority_file(tmp_path)
            assert (await failure_of(status(transport))).reason in (Reason.TLS, Reason.RESET)
            pair(tmp_path, "client.test")
            assert await status(transport) == 200
            connected = upstream.connections
            assert await status(transport) == 200
            assert upstream.connections == connected
            pair(tmp_path, "client-2.test")
            assert await status(transport) == 200
            assert upstream.connections == connected + 1
            for garbage in ("garbage", ""):
                files.cert.write_text(garbage)
                assert await status(transport) == 200
            ca_file.unlink()
            assert await status(transport) == 200
            pair(tmp_path, "client.test", authority=FOREIGN)
            authority_file(tmp_path)
            assert (await failure_of(status(transport))).reason in (Reason.TLS, Reason.RESET)
            await transport.close()

        asyncio.run(run())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.strip("_"))
def test_private_authorities(tmp_path: Path, kind: Callable[[], Kind]) -> None:
    """Row 101: what Prometheus takes is taken, such as an intermediate authority or a server's certificate alone; what
    proves nothing is not; and `x509_strict` refuses what RFC 5280 forbids."""
    name = kind.__name__.strip("_")
    trusted, shown = kind()
    files = {"ca.pem": [trusted.pem], "server.pem": [each.pem for each in shown], "key.pem": [shown[0].key_pem]}
    for file, parts in files.items():
        (tmp_path / file).write_bytes(b"".join(parts))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "key.pem")
    for strict in (False, True):
        found = outcome(context, TLSConfig(ca_file=tmp_path / "ca.pem", x509_strict=strict))
        if name in PROVES_NOTHING or (strict and name in REFUSED_STRICTLY):
            assert isinstance(found, Failure), found
            assert found.reason is Reason.TLS
        else:
            assert found == 200


def test_sources_with_equal_settings_share_what_was_read(ca_file: Path) -> None:
    """A thousand sources read the authorities once; other settings, or a file that was replaced, are read anew."""
    first = ssl_context(TLSConfig(ca_file=ca_file))
    assert ssl_context(TLSConfig(ca_file=ca_file)) is first
    assert ssl_context(TLSConfig(ca_file=ca_file, server_name="other.example")) is first
    others = [
        ssl_context(TLSConfig(ca_file=ca_file, insecure_skip_verify=True)),
        ssl_context(TLSConfig(ca_file=ca_file, min_version="TLS13")),
        ssl_context(TLSConfig(ca_file=ca_file, x509_strict=True)),
        ssl_context(TLSConfig()),
    ]
    assert len({id(context) for context in (first, *others)}) == 5
    assert ssl_context(TLSConfig()) is others[-1]
    ca_file.write_bytes(ca_file.read_bytes() + b"\n")
    assert ssl_context(TLSConfig(ca_file=ca_file)) is not first
