"""What `--config.file` names: a file, a folder of files, or several of both, which are one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

ConfigFiles: TypeAlias = Path | tuple[Path, ...]
