"""How a source is reached, and as whom: each key of `oauth2` and of the source, over real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exporter.config.source import Source
from exporter.model.errors import Failure, Reason
from exporter.model.outcome import Operation
from exporter.upstream.upstream import upstream as connected
from tests.support.certificates import FOREIGN, OURS, authority_file, pair
from tests.support.upstream import Proxy, Upstream, answer, server_context
from tests.support.wiring import failure_of

HOSTS = {"api.test": "127.0.0.1", "sts.test": "127.0.0.1"}
BASIC = "Basic YWNtZTpzM2NyM3Q="


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, str]:
    """The `tls_config` that trusts our authority."""
    return {"ca_file": str(authority_file(tmp_path))}


@pytest.fixture
def server() -> Iterator[Upstream]:
    """An API and a token endpoint under two names, which are known to proxies alone."""
    with Upstream(tls=server_context(OURS, "api.test", "sts.test", "127.0.0.1")) as running:
        yield running


def source(server: Upstream, tls: dict[str, str], *, named: bool = False, **more: Any) -> Source:
    """A source with a client's id and secret."""
    api, sts = ("api.test", "sts.test") if named else ("127.0.0.1", "127.0.0.1")
    oauth2 = {
        "token_url": f"https://{sts}:{server.port}{server.token.path}",
        "revocation_url": f"https://{sts}:{server.port}{server.revocation.path}",
        "client_id": "acme",
        "client_secret": "s3cr3t",
        "tls_config": tls,
    } | more.pop("oauth2", {})
    given = {key: value for key, value in oauth2.items() if value is not None}
    url = f"https://{api}:{server.port}{server.api.path}"
    return Source.model_validate({"name": "acme", "url": url, "oauth2": given, "tls_config": tls, **more})


def poll(source: Source, times: int = 1) -> Failure | None:
    """How polls go: each must succeed, or the first fails so. At the end the token is revoked."""

    async def polls() -> Failure | None:
        made = connected(source)
        try:
            for _ in range(times):
                await made.client.execute(Operation("{ value }", {}), deadline_seconds=10)
            assert made.token is not None
            assert await made.token.revoke() is None
        finally:
            await made.close()
        return None

    async def outcome() -> Failure | None:
        return await failure_of(polls()) if source.name == "fails" else await polls()

    return asyncio.run(outcome())


def failing(source: Source) -> Failure:
    failed = poll(source.model_copy(update={"name": "fails"}))
    assert failed is not None
    return failed


def test_a_certificate_proves_the_client(tmp_path: Path, tls: dict[str, str]) -> None:
    """RFC 8705: the token request shows the certificate and names the client, and there is no secret anywhere."""
    shown = pair(tmp_path, "acme.example", name="client")
    mine = {"cert_file": str(shown.cert), "key_file": str(shown.key)}
    with (
        Upstream(tls=server_context(OURS, "127.0.0.1", clients_of=OURS)) as sts,
        Upstream(tls=server_context(OURS, "127.0.0.1")) as api,
    ):
        api.granted = sts.granted
        oauth2 = {
            "token_url": sts.token_url,
            "revocation_url": sts.revocation_url,
            "client_secret": None,
            "auth_style": "tls_client_auth",
            "tls_config": {**tls, **mine},
            "scopes": ["read"],
        }
        assert poll(source(api, tls, oauth2=oauth2)) is None
        for request in (*sts.token.journal, *sts.revocation.journal):
            assert "authorization" not in request.headers
            assert request.form["client_id"] == "acme"
            assert "client_secret" not in request.form
        assert sts.token.journal[0].form == {"grant_type": "client_credentials", "scope": "read", "client_id": "acme"}
        foreign = pair(tmp_path, "acme.example", authority=FOREIGN, name="foreign")
        theirs = {"cert_file": str(foreign.cert), "key_file": str(foreign.key)}
        failed = failing(source(api, tls, oauth2=oauth2 | {"tls_config": {**tls, **theirs}}))
        assert failed.reason is Reason.TOKEN
        assert len(sts.token.journal) == 1


def test_a_new_certificate_ends_the_wait_after_a_refusal(tmp_path: Path, tls: dict[str, str]) -> None:
    """A client whose certificate the endpoint does not know is refused for minutes, but not with its next one."""
    shown = pair(tmp_path, "old.example", name="client")
    mine = {**tls, "cert_file": str(shown.cert), "key_file": str(shown.key)}
    with Upstream(tls=server_context(OURS, "127.0.0.1", clients_of=OURS)) as sts:
        sts.token.once(answer({"error": "invalid_client"}, code=401))
        oauth2 = {"client_secret": None, "auth_style": "tls_client_auth", "tls_config": mine}
        made_of = source(sts, mine, oauth2=oauth2)

        async def polls() -> None:
            made = connected(made_of)
            operation = Operation("{ value }", {})
            for _ in range(2):
                failed = await failure_of(made.client.execute(operation, deadline_seconds=10))
                assert failed.reason is Reason.TOKEN
            assert len(sts.token.journal) == 1
            pair(tmp_path, "new.example", name="client")
            await made.client.execute(operation, deadline_seconds=10)
            await made.close()

        asyncio.run(polls())


