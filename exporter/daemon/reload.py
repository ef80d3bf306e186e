"""A new configuration for a running exporter: checked as a whole, then taken over as a whole, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeAlias

import structlog

from exporter.daemon.check import Ready
from exporter.daemon.process import Collector
from exporter.model.background import result_of
from exporter.model.errors import ConfigError, Failure, fault_text
from exporter.model.file_watch import FileWatch, Sought, note_sought
from exporter.telemetry.reload_status import ReloadStatus

_WATCH_SECONDS: Final = 2.0
_LOAD_SECONDS: Final = 300.0
_CALM_SECONDS: Final = 2.0
_log = structlog.get_logger()

Problems: TypeAlias = tuple[str, ...]


class Reloading:
    """Loads the configuration again when asked, one loading at a time."""

    def __init__(
        self,
        load: Callable[[], Ready],
        take_over: Callable[[Ready], None],
        status: ReloadStatus,
        limit_seconds: float = _LOAD_SECONDS,
        calm_seconds: float = _CALM_SECONDS,
    ) -> None:
        """`load` may hang, and raises `ConfigError`; it is called in a thread. `take_over` raises `OSError`, and
        then has changed nothing. `status` takes in how each loading ended. The collector looks at everything again
        `calm_seconds` after it."""
        self._load = load
        self._take_over = take_over
        self._status = status
        self._limit_seconds = limit_seconds
        self._calm_seconds = calm_seconds
        self.sought = Sought()
        """What the last loading looked for."""
        self.is_refused = False
        """Whether its configuration is not in use."""
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Problems] | None = None
        self._collector = Collector()
        self._resuming: asyncio.TimerHandle | None = None

    async def reload(self) -> Problems:
        """What is wrong with the configuration, nothing if it was taken over, by a loading that began after this call.

        All who call while another loading is under way share the next one.
        """
        return await asyncio.shield(self.request())

    def request(self) -> asyncio.Task[Problems]:
        """The same, for who cannot wait."""
        if self._next is None:
            self._next = asyncio.create_task(self._in_turn())
        return self._next

    async def _in_turn(self) -> Problems:
        async with self._turn:
            self._next = None  # the file may change from now on: who comes later needs another loading
            with self._undisturbed():
                sought = Sought()
                problems = await self._attempt(sought)
            self.sought, self.is_refused = sought, bool(problems)
        self._status.note(successful=not problems)
        for problem in problems:
            _log.error("the new configuration is not used; the old one stays in use", problem=problem)
        if not problems:
            _log.info("the configuration was reloaded")
        return problems

    @contextmanager
    def _undisturbed(self) -> Iterator[None]:
        """Within it and for a moment more the collector looks at what is young alone: a scrape waits for its look at
        everything or for the take-over, not for both."""
        if self._resuming is not None:
            self._resuming.cancel()
            self._collector.resume()  # else it would never look, where one reload follows the other
        self._collector.put_off()
        try:
            yield
        finally:
            self._resuming = asyncio.get_running_loop().call_later(self._calm_seconds, self._collector.resume)

    async def _attempt(self, sought: Sought) -> Problems:
        try:
            async with asyncio.timeout(self._limit_seconds):
                found = await result_of(partial(self._load_noting, sought), "configuration")
            self._take_over(found)
        except TimeoutError:
            return (f"the loading took longer than {self._limit_seconds:g} s and was given up",)
        except ConfigError as error:
            return tuple(map(str, error.problems))
        except (OSError, Failure) as error:
            return (str(error),)
        except Exception as error:  # a fault of ours must not end the polling
            return (f"{type(error).__name__} while the configuration was loaded",)
        return ()

    def _load_noting(self, sought: Sought) -> Ready:
        with note_sought(sought):
            return self._load()


async def keep_watching(
    watch: FileWatch, reloading: Reloading, is_needed: Callable[[], bool], pause_seconds: float = _WATCH_SECONDS
) -> None:
    """Loads the configuration again whenever its files have changed, as long as any are followed. A look that fails is
    in the log, once for each that fail one after the other, and ends nothing."""
    is_failing = False
    while True:
        try:
            has_changed = is_needed() and await result_of(watch.has_changed, "file watch")
            is_failing = False
        except Exception as error:  # such as no thread that can be started
            has_changed = False
            if not is_failing:
                _log.error("the configuration's files cannot be looked at", fault=fault_text(error))
            is_failing = True
        if has_changed:
            _log.info("the configuration's files have changed")
            await reloading.reload()
        await asyncio.sleep(pause_seconds)
