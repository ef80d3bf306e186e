"""How the last loading of a configuration went."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReloadStatus:
    """How the last reading went, and when one last went well, in Unix time."""

    successful: bool
    success_time: float
