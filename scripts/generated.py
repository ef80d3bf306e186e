"""Files that a script makes: written, or with `--check` only looked at."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path


def written(texts: Mapping[Path, str | None], remedy: str) -> int:
    """Brings the files to these texts, where None is no file. The exit code: with `--check` nothing is written, and 1
    says that some differ, each named with the remedy."""
    now = {file: file.read_text("utf-8") if file.exists() else None for file in texts}
    stale = [file for file, text in texts.items() if now[file] != text]
    for file in stale:
        text = texts[file]
        if "--check" in sys.argv[1:]:
            print(f"{file.name} is stale; run: {remedy}", file=sys.stderr)
        elif text is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
    return 1 if stale and "--check" in sys.argv[1:] else 0
