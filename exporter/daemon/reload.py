"""A new configuration for a running exporter: checked as a whole, then taken over as a whole, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from exporter.daemon.check import Checked
from exporter.model.errors import ConfigError, Failure

_WATCH_SECONDS: Final = 2.0
_log = structlog.get_logger()

Problems: TypeAlias = tuple[str, ...]
_Stamp: TypeAlias = tuple[int, int, int] | None


class Reloading:
    """Loads the configuration again when asked, one loading at a time."""

    def __init__(
        self, load: Callable[[], Checked], take_over: Callable[[Checked], None], report: Callable[[bool], None]
    ) -> None:
        """`load` may take long and raises `ConfigError`; it is called in a thread. `take_over` raises `OSError`, and
        then has changed nothing. `report` is told how each loading ended."""
        self._load = load
        self._take_over = take_over
        self._report = report
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="configuration")
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Problems] | None = None

    async def reloaded(self) -> Problems:
        """What is wrong with the configuration, nothing if it was taken over, by a loading that began after this call.

        All who call while another loading is under way share the next one.
        """
        return await asyncio.shield(self.requested())

    def requested(self) -> asyncio.Task[Problems]:
        """The same, for who cannot wait."""
        if self._next is None:
            self._next = asyncio.create_task(self._in_turn())
        return self._next

    async def _in_turn(self) -> Problems:
        async with self._turn:
            self._next = None  # the file may change from now on: who comes later needs another loading
            problems = await self._attempted()
        self._report(not problems)
        for problem in problems:
            _log.error("the new configuration is not used, the old one goes on", problem=problem)
        if not problems:
            _log.info("the configuration was loaded again")
        return problems

    async def _attempted(self) -> Problems:
        try:
            self._take_over(await asyncio.get_running_loop().run_in_executor(self._thread, self._load))
        except ConfigError as error:
            return tuple(map(str, error.problems))
        except (OSError, Failure) as error:
            return (str(error),)
        except Exception as error:  # a fault of ours must not end the polling
            return (f"{type(error).__name__} while the configuration was loaded",)
        return ()


class Watch:
    """Notices that files were changed, and that nobody writes them any more."""

    def __init__(self, files: Callable[[], Iterable[Path]]) -> None:
        """What the files are now is not a change."""
        self._files = files
        self._known = self._last = self._stamps()

    def changed(self) -> bool:
        """Whether files are others than at the last change, and no others than at the last look."""
        now = self._stamps()
        settled, self._last = now == self._last, now
        changed = any(self._known.get(file, stamp) != stamp for file, stamp in now.items())
        if settled:
            self._known = now
        return settled and changed

    def _stamps(self) -> dict[Path, _Stamp]:
        return {file: _stamp(file) for file in self._files()}


async def keep_watching(watch: Watch, reloading: Reloading) -> None:
    """Loads the configuration again whenever its files have changed."""
    while True:
        if watch.changed():
            _log.info("the configuration's files have changed")
            await reloading.reloaded()
        await asyncio.sleep(_WATCH_SECONDS)


def _stamp(file: Path) -> _Stamp:
    """What changes with a file's content, also where a link is pointed elsewhere; None if it is not there."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
