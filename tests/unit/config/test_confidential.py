"""Which texts are confidential by where they come from."""

from __future__ import annotations

from typing import Any

import pytest

from exporter.config.confidential import confidential_texts, is_confidential, is_url, public_url, shown_url
from exporter.model.secret import FromEnvironment


def given(value: str, text: str = "{}") -> FromEnvironment:
    """A text into which a variable was put."""
    return FromEnvironment(text.format(value), (value,), text.format("<secret>"))


def found(**source: Any) -> list[str]:
    """The confidential texts of a source with these keys."""
    return list(confidential_texts({"sources": [source]}))


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        (("sources", 0, "oauth2", "client_secret"), True),
        (("sources", 0, "oauth2", "endpoint_params", "x"), True),
        (("sources", 0, "http_headers", "X", "values", 0), True),
        (("sources", 0, "params", "key"), True),
        (("sources", 0, "params", "file"), True),
        (("sources", 0, "oauth2", "endpoint_params", "type"), True),
        (("sources", 0, "oauth2", "endpoint_params", "key_file"), True),
        (("sources", 0, "oauth2", "http_headers", "name", "values", 0), True),
        (("sources", 0, "secret_values", "timeout"), True),
        (("sources", 0, "url"), True),
        (("queries", 3, "variables", "key"), True),
        (("sources", 0, "labels", "x"), False),
        (("sources", 0, "name"), False),
        (("sources", 0, "oauth2", "scopes", 0), False),
        (("sources", 0, "oauth2", "client_secret_file"), False),
        (("sources", 0, "oauth2", "tls_config", "ca_file"), False),
        (("sources", 0, "params", "key", "file"), False),
        (("sources", 0, "secret_values", "key", "env"), False),
        (("sources", 0, "oauth2", "client_secret", "file"), False),
        (("sources", 0, "authorization", "type"), False),
        (("queries", 0, "labels", "x"), False),
        (("include", 0), False),
        ((), False),
    ],
)
def test_a_place_is_confidential_where_credentials_stand(path: tuple[str | int, ...], hidden: bool) -> None:
    """What is sent to a server is hidden; what names, labels and tunes is not."""
    assert is_confidential(path) is hidden


@pytest.mark.parametrize("key", ["url", "token_url", "revocation_url", "proxy_url"])
def test_urls_of_sources_are_known(key: str) -> None:
    """A URL shows its host and path."""
    assert is_url(("sources", 0, "oauth2", key))
    assert not is_url(("queries", 0, key))
    assert not is_url(("sources", 0, key, "x"))


def test_variables_are_found_at_places_of_credentials() -> None:
    """A text that nobody took from the environment is not searched for."""
    assert found(oauth2={"client_secret": given("hush-1"), "client_id": "plain"}, params={"k": given("hush-2")}) == [
        "hush-1",
        "hush-2",
    ]


def test_numbers_and_lists_of_variables_are_found() -> None:
    """What a variable without quotes gave is searched for as text; not what may be any figure, or is public."""
    pin = ("queries", 0, "variables", "pin")
    given_typed: dict[int | float | None, list[str]] = {
        90210442: ["90210442"],
        1000: [],
        True: [],
        None: [],
        12345678.5: ["12345678.5"],
    }
    for value, texts in given_typed.items():
        assert list(confidential_texts({}, {pin: value})) == texts
    assert list(confidential_texts({}, {pin: ["token-a", 90210442, 1]})) == ["token-a", "90210442"]
    assert not list(confidential_texts({}, {("queries", 0, "for_each", "n"): ["token-a"]}))
    assert not list(confidential_texts({}, {pin: 90210442, ("sources", 0, "values", "org"): 90210442}))


def test_what_labels_and_values_show_is_public() -> None:
    """An organization's name in a label is no secret, though it is a parameter of the token endpoint, too."""
    assert not found(labels={"organization": given("acme")}, oauth2={"endpoint_params": {"orgHandle": given("acme")}})
    assert not found(values={"org": "acme"}, oauth2={"endpoint_params": {"org": given("acme")}})


@pytest.mark.parametrize(
    ("text", "value", "hidden"),
    [
        ("https://{}/graphql", "api.example", []),
        ("https://a/{}/graphql", "hush-path", ["hush-path"]),
        ("https://a/?key={}", "hush-query", ["hush-query"]),
        ("{}", "https://a/graphql?key=hush-inner&b=hush-other", ["hush-inner", "hush-other"]),
        ("https://[{}", "hush", []),
    ],
)
def test_of_a_url_the_path_and_the_query_are_hidden(text: str, value: str, hidden: list[str]) -> None:
    """A host is no secret, and a URL that is none is refused elsewhere."""
    assert found(url=given(value, text)) == hidden


def test_a_parameter_whose_name_says_so_is_a_credential() -> None:
    """However it came into the URL; others are not searched for, unless they are from a variable."""
    assert found(url="https://a/?api_key=hush-1&version=v1&access_token=hush%2F2#key=x") == ["hush-1", "hush/2"]
    assert found(oauth2={"token_url": "https://a/?client_secret=hush-3"}) == ["hush-3"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (given("hush", "https://a/{}/b"), "https://a/<secret>/b"),
        (given("a.example", "https://{}:1/b"), "https://a.example:1/b"),
        (given("https://a/b", "{}/c?d=e"), "https://a/b/c?d=<secret>"),
        ("https://a/b?d=e", "https://a/b?d=<secret>"),
    ],
)
def test_a_message_shows_no_variable_of_a_path(url: str, shown: str) -> None:
    """The host stays, as it helps to find the API."""
    assert public_url(url) == shown


def test_a_value_that_a_url_writes_encoded_is_hidden() -> None:
    """A variable may be percent-encoded when it is put into a URL."""
    assert found(url=FromEnvironment("https://a/?k=hush%2F1", ("hush/1",), "https://a/?k=<secret>")) == ["hush/1"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a/b", "https://a/b"),
        ("https://a/b#token", "https://a/b"),
        ("https://a/b?key=hush", "https://a/b?key=<secret>"),
        ("https://a/b?key=hush&x=&flag", "https://a/b?key=<secret>&x=<secret>&<secret>"),
        ("https://a/b?", "https://a/b?"),
    ],
)
def test_people_see_a_url_without_the_values_of_its_query(url: str, shown: str) -> None:
    """Names of parameters stay, as they help to find a mistake."""
    assert shown_url(url) == shown
