"""What a server says is left until it refuses."""

from __future__ import annotations

from msgspec import Struct


class Budget(Struct, frozen=True):
    """What is left, in the server's own unit: requests, or points of cost. `limit` is the whole, where it says so."""

    remaining: float
    limit: float | None = None

    @property
    def share(self) -> float:
        """What is left of the whole; of a budget whose limit is not known, more than of any that has one."""
        return self.remaining / self.limit if self.limit else 1.0 + max(0.0, self.remaining)