def test_headers_go_to_whom_they_are_for(server: Upstream, tls: dict[str, str], tmp_path: Path) -> None:
    """`http_headers` of `oauth2` are sent to the token and the revocation endpoint, those of the source to the API."""
    key = tmp_path / "key"
    key.write_text("rotated-1\n")
    headers = {"X-Api": {"values": ["a", "b"], "secrets": ["c"], "files": [str(key)]}, "X-Plain": "d", "Accept": "x/y"}
    own = {"X-Tenant": {"values": ["acme"]}, "X-Gate": "open"}
    assert poll(source(server, tls, http_headers=headers, oauth2={"http_headers": own})) is None
    (asked,) = server.api.journal
    assert asked.headers["x-api"] == "a, b, c, rotated-1"
    assert asked.headers["x-plain"] == "d"
    assert asked.headers["accept"] == "x/y"
    assert asked.headers["content-type"] == "application/json"
    assert asked.headers.keys().isdisjoint({"x-tenant", "x-gate"})
    for request in (*server.token.journal, *server.revocation.journal):
        assert (request.headers["x-tenant"], request.headers["x-gate"]) == ("acme", "open")
        assert request.headers["authorization"] == BASIC
        assert "x-api" not in request.headers


def test_a_key_in_a_file_rotates(server: Upstream, tls: dict[str, str], tmp_path: Path) -> None:
    """A key that is replaced in its file is sent with the next poll, without a restart; without it nothing is sent."""
    key = tmp_path / "key"
    key.write_text("first")
    made_of = source(server, tls, http_headers={"X-Key": {"files": [str(key)]}})

    async def polls() -> None:
        made = connected(made_of)
        for text in ("first", "second\n"):
            key.write_text(text)
            await made.client.execute(Operation("{ value }", {}), deadline_seconds=10)
        key.unlink()
        failed = await failure_of(made.client.execute(Operation("{ value }", {}), deadline_seconds=10))
        assert str(key) in failed.detail
        await made.close()

    asyncio.run(polls())
    assert [request.headers["x-key"] for request in server.api.journal] == ["first", "second"]


def tunnels(proxy: Proxy) -> list[str]:
    """The hosts that a proxy was asked for."""
    return [head.split(" ")[1].partition(":")[0] for head in proxy.heads]


def test_the_token_endpoint_has_a_proxy_of_its_own(server: Upstream, tls: dict[str, str]) -> None:
    """With proxy keys in `oauth2` each goes its own way; without, the source's proxy is for both."""
    with Proxy(knows=HOSTS) as one, Proxy(knows=HOSTS) as two:
        to = [{"proxy_url": f"http://127.0.0.1:{each.port}"} for each in (one, two)]
        assert poll(source(server, tls, named=True, **to[0])) is None
        assert (sorted(set(tunnels(one))), tunnels(two)) == (["api.test", "sts.test"], [])
        one.heads.clear()
        own = {**to[1], "proxy_connect_header": {"X-Proxy": ["hidden"]}}
        assert poll(source(server, tls, named=True, **to[0], oauth2=own)) is None
        assert (set(tunnels(one)), set(tunnels(two))) == ({"api.test"}, {"sts.test"})
        assert "X-Proxy: hidden" in two.heads[0]
        assert "X-Proxy" not in one.heads[0]
        assert all("x-proxy" not in request.headers for request in (*server.token.journal, *server.api.journal))


def test_a_proxy_with_a_certificate_of_the_same_authority(server: Upstream, tls: dict[str, str]) -> None:
    """An https proxy is verified with the `ca_file` of the `tls_config` beside it, and a stranger hears nothing."""
    with Proxy(knows=HOSTS, tls=server_context(OURS, "127.0.0.1")) as proxy:
        assert poll(source(server, tls, named=True, proxy_url=f"https://127.0.0.1:{proxy.port}")) is None
        assert set(tunnels(proxy)) == {"api.test", "sts.test"}
    with Proxy(knows=HOSTS, tls=server_context(FOREIGN, "127.0.0.1")) as stranger:
        own = {"proxy_url": f"https://127.0.0.1:{stranger.port}"}
        assert failing(source(server, tls, oauth2=own)).reason is Reason.TOKEN
        assert stranger.heads == []


def test_hosts_without_a_proxy(server: Upstream, tls: dict[str, str]) -> None:
    """`no_proxy` takes some hosts out: the token endpoint is reached directly, the API through the proxy."""
    with Proxy(knows=HOSTS) as proxy:
        own = {"token_url": server.token_url, "revocation_url": server.revocation_url}
        through = {"proxy_url": f"http://127.0.0.1:{proxy.port}", "no_proxy": "10.0.0.0/8,sts.test"}
        assert poll(source(server, tls, named=True, **through, oauth2=own)) is None
        assert set(tunnels(proxy)) == {"api.test"}


def test_the_environment_names_the_proxy(
    server: Upstream, tls: dict[str, str], names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`proxy_from_environment` takes HTTPS_PROXY with its user, and NO_PROXY; without the key nobody looks there."""
    names["api.test"] = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with Proxy(knows=HOSTS) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://alice:s3cr3t@127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "internal")
        assert poll(source(server, tls, named=True, proxy_from_environment=True)) is None
        assert set(tunnels(proxy)) == {"api.test", "sts.test"}
        assert "Proxy-Authorization: Basic YWxpY2U6czNjcjN0" in proxy.heads[0]
        proxy.heads.clear()
        assert poll(source(server, tls)) is None
        monkeypatch.setenv("NO_PROXY", "api.test")
        assert failing(source(server, tls, named=True, proxy_from_environment=True)).reason is Reason.DNS
        assert set(tunnels(proxy)) == {"sts.test"}


def test_an_answer_is_needed_for_all_of_this(server: Upstream, tls: dict[str, str]) -> None:
    """The helper of this file notices a poll that fails."""
    server.api.always(answer({"errors": [{"message": "no"}]}))
    assert failing(source(server, tls)).reason is Reason.GRAPHQL
