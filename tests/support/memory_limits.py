"""Programs in a limit of memory: a control group of their own, where this user may make one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from tests.support.processes import Exporter, eventually

_ROOT: Final = Path("/sys/fs/cgroup")


@contextmanager
def memory_limit(limit_bytes: int) -> Iterator[Sequence[str]]:
    """What to put before a command to run it within the limit; nothing where no control group can be made."""
    group = _group(limit_bytes)
    if group is None:
        yield ()
        return
    try:
        yield ("sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh")
    finally:
        eventually(lambda: not (group / "cgroup.procs").read_text().strip(), "end of the control group's processes")
        with suppress(OSError):
            group.rmdir()


def _group(limit_bytes: int) -> Path | None:
    """A new control group with that limit (version 1 or 2)."""
    for parent, file in ((_ROOT / "memory", "memory.limit_in_bytes"), (_ROOT, "memory.max")):
        group = parent / f"exporter-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        with suppress(OSError):
            (group / file).write_text(str(limit_bytes))
            return group
        group.rmdir()
    return None


def memory_bytes(exporter: Exporter, kind: str) -> int:
    """The process' resident memory now (`VmRSS`) or at its highest (`VmHWM`)."""
    lines = Path("/proc", str(exporter.popen.pid), "status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def forget_highest(exporter: Exporter) -> None:
    """From now on `VmHWM` is the highest since this moment."""
    Path("/proc", str(exporter.popen.pid), "clear_refs").write_text("5")
