"""Writes grafana/dashboards/ from exporter/dashboards/shipped: `make dashboards`.

With `--check` it writes nothing, and ends with 1, naming them, if files are not what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from exporter.dashboards.model import dashboard_text
from exporter.dashboards.shipped import dashboards

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"


def main() -> int:
    """0 if the files are up to date or have been written; 1 if `--check` found some that differ."""
    texts = {FOLDER / f"{dashboard.uid}.json": dashboard_text(dashboard) for dashboard in dashboards()}
    found = {file: file.read_text("utf-8") for file in FOLDER.glob("*.json")}
    stale = sorted(file for file in texts.keys() | found.keys() if texts.get(file) != found.get(file))
    if "--check" in sys.argv[1:]:
        for file in stale:
            print(f"{file.name} is not what the code makes; run: make dashboards", file=sys.stderr)
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for file in stale:
        if file in texts:
            file.write_text(texts[file], "utf-8")
        else:
            file.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
