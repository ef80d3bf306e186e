"""Files that are read with a limit of size and of time: what is named may be a pipe, a device, a mount that hangs."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from exporter.model.background import begin_once, within
from exporter.model.file_watch import Sought, sought_now

READ_SECONDS: Final = 5.0
MAX_SECRET_BYTES: Final = 64 * 2**10
MAX_PEM_BYTES: Final = 4 * 2**20
MAX_CONFIG_BYTES: Final = 16 * 2**20
MAX_DOCUMENT_BYTES: Final = 2**20
MAX_SCHEMA_BYTES: Final = 32 * 2**20
_PIECE_BYTES: Final = 2**20


def read_file(file: Path, max_bytes: int) -> bytes:
    """What is in a file. Raises `OSError` in words: for a pipe, for what is too large, for what does not come in time,
    for what can be no name.

    There is never more than one thread that waits for a file.
    """
    sought = sought_now()
    try:
        return _reading(file, max_bytes, sought).result(READ_SECONDS)
    except TimeoutError:
        raise _late() from None
    finally:
        if sought is not None:
            sought.states.setdefault(file, None)  # it hangs, or another one reads it


async def read_file_soon(file: Path, max_bytes: int) -> bytes:
    """The same, for the event loop."""
    try:
        return await within(READ_SECONDS, _reading(file, max_bytes))
    except TimeoutError:
        raise _late() from None


def _late() -> OSError:
    return OSError(errno.ETIMEDOUT, f"no data within {READ_SECONDS:g} s")


def _reading(file: Path, max_bytes: int, sought: Sought | None = None) -> Future[bytes]:
    return begin_once((file, max_bytes), lambda: _content(file, max_bytes, sought), f"file {file.name}")


def _content(file: Path, max_bytes: int, sought: Sought | None) -> bytes:
    if sought is not None:
        sought.note(file)
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except ValueError:
        raise OSError(errno.EINVAL, "its name has a character that no name has") from None
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISFIFO(mode) and not str(file).startswith(("/dev/", "/proc/")):  # those are `<(command)` of a shell
            raise OSError(errno.EINVAL, "it is a pipe, not a file")
        return _pieces(handle, max_bytes)
    finally:
        os.close(handle)


def _pieces(handle: int, max_bytes: int) -> bytes:
    content, until = bytearray(), time.monotonic() + READ_SECONDS
    while True:
        try:
            piece = os.read(handle, min(_PIECE_BYTES, max_bytes + 1 - len(content)))
        except BlockingIOError:
            if not select.select([handle], [], [], max(until - time.monotonic(), 0))[0]:
                raise _late() from None
            continue
        content += piece
        if not piece:
            return bytes(content)
        if len(content) > max_bytes:
            raise OSError(errno.EFBIG, f"it is larger than {_size(max_bytes)}")


def _size(count: int) -> str:
    return f"{count // 2**20} MiB" if count >= 2**20 else f"{count // 2**10} KiB"
