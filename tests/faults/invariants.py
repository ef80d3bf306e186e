"""What holds whatever goes wrong."""

from __future__ import annotations

import base64
import subprocess
from typing import Final

from tests.support.processes import Exporter, Snapshot, program

OWN: Final = "insights_exporter_"


def breaches(exporter: Exporter, canary: str) -> list[str]:
    """What an exporter does that it must never do; `canary` is part of each secret and token that it was given."""
    if exporter.popen.poll() is not None:
        return [f"the process has ended: {exporter.log[-2000:]}"]
    page = exporter.page()
    found = [f"it shows {text!r}" for text in _never_shown(canary) if any(text in each for each in _shown(exporter))]
    command = [program("promtool"), "check", "metrics"]
    checked = subprocess.run(command, check=False, input=page.encode(), capture_output=True)
    if checked.returncode not in (0, 3):  # 3: matters of style
        found.append(checked.stderr.decode())
    if Snapshot(page).total(f"{OWN}poll_failures_total", reason="internal"):
        found.append("a poll failed for a fault of ours")
    return found


def _shown(exporter: Exporter) -> list[str]:
    return [exporter.log, *exporter.everything_shown()]


def _never_shown(canary: str) -> tuple[str, ...]:
    beginning = canary[:12]  # a part of a secret is too much, too
    pair = base64.b64encode(f"faults:{beginning}".encode()).decode().rstrip("=")[:-1]
    return (beginning, pair, "belongs in no log", "Traceback")
