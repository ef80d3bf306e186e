"""The seeded model of traffic: what exists, every single request, and the alerts. All answers are counts over it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from exporter.simulator.faults import Faults
from exporter.simulator.model.alerts import Alert, Alerts
from exporter.simulator.model.inventory import (
    FIRST_TENANT,
    Api,
    Application,
    Environment,
    Organization,
    organization_of,
)
from exporter.simulator.model.request_kinds import Pattern
from exporter.simulator.model.traffic import Request, Tally, Traffic
from exporter.simulator.settings import Settings

__all__ = [
    "FIRST_TENANT",
    "Alert",
    "Api",
    "Application",
    "Environment",
    "Model",
    "Organization",
    "Pattern",
    "Request",
    "Tally",
]

Moment = datetime | float


def milliseconds(moment: Moment) -> int:
    """Milliseconds of the epoch of a time with an offset, or of seconds of the epoch; without an offset, UTC."""
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    return round(moment * 1000)


class Model:
    """The simulated world. Deterministic from the seed and from the faults that were switched."""

    def __init__(self, settings: Settings, faults: Faults) -> None:
        self.organizations = tuple(organization_of(settings, index) for index in range(settings.organizations))
        self.traffic = Traffic(settings, self.organizations, faults)
        self.alerts = Alerts(settings, self.organizations, faults)

    def organization(self, handle_or_uuid: str) -> Organization:
        """The organization of that handle or UUID; raises KeyError if there is none."""
        for organization in self.organizations:
            if handle_or_uuid in (organization.handle, organization.uuid):
                return organization
        raise KeyError(handle_or_uuid)

    def requests(
        self, environment_id: str, tenant: str, start: Moment, end: Moment, known_at: Moment | None = None
    ) -> Iterator[Request]:
        """Single requests made from start to before end, in the order of time.

        Without `known_at` those that count in the end; with it those that an answer given at that moment counts.
        """
        known_at_ms = None if known_at is None else milliseconds(known_at)
        return self.traffic.requests(environment_id, tenant, milliseconds(start), milliseconds(end), known_at_ms)
