"""Faults that can be switched while the simulator runs, each with the moment from which it holds.

The history is kept, because the model asks what held when a request was made: requests before a switch stay as they
were, so that a settled answer never changes.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

TOKEN_ENDPOINT_STATES = ("ok", "refuse", "error503", "hang")
API_STATES = ("ok", "error503", "hang", "401")


class FaultState(Struct, frozen=True):
    """What is wrong at a moment. APIs and applications are named by id or by name, organizations by handle or UUID.

    A flood is requests of `flooding_applications` that come on top of the usual ones, `flood_rate` a second in an
    environment of weight 1; all of them are beyond the application's limit and are answered with 429.
    """

    error_ratio: float = 0.0
    throttle_ratio: float = 0.0
    latency_factor: float = 1.0
    flood_rate: float = 0.0
    only_apis: tuple[str, ...] = ()  # to which APIs the four above apply; empty: to all
    flooding_applications: tuple[str, ...] = ()
    silent_apis: tuple[str, ...] = ()
    removed_apis: tuple[str, ...] = ()
    removed_organizations: tuple[str, ...] = ()
    token_endpoint: str = "ok"  # noqa: S105 - a state, not a secret
    api: str = "ok"

    def __post_init__(self) -> None:
        """Raises ValueError for a value outside its range or list."""
        for name in ("error_ratio", "throttle_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: must be between 0 and 1")
        if not 0 < self.latency_factor <= 1000:
            raise ValueError("latency_factor: must be above 0 and at most 1000")
        if not 0 <= self.flood_rate <= 1000:
            raise ValueError("flood_rate: must be between 0 and 1000")
        if self.token_endpoint not in TOKEN_ENDPOINT_STATES:
            raise ValueError(f"token_endpoint: must be one of {', '.join(TOKEN_ENDPOINT_STATES)}")
        if self.api not in API_STATES:
            raise ValueError(f"api: must be one of {', '.join(API_STATES)}")

    def floods(self) -> bool:
        """Whether an application asks far more than it may."""
        return bool(self.flood_rate and self.flooding_applications)

    def shapes_traffic(self) -> bool:
        """Whether single requests differ from what they would be without the fault."""
        return bool(
            self.error_ratio
            or self.throttle_ratio
            or self.latency_factor != 1.0
            or self.floods()
            or self.silent_apis
            or self.removed_apis
            or self.removed_organizations
        )


def parse_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes as constructor arguments; raises ValueError for unknown names and wrong types."""
    defaults = asdict(FaultState())
    typed: dict[str, Any] = {}
    for name, value in changes.items():
        if name not in defaults:
            raise ValueError(f"{name}: unknown; known are {', '.join(defaults)}")
        if isinstance(defaults[name], tuple):
            if isinstance(value, str) or not all(isinstance(item, str) for item in value):
                raise ValueError(f"{name}: must be a list of texts")
            typed[name] = tuple(value)
        elif isinstance(defaults[name], float):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"{name}: must be a number")
            typed[name] = float(value)
        else:
            if not isinstance(value, str):
                raise ValueError(f"{name}: must be a text")
            typed[name] = value
    return typed


class Faults:
    """The current faults and their history. Thread-safe."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._starts_ms: list[int] = [-(2**62)]
        self._states: list[FaultState] = [FaultState()]

    @property
    def current(self) -> FaultState:
        """What is wrong now."""
        return self._states[-1]

    @property
    def changes(self) -> int:
        """How often a fault was switched; what was computed under another figure may be outdated."""
        return len(self._states)

    def switch_ms(self, number: int) -> int:
        """When the state of that number began (the healthy start is number 0), in milliseconds of the epoch."""
        return self._starts_ms[number]

    def set(self, **changes: Any) -> FaultState:
        """Switches the named faults from now on and returns the new state; raises ValueError for bad ones."""
        typed = parse_changes(changes)
        with self._lock:
            state = replace(self._states[-1], **typed)
            # A clock that stands still, or goes back, must not make a fault hold before an earlier one.
            start = max(round(self._now() * 1000), self._starts_ms[-1])
            self._starts_ms.append(start)
            self._states.append(state)
            return state

    def clear(self) -> FaultState:
        """Ends all faults from now on."""
        return self.set(**asdict(FaultState()))

    def at(self, time_ms: int) -> FaultState:
        """What held at a moment."""
        return self._states[bisect_right(self._starts_ms, time_ms) - 1]

    def between(self, start_ms: int, end_ms: int) -> list[FaultState]:
        """What held at any moment from start to before end, in the order of time."""
        first = bisect_right(self._starts_ms, start_ms) - 1
        last = bisect_right(self._starts_ms, end_ms - 1) - 1
        return self._states[first : last + 1]

    def calm(self, start_ms: int, end_ms: int) -> bool:
        """Whether no fault touched the traffic at any moment from start to before end."""
        return not any(state.shapes_traffic() for state in self.between(start_ms, end_ms))

    def as_json(self) -> dict[str, Any]:
        """What is wrong now, as plain values."""
        return asdict(self.current)

    def history(self) -> list[dict[str, Any]]:
        """Every switch with the time (seconds of the epoch) from which it holds."""
        with self._lock:
            pairs = list(zip(self._starts_ms[1:], self._states[1:], strict=True))
        return [{"from": start / 1000, **asdict(state)} for start, state in pairs]
