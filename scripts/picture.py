"""Draws a preview of a dashboard of grafana/dashboards with data from a real Prometheus. It is a picture of ours, not
of Grafana, and says so: it shows what the dashboard asks and what comes of it, not what Grafana looks like.

    .venv/bin/python scripts/picture.py choreo-insights-overview http://localhost:9090 24h overview.png

The last name may end in .html, which needs no Chromium. `--width=390` draws it as a phone shows it, panel below panel;
`--var api="Orders API"` chooses in a variable (All else); `--at=UNIX` ends the range then; `--open` opens the rows that
are collapsed; `--note=TEXT` says what is seen.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx

from exporter.model.duration import duration_seconds, duration_text

JsonObject: TypeAlias = dict[str, Any]

FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"
WIDTH: Final = 1600
PHONE: Final = 768  # pixels, below which Grafana puts panel below panel
LINE, GAP, HEAD = 38, 8, 30  # pixels of a unit of height, between panels, of a panel's title
PALETTE: Final = (
    *("#73bf69", "#f2cc0c", "#8ab8ff", "#ff9830", "#b877d9", "#5794f2", "#ffb357", "#96d98d", "#fade2a", "#c0d8ff"),
    *("#e0b400", "#37872d", "#705da0", "#3274d9", "#fa6400", "#6ed0e0", "#ca95e5", "#447ebc", "#a352cc", "#14a085"),
)
NAMED: Final = {
    **{"green": "#37872d", "orange": "#fa6400", "red": "#c4162a", "blue": "#1f60c4", "text": "#24292e"},
    **{"transparent": "transparent", "purple": "#8f3bb8", "yellow": "#f2cc0c", "semi-dark-blue": "#3274d9"},
    **{"light-purple": "#ca95e5", "super-light-blue": "#c0d8ff"},
}
STYLE: Final = """
body { margin: 8px; background: #f4f5f5; color: #24292e; font: 12px "DejaVu Sans", sans-serif }
h1 { font-size: 18px; margin: 0 4px } h1 + p { margin: 3px 4px 8px; color: #52606d }
.board { position: relative } .panel, .row { position: absolute; box-sizing: border-box; overflow: hidden }
.row { font-weight: bold; font-size: 13px; padding: 10px 4px 0 } .row i { font-weight: normal; color: #6e7780 }
.panel { background: white; border: 1px solid #d8d9da; border-radius: 3px; padding: 6px 8px }
.panel > b { font-size: 12px; display: block; height: 20px; white-space: nowrap; overflow: hidden;
 text-overflow: ellipsis }
.stats { display: flex; gap: 6px; align-items: stretch } .stats > div { flex: 1; text-align: center; border-radius: 2px;
 display: flex; flex-direction: column; justify-content: center; min-width: 0; overflow: hidden }
.stats small { display: block; font-size: 11px; white-space: nowrap; overflow: hidden; text-overflow: ellipsis }
.legend { overflow: hidden; font-size: 11px; width: 100%; border-collapse: collapse }
.legend td, .legend th { padding: 1px 6px; text-align: right }
.legend td:first-child, .legend th:first-child { text-align: left; width: 99%; max-width: 0; overflow: hidden;
 text-overflow: ellipsis; white-space: nowrap }
svg { display: block } text { font-size: 10px; fill: #52606d }
.table { border-collapse: collapse; width: 100% } .table td, .table th { text-align: left; padding: 5px 8px 5px 0;
 white-space: nowrap } .table tr { border-bottom: 1px solid #e9edf2 } .table th { color: #1f60c4 } a { color: #1f60c4 }
.table .number { text-align: right } .empty { color: #6e7780; text-align: center; padding-top: 20px; font-size: 15px }
.name { display: inline-block; width: 190px; overflow: hidden; text-overflow: ellipsis; vertical-align: middle }
.bar { display: inline-block; height: 12px; background: #8ab8ff; vertical-align: middle; margin-right: 6px }
"""


@dataclass(frozen=True)
class Series:
    """What Prometheus has of one series: its labels, and times with values (one, if it was asked for a moment)."""

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]

    @property
    def last(self) -> float:
        return self.points[-1][1] if self.points else math.nan


@dataclass(frozen=True)
class Prometheus:
    """Where the data comes from, and of what time."""

    url: str
    end: float
    range_seconds: float
    chosen: Mapping[str, str]
    answers: dict[tuple[str, bool, float], list[Series]] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """The text with the values of the variables."""
        return re.sub(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))", lambda found: self.chosen[found[1] or found[2]], text)

    def step(self, panel: JsonObject) -> float:
        """Seconds between two points of a chart."""
        return max(duration_seconds(panel.get("interval", "1m")), self.range_seconds / panel["maxDataPoints"])

    def answer(self, panel: JsonObject, target: JsonObject) -> list[Series]:
        """The series of a target: of the whole time, or of its end. Raises `httpx.HTTPStatusError` if refused."""
        key = (target["expr"], target["instant"], self.step(panel))
        if key not in self.answers:
            self.answers[key] = list(self._asked(*key))
        return self.answers[key]

    def _asked(self, expr: str, instant: bool, step: float) -> Iterator[Series]:
        begin = min(math.ceil((self.end - self.range_seconds) / step) * step, self.end)
        path, more = ("query", {"time": self.end}) if instant else (
            "query_range", {"start": begin, "end": self.end, "step": step}
        )  # fmt: skip
        form = {"query": self.fill(expr), **more}
        response = httpx.post(f"{self.url}/api/v1/{path}", data=form, timeout=60).raise_for_status()
        for one in response.json()["data"]["result"]:
            points = one.get("values") or [one["value"]]
            yield Series(one["metric"], [(at, float(value)) for at, value in points])


def number_text(value: float, unit: str, decimals: int | None = None, now: float = 0.0) -> str:
    """A value in its unit, in few characters."""
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.{2 if decimals is None else decimals}f} %"
    if unit in ("s", "dtdurations"):
        return span_text(value, decimals)
    if unit == "dateTimeFromNow":
        ago = now - value / 1000
        return f"{span_text(abs(ago), 0)} ago" if ago >= 0 else f"in {span_text(abs(ago), 0)}"
    if unit == "dateTimeAsIso":
        return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(value / 1000))
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    suffix = {"reqpm": " req/m", "cpm": " c/m"}.get(unit, unit.partition("suffix:")[2])
    digits = 0 if decimals == 0 or (decimals is None and value == round(value)) else decimals or 2
    return f"{value:,.{digits}f}{suffix}"


def span_text(seconds: float, decimals: int | None = None) -> str:
    """A time span in the unit that fits."""
    for size, name in ((604_800, "w"), (86_400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if abs(seconds) >= size:
            return f"{seconds / size:.{1 if decimals is None or size > 60 else decimals}f} {name}"
    return f"{seconds * 1000:.0f} ms"


@dataclass(frozen=True)
class Look:
    """How values of a field look: what the panel says of all, and what its overrides say of this one."""

    properties: Mapping[str, Any]
    now: float

    @classmethod
    def of(cls, panel: JsonObject, now: float, ref_id: str, name: str) -> Look:
        """`name` is the field's, as an override would name it."""
        found: dict[str, Any] = dict(panel["fieldConfig"]["defaults"])
        for override in panel["fieldConfig"]["overrides"]:
            matcher, options = override["matcher"]["id"], override["matcher"]["options"]
            if {"byFrameRefID": options == ref_id, "byName": options == name}.get(
                matcher, bool(re.fullmatch(options.strip("/") + ".*", name)) if matcher == "byRegexp" else False
            ):
                found |= {one["id"]: one["value"] for one in override["properties"]}
        return cls(found, now)

    @property
    def unit(self) -> str:
        return str(self.properties.get("unit", "none"))

    def text(self, value: float) -> str:
        word = self._word(value)
        return str(word["text"]) if word else number_text(value, self.unit, self.properties.get("decimals"), self.now)

    def color(self, value: float) -> str:
        """The colour of the word for the value, or of the highest threshold that it reaches."""
        if (word := self._word(value)) and word.get("color"):
            return str(NAMED.get(word["color"], word["color"]))
        steps = self.properties.get("thresholds", {}).get("steps", [])
        reached = [step["color"] for step in steps if step["value"] is None or value >= step["value"]]
        return str(NAMED.get(reached[-1], reached[-1])) if reached else "inherit"

    @property
    def fixed_color(self) -> str:
        color = self.properties.get("color", {})
        fixed = color.get("fixedColor", "") if color.get("mode") == "fixed" else ""
        return str(NAMED.get(fixed, fixed))

    def _word(self, value: float) -> JsonObject:
        mappings = self.properties.get("mappings") or [{"options": {}}]
        return dict(mappings[0]["options"].get(f"{value:g}", {}))


def color_of_name(name: str) -> str:
    """Always the same for a name."""
    return PALETTE[sum((index + 1) * ord(letter) for index, letter in enumerate(name)) % len(PALETTE)]


def legend_of(target: JsonObject, labels: Mapping[str, str]) -> str:
    """The name of a series, as the target's legend makes it."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), target.get("legendFormat", ""))


def empty(panel: JsonObject) -> str:
    """What stands where there is nothing."""
    return f'<div class="empty">{escape(panel["fieldConfig"]["defaults"].get("noValue", "No data"))}</div>'


def figures(panel: JsonObject, prometheus: Prometheus, size: tuple[float, float]) -> str:
    """The values of a stat, side by side."""
    found = [(target, one) for target in panel["targets"] for one in prometheus.answer(panel, target)]
    if not found:
        return empty(panel)
    named, filled = panel["options"]["textMode"] == "value_and_name", panel["options"]["colorMode"] == "background"
    letters = min(30, size[1] * (0.42 if named else 0.6), size[0] / len(found) / 6.5)
    cells = []
    for target, one in found:
        name = legend_of(target, one.labels)
        look = Look.of(panel, prometheus.end, target["refId"], name)
        color = look.color(one.last)
        style = f"background:{color};color:white" if filled else f"color:{color}"
        label = f"<small>{escape(name)}</small>" if named else ""
        text = escape(look.text(one.last))
        cells.append(f'<div style="{style}">{label}<span style="font-size:{letters:.0f}px">{text}</span></div>')
    return f'<div class="stats" style="height:{size[1]}px">{"".join(cells)}</div>'


@dataclass(frozen=True)
class Drawn:
    """A line of a chart."""

    name: str
    series: Series
    look: Look
    color: str

    @property
    def is_right(self) -> bool:
        return self.look.properties.get("custom.axisPlacement") == "right"

    @property
    def is_dashed(self) -> bool:
        return "custom.lineStyle" in self.look.properties

    def calc(self, name: str) -> float:
        values = [value for _, value in self.series.points if not math.isnan(value)]
        if not values:
            return math.nan
        return {"mean": sum(values) / len(values), "max": max(values), "lastNotNull": values[-1]}[name]


def chart(panel: JsonObject, prometheus: Prometheus, size: tuple[float, float]) -> str:
    """The lines of a time series, each side with its own scale, and the legend below, the largest first."""
    lines = []
    for target in panel["targets"]:
        for one in prometheus.answer(panel, target):
            name = legend_of(target, one.labels)
            look = Look.of(panel, prometheus.end, target["refId"], name)
            lines.append(Drawn(name, one, look, look.fixed_color or color_of_name(name)))
    if not lines:
        return empty(panel)
    calcs = panel["options"]["legend"]["calcs"]
    ranked = sorted(lines, key=lambda line: (math.isnan(line.calc(calcs[0])), -line.calc(calcs[0])))
    below = min(size[1] * 0.4, 18 * (len(lines) + 1))
    width, height = size[0], size[1] - below - 18
    custom = panel["fieldConfig"]["defaults"]["custom"]
    stacked = custom["stacking"]["mode"] == "normal"
    drawn = [_time_axis(prometheus, width, height)]
    for right in (False, True):
        if side := [line for line in lines if line.is_right == right]:
            drawn.extend(_side(side, panel, prometheus, (width, height), stacked=stacked and not right))
    heads = "".join(f"<th>{ {'mean': 'Mean', 'max': 'Max', 'lastNotNull': 'Last'}[calc] }</th>" for calc in calcs)
    rows = "".join(
        f'<tr><td><span style="color:{line.color}">{"╌" if line.is_dashed else "■"}</span> {escape(line.name)}</td>'
        + "".join(f"<td style='white-space:nowrap'>{line.look.text(line.calc(calc))}</td>" for calc in calcs)
        for line in ranked
    )
    legend = (
        f'<div style="height:{below}px;overflow:hidden"><table class="legend"><tr><th></th>{heads}</tr>{rows}</table>'
    )
    return f'<svg width="{width}" height="{height + 18}">{"".join(drawn)}</svg>{legend}</div>'


def _time_axis(prometheus: Prometheus, width: float, height: float) -> str:
    marks, parts = [], 4 if width < 600 else 8
    form = "%m-%d" if prometheus.range_seconds > 2 * 86_400 else "%H:%M"
    for part in range(parts + 1):
        x = 62 + (width - 124) * part / parts
        at = time.gmtime(prometheus.end - prometheus.range_seconds * (1 - part / parts))
        marks.append(f'<text x="{x}" y="{height + 13}" text-anchor="middle">{time.strftime(form, at)}</text>')
    return "".join(marks)


def _side(
    lines: Sequence[Drawn], panel: JsonObject, prometheus: Prometheus, size: tuple[float, float], *, stacked: bool
) -> Iterator[str]:
    width, height = size
    below: dict[float, float] = {}
    shapes: list[tuple[Drawn, list[tuple[float, float, float]]]] = []
    for line in lines:
        points = []
        for at, value in line.series.points:
            if math.isnan(value):
                continue
            base = below.get(at, 0.0) if stacked and not line.is_dashed else 0.0
            points.append((at, base, base + value))
            if stacked and not line.is_dashed:
                below[at] = base + value
        shapes.append((line, points))
    values = [point[2] for _, points in shapes for point in points]
    top, bottom = max([*values, 1e-9]) * 1.08, min([*values, 0.0])
    look, begin = lines[0].look, prometheus.end - prometheus.range_seconds

    def place(at: float, value: float) -> tuple[float, float]:
        across = (width - 124) / prometheus.range_seconds
        return 62 + across * (at - begin), height - (height - 10) * (value - bottom) / (top - bottom)

    right = lines[0].is_right
    for part in range(5):
        value = bottom + (top - bottom) * part / 4
        y = place(begin, value)[1]
        x, anchor = (width - 58, "start") if right else (58, "end")
        if not right:
            yield f'<line x1="62" x2="{width - 62}" y1="{y}" y2="{y}" stroke="#e9edf2"/>'
        axis = number_text(value, look.unit if "req" not in look.unit else "none", 1 if look.unit != "s" else None)
        yield f'<text x="{x}" y="{y + 3}" text-anchor="{anchor}">{axis}</text>'
    for line, points in shapes:
        for run in _runs(points, 3 * prometheus.step(panel)):
            upper = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(at, value) for at, _, value in run))
            if stacked and not line.is_dashed:
                lower = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(at, base) for at, base, _ in reversed(run)))
                yield f'<polygon points="{upper} {lower}" fill="{line.color}" fill-opacity="0.35"/>'
            dash = ' stroke-dasharray="6 4"' if line.is_dashed else ""
            yield f'<polyline points="{upper}" fill="none" stroke="{line.color}" stroke-width="1.5"{dash}/>'
    for step in panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", ()):
        if step["value"] is not None and bottom <= step["value"] <= top and not right:
            y = place(begin, step["value"])[1]
            color = NAMED.get(step["color"], step["color"])
            yield f'<line x1="62" x2="{width - 62}" y1="{y}" y2="{y}" stroke="{color}" stroke-dasharray="8 5"/>'


def _runs(points: Iterable[tuple[float, float, float]], gap: float) -> Iterator[list[tuple[float, float, float]]]:
    run: list[tuple[float, float, float]] = []
    for point in points:
        if run and point[0] - run[-1][0] > gap:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def table(panel: JsonObject, prometheus: Prometheus, size: tuple[float, float]) -> str:
    """A table's rows, merged by their labels, and sorted."""
    changes = {one["id"]: one["options"] for one in panel["transformations"]}
    if "groupingToMatrix" in changes:
        return matrix(panel, prometheus, changes["groupingToMatrix"], size)
    titles: dict[str, str] = changes["organize"]["renameByName"]
    labels = [name for name in titles if not name.startswith(("Value", "Trend #"))]
    answers = [prometheus.answer(panel, target) for target in panel["targets"]]
    known = [{name for one in answer for name in one.labels} for answer in answers if answer]
    keys = [name for name in labels if all(name in names for names in known)]  # as Grafana merges: by what all have
    rows: dict[tuple[str, ...], dict[str, Series]] = {}
    texts_of: dict[tuple[str, ...], dict[str, str]] = {}
    for target, answer in zip(panel["targets"], answers, strict=True):
        value = "Value" if len(panel["targets"]) == 1 else f"Value #{target['refId']}"
        title = titles.get(value) or titles[f"Trend #{target['refId']}"]
        for one in answer:
            key = tuple(one.labels.get(name, "") for name in keys)
            rows.setdefault(key, {})[title] = one
            texts_of.setdefault(key, {}).update({name: one.labels[name] for name in labels if name in one.labels})
    lines = [(tuple(texts_of[key].get(name, "") for name in labels), cells) for key, cells in rows.items()]
    if not rows:
        return empty(panel)
    columns = [title for name, title in titles.items() if name not in labels]
    sorts = panel["options"]["sortBy"]

    def rank(row: tuple[tuple[str, ...], dict[str, Series]]) -> list[Any]:
        ranks: list[Any] = []
        for sort in sorts:
            if sort["displayName"] in columns:
                one = row[1].get(sort["displayName"])
                value = math.nan if one is None else one.last
                ranks += [math.isnan(value), 0 if math.isnan(value) else -value if sort["desc"] else value]
            else:
                ranks.append(row[0][[titles[name] for name in labels].index(sort["displayName"])])
        return ranks

    shown = [name for name in labels if any(texts[labels.index(name)] for texts, _ in lines)]
    placed = [name for name in changes["organize"]["indexByName"] if name in shown or name not in labels]
    heads = [
        f"<th>{escape(titles[name])}</th>" if name in labels else f'<th class="number">{escape(titles[name])}</th>'
        for name in placed
    ]
    largest = {title: max((row[title].last for row in rows.values() if title in row), default=0) for title in columns}
    body = []
    for texts, cells in sorted(lines, key=rank)[: int(size[1] // 24)]:
        line = [
            _label_cell(panel, prometheus, titles[name], texts[labels.index(name)]) if name in labels
            else _value_cell(panel, prometheus, titles[name], cells.get(titles[name]), largest[titles[name]])
            for name in placed
        ]  # fmt: skip
        body.append(f"<tr>{''.join(line)}</tr>")
    return f'<table class="table"><tr>{"".join(heads)}</tr>{"".join(body)}</table>'


def _label_cell(panel: JsonObject, prometheus: Prometheus, title: str, text: str) -> str:
    look = Look.of(panel, prometheus.end, "", title)
    word = dict((look.properties.get("mappings") or [{"options": {}}])[0]["options"].get(text, {}))
    shown = escape(str(word.get("text", text)))
    color = NAMED.get(word.get("color", ""), "inherit")
    return (
        f"<td><a href='#'>{shown}</a></td>"
        if look.properties.get("links")
        else f"<td style='color:{color}'>{shown}</td>"
    )


def _value_cell(panel: JsonObject, prometheus: Prometheus, title: str, one: Series | None, largest: float) -> str:
    if one is None or not one.points:
        return '<td class="number"></td>'
    look = Look.of(panel, prometheus.end, "", title)
    kind = look.properties.get("custom.cellOptions", {}).get("type", "auto")
    if kind == "sparkline":
        top, begin = max(value for _, value in one.points) or 1.0, prometheus.end - prometheus.range_seconds
        points = " ".join(
            f"{110 * (at - begin) / prometheus.range_seconds:.1f},{16 - 14 * value / top:.1f}"
            for at, value in one.points
        )
        line = f'<polyline points="{points}" fill="none" stroke="#1f60c4"/>'
        return f'<td><svg width="110" height="17">{line}</svg></td>'
    color = look.color(one.last) if kind in ("color-text", "gauge") or look.properties.get("mappings") else "inherit"
    bar = f'<span class="bar" style="width:{90 * one.last / (largest or 1):.0f}px"></span>' if kind == "gauge" else ""
    return f'<td class="number" style="color:{color}">{bar}{escape(look.text(one.last))}</td>'


def matrix(panel: JsonObject, prometheus: Prometheus, options: JsonObject, size: tuple[float, float]) -> str:
    """A table whose columns are the values of a label."""
    found = prometheus.answer(panel, panel["targets"][0])
    if not found:
        return empty(panel)
    cells = {(one.labels[options["rowField"]], one.labels[options["columnField"]]): one.last for one in found}
    rows, columns = sorted({row for row, _ in cells}), sorted({column for _, column in cells})
    first = Look.of(panel, prometheus.end, "", f"{options['rowField']}\\{options['columnField']}")
    lines = []
    for row in rows[: int(size[1] // 24)]:
        line = f"<td><a href='#'>{escape(row)}</a></td>"
        for column in columns:
            look, value = Look.of(panel, prometheus.end, "", column), cells.get((row, column))
            color = "transparent" if value is None else look.color(value)
            text = "" if value is None else look.text(value)
            line += f'<td style="text-align:center;background:{color}cc">{text}</td>'.replace("transparentcc", "none")
        lines.append(f"<tr>{line}</tr>")
    heads = f"<th>{first.properties['displayName']}</th>" + "".join(f"<th>{column}</th>" for column in columns)
    return f'<table class="table"><tr>{heads}</tr>{"".join(lines)}</table>'


def bars(panel: JsonObject, prometheus: Prometheus, size: tuple[float, float]) -> str:
    """A bar for each series."""
    target = panel["targets"][0]
    found = sorted(prometheus.answer(panel, target), key=lambda one: -one.last)
    if not found:
        return empty(panel)
    height = min(26.0, size[1] / len(found))
    drawn = []
    for one in found:
        name = legend_of(target, one.labels)
        look = Look.of(panel, prometheus.end, target["refId"], name)
        color = look.color(one.last) if "thresholds" in look.properties else color_of_name(name)
        width = (size[0] - 290) * one.last / (found[0].last or 1)
        bar = f'<span class="bar" style="width:{width:.0f}px;background:{color}"></span>'
        text = f'<span class="name">{escape(name)}</span> {bar}{escape(look.text(one.last))}'
        drawn.append(f'<div style="height:{height}px;white-space:nowrap">{text}</div>')
    return "".join(drawn)


def states(panel: JsonObject, prometheus: Prometheus, size: tuple[float, float]) -> str:
    """A strip for each series, in the colours of its states."""
    target = panel["targets"][0]
    found = prometheus.answer(panel, target)
    if not found:
        return empty(panel)
    height, step = min(24.0, (size[1] - 18) / len(found)), prometheus.step(panel)
    begin, across = prometheus.end - prometheus.range_seconds, (size[0] - 190) / prometheus.range_seconds
    drawn = []
    for row, one in enumerate(found):
        name = legend_of(target, one.labels)
        look = Look.of(panel, prometheus.end, target["refId"], name)
        drawn.append(f'<text x="0" y="{row * height + height * 0.7}">{escape(name)}</text>')
        for at, value in one.points:
            x = 180 + across * (at - begin)
            drawn.append(
                f'<rect x="{x:.1f}" y="{row * height + 1}" width="{across * step + 0.5:.1f}" height="{height - 2}" '
                f'fill="{look.color(value)}"/>'
            )
        for (at, value), (_, before) in zip(one.points, [(0.0, math.nan), *one.points], strict=False):
            if value != before and panel["options"]["showValue"] == "auto":
                x = 184 + across * (at - begin)
                drawn.append(f'<text x="{x:.1f}" y="{row * height + height * 0.7}">{escape(look.text(value))}</text>')
    return f'<svg width="{size[0]}" height="{size[1]}">{"".join(drawn)}</svg>'


def world(panel: JsonObject, prometheus: Prometheus, size: tuple[float, float]) -> str:
    """What a map would show, in words: its tiles and countries are Grafana's."""
    found = prometheus.answer(panel, panel["targets"][0])
    if not found:
        return empty(panel)
    (layer,) = panel["options"]["layers"]
    codes = [one.labels.get(layer["location"]["lookup"], "") for one in sorted(found, key=lambda one: -one.last)]
    return f'<div class="empty">A map, with markers on: {escape(", ".join(code for code in codes if code))}</div>'


DRAWN: Final = {
    **{"stat": figures, "timeseries": chart, "table": table, "bargauge": bars, "state-timeline": states},
    "geomap": world,
}


def placed(dashboard: JsonObject, width: int, *, opened: bool) -> Iterator[tuple[JsonObject, tuple[float, ...]]]:
    """Every panel and row with its place in pixels: left, top, width, height."""
    column, top, shift = width / 24, 0.0, 0
    for one in dashboard["panels"]:
        inside = one.get("panels", []) if opened else []
        for panel in (one, *inside):
            at = panel["gridPos"]
            height = at["h"] * LINE - GAP
            if width < PHONE:
                yield panel, (0.0, top, width, height)
                top += height + GAP
            else:
                yield panel, (at["x"] * column, (at["y"] + shift) * LINE, at["w"] * column - GAP, height)
        if inside:
            last = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in inside)
            shift += last - one["gridPos"]["y"] - 1


def html_of(panel: JsonObject, place: Sequence[float], prometheus: Prometheus) -> str:
    """A panel or a row at its place."""
    left, top, width, height = place
    style = f"left:{left}px;top:{top}px;width:{width}px;height:{height}px"
    title = escape(prometheus.fill(panel["title"]))
    if panel["type"] == "row":
        more = f" <i>({len(panel['panels'])} panels)</i>" if panel["collapsed"] else ""
        return f'<div class="row" style="{style}">{"›" if panel["collapsed"] else "⌄"} {title}{more}</div>'
    content = DRAWN[panel["type"]](panel, prometheus, (width - 18, height - HEAD - 6))
    return f'<div class="panel" style="{style}"><b>{title}</b>{content}</div>'


@dataclass(frozen=True)
class View:
    """What of a dashboard is drawn, and how wide."""

    range_seconds: float
    end: float
    width: int = WIDTH
    opened: bool = False
    chosen: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def page(dashboard: JsonObject, url: str, view: View) -> tuple[str, int]:
    """The picture as HTML, and its height in pixels."""
    chosen = {one["name"]: one.get("allValue", ".+") for one in dashboard["templating"]["list"]}
    span = {"__range": duration_text(view.range_seconds), "__range_s": f"{view.range_seconds:g}"}
    chosen |= {**span, "__rate_interval": "2m", "__interval": "1m", **view.chosen}
    prometheus = Prometheus(url.rstrip("/"), view.end, view.range_seconds, chosen)
    places = list(placed(dashboard, view.width, opened=view.opened))
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda one: html_of(one[0], one[1], prometheus), places))
    about = (
        f"A preview, drawn by scripts/picture.py from this dashboard's own queries over the last "
        f"{duration_text(view.range_seconds)} of a simulated organization. This is not a picture of Grafana. "
        f"{view.note}"
    )
    bottom = math.ceil(max(top + height for _, (_, top, _, height) in places))
    head = f"<title>{escape(dashboard['title'])}</title><style>{STYLE}</style><meta charset=utf-8>"
    board = f'<div class="board" style="width:{view.width}px;height:{bottom}px">{"".join(parts)}</div>'
    body = f"<h1>{escape(dashboard['title'])}</h1><p style='max-width:{view.width}px'>{escape(about)}</p>{board}"
    return f"<!doctype html>{head}{body}", bottom + (110 if view.width < PHONE else 75)


def write(html: str, size: tuple[int, int], output: Path) -> None:
    """Writes the picture: the page itself, or what Chromium makes of it."""
    if output.suffix == ".html":
        output.write_text(html, "utf-8")
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
            [*command, f"--window-size={size[0] + 16},{size[1]}", f"--screenshot={output.resolve()}", source.as_uri()],
            check=True,
            capture_output=True,
            timeout=120,
        )


def main() -> None:
    """Draws the dashboard of that uid into a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("uid", "url", "range", "output"):
        parser.add_argument(name)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--at", type=float, default=0.0)
    parser.add_argument("--var", action="append", default=[])
    parser.add_argument("--open", action="store_true")
    parser.add_argument("--note", default="")
    given = parser.parse_args()
    view = View(
        range_seconds=duration_seconds(given.range),
        end=given.at or time.time(),
        width=given.width,
        opened=given.open,
        chosen=dict(one.split("=", 1) for one in given.var),
        note=given.note,
    )
    dashboard = json.loads((FOLDER / f"{given.uid}.json").read_text("utf-8"))
    html, height = page(dashboard, given.url, view)
    write(html, (given.width, height), Path(given.output))


if __name__ == "__main__":
    main()
