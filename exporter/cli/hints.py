"""What is likely wrong where the requests of a command were refused."""

from __future__ import annotations

from collections.abc import Iterable

from exporter.cli.ad_hoc import Asked
from exporter.config.source import Source
from exporter.model.errors import Failure, Reason
from exporter.upstream.hints import likely_causes


def causes_of_polls(polls: Iterable[Asked], source: Source) -> tuple[str, ...]:
    """What is likely wrong where a request was refused as a whole; a document that is refused may have any fault."""
    answers = (exchange.answer for poll in polls for exchange in poll.exchanges)
    failures = (one for one in answers if isinstance(one, Failure) and one.reason is not Reason.GRAPHQL)
    return next((causes for failure in failures if (causes := likely_causes(failure, source))), ())
