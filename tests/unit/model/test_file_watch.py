"""Whether files have changed, and whether who writes them has ended."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from exporter.config.named_files import files_of
from exporter.model.file_read import read_file
from exporter.model.file_watch import FileWatch, Sought, file_states, note_sought


def test_a_change_is_one_when_nobody_writes_any_more(tmp_path: Path) -> None:
    """What is still being written is not taken; what is there at the start is no change."""
    file = tmp_path / "file"
    file.write_text("first")
    watch = FileWatch(lambda: (file,))
    assert not watch.has_changed()
    file.write_text("the second")
    assert not watch.has_changed()
    file.write_text("the second, and more")
    assert not watch.has_changed()
    assert watch.has_changed()
    assert not watch.has_changed()


def test_a_file_that_goes_and_comes_has_changed(tmp_path: Path) -> None:
    """Also where it comes back as it was; a file that is watched only now has not."""
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text("text")
    files = [file]
    watch = FileWatch(lambda: files)
    file.unlink()
    assert [watch.has_changed() for _ in range(3)] == [False, True, False]
    file.write_text("text")
    assert [watch.has_changed() for _ in range(3)] == [False, True, False]
    other.write_text("text")
    files.append(other)
    assert [watch.has_changed() for _ in range(3)] == [False, False, False]


def test_a_file_that_may_be_read_now_has_changed(tmp_path: Path) -> None:
    """Also where nothing was written: it was refused before."""
    file = tmp_path / "file"
    file.write_text("text")
    file.chmod(0o000)
    watch = FileWatch(lambda: (file,))
    file.chmod(0o600)
    assert [watch.has_changed() for _ in range(3)] == [False, True, False]


def test_a_file_that_always_changes_keeps_no_other_back(tmp_path: Path) -> None:
    """The others are taken after a few looks, and then are no change any more; it is one when it rests."""
    file, busy = tmp_path / "file", tmp_path / "busy"
    watch = FileWatch(lambda: (file, busy))

    def look() -> bool:
        busy.write_text(f"{busy.read_text() if busy.exists() else ''}x")
        return watch.has_changed()

    assert not any(look() for _ in range(7))
    file.write_text("text")
    assert sum(look() for _ in range(20)) == 1
    assert [watch.has_changed() for _ in range(2)] == [True, False]


def test_a_link_that_leads_elsewhere_is_another_file(tmp_path: Path) -> None:
    """As Kubernetes replaces the files of a Secret; one that is not there has no state."""
    for name in ("one", "two"):
        (tmp_path / name).write_text("same")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "one")
    before = file_states([link])
    link.unlink()
    assert file_states([link]) == {link: None}
    link.symlink_to(tmp_path / "two")
    assert file_states([link]) != before


def test_a_name_that_no_file_can_have_has_no_state(tmp_path: Path) -> None:
    """As one that is not there: a look never fails."""
    files = [tmp_path / "a\0b", tmp_path / ("x" * 300)]
    assert file_states(files) == dict.fromkeys(files)


def test_a_file_that_was_seen_otherwise_has_changed(tmp_path: Path) -> None:
    """What changes between the reading of a file and the first look at it is not missed."""
    file = tmp_path / "file"
    files, sought = list[Path](), Sought()
    watch = FileWatch(lambda: files, lambda: sought.states)
    sought.note(file)
    file.write_text("text")
    sought.note(file)
    files.append(file)
    assert [watch.has_changed() for _ in range(3)] == [False, True, False]


def test_what_is_looked_for_is_noted(tmp_path: Path) -> None:
    """Files that are there or not, as they were, and the folders of patterns; not what others look for meanwhile."""
    there, none, folder = tmp_path / "there", tmp_path / "none", tmp_path / "later"
    there.write_text("text")
    with note_sought(sought := Sought()):
        for file in (there, none):
            with suppress(FileNotFoundError):
                read_file(file, 100)
        files_of(folder / "*.yaml")
    read_file(there.rename(tmp_path / "other"), 100)
    assert {file: state is None for file, state in sought.states.items()} == {there: False, none: True, folder: True}
    assert list(sought.patterns) == [folder / "*.yaml"]
