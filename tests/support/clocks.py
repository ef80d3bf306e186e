"""Clocks that tests move."""

from __future__ import annotations

import asyncio


class Clock:
    """A clock on which only sleeping takes time."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Lets the time pass, and others come meanwhile."""
        await asyncio.sleep(0)
        self.now += seconds
