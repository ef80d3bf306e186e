"""A file with a secret stays out of the Git repository that its folder may belong to."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Final

_SECONDS: Final = 10


def keep_out_of_git(file: Path) -> str:
    """Adds the file to the `.gitignore` beside it where Git would take it in. What was done, in a line for the user."""
    folder = file.absolute().parent
    if not any((above / ".git").exists() for above in (folder, *folder.parents)):
        return f"keep {file} out of version control; it is in no Git repository now"
    if _is_ignored(file.absolute()):
        return f"{file} is ignored, so it is not committed by mistake"
    ignore = folder / ".gitignore"
    try:
        before = ignore.read_text("utf-8") if ignore.exists() else ""
        with ignore.open("a", encoding="utf-8") as stream:
            stream.write("\n" if before and not before.endswith("\n") else "")
            stream.write(f"/{file.name}\n")
    except (OSError, UnicodeDecodeError):
        return f"add {file} to .gitignore yourself, so that it is not committed by mistake"
    return f"{file} was added to {file.parent / '.gitignore'}, so that it is not committed by mistake"


def _is_ignored(file: Path) -> bool:
    """Whether Git says so; a Git that is not there says nothing."""
    git = shutil.which("git")
    if git is None:
        return False
    command = [git, "-C", str(file.parent), "check-ignore", "--quiet", file.name]
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=_SECONDS).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
