"""A loading and its take-over, in the process around it."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import threading
import time
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


def test_reloads_one_after_the_other_are_undisturbed_too() -> None:
    """The end of the first one's calm does not end the second one's; after it the collector is as before, also where
    reloads follow one another without a pause."""
    seen: list[int] = []

    def load() -> Ready:
        time.sleep(0.1)  # in its thread, until the calm after the first would have ended
        seen.append(gc.get_threshold()[2])
        return _READY

    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    reloading = Reloading(load, lambda _: None, ReloadStatus(), calm_seconds=0.05)

    async def reload_twice() -> None:
        await reloading.reload()
        await reloading.reload()
        looked = gc.get_freeze_count() != frozen
        while gc.get_threshold() != before:  # noqa: ASYNC110 - nothing says when
            await asyncio.sleep(0.01)
        assert looked

    asyncio.run(reload_twice())
    assert len(seen) == 2
    assert min(seen) > _MANY_TIMES


_REFUSED: Final = Problem("config.yaml", 1, "queries", "wrong", "mend it")


@pytest.mark.parametrize(
    ("in_loading", "in_take_over", "told"),
    [
        (None, None, ()),
        (ConfigError((_REFUSED,)), None, (str(_REFUSED),)),
        (None, OSError(errno.ENOENT, "no such file", "ca.pem"), ("[Errno 2] no such file: 'ca.pem'",)),
        (ValueError("secret"), None, ("ValueError while the configuration was loaded",)),
        (TimeoutError(), None, ("the loading took longer than 300 s and was given up",)),
    ],
)
def test_how_a_loading_ends_is_told(
    in_loading: Exception | None, in_take_over: Exception | None, told: Problems
) -> None:
    """To who asked, in the log and in the status; and whether the file's configuration is in use is known."""

    def load() -> Ready:
        if in_loading is not None:
            raise in_loading
        return _READY

    def take_over(_: Ready) -> None:
        if in_take_over is not None:
            raise in_take_over

    status = ReloadStatus()
    reloading = Reloading(load, take_over, status, calm_seconds=0)
    assert not reloading.is_refused
    sought_before = reloading.sought
    with structlog.testing.capture_logs() as lines:
        assert asyncio.run(reloading.reload()) == told
    assert status.successful is not reloading.is_refused
    assert reloading.is_refused is bool(told)
    assert reloading.sought is not sought_before
    assert [line.get("problem", line["event"]) for line in lines] == [*(told or ["the configuration was reloaded"])]


def test_who_asks_while_another_loads_shares_the_next_loading() -> None:
    """The file may have changed since the one that is under way began; and a third is not needed."""
    goes_on, loads = threading.Event(), list[None]()

    def load() -> Ready:
        loads.append(None)
        goes_on.wait(30)
        return _READY

    reloading = Reloading(load, lambda _: None, ReloadStatus(), calm_seconds=0)

    async def ask() -> None:
        first = reloading.request()
        while not loads:  # noqa: ASYNC110 - it is a thread's
            await asyncio.sleep(0.001)
        second, third = reloading.request(), reloading.request()
        goes_on.set()
        assert not any(await asyncio.gather(first, second, third))

    asyncio.run(ask())
    assert len(loads) == 2


def test_a_look_that_fails_ends_nothing(tmp_path: Path) -> None:
    """The files are looked at again, and a change is taken then; the log says once that looks fail, and again where
    they fail once more after one that did not."""
    file, loads = tmp_path / "config.yaml", list[None]()
    looks = 0

    def files() -> tuple[Path, ...]:
        nonlocal looks
        looks += 1
        if looks in (2, 3, 5):
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return (file,)

    def load() -> Ready:
        loads.append(None)
        return _READY

    async def watch() -> None:
        reloading = Reloading(load, lambda _: None, ReloadStatus(), calm_seconds=0)
        watching = asyncio.create_task(keep_watching(FileWatch(files), reloading, lambda: True, pause_seconds=0.01))
        file.write_text("new")
        while not loads or looks < 6:
            assert not watching.done()
            await asyncio.sleep(0.01)
        watching.cancel()

    with structlog.testing.capture_logs() as lines:
        asyncio.run(watch())
    assert [line["event"] for line in lines if line["log_level"] == "error"] == [
        "the configuration's files cannot be looked at"
    ] * 2
    assert [line["event"] for line in lines].count("the configuration's files have changed") == len(loads) == 1
