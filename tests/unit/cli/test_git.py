"""The secret that `init` writes is not committed by mistake."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from exporter.cli.init.git import keep_out_of_git
from tests.support.processes import program


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A Git repository without a file."""
    subprocess.run([program("git"), "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def taken_in(repository: Path) -> str:
    """What `git add` would commit."""
    command = [program("git"), "-C", str(repository), "status", "--porcelain", "--untracked-files=all"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("before", [None, "*.log", "*.log\n"])
@pytest.mark.parametrize("folder", [".", "below"])
def test_a_secret_in_a_repository_is_ignored(before: str | None, folder: str, repository: Path) -> None:
    """In a clone, the file is added to `.gitignore` beside it, once, and what that held stays."""
    (repository / folder).mkdir(exist_ok=True)
    secret, ignore = repository / folder / "config.secret", repository / folder / ".gitignore"
    if before is not None:
        ignore.write_text(before)
    secret.write_text("x")
    assert "config.secret" in taken_in(repository)
    assert "was added to" in keep_out_of_git(secret)
    assert "config.secret" not in taken_in(repository)
    assert "is ignored" in keep_out_of_git(secret)
    assert ignore.read_text().split() == [*(["*.log"] if before else []), "/config.secret"]


def test_a_secret_elsewhere_is_spoken_of(tmp_path: Path) -> None:
    """Outside of any repository nothing is written, and the user is told what matters."""
    assert "out of version control" in keep_out_of_git(tmp_path / "config.secret")
    assert not list(tmp_path.iterdir())
