"""Whether a configuration's limits fit into the memory that the process may take."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final

from exporter.config.load import Loaded
from exporter.model.errors import Problem
from exporter.upstream.graphql import largest_answer_bytes
from exporter.upstream.memory import DEFAULT_BYTES

_IDLE_BYTES: Final = 64 * 2**20
_SERIES_BYTES: Final = 500  # of a series with four labels, as docs/scaling.md has it
_GROUPS: Final = Path("/sys/fs/cgroup")
_LIMIT_FILES: Final = ("memory.max", "memory/memory.limit_in_bytes")  # of control groups, version 2 and 1
_NO_LIMIT: Final = 2**60


def memory_limit(groups: Path = _GROUPS) -> int | None:
    """The bytes that this container may take; None without a limit."""
    for name in _LIMIT_FILES:
        with suppress(OSError, ValueError):  # there is no such file, or it says "max"
            limit = int((groups / name).read_text())
            return limit if limit < _NO_LIMIT else None
    return None


def memory_warnings(loaded: Loaded, limit_bytes: int | None) -> tuple[Problem, ...]:
    """What is to be said where all series and the largest answer may take more than the limit."""
    config = loaded.config
    largest = max((source.max_body_size for source in config.sources), default=0)
    answers = max(DEFAULT_BYTES, largest_answer_bytes(largest))
    needed = _IDLE_BYTES + config.max_series * _SERIES_BYTES + answers
    if limit_bytes is None or needed <= limit_bytes:
        return ()
    parts = f"max_series ({config.max_series}) and an answer of max_body_size ({largest // 2**20} MiB)"
    wrong = f"{parts} may take {needed // 2**20} MiB together, and the limit of memory is {limit_bytes // 2**20} MiB"
    return (loaded.places.problem(("max_series",), wrong, "write smaller ones, or raise the limit"),)
