"""Whether a configuration's limits fit into the memory that the process may take."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
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
_OWN_GROUPS: Final = Path("/proc/self/cgroup")
_OWN_PAGES: Final = Path("/proc/self/statm")
_NO_LIMIT: Final = 2**60


def memory_limit(groups: Path = _GROUPS, own_groups: Path = _OWN_GROUPS) -> int | None:
    """The bytes that this process may take: the lowest limit of its control group, of the groups around that, and of
    its address space (RLIMIT_AS). None without a limit."""
    limits = [*_group_limits(groups, own_groups), *_address_space()]
    return min((limit for limit in limits if limit < _NO_LIMIT), default=None)


def _group_limits(groups: Path, own_groups: Path) -> Iterator[int]:
    """The limits of a process' control groups, of version 2 and 1 (cgroups(7)), of those that can be seen: in a
    container, its own group may be the root."""
    with suppress(OSError, ValueError):
        for line in own_groups.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            group = Path(path.lstrip("/"))
            if ".." in group.parts:  # it is outside of what the container sees
                continue
            for each in (group, *group.parents):
                if not controllers:
                    yield from _number_in(groups / each / "memory.max")
                    yield from _number_in(groups / "unified" / each / "memory.max")
                elif "memory" in controllers.split(","):
                    yield from _number_in(groups / "memory" / each / "memory.limit_in_bytes")
    yield from _number_in(groups / "memory.max")
    yield from _number_in(groups / "memory" / "memory.limit_in_bytes")


def _number_in(file: Path) -> Iterator[int]:
    with suppress(OSError, ValueError):  # there is no such file, or it says "max"
        yield int(file.read_text())


def _address_space() -> Iterator[int]:
    """What the limit of the address space leaves for memory. Libraries and stacks take much of it that is no memory."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        with suppress(OSError, ValueError):
            size, resident = map(int, _OWN_PAGES.read_text().split()[:2])
            yield max(0, limit - (size - resident) * os.sysconf("SC_PAGE_SIZE"))


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
