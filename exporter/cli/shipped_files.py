"""The files for other programs that come with the package: dashboards, rules, examples and the manual page."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import exporter

_PACKAGE: Final = Path(exporter.__file__).parent
_NAME: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_IN_CHECKOUT: Final = {
    "dashboards": "grafana/dashboards",
    "rules": "prometheus/rules",
    "examples": "docs/examples",
    "config.example.yaml": "config.example.yaml",
    "insights-exporter.1": "docs/insights-exporter.1",
}
"""Where a checkout has what the package has in `files/`; `pyproject.toml` puts it there."""


def copy_shipped_files(folder: Path, *, force: bool) -> Iterator[Path]:
    """Copies all of them into the folder, and yields each file or folder that it has written. Raises `FileExistsError`
    for one that is there, unless with `force`, and `OSError`."""
    for name in _IN_CHECKOUT:
        if (folder / name).exists() and not force:
            raise FileExistsError(folder / name)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _IN_CHECKOUT:
        source, target = _source(name), folder / name
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copyfile(source, target)
        yield target


def metrics_shown() -> frozenset[str]:
    """The names of metrics that the shipped dashboards and rules show, among other words that stand there. Raises
    `OSError`."""
    shipped = [*_source("dashboards").glob("*.json"), *_source("rules").glob("*.yaml")]
    return frozenset(word for file in shipped for word in _NAME.findall(file.read_text("utf-8")))


def _source(name: str) -> Path:
    packed = _PACKAGE / "files" / name
    return packed if packed.exists() else _PACKAGE.parent / _IN_CHECKOUT[name]
