"""What time it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from msgspec import Struct


class Clock(Struct, frozen=True):
    """The time since some moment, which never jumps, and the time of the wall in Unix time; both in seconds."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


CLOCK: Final = Clock()
