"""Whether files have changed: by what the system says of them, so that nothing is read to find out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

FileState: TypeAlias = tuple[int, int, int, int] | None


def file_states(files: Iterable[Path]) -> Mapping[Path, FileState]:
    """What changes when a file is written or replaced, also where a link is pointed elsewhere; None for none."""
    return {file: _state(file) for file in files}


def _state(file: Path) -> FileState:
    try:
        found = file.stat()
    except (OSError, ValueError):  # it cannot be reached, or its name can be none
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class FileWatch:
    """Notices that files were changed, and that nobody writes them any more."""

    def __init__(self, files: Callable[[], Iterable[Path]]) -> None:
        """What the files are now is not a change."""
        self._files = files
        self._known = self._last = file_states(files())

    def has_changed(self) -> bool:
        """Whether files are others than at the last change, and no others than at the last look."""
        now = file_states(self._files())
        is_settled, self._last = now == self._last, now
        has_changed = any(self._known.get(file, state) != state for file, state in now.items())
        if is_settled:
            self._known = now
        return is_settled and has_changed
