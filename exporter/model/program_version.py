"""Which version of the program this is, and of which commit."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from exporter import __version__

_PACKAGE: Final = Path(__file__).parents[1]
_SHOWN: Final = 12  # characters of a commit


@cache
def program_version() -> str:
    """`0.1.0 (commit 1a2b3c4d5e6f)`; without the commit where it is not known."""
    found = commit(_PACKAGE)
    return f"{__version__} (commit {found})" if found else __version__


def commit(package: Path) -> str:
    """The commit of a package: what its build has noted in `commit.txt`, or else what its checkout stands at."""
    try:
        return (package / "commit.txt").read_text("ascii").strip()[:_SHOWN]
    except (OSError, ValueError):
        pass
    try:
        return _head(package.parent / ".git")[:_SHOWN]
    except (OSError, ValueError):
        return ""


def _head(git: Path) -> str:
    """The commit in a folder `.git` (gitrepository-layout(5)). Raises `OSError` where it is none."""
    head = (git / "HEAD").read_text("ascii").strip()
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    if (git / name).is_file():
        return (git / name).read_text("ascii").strip()
    lines = (git / "packed-refs").read_text("ascii").splitlines()
    return next((line.partition(" ")[0] for line in lines if line.endswith(f" {name}")), "")
