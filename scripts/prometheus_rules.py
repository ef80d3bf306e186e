"""Writes deploy/kubernetes/prometheus-rules.yaml from prometheus/rules/, an object for each file: `make manifests`.

With `--check` it writes nothing, and ends with 1 if the file is not what it would write.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

from generated import written

ROOT: Final = Path(__file__).resolve().parents[1]
RULES: Final = ROOT / "prometheus" / "rules"
MANIFESTS: Final = ROOT / "deploy" / "kubernetes" / "prometheus-rules.yaml"
_FRACTION: Final = re.compile(r"(?<=\bexpr: )[0-9]+\.[0-9]+(?=[,}\n])")
_NOTE: Final = "# Made from prometheus/rules/ by scripts/prometheus_rules.py (`make manifests`); change it there.\n"


def manifest(file: Path) -> str:
    """The PrometheusRule with the groups of a rule file, line by line, so that comments stay where they stand.

    Fractions are quoted: `expr` may be an integer or text there, unlike in Prometheus' own files.
    """
    before, _, groups = _FRACTION.sub(r'"\g<0>"', file.read_text("utf-8")).partition("\ngroups:\n")
    indented = "".join(f"  {line}\n" if line else "\n" for line in groups.splitlines())
    return f"""\
---
{before}
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: insights-exporter-{file.stem}
  labels: {{app.kubernetes.io/name: insights-exporter}}
spec:
  groups:
{indented}"""


def text() -> str:
    """All manifests, as the file has them."""
    return _NOTE + "".join(manifest(file) for file in sorted(RULES.glob("*.yaml")))


if __name__ == "__main__":
    sys.exit(written({MANIFESTS: text()}, "make manifests"))
