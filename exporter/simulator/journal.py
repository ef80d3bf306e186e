"""The record of every HTTP request that reached the simulator: what was asked, by which token, and how it ended."""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

HIDDEN = "<secret>"


class Entry(Struct, frozen=True):
    """One HTTP request. Tokens appear by number only; secrets never."""

    time: float  # wall clock at arrival
    kind: str  # token, revoke, graphql or other
    status: int  # 0: the client went away before an answer
    duration_seconds: float
    in_flight: int  # requests of this kind under way when it arrived, itself included
    operations: Mapping[str, int] = {}  # root field -> how often, aliases counted
    variables: Mapping[str, Any] = {}
    token_number: int | None = None
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        """The entry as plain JSON values."""
        return {
            "time": self.time,
            "kind": self.kind,
            "status": self.status,
            "duration_seconds": round(self.duration_seconds, 6),
            "in_flight": self.in_flight,
            "operations": dict(self.operations),
            "variables": dict(self.variables),
            "token_number": self.token_number,
            "error": self.error,
        }


class Exchange(Struct):
    """A request under way; its handler fills in what it learns."""

    kind: str
    time: float
    started_at: float
    in_flight: int
    status: int = 0
    operations: dict[str, int] = {}
    variables: dict[str, Any] = {}
    token_number: int | None = None
    error: str = ""


class Journal:
    """The last requests, oldest first, with counters that outlive them. Thread-safe."""

    def __init__(self, length: int, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._entries: deque[Entry] = deque(maxlen=length)
        self._in_flight: dict[str, int] = {}
        self._max_in_flight: dict[str, int] = {}
        self._totals: dict[str, int] = {}

    def opened(self, kind: str) -> Exchange:
        """A new exchange, counted as in flight until it is closed."""
        with self._lock:
            in_flight = self._in_flight.get(kind, 0) + 1
            self._in_flight[kind] = in_flight
            self._max_in_flight[kind] = max(in_flight, self._max_in_flight.get(kind, 0))
        return Exchange(kind, self._now(), time.monotonic(), in_flight)

    def close(self, exchange: Exchange) -> None:
        """Ends an exchange and records it."""
        entry = Entry(
            exchange.time,
            exchange.kind,
            exchange.status,
            time.monotonic() - exchange.started_at,
            exchange.in_flight,
            exchange.operations,
            exchange.variables,
            exchange.token_number,
            exchange.error,
        )
        with self._lock:
            self._in_flight[exchange.kind] -= 1
            self._totals[exchange.kind] = self._totals.get(exchange.kind, 0) + 1
            self._entries.append(entry)

    def entries(self, kind: str | None = None) -> list[Entry]:
        """The kept entries, all or of one kind, oldest first."""
        with self._lock:
            return [entry for entry in self._entries if kind is None or entry.kind == kind]

    def count(self, kind: str) -> int:
        """Finished requests of one kind since the start or the last clearing, also those no longer kept."""
        with self._lock:
            return self._totals.get(kind, 0)

    def in_flight(self, kind: str) -> int:
        """Requests of one kind that are under way."""
        with self._lock:
            return self._in_flight.get(kind, 0)

    def max_in_flight(self, kind: str) -> int:
        """Most requests of one kind that were ever under way at once."""
        with self._lock:
            return self._max_in_flight.get(kind, 0)

    def clear(self) -> None:
        """Forgets all entries and counters; what is under way stays so."""
        with self._lock:
            self._entries.clear()
            self._totals.clear()
            self._max_in_flight = dict(self._in_flight)

    def as_json(self) -> dict[str, Any]:
        """Counters and entries as plain JSON values."""
        with self._lock:
            counters = {
                "requests": dict(self._totals),
                "in_flight": dict(self._in_flight),
                "max_in_flight": dict(self._max_in_flight),
            }
            entries = list(self._entries)
        return {**counters, "entries": [entry.as_json() for entry in entries]}


def without_secrets(value: Any, secrets: tuple[str, ...]) -> Any:
    """The variables of an operation with secret texts hidden, and whatever a key's name calls a key."""
    if isinstance(value, dict):
        return {
            name: HIDDEN if "key" in str(name).lower() and isinstance(item, str) else without_secrets(item, secrets)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [without_secrets(item, secrets) for item in value]
    return HIDDEN if isinstance(value, str) and value in secrets else value
