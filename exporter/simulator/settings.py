"""All options of the simulated Insights API, with their defaults and the help texts of their flags."""

from dataclasses import dataclass, field
from typing import Any

GRANULARITY_SECONDS = {"1m": 60, "15m": 900, "1h": 3600, "1d": 86_400, "7d": 604_800}


def option(default: Any, text: str) -> Any:
    """A dataclass field with a default and the help text of its flag."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the simulated API looks like and how strict it is. Everything here is fixed while it runs."""

    host: str = option("127.0.0.1", "Address to listen on.")
    port: int = option(0, "Port to listen on; 0 takes a free one.")

    # Who may ask.
    client_id: str = option("demo-key", "Consumer key that the token endpoint accepts.")
    client_secret: str = option("demo-secret", "Consumer secret that the token endpoint accepts.")
    on_prem_key: str = option("demo-on-prem-key", "On-premise key of the first organization.")
    token_lifetime_seconds: float = option(3600.0, "Life of an access token; fractions are allowed.")
    same_token: bool = option(False, "Hand out the same access token again, with its remaining life.")
    subscribed: bool = option(
        True, "Whether the application is subscribed to the Insights API; if not, it answers 403."
    )
    sees_all_organizations: bool = option(False, "A token sees every organization, not only that of its orgHandle.")

    # What there is to see.
    seed: int = option(1, "Seed of the traffic; the same seed gives the same requests.")
    organizations: int = option(2, "Number of organizations; their environments have the same names.")
    apis: int = option(12, "APIs of the first organization's first tenant.")
    applications: int = option(6, "Applications of the first organization's first tenant.")
    rate: float = option(1.5, "Requests per second of one environment and tenant at the busiest hour.")
    daily_rhythm: bool = option(True, "Fewer requests at night and at the weekend; without it, the rate is even.")
    error_share: float = option(0.012, "Share of requests that fail, proxy and target together.")
    alerts_per_day: float = option(6.0, "Alerts of severity LOW and MEDIUM per day, environment and tenant.")

    # How truth comes to light.
    delay_seconds: float = option(120.0, "A request is counted within this time after it was made.")
    late_share: float = option(0.0, "Share of requests that are counted much later still.")
    late_by_seconds: float = option(7200.0, "How much later those are counted.")
    correction_share: float = option(0.0, "Share of requests that are taken back after they were counted.")
    correction_after_seconds: float = option(600.0, "How long after being counted those are taken back.")
    zero_rows: bool = option(False, "Give buckets without traffic as zeros instead of leaving them out.")

    # What it refuses, and how it answers.
    page_default: int = option(5, "Rows of a page when no limit is given.")
    max_ids: int = option(5, "Most ids in apiIds, appIds and subscribers.")
    granularities: tuple[str, ...] = option(tuple(GRANULARITY_SECONDS), "Granularities that are accepted.")
    default_granularity: str = option("", "Granularity when none is given; empty: it follows from the range.")
    max_aliases: int = option(0, "Most root fields in one operation; 0 is no limit.")
    refused_operations: tuple[str, ...] = option((), "Fields that answer with an error.")
    limit: int = option(0, "GraphQL requests per minute before 429; 0 is no limit.")
    latency_seconds: float = option(0.0, "Time added to each answer of the GraphQL endpoint.")
    journal_length: int = option(20_000, "HTTP requests that the journal keeps.")

    def __post_init__(self) -> None:
        """Raises ValueError for an option that no simulation can be made of."""
        unknown = [name for name in self.granularities if name not in GRANULARITY_SECONDS]
        if unknown or not self.granularities:
            raise ValueError(f"granularities: {unknown or 'none given'}; known are {', '.join(GRANULARITY_SECONDS)}")
        if self.default_granularity and self.default_granularity not in self.granularities:
            raise ValueError(f"default_granularity: {self.default_granularity!r} is not among the accepted ones")
        for name in ("organizations", "apis", "applications", "page_default", "max_ids", "journal_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be at least 1")
        for name in ("late_share", "correction_share", "error_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: must be between 0 and 1")
        for name in ("rate", "delay_seconds", "late_by_seconds", "correction_after_seconds", "latency_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: must not be negative")
        if self.token_lifetime_seconds <= 0:
            raise ValueError("token_lifetime_seconds: must be above 0")
