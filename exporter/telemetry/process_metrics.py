"""What every Prometheus client tells of its process and of Python, by the same names.

Source: https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics
"""

from __future__ import annotations

import gc
import os
import platform
import resource
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final

from exporter.model.samples import Family, MetricType, Samples

_PROC: Final = Path("/proc")
_GENERATION: Final = ("generation",)


def process_metrics() -> Iterator[Samples]:
    """What is known of this process; less where the system has no /proc, or no file can be opened."""
    try:
        fields = (_PROC / "self" / "stat").read_bytes().rpartition(b")")[2].split()  # from the third one on (proc(5))
        ticks, boot_time = os.sysconf("SC_CLK_TCK"), _boot_time()
        open_files = sum(1 for _ in (_PROC / "self" / "fd").iterdir())
    except OSError:
        return
    user, system, start, virtual, resident_pages = (int(fields[at]) for at in (11, 12, 19, 20, 21))
    yield _gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", virtual)
    yield _gauge(
        "process_resident_memory_bytes", "Resident memory size in bytes.", resident_pages * resource.getpagesize()
    )
    yield _gauge(
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        boot_time + start / ticks,
    )
    yield _family(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        (user + system) / ticks,
        MetricType.COUNTER,
    )
    yield _gauge("process_open_fds", "Number of open file descriptors.", open_files)
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY:
        yield _gauge("process_max_fds", "Maximum number of open file descriptors.", most)


def python_metrics() -> Iterator[Samples]:
    """Which Python this is, and what its collector of garbage did."""
    major, minor, patch = platform.python_version_tuple()
    info = {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "major": major,
        "minor": minor,
        "patchlevel": patch,
    }
    family = Family("python_info", MetricType.GAUGE, "Python platform information", tuple(info))
    yield Samples.of(family, {tuple(info.values()): 1})
    stats = gc.get_stats()
    yield _by_generation("python_gc_objects_collected_total", "Objects collected during gc", stats, "collected")
    yield _by_generation(
        "python_gc_objects_uncollectable_total", "Uncollectable objects found during GC", stats, "uncollectable"
    )
    yield _by_generation(
        "python_gc_collections_total", "Number of times this generation was collected", stats, "collections"
    )


@cache
def _boot_time() -> int:
    """When the system began, in Unix seconds. Raises `OSError`."""
    lines = (_PROC / "stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("btime "))


def _gauge(name: str, text: str, value: float) -> Samples:
    return _family(name, text, value, MetricType.GAUGE)


def _family(name: str, text: str, value: float, kind: MetricType) -> Samples:
    return Samples.of(Family(name, kind, text, ()), {(): value})


def _by_generation(name: str, text: str, stats: Iterable[Mapping[str, int]], key: str) -> Samples:
    family = Family(name, MetricType.COUNTER, text, _GENERATION)
    return Samples.of(family, {(str(generation),): one[key] for generation, one in enumerate(stats)})
