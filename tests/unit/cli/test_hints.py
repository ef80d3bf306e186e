"""What is likely wrong where a command's requests were refused."""

from __future__ import annotations

from exporter.cli.hints import causes_of_polls
from exporter.config.source import Source
from exporter.model.errors import Reason, UpstreamFailure
from exporter.model.outcome import Response
from exporter.upstream.hints import likely_causes
from tests.support.clients import asked, course_of
from tests.support.plans import planned

CHOREO = Source.model_validate({"name": "choreo", "url": "https://api.example/", "schema": "choreo"})
PLAN = planned('- {name: q, document: "{ n }", metrics: [{name: n, help: N., value: n}]}')


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
