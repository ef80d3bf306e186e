"""Whether files have changed: by what the system says of them, so that nothing is read to find out.

Which files some work looks for is noted where it does: what a configuration names is known as a whole only where it
can be used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final, TypeAlias

from msgspec import Struct, field

FileState: TypeAlias = tuple[int, int, int, int, int] | None
_MOST_LOOKS: Final = 5  # without a change, because some file changes all the time


def file_states(files: Iterable[Path]) -> Mapping[Path, FileState]:
    """What changes when a file is written, replaced or made readable, also where a link is pointed elsewhere; None for
    none."""
    return {file: file_state(file) for file in files}


def file_state(file: Path) -> FileState:
    try:
        found = file.stat()
    except (OSError, ValueError):  # it cannot be reached, or its name can be none
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


class Sought(Struct):
    """What some work looked for: files and folders, each as it was before, and patterns of names."""

    states: dict[Path, FileState] = field(default_factory=dict)
    patterns: dict[Path, None] = field(default_factory=dict)

    def note(self, file: Path) -> None:
        """Notes a file as it is now, unless it is known as it was before."""
        if file not in self.states:
            self.states[file] = file_state(file)


_sought: Final[ContextVar[Sought | None]] = ContextVar("sought", default=None)


@contextmanager
def note_sought(sought: Sought) -> Iterator[None]:
    """Has all that is looked for in this thread meanwhile noted there."""
    token = _sought.set(sought)
    try:
        yield
    finally:
        _sought.reset(token)


def sought_now() -> Sought | None:
    """Where to note what is looked for, if anybody wants to know."""
    return _sought.get()


class FileWatch:
    """Notices that files were changed, and that nobody writes them any more."""

    def __init__(
        self, files: Callable[[], Iterable[Path]], seen: Callable[[], Mapping[Path, FileState]] = dict
    ) -> None:
        """What the files are now is not a change, nor is a further one, unless it was `seen` otherwise."""
        self._files, self._seen = files, seen
        self._known = self._last = file_states(files())
        self._looks = 0

    def has_changed(self) -> bool:
        """Whether files are others than at the last change, and no others than at the last look. A file that changes
        at every look does not keep the others back for ever."""
        now, before = file_states(self._files()), self._last
        self._last, self._looks = now, self._looks + 1
        if now != before and self._looks < _MOST_LOOKS:
            return False
        self._looks, seen = 0, self._seen()
        settled = {file: state for file, state in now.items() if before.get(file, state) == state}
        has_changed = any(self._known.get(file, seen.get(file, state)) != state for file, state in settled.items())
        self._known = {file: state for file, state in self._known.items() if file in now} | settled
        return has_changed
