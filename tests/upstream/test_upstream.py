"""What talks to a source across reloads: it stays exactly as long as the way to the source is the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from exporter.config.braces import TARGET_KEYS
from exporter.config.source import Source
from exporter.model.outcome import Operation
from exporter.upstream.upstream import Upstream as Connected
from exporter.upstream.upstream import upstreams
from tests.support.upstream import Call, Upstream, answer

SOURCE: dict[str, Any] = {
    "name": "api",
    "url": "https://api.test/graphql",
    "oauth2": {"token_url": "https://sts.test/token", "client_id": "id", "client_secret": "before"},
    "proxy_url": "http://proxy.test:3128",
}
ACCESS: dict[str, dict[str, Any]] = {
    "params": {"params": {"version": "2"}},
    "url": {"url": "https://api.test/other"},
    "oauth2": {"oauth2": SOURCE["oauth2"] | {"client_secret": "after"}},
    "invalid_token_codes": {"invalid_token_codes": ["E_TOKEN"]},
    "authorization": {"oauth2": None, "authorization": {"credentials": "secret"}},
    "basic_auth": {"oauth2": None, "basic_auth": {"username": "alice", "password": "secret"}},
    "http_headers": {"http_headers": {"X-Key": "secret"}},
    "tls_config": {"tls_config": {"server_name": "other.test"}},
    "proxy_url": {"proxy_url": "http://other.test:3128"},
    "no_proxy": {"no_proxy": "internal"},
    "proxy_from_environment": {"proxy_url": None, "proxy_from_environment": True},
    "proxy_connect_header": {"proxy_connect_header": {"X-Key": ["secret"]}},
    "concurrency": {"concurrency": 3},
    "max_body_size": {"max_body_size": "1MiB"},
}
REST: dict[str, dict[str, Any]] = {
    "schema": {"schema": "choreo"},
    "labels": {"labels": {"region": "eu"}},
    "values": {"values": {"organization": "acme"}},
    "secret_values": {"secret_values": {"key": {"env": "KEY"}}},
    "rate_limit": {"rate_limit": {"requests": 5, "per": "1m"}},
    "timezone": {"timezone": "Asia/Colombo"},
}


def source(**changed: Any) -> Source:
    return Source.model_validate({**SOURCE, **changed})


@pytest.mark.parametrize("key", ACCESS)
def test_another_way_to_the_api_holds_from_the_reload_on(key: str) -> None:
    """Whichever key says how an API is reached or as whom: a reload that changes it brings new connections."""
    before = upstreams([source()], {})
    assert upstreams([source(**ACCESS[key])], before)["api"] is not before["api"]


@pytest.mark.parametrize("key", REST)
def test_other_changes_keep_token_and_connections(key: str) -> None:
    """A reload that changes nothing about the way to the API keeps its token and its connections."""
    before = upstreams([source()], {})
    assert upstreams([source(**REST[key])], before)["api"] is before["api"]


def test_no_key_of_a_source_is_forgotten() -> None:
    """Each key of a source is known either to change the way to the API, or not to. Those with many targets are gone
    when a source is made of each."""
    keys = {field.alias or name for name, field in Source.model_fields.items()}
    assert keys == {"name", *TARGET_KEYS} | ACCESS.keys() | REST.keys()


TOKENS: dict[str, tuple[dict[str, Any], bool]] = {
    "the same oauth2": ({}, True),
    "another API": ({"url": "https://other.test/graphql", "concurrency": 3}, True),
    "another client": ({"oauth2": SOURCE["oauth2"] | {"client_id": "other"}}, False),
    "other scopes": ({"oauth2": SOURCE["oauth2"] | {"scopes": ["more"]}}, False),
    "another way to the endpoint": ({"proxy_url": "http://other.test:3128"}, False),
}


@pytest.mark.parametrize(("changed", "shared"), TOKENS.values(), ids=TOKENS.keys())
def test_who_gets_a_token_equally_shares_it(changed: dict[str, Any], shared: bool) -> None:
    """Row 105: sources with one client have one token, however their APIs differ; also if one comes with a reload."""
    one, other = source(), source(**changed, name="other")
    for before in ({}, upstreams([one], {})):
        found = upstreams([one, other], before)
        assert (found["api"].token is found["other"].token) is shared
        if shared and found["api"].token is not None:
            assert found["api"].token.sources == ("api", "other")


def test_a_token_outlives_a_change_of_the_api_alone() -> None:
    """A reload that leaves `oauth2` as it is asks for no other token."""
    before = upstreams([source()], {})
    after = upstreams([source(**ACCESS["url"])], before)
    assert after["api"].token is before["api"].token


@pytest.mark.parametrize("comes", ["with it", "with a reload"])
def test_a_shared_token_is_taken_out_of_the_answers_to_each(comes: str) -> None:
    """An API that says the token back in a big answer, in which only a source's own credentials are looked for, says
    it to none of the sources that share it: not to the second, nor to one that kept it over a reload."""

    async def echo(call: Call) -> None:
        await answer({"data": {"value": "x" * 70_000 + call.request.bearer}})(call)

    async def value(of: Connected) -> str:
        found = await of.client.execute(Operation("{ value }", {}), deadline_seconds=10)
        assert found.data is not None
        return str(found.data["value"])

    async def values(server: Upstream) -> list[str]:
        oauth2 = SOURCE["oauth2"] | {"token_url": server.token_url}
        one = source(url=server.api_url, oauth2=oauth2, proxy_url=None)
        other = one.model_copy(update={"name": "other"})
        found = upstreams([one, other] if comes == "with it" else [one], {})
        made = list(found.values())
        if comes == "with a reload":
            await value(made[0])
            changed = source(url=server.api_url, oauth2=oauth2, proxy_url=None, concurrency=3)
            made.append(upstreams([changed], found)["api"])
        said = [await value(each) for each in made]
        for each in made:
            await each.close()
        return said

    with Upstream(token_prefix="a-token-of-the-test-") as server:
        server.api.always(echo)
        said = asyncio.run(values(server))
        assert len(server.token.journal) == 1
    assert [text[70_000:] for text in said] == ["<secret>"] * 2


def test_the_way_to_the_token_stays_open_for_who_shares_it() -> None:
    """A source that goes closes its own connections, not those to a token endpoint that another source uses."""

    async def leave() -> tuple[bool, bool]:
        found = upstreams([source(), source(name="other")], {})
        await found["api"].close(frozenset(found["other"].transports))
        to_api, to_tokens = found["api"].transports
        return to_api.is_closed, to_tokens.is_closed

    assert asyncio.run(leave()) == (True, False)
