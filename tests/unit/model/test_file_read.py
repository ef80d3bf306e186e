"""Files are read with a limit of time and of size."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.model.file_read import read_file, read_file_soon


def soon(file: Path, limit: int) -> bytes:
    return asyncio.run(read_file_soon(file, limit))


WAYS = pytest.mark.parametrize("read", [read_file, soon])
Read = Callable[[Path, int], bytes]


@WAYS
@pytest.mark.parametrize("size", [0, 1, 1023, 1024])
def test_a_file_within_its_limit_is_read_whole(read: Read, size: int, tmp_path: Path) -> None:
    """Everything up to the limit comes as it is."""
    file = tmp_path / "file"
    file.write_bytes(os.urandom(size))
    assert read(file, 1024) == file.read_bytes()


@WAYS
def test_what_is_no_file_is_refused_in_words(read: Read, tmp_path: Path) -> None:
    """A pipe, a device without an end, too large a file, a folder and nothing: at once, and each by its name."""
    pipe, large = tmp_path / "pipe", tmp_path / "large"
    os.mkfifo(pipe)
    large.write_bytes(bytes(1025))
    for file, words in {
        pipe: "it is a pipe, not a file",
        Path("/dev/zero"): "it is larger than 1 KiB",
        large: "it is larger than 1 KiB",
        tmp_path: "Is a directory",
        tmp_path / "none": "No such file or directory",
        tmp_path / ("x" * 300): "File name too long",
        tmp_path / "a\0b": "its name has a character that no name has",
    }.items():
        with pytest.raises(OSError, match=words) as error:
            read(file, 1024)
        assert error.value.strerror == words


def test_what_a_shell_hands_over_is_read(tmp_path: Path) -> None:
    """`<(command)` is a pipe below /dev or /proc; it is read to its end, however it comes."""
    ours, theirs = os.pipe()
    os.write(theirs, b"first ")
    pid = os.fork()
    if pid == 0:  # the command, which takes its time
        os.close(ours)
        time.sleep(0.2)
        os.write(theirs, b"second")
        os._exit(0)
    os.close(theirs)
    try:
        assert read_file(Path(f"/dev/fd/{ours}"), 1024) == b"first second"
    finally:
        os.close(ours)
        os.waitpid(pid, 0)
