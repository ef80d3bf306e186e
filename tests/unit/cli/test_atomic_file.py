"""Files that commands write."""

from __future__ import annotations

from pathlib import Path

import pytest

from exporter.cli.atomic_file import atomic_file


def test_a_file_that_is_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    """A command that fails while it writes leaves what was there, and no file of its own."""
    file = tmp_path / "config.yaml"
    file.write_text("old")
    with pytest.raises(TypeError), atomic_file(file) as stream:
        stream.write("text, not bytes")  # type: ignore[call-overload]
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_finished_file_takes_the_place_of_the_old_one(tmp_path: Path, mode: int) -> None:
    """The file has the new content, and is readable for those who may read it."""
    file = tmp_path / "config.yaml"
    file.write_text("old")
    with atomic_file(file, mode) as stream:
        stream.write(b"new")
    assert file.read_text() == "new"
    assert file.stat().st_mode & 0o777 == mode
