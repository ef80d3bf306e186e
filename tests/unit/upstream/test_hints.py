"""What is likely the matter when an account does not answer."""

from __future__ import annotations

import pytest

from exporter.config.source import Source
from exporter.model.errors import Failure, Reason, TokenFailure, UpstreamFailure
from exporter.upstream.hints import likely_causes

CHOREO = Source.model_validate({"name": "choreo", "url": "https://api.example/", "schema": "choreo"})
OTHER = Source.model_validate({"name": "other", "url": "https://api.example/"})


def beginnings(failure: Failure, source: Source = CHOREO) -> list[str]:
    """How each likely cause begins."""
    return [cause[:30] for cause in likely_causes(failure, source)]


@pytest.mark.parametrize("reason", [Reason.DNS, Reason.CONNECT, Reason.TLS, Reason.TIMEOUT, Reason.RESET])
@pytest.mark.parametrize("kind", [UpstreamFailure, TokenFailure])
@pytest.mark.parametrize("source", [CHOREO, OTHER])
def test_what_is_not_reached_is_the_network(reason: Reason, kind: type[Failure], source: Source) -> None:
    """With every API, and its token endpoint, it is the name, the firewall or a proxy."""
    (cause,) = likely_causes(kind(reason, ""), source)
    assert cause.startswith("this machine cannot reach it: ")


@pytest.mark.parametrize(
    ("reason", "detail", "cause"),
    [
        (Reason.CONNECT, "the proxy refused the connection (407)", "the proxy wants a user and a password"),
        (Reason.CONNECT, "the proxy refused the connection (403)", "this machine cannot reach it"),
        (Reason.TLS, "certificate verify failed: unable to get local issuer certificate", "ca_file"),
        (Reason.TLS, "certificate verify failed: self-signed certificate in certificate chain", "ca_file"),
        (Reason.TLS, "certificate verify failed: self-signed certificate", "ca_file"),
        (Reason.TLS, "certificate verify failed: certificate has expired", "clock"),
        (Reason.TLS, "certificate verify failed: certificate is not yet valid", "clock"),
        (Reason.TLS, "Hostname mismatch, certificate is not valid for 'b.example'.", "another name"),
        (Reason.TLS, "IP address mismatch, certificate is not valid for '127.0.0.1'.", "another name"),
    ],
)
@pytest.mark.parametrize("kind", [UpstreamFailure, TokenFailure])
def test_a_proxy_and_a_certificate_have_their_own_remedy(
    kind: type[Failure], reason: Reason, detail: str, cause: str
) -> None:
    """Behind a company's proxy the hint names the key that is missing."""
    (found,) = likely_causes(kind(reason, detail), OTHER)
    assert cause in found


@pytest.mark.parametrize(
    ("failure", "causes"),
    [
        (TokenFailure(Reason.INVALID_CLIENT, ""), ["the consumer key or the secret"]),
        (TokenFailure(Reason.OAUTH_ERROR, ""), ["the organization's handle is w", "the scope is refused, because "]),
        (TokenFailure(Reason.HTTP_4XX, ""), ["the URL is not the token endpo", "the organization's handle is w"]),
        (TokenFailure(Reason.HTTP_5XX, ""), []),
        (UpstreamFailure(Reason.FORBIDDEN, ""), ["the application is not subscri", "you are not a member of the Ch"]),
        (
            UpstreamFailure(Reason.UNAUTHORIZED, ""),
            ["the application is not subscri", "the access token is for anothe"],
        ),
        (UpstreamFailure(Reason.GRAPHQL, ""), ["the organization's UUID is wro", "the organization's handle is w"]),
        (UpstreamFailure(Reason.JSON, ""), ["the URL is not the Insights AP"]),
        (UpstreamFailure(Reason.REDIRECT, ""), ["the URL is not the Insights AP"]),
        (UpstreamFailure(Reason.HTTP_5XX, ""), []),
        (UpstreamFailure(Reason.HTTP_429, ""), []),
    ],
)
def test_each_refusal_leads_to_the_step_that_is_missing(failure: Failure, causes: list[str]) -> None:
    """On Choreo, the likeliest first; nothing for what only time or the service can mend. Of another API nothing is
    known."""
    assert [cause[:30] for cause in beginnings(failure)] == causes
    assert beginnings(failure, OTHER) == []
