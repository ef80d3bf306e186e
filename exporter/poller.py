"""One poll: operation, response, result. It never raises."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from exporter.client import GraphQLClient
from exporter.config.schema import Source
from exporter.errors import Failure, Reason, UpstreamFailure
from exporter.extraction import extract
from exporter.model import PollOutcome, Response
from exporter.plan import QueryPlan, Target
from exporter.query import label_values, moment_at, operation


async def poll(
    query: QueryPlan,
    source: Source,
    target: Target,
    client: GraphQLClient,
    *,
    published_end_time: float | None,
    wall: Callable[[], float] = time.time,
    monotonic: Callable[[], float] = time.monotonic,
) -> PollOutcome:
    """What came of one poll, within the query's time-out. Only cancellation passes through."""
    started_at = monotonic()
    response: Response | None = None
    try:
        moment = moment_at(query, datetime.fromtimestamp(wall(), UTC), published_end_time)
        sent = operation(query, source, target, moment)
        response = await client.execute(sent, deadline_seconds=query.timeout_seconds)
        if response.errors and not query.publishes_partial:
            raise UpstreamFailure(Reason.GRAPHQL, _first_error(response))
        result = extract(query, response, label_values(source, target), moment)
    except Failure as failure:
        return PollOutcome(
            monotonic() - started_at,
            reason=failure.reason,
            detail=failure.detail,
            retry_after_seconds=failure.retry_after_seconds,
            graphql_errors=len(response.errors) if response else int(failure.reason is Reason.GRAPHQL),
        )
    except Exception as error:  # a fault of ours must not end the polling of everything else
        return PollOutcome(monotonic() - started_at, reason=Reason.INTERNAL, detail=f"{type(error).__name__} in a poll")
    return PollOutcome(monotonic() - started_at, result=result, graphql_errors=len(response.errors))


def _first_error(response: Response) -> str:
    first = response.errors[0]
    where = f" at {'.'.join(map(str, first.path))}" if first.path else ""
    return f"{first.message}{where} (with data beside it; on_partial: publish would take that)"
