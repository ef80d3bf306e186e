"""What is likely the matter when an account does not answer."""

from __future__ import annotations

import pytest

from exporter.cli.hints import causes_of_polls, likely_causes
from exporter.config.source import Source
from exporter.model.errors import Failure, Reason, TokenFailure, UpstreamFailure
from exporter.model.outcome import Response
from tests.support.clients import asked, course_of
from tests.support.plans import planned

CHOREO = Source.model_validate({"name": "choreo", "url": "https://api.example/", "schema": "choreo"})
OTHER = Source.model_validate({"name": "other", "url": "https://api.example/"})
PLAN = planned('- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}')


def beginnings(failure: Failure, source: Source = CHOREO) -> list[str]:
    """How each likely cause begins."""
    return [cause[:30] for cause in likely_causes(failure, source)]


@pytest.mark.parametrize("reason", [Reason.DNS, Reason.CONNECT, Reason.TLS, Reason.TIMEOUT, Reason.RESET])
@pytest.mark.parametrize("kind", [UpstreamFailure, TokenFailure])
@pytest.mark.parametrize("source", [CHOREO, OTHER])
def test_what_is_not_reached_is_the_network(reason: Reason, kind: type[Failure], source: Source) -> None:
    """With every API, and its token endpoint, it is the name, the firewall or a proxy."""
    (cause,) = likely_causes(kind(reason, ""), source)
    assert cause.startswith("this machine does not reach it: ")


@pytest.mark.parametrize(
    ("failure", "causes"),
    [
        (TokenFailure(Reason.INVALID_CLIENT, ""), ["the consumer key or the secret"]),
        (TokenFailure(Reason.OAUTH_ERROR, ""), ["the organization's handle is w", "the scope is refused, because "]),
        (TokenFailure(Reason.HTTP_4XX, ""), ["the URL is not the token endpo", "the organization's handle is w"]),
        (TokenFailure(Reason.HTTP_5XX, ""), []),
        (UpstreamFailure(Reason.FORBIDDEN, ""), ["the application is not subscri", "you are no member of the Chore"]),
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


def test_of_many_polls_the_first_refusal_that_has_a_cause_counts() -> None:
    """A document that is refused may have any fault, and an answer has none."""
    course = course_of(PLAN, "q")
    graphql = asked(course, UpstreamFailure(Reason.GRAPHQL, ""))
    busy = asked(course, UpstreamFailure(Reason.HTTP_5XX, ""))
    forbidden = asked(course, UpstreamFailure(Reason.FORBIDDEN, ""))
    unreached = asked(course, UpstreamFailure(Reason.DNS, ""))
    good = asked(course, Response({"n": 1}))
    assert causes_of_polls((good, graphql, busy, forbidden, unreached), CHOREO) == likely_causes(
        UpstreamFailure(Reason.FORBIDDEN, ""), CHOREO
    )
    assert causes_of_polls((good, graphql, busy), CHOREO) == ()
    assert causes_of_polls((), CHOREO) == ()
