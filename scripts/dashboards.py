"""Writes grafana/dashboards/ from exporter/dashboards/shipped: `make dashboards`.

With `--check` it writes nothing, and ends with 1, naming them, if files are not what it would write.
"""

from __future__ import annotations

import sys
from pathlib import Path

from generated import written

from exporter.dashboards.model import dashboard_text
from exporter.dashboards.shipped import dashboards

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"


def texts() -> dict[Path, str | None]:
    """The dashboards by file; None for a file that is there and is none of them."""
    made = {FOLDER / f"{dashboard.uid}.json": dashboard_text(dashboard) for dashboard in dashboards()}
    return {**dict.fromkeys(FOLDER.glob("*.json")), **made}


if __name__ == "__main__":
    sys.exit(written(texts(), "make dashboards"))
