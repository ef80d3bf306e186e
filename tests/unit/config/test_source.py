"""The rules of a source: one way to authenticate, and no secret in clear text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import asdict
from pydantic import ValidationError

from exporter.config.source import Access, Source
from exporter.model.secret import Secret

GOOD: dict[str, Any] = {"name": "acme", "url": "https://api.example/graphql"}
OAUTH2: dict[str, Any] = {"token_url": "https://sts.example/token", "client_id": "id", "client_secret": "s3cret"}
BEARER = {"credentials": "s3cret"}
BASIC = {"username": "alice", "password": "s3cret"}
CLEAR = "http://api.example/graphql"
IN_CLEAR_TEXT = "url would send credentials in clear text; use https:// (http:// only on loopback)"
ONE_WAY = "has more than one of oauth2, authorization and basic_auth; keep one"


def source(**keys: Any) -> Source:
    return Source.model_validate({**GOOD, **keys}, context={"folder": Path("/etc/exporter")})


def place_and_reason(**keys: Any) -> tuple[str, str]:
    """Where a source is refused, and what is said of it; never with its secret."""
    with pytest.raises(ValidationError) as refused:
        source(**keys)
    (details,) = refused.value.errors()
    said = str(details.get("ctx", {}).get("error", details["type"]))
    assert "s3cret" not in said
    return ".".join(map(str, details["loc"])), said


def test_what_is_not_written_has_its_default() -> None:
    """Two keys are enough for an API that anybody may ask."""
    made = source()
    assert (made.schema_, made.labels, made.values, made.secret_values) == (None, {}, {}, {})
    assert (made.oauth2, made.authorization, made.basic_auth, made.http_headers) == (None, None, None, {})
    assert (made.proxy_url, made.proxy_connect_header, made.rate_limit) == (None, {}, None)
    assert (made.concurrency, made.max_body_size) == (10, 8 * 2**20)
    assert (made.tls_config.min_version, made.tls_config.insecure_skip_verify) == ("TLS12", False)


@pytest.mark.parametrize(
    ("keys", "place", "said"),
    [
        ({"oauth2": OAUTH2, "authorization": BEARER}, "", ONE_WAY),
        ({"oauth2": OAUTH2, "basic_auth": BASIC}, "", ONE_WAY),
        ({"authorization": BEARER, "basic_auth": BASIC}, "", ONE_WAY),
        *(
            ({"url": CLEAR, **way}, "", IN_CLEAR_TEXT)
            for way in (
                {"authorization": BEARER},
                {"basic_auth": BASIC},
                {"oauth2": OAUTH2},
                {"http_headers": {"X-Key": "s3cret"}},
                {"secret_values": {"key": {"env": "KEY"}}},
            )
        ),
        (
            {"authorization": BEARER, "http_headers": {"AUTHORIZATION": "s3cret"}},
            "",
            "http_headers sets Authorization as well as another way to authenticate; keep one",
        ),
        (
            {"proxy_connect_header": {"X": ["s3cret"]}},
            "",
            "has proxy_connect_header but no proxy_url; add it",
        ),
        (
            {"values": {"a": 1}, "secret_values": {"a": {"env": "A"}}},
            "",
            "a is in both values and secret_values; keep one",
        ),
        (
            {"authorization": {}},
            "authorization",
            "needs exactly one of credentials and credentials_file; write one of the two",
        ),
        (
            {"authorization": {**BEARER, "credentials_file": "a"}},
            "authorization",
            "needs exactly one of credentials and credentials_file; write one of the two",
        ),
        (
            {"basic_auth": {"username": "a"}},
            "basic_auth",
            "needs exactly one of password and password_file; write one of the two",
        ),
        (
            {"basic_auth": {**BASIC, "password_file": "a"}},
            "basic_auth",
            "needs exactly one of password and password_file; write one of the two",
        ),
        (
            {"oauth2": {**OAUTH2, "client_id_file": "a"}},
            "oauth2",
            "needs exactly one of client_id and client_id_file; write one of the two",
        ),
        (
            {"oauth2": {"token_url": OAUTH2["token_url"], "client_id": "id"}},
            "oauth2",
            "needs exactly one of client_secret and client_secret_file; write one of the two",
        ),
        (
            {"oauth2": {**OAUTH2, "revoke_on_exit": True}},
            "oauth2",
            "revoke_on_exit needs revocation_url; add it",
        ),
        *(
            (
                {"oauth2": {**OAUTH2, url: "http://sts.example/x"}},
                "oauth2",
                f"{url} would send the client secret in clear text; use https:// (http:// only on loopback)",
            )
            for url in ("token_url", "revocation_url")
        ),
        ({"tls_config": {"cert_file": "a"}}, "tls_config", "cert_file and key_file go together; write both or neither"),
        ({"tls_config": {"key_file": "a"}}, "tls_config", "cert_file and key_file go together; write both or neither"),
        ({"tls_config": {"min_version": "TLS11"}}, "tls_config.min_version", "literal_error"),
        ({"concurrency": 1001}, "concurrency", "less_than_equal"),
        ({"rate_limit": {"requests": 0, "per": "1m"}}, "rate_limit.requests", "greater_than_equal"),
        (
            {"rate_limit": {"requests": 1, "per": "0s"}},
            "rate_limit.per",
            "must be longer than 0; write a time such as 30s",
        ),
        ({"proxy_url": "http://p", "proxy_connect_header": {"X": []}}, "proxy_connect_header.X", "too_short"),
        (
            {"proxy_url": "http://alice:s3cret@proxy.example"},
            "proxy_url",
            "a URL must not carry a user or a password; write proxy_connect_header: {Proxy-Authorization:"
            ' ["Basic ${PROXY_CREDENTIALS}"]}',
        ),
    ],
)
def test_what_does_not_go_together_is_refused(keys: dict[str, Any], place: str, said: str) -> None:
    """Each fault at its key, with what would be right."""
    assert place_and_reason(**keys) == (place, said)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_on_loopback_nothing_has_to_be_encrypted(host: str) -> None:
    """What does not leave the machine may be plain."""
    url = f"http://{host}:8080/x"
    oauth2 = {**OAUTH2, "token_url": url, "revocation_url": url, "revoke_on_exit": True}
    assert source(url=url, oauth2=oauth2).url == url


def test_without_credentials_http_is_allowed() -> None:
    """There is nothing to protect."""
    assert source(url=CLEAR, values={"a": 1}).url == CLEAR
    assert source(http_headers={"Authorization": "s3cret"}).http_headers == {"Authorization": Secret(inline="s3cret")}


def test_a_schema_is_a_shipped_one_or_a_file() -> None:
    """A file stands beside the configuration."""
    assert source(schema="choreo").schema_ == "choreo"
    assert source(schema="api.graphql").schema_ == "/etc/exporter/api.graphql"
    assert source(schema=["a.graphql", "b/*.graphql"]).schema_ == (
        "/etc/exporter/a.graphql", "/etc/exporter/b/*.graphql"
    )  # fmt: skip


def test_access_has_each_key_as_it_is() -> None:
    """Two sources that are reached in the same way have the same access."""
    made = source(oauth2=OAUTH2, proxy_url="http://proxy.example", concurrency=3)
    assert asdict(made.access) == {name: getattr(made, name) for name in Access.__struct_fields__}
    assert made.access == source(oauth2=OAUTH2, proxy_url="http://proxy.example", concurrency=3, name="b").access
    assert made.access != source(oauth2=OAUTH2, proxy_url="http://proxy.example", concurrency=4).access


LOCAL = "http://localhost:8080/x"
PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        ("url", {"url": LOCAL, "authorization": BEARER, "proxy_url": PROXY}),
        ("url", {"url": LOCAL, "params": {"key": {"secret": "s3cret"}}, "proxy_url": "https://proxy.example"}),
        ("url", {"url": LOCAL, "oauth2": {**OAUTH2, "no_proxy": "x", "proxy_url": PROXY}, "proxy_url": PROXY}),
        ("token_url", {"oauth2": {**OAUTH2, "token_url": LOCAL}, "proxy_url": PROXY}),
        ("token_url", {"oauth2": {**OAUTH2, "token_url": LOCAL, "proxy_url": PROXY}}),
        ("revocation_url", {"oauth2": {**OAUTH2, "revocation_url": LOCAL}, "proxy_url": PROXY}),
    ],
)
def test_no_proxy_gets_credentials_for_loopback(key: str, keys: dict[str, Any]) -> None:
    """A proxy without exceptions gets what is sent to this machine, too, and without TLS it reads it."""
    wrong = f"{key} would send credentials in clear text to the proxy; add no_proxy: localhost beside proxy_url"
    assert place_and_reason(**keys) == ("", wrong)


@pytest.mark.parametrize(
    "keys",
    [
        {"url": LOCAL, "proxy_url": PROXY},
        {"url": LOCAL, "authorization": BEARER, "proxy_url": PROXY, "no_proxy": "localhost"},
        {"url": LOCAL, "authorization": BEARER, "proxy_url": "http://127.0.0.1:3128"},
        {"url": LOCAL, "authorization": BEARER, "proxy_from_environment": True},
        {"oauth2": {**OAUTH2, "token_url": LOCAL, "proxy_url": PROXY, "no_proxy": "localhost"}, "proxy_url": PROXY},
        {"authorization": BEARER, "proxy_url": PROXY},
    ],
)
def test_credentials_for_loopback_need_no_more_than_that(keys: dict[str, Any]) -> None:
    """Nothing else is refused: without credentials, with an exception, on loopback, with TLS."""
    assert source(**keys)
