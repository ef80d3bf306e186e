"""A loading and its take-over, in the process around it."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
from pathlib import Path
from typing import Final

import pytest
import structlog

from exporter.config.redacted import Redacted
from exporter.daemon.check import Ready
from exporter.daemon.reload import Problems, Reloading, keep_watching
from exporter.model.errors import ConfigError, Problem
from exporter.model.file_watch import FileWatch
from exporter.plan.plan import Plan
from exporter.telemetry.reload_status import ReloadStatus

_READY: Final = Ready(Plan((), (), (), 1), Redacted(b""))
_MANY_TIMES: Final = 1_000_000


@pytest.mark.parametrize("is_wrong", [False, True])
def test_no_look_at_everything_falls_between_a_loading_and_its_take_over(is_wrong: bool) -> None:
    """A scrape during a reload of thousands of queries waits for one long thing at most. The collector looks at
    everything neither while the configuration is read nor when it is taken over, and a moment later as before."""
    seen: list[int] = []

    def load() -> Ready:
        seen.append(gc.get_threshold()[2])
        if is_wrong:
            raise ConfigError((Problem("config.yaml", 1, "", "wrong", "mend it"),))
        return _READY

    before = gc.get_threshold()
    reloading = Reloading(load, lambda _: seen.append(gc.get_threshold()[2]), ReloadStatus(), calm_seconds=0.2)

    async def reload() -> Problems:
        found = await reloading.reload()
        seen.append(gc.get_threshold()[2])
        while gc.get_threshold() != before:  # noqa: ASYNC110 - nothing says when
            await asyncio.sleep(0.01)
        return found

    assert bool(asyncio.run(reload())) is is_wrong
    assert len(seen) == (2 if is_wrong else 3)
    assert min(seen) > _MANY_TIMES


def test_a_look_that_fails_ends_nothing(tmp_path: Path) -> None:
    """The files are looked at again, and a change is taken then; the log says once that a look failed."""
    file, loads = tmp_path / "config.yaml", list[None]()
    looks = 0

    def files() -> tuple[Path, ...]:
        nonlocal looks
        looks += 1
        if looks in (2, 3):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return (file,)

    def load() -> Ready:
        loads.append(None)
        return _READY

    async def watch() -> None:
        reloading = Reloading(load, lambda _: None, ReloadStatus(), calm_seconds=0)
        watching = asyncio.create_task(keep_watching(FileWatch(files), reloading, lambda: True, pause_seconds=0.01))
        file.write_text("new")
        while not loads:
            assert not watching.done()
            await asyncio.sleep(0.01)
        watching.cancel()

    with structlog.testing.capture_logs() as lines:
        asyncio.run(watch())
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "the configuration's files cannot be looked at"
    ]
