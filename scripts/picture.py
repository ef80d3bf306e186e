"""Draws a dashboard of grafana/dashboards with data from a real Prometheus. It is a picture of ours, not of Grafana,
and says so: it shows what the dashboard asks and what comes of it, not what Grafana looks like.

    .venv/bin/python scripts/picture.py choreo-insights-overview http://localhost:9090 20m docs/pictures/overview.png

The last name may end in .html, which needs no Chromium. Rows that are collapsed, and kinds of panels other than
figures, lines and tables, are not drawn.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import httpx

from exporter.model.duration import duration_seconds, duration_text

FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"
COLUMN, LINE, GAP = 50, 34, 8  # pixels of one of the 24 columns, of a unit of height, between panels
COLORS = ("#1f77b4", "#d9822b", "#2b8a5b", "#a33b3b", "#6b5b95", "#8c6d46", "#c2549d", "#5b6770")
NAMED = {"green": "#2b8a5b", "orange": "#d9822b", "red": "#c23030", "blue": "#1f5f99"}
STYLE = """
body { margin: 12px; width: 1200px; background: #eef1f4; color: #1c2733; font: 12px "DejaVu Sans", sans-serif }
h1 { font-size: 19px; margin: 0 4px } h1 + p { margin: 3px 4px 6px; color: #52606d }
.board { position: relative } .panel, .row { position: absolute; box-sizing: border-box; overflow: hidden }
.row { font-weight: bold; font-size: 13px; padding: 9px 4px 0 }
.panel { background: white; border: 1px solid #cfd6de; border-radius: 4px; padding: 6px 9px }
.panel b { font-size: 12px } .figure { font-size: 27px; text-align: center; margin-top: 18px }
.legend { font-size: 11px; line-height: 14px } .legend span { margin-right: 10px; display: inline-block }
svg { display: block } text { font-size: 10px; fill: #52606d }
table { border-collapse: collapse; width: 100%; margin-top: 6px } td, th { text-align: left; padding: 4px 10px 4px 0 }
tr { border-bottom: 1px solid #e1e6eb } th { color: #52606d }
"""


@dataclass(frozen=True)
class Prometheus:
    """Where the data comes from, and of what time."""

    url: str
    end: float
    range_seconds: float
    chosen: dict[str, str]

    @property
    def step(self) -> float:
        return max(15.0, self.range_seconds / 120)

    def answer(self, target: dict[str, Any]) -> list[dict[str, Any]]:
        """The series of a target: of the whole time, or of its end. Raises `httpx.HTTPStatusError` if refused."""
        query = re.sub(r"\$(\w+)", lambda match: self.chosen[match[1]], target["expr"])
        span: dict[str, Any] = {"start": self.end - self.range_seconds, "end": self.end, "step": self.step}
        path, more = ("query", {"time": self.end}) if target["instant"] else ("query_range", span)
        response = httpx.get(f"{self.url}/api/v1/{path}", params={"query": query, **more}).raise_for_status()
        return list(response.json()["data"]["result"])


def shown(value: float, unit: str, decimals: int | None = None) -> str:
    """A value in its unit, in few characters."""
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.2f} %"
    if unit == "s":
        minutes = f"{value / 60:.3g} min"
        return minutes if value >= 60 else f"{value:.3g} s" if value >= 1 else f"{value * 1000:.0f} ms"
    return f"{value:,.0f}" if abs(value) >= 1000 or decimals == 0 else f"{value:.3g}"


def color_of(value: float, thresholds: dict[str, Any] | None) -> str:
    """The colour of the highest threshold that the value reaches."""
    steps = (thresholds or {"steps": [{"color": "blue", "value": None}]})["steps"]
    reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
    return NAMED[reached[-1]]


def legend_of(target: dict[str, Any], labels: dict[str, str]) -> str:
    """The name of a series, as the target's legend makes it."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), target.get("legendFormat", ""))


def figure(panel: dict[str, Any], prometheus: Prometheus) -> str:
    """The one value of a stat."""
    defaults = panel["fieldConfig"]["defaults"]
    result = prometheus.answer(panel["targets"][0])
    if not result:
        return '<div class="figure">no data</div>'
    value = float(result[0]["value"][1])
    return f'<div class="figure" style="color:{color_of(value, defaults.get("thresholds"))}">' + (
        f"{shown(value, defaults['unit'], defaults.get('decimals'))}</div>"
    )


def lines(panel: dict[str, Any], prometheus: Prometheus) -> str:
    """The lines of a time series, each side with its own scale, and a legend with the last values."""
    fields = panel["fieldConfig"]
    own = fields["defaults"]["unit"]
    right = [
        (re.compile(one["matcher"]["options"]), {p["id"]: p["value"] for p in one["properties"]})
        for one in fields["overrides"]
    ]
    width, height = panel["gridPos"]["w"] * COLUMN - GAP - 20, panel["gridPos"]["h"] * LINE - GAP - 100
    sides: dict[str, list[tuple[str, str, list[tuple[float, float]]]]] = {}
    colors = iter(COLORS * 10)
    for target in panel["targets"]:
        for series in prometheus.answer(target):
            name = legend_of(target, series["metric"])
            unit = next((of["unit"] for pattern, of in right if pattern.fullmatch(name)), "")
            points = [(at, float(value)) for at, value in series["values"] if value != "NaN"]
            sides.setdefault(unit, []).append((name, next(colors), points))
    drawn = [_axis(prometheus, width, height)]
    for unit, several in sides.items():
        drawn.extend(_side(several, unit or own, bool(unit), prometheus, (width, height)))
    legend = "".join(
        f'<span style="color:{color}">■ {escape(name)}: {shown(points[-1][1], unit or own)}</span>'
        for unit, several in sides.items()
        for name, color, points in several
        if points
    )
    return f'<svg width="{width}" height="{height + 22}">{"".join(drawn)}</svg><div class="legend">{legend}</div>'


def _axis(prometheus: Prometheus, width: float, height: float) -> str:
    marks = []
    for part in range(5):
        x = 58 + (width - 116) * part / 4
        at = time.gmtime(prometheus.end - prometheus.range_seconds * (1 - part / 4))
        marks.append(f'<text x="{x}" y="{height + 16}" text-anchor="middle">{time.strftime("%H:%M", at)}</text>')
    return "".join(marks)


def _side(
    several: list[tuple[str, str, list[tuple[float, float]]]],
    unit: str,
    right: bool,
    prometheus: Prometheus,
    size: tuple[float, float],
) -> Iterator[str]:
    width, height = size
    top = max((value for *_, points in several for _, value in points), default=0.0) * 1.1 or 1.0
    begin = prometheus.end - prometheus.range_seconds
    for part in range(4):
        y = height - (height - 12) * part / 3
        x, anchor = (width - 54, "start") if right else (54, "end")
        if not right:
            yield f'<line x1="58" x2="{width - 58}" y1="{y}" y2="{y}" stroke="#e1e6eb"/>'
        yield f'<text x="{x}" y="{y + 3}" text-anchor="{anchor}">{shown(top * part / 3, unit)}</text>'
    for _, color, points in several:
        across, up = (width - 116) / prometheus.range_seconds, (height - 12) / top
        placed = " ".join(f"{58 + across * (at - begin):.1f},{height - up * value:.1f}" for at, value in points)
        yield f'<polyline points="{placed}" fill="none" stroke="{color}" stroke-width="1.6"/>'


def table(panel: dict[str, Any], prometheus: Prometheus) -> str:
    """A table's rows, merged by their labels."""
    (organize,) = (one["options"] for one in panel["transformations"] if one["id"] == "organize")
    titles = {name: title for name, title in organize["renameByName"].items() if not name.startswith("Value")}
    rows: dict[tuple[str, ...], list[str]] = {}
    overrides = [{p["id"]: p["value"] for p in one["properties"]} for one in panel["fieldConfig"]["overrides"]]
    for index, (target, override) in enumerate(zip(panel["targets"], overrides, strict=True)):
        for series in prometheus.answer(target):
            cells = rows.setdefault(tuple(series["metric"].get(name, "") for name in titles), [""] * len(overrides))
            value = float(series["value"][1])
            color = color_of(value, override.get("thresholds")) if "thresholds" in override else "inherit"
            cells[index] = f'<td style="color:{color}">{shown(value, override["unit"], override.get("decimals"))}</td>'
    heads = [*titles.values(), *(one["matcher"]["options"] for one in panel["fieldConfig"]["overrides"])]
    body = [
        "<tr>" + "".join(f"<td>{escape(label)}</td>" for label in labels) + "".join(c or "<td>–</td>" for c in cells)
        for labels, cells in sorted(rows.items())
    ]
    return f"<table><tr>{''.join(f'<th>{escape(head)}</th>' for head in heads)}</tr>{'</tr>'.join(body)}</table>"


def is_drawn(panel: dict[str, Any]) -> bool:
    """Whether the panel is of a kind that can be drawn; a table whose columns are values of a label cannot."""
    is_matrix = any(one["id"] == "groupingToMatrix" for one in panel.get("transformations", ()))
    return panel["type"] == "row" or (panel["type"] in DRAWN and not is_matrix)


DRAWN = {"stat": figure, "timeseries": lines, "table": table}


def page(dashboard: dict[str, Any], url: str, range_seconds: float) -> tuple[str, int]:
    """The picture as HTML, and its height in pixels."""
    chosen = {one["name"]: one["allValue"] for one in dashboard["templating"]["list"] if "allValue" in one}
    chosen |= {"__range": duration_text(range_seconds), "__rate_interval": "1m", "__interval": "1m"}
    prometheus = Prometheus(url.rstrip("/"), time.time(), range_seconds, chosen)
    parts, bottom = [], 0
    for panel in dashboard["panels"]:
        if panel.get("collapsed") or not is_drawn(panel):
            continue
        at = panel["gridPos"]
        bottom = max(bottom, at["y"] + at["h"])
        size = f"width:{at['w'] * COLUMN - GAP}px;height:{at['h'] * LINE - GAP}px"
        place = f"left:{at['x'] * COLUMN}px;top:{at['y'] * LINE}px;{size}"
        content = DRAWN[panel["type"]](panel, prometheus) if panel["type"] != "row" else ""
        kind = "row" if panel["type"] == "row" else "panel"
        title = escape(panel["title"])
        parts.append(f'<div class="{kind}" style="{place}"><b>{title}</b>{content}</div>')
    about = (
        "Drawn by scripts/picture.py from this dashboard's own queries, over the last "
        f"{duration_text(range_seconds)} of a simulated organization. This is not a picture of Grafana."
    )
    head = f"<title>{escape(dashboard['title'])}</title><style>{STYLE}</style><meta charset=utf-8>"
    body = f'<h1>{escape(dashboard["title"])}</h1><p>{about}</p><div class="board">{"".join(parts)}</div>'
    return f"<!doctype html>{head}{body}", bottom * LINE + 75


def main(name: str, url: str, length: str, output: str) -> None:
    """Draws the dashboard of that uid into a file."""
    dashboard = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    html, height = page(dashboard, url, duration_seconds(length))
    if output.endswith(".html"):
        Path(output).write_text(html, "utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "picture.html")
        source.write_text(html, "utf-8")
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        command = [
            "chromium",
            "--headless",
            *sandbox,
            f"--user-data-dir={folder}",
            "--hide-scrollbars",
            "--disable-gpu",
        ]
        subprocess.run(  # noqa: S603 - our own page
            [*command, f"--window-size=1224,{height}", f"--screenshot={Path(output).resolve()}", source.as_uri()],
            check=True,
            capture_output=True,
            timeout=120,
        )


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    main(*sys.argv[1:])
