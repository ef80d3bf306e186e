"""An API without a wire, for tests of what asks it: a function of the operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exporter.cli.ad_hoc import Asked, Exchange
from exporter.model.clock import Clock
from exporter.model.errors import Failure
from exporter.model.outcome import GraphQLError, Operation, PollOutcome, Response
from exporter.plan.plan import Plan, Target
from exporter.polling.course import Course


class Answering:
    """A client whose answers a function gives: data, a whole response, or a failure. `sent` are the operations."""

    def __init__(self, answer: Callable[[Operation], Mapping[str, Any] | Response | Failure]) -> None:
        self.sent: list[Operation] = []
        self._answer = answer

    async def execute(self, operation: Operation, *, deadline_seconds: float) -> Response:
        self.sent.append(operation)
        found = self._answer(operation)
        if isinstance(found, Failure):
            raise found
        return found if isinstance(found, Response) else Response(dict(found))


def clock_at(now: float) -> Clock:
    """A clock whose wall time stands still."""
    return Clock(wall=lambda: now)


def course_of(plan: Plan, name: str) -> Course:
    """A query of a plan, on its first source."""
    query = next(query for query in plan.queries if query.name == name)
    return Course(query, query.sources[0])


def asked(
    course: Course, answer: Response | Failure, target: Target | None = None, variables: Mapping[str, Any] | None = None
) -> Asked:
    """A poll of one request that was answered so."""
    sent = Operation(course.query.document.text, variables or {})
    reason = answer.reason if isinstance(answer, Failure) else None
    return Asked(course, target or Target({}), (Exchange(sent, answer, 0.1),), PollOutcome(0.1, reason=reason))


def with_errors(*messages: str, **data: Any) -> Response:
    """A response with errors beside its data."""
    return Response(data or None, tuple(GraphQLError(message) for message in messages))
