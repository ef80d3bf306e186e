"""One function for each of the operations, by topic; each takes what is being asked and the field's arguments."""

from collections.abc import Callable, Mapping
from typing import Any

from exporter.simulator.asking import Arguments, Asking
from exporter.simulator.resolvers import alerts, errors, latency, lists, reports, totals, usage

Resolver = Callable[[Asking, Arguments], Any]

RESOLVERS: Mapping[str, Resolver] = {
    **lists.RESOLVERS,
    **totals.RESOLVERS,
    **errors.RESOLVERS,
    **usage.RESOLVERS,
    **latency.RESOLVERS,
    **alerts.RESOLVERS,
    **reports.RESOLVERS,
}
