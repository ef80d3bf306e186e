"""What an audit has found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct

Totals: TypeAlias = Mapping[str, float]


class Finding(Struct, frozen=True):
    """What a period's totals, over `targets` many, are now above what was published at its end, by metric; and what
    that was. `time` is of the audit, in Unix seconds."""

    time: float
    targets: int
    published: Totals
    difference: Totals
