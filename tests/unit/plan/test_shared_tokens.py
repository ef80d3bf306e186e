"""Sources that ask for one token."""

from __future__ import annotations

from typing import Final

from tests.support.plans import planned

QUERY: Final = '- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}'


def warnings(*oauth2: str) -> list[str]:
    """What is said of sources whose `oauth2` has these keys besides those that all have."""
    alike = "token_url: https://login.example/token, client_id: acme"
    sources = "".join(
        f'\n  - {{name: s{at}, url: "https://api.example/", labels: {{of: s{at}}}, oauth2: {{{alike}, {more}}}}}'
        for at, more in enumerate(oauth2)
    )
    return [problem.wrong for problem in planned(QUERY, f"sources:{sources}\n").warnings]


def test_sources_that_share_their_token_are_well() -> None:
    """The same settings share one; other scopes, parameters or headers are another token."""
    secret = "client_secret: x"
    assert not warnings(secret, secret)
    others = ("scopes: [a]", "endpoint_params: {org: a}", "endpoint_params: {org: b}", "http_headers: {X: a}")
    assert not warnings(secret, *(f"{secret}, timeout: 3s, {other}" for other in others))


def test_sources_that_cannot_share_their_token_are_told_of_each_other() -> None:
    """The first of them is named, and each key that differs."""
    secret = "client_secret: x"
    said = warnings(secret, f"{secret}, timeout: 3s", secret, "client_secret: y, auth_style: params")
    assert said == [
        "asks for the same token as s0 with another timeout, so they cannot share it",
        "asks for the same token as s0 with another client_secret, auth_style, so they cannot share it",
    ]
