"""Writes docs/insights-exporter.1 from the commands; `--check` only says whether it is stale (`make docs`)."""

from __future__ import annotations

import sys
from pathlib import Path

from exporter.cli.main import command
from exporter.cli.man_page import man_page

FILE = Path(__file__).parents[1] / "docs" / "insights-exporter.1"


def main() -> int:
    text = man_page(command, "insights-exporter")
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text, "utf-8")
        return 0
    if not FILE.exists() or FILE.read_text("utf-8") != text:
        print(f"{FILE} is stale; run make docs")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
