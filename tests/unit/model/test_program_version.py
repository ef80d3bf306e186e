"""Which version, and of which commit."""

from __future__ import annotations

from pathlib import Path

from exporter import __version__
from exporter.model.program_version import commit, program_version

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_the_commit_is_that_of_the_build_or_of_the_checkout(tmp_path: Path) -> None:
    """A package knows the commit that it was built from; a checkout reads it from Git's own files; else there is
    none."""
    package = tmp_path / "exporter"
    git = tmp_path / ".git"
    package.mkdir()
    assert commit(package) == ""
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text(
        f"# pack-refs with: peeled\n{'f' * 40} refs/heads/other\n{COMMIT} refs/heads/main\n"
    )
    assert commit(package) == "0123456789ab"
    (git / "refs" / "heads" / "main").write_text(f"{'a' * 40}\n")
    assert commit(package) == "a" * 12
    (git / "HEAD").write_text(f"{'b' * 40}\n")
    assert commit(package) == "b" * 12
    (package / "commit.txt").write_text(f"{COMMIT}\n")
    assert commit(package) == "0123456789ab"


def test_the_version_comes_first() -> None:
    """Whoever reports a fault names the version, and the commit where it is known."""
    assert program_version().startswith(__version__)
