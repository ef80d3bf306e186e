"""A dashboard before it is JSON, and Grafana's classic JSON of it: rows of panels, laid out from left to right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct, field

JsonObject: TypeAlias = dict[str, Any]

SCHEMA_VERSION: Final = 41  # Grafana 11.6; later ones take it as it is
DATASOURCE: Final[Mapping[str, str]] = {"type": "prometheus", "uid": "${datasource}"}
TAG: Final = "choreo-insights"
COLUMNS: Final = 24
# Points of a line: as many as half a screen can tell apart, and few enough for a month to be there at once.
POINTS: Final = 250


class Target(Struct, frozen=True):
    """What a panel asks of Prometheus. `table`: for a moment, a row for each series; else `instant` or over time."""

    expr: str
    legend: str = ""
    instant: bool = False
    table: bool = False


class Panel(Struct, frozen=True):
    """A panel without its place. `width` is in columns of 24, `height` in Grafana's units of about 30 pixels."""

    kind: str
    title: str
    description: str
    targets: tuple[Target, ...]
    width: int
    height: int
    field_config: JsonObject
    options: JsonObject
    transformations: tuple[JsonObject, ...] = ()
    interval: str = "1m"
    links: tuple[JsonObject, ...] = ()
    points: int = POINTS


class Row(Struct, frozen=True):
    """A heading and the panels below it; a collapsed one is opened by a click, and asks nothing before.

    Without a title there is no heading: so the first line of a page.
    """

    title: str
    panels: tuple[Panel, ...]
    collapsed: bool = False


class Dashboard(Struct, frozen=True):
    """A whole dashboard. `variables` and `annotations` are JSON already."""

    uid: str
    title: str
    description: str
    variables: tuple[JsonObject, ...]
    rows: tuple[Row, ...]
    tags: tuple[str, ...] = (TAG,)
    annotations: tuple[JsonObject, ...] = field(default=())


def dashboard_text(dashboard: Dashboard) -> str:
    """The dashboard's file, as Grafana provisions and imports it."""
    return json.dumps(dashboard_json(dashboard), indent=2) + "\n"


def dashboard_json(dashboard: Dashboard) -> JsonObject:
    """The dashboard in Grafana's classic model. Neither `id` nor `version`: these are the server's.

    It is editable, so that somebody can try a change and save a copy; what is provisioned stays as the files have it.
    """
    return {
        "id": None,
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": list(dashboard.tags),
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": "now-24h", "to": "now"},
        "links": [_link(tag) for tag in dashboard.tags],
        "annotations": {"list": list(dashboard.annotations)},
        "templating": {"list": list(dashboard.variables)},
        "panels": list(_place(dashboard.rows)),
    }


def _link(tag: str) -> JsonObject:
    return {
        "type": "dashboards",
        "title": tag.replace("-", " ").title(),
        "tags": [tag],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
    }


def _place(rows: Iterable[Row]) -> Iterator[JsonObject]:
    """Every row and panel with its id and place; the panels of a collapsed row stand inside it."""
    y, number = 0, 1
    for row in rows:
        if not row.title:
            panels, y = _lay_out(row.panels, y, number)
            number += len(panels)
            yield from panels
            continue
        heading = {
            "type": "row",
            "id": number,
            "title": row.title,
            "collapsed": row.collapsed,
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1},
        }
        panels, below = _lay_out(row.panels, y + 1, number + 1)
        number += 1 + len(panels)
        y = y + 1 if row.collapsed else below
        yield {**heading, "panels": panels if row.collapsed else []}
        if not row.collapsed:
            yield from panels


def _lay_out(panels: Iterable[Panel], y: int, number: int) -> tuple[list[JsonObject], int]:
    """The panels side by side, in the next line where there is no room, and the height at which the last line ends."""
    placed: list[JsonObject] = []
    x = line_height = 0
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y, line_height = 0, y + line_height, 0
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        placed.append(_panel_json(panel, number + len(placed), place))
        x, line_height = x + panel.width, max(line_height, panel.height)
    return placed, y + line_height


def _panel_json(panel: Panel, number: int, place: Mapping[str, int]) -> JsonObject:
    return {
        "type": panel.kind,
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "datasource": dict(DATASOURCE),
        "interval": panel.interval,
        "maxDataPoints": panel.points,
        "gridPos": dict(place),
        "targets": [_target_json(target, index) for index, target in enumerate(panel.targets)],
        "fieldConfig": panel.field_config,
        "options": panel.options,
        **({"transformations": list(panel.transformations)} if panel.transformations else {}),
        **({"links": list(panel.links)} if panel.links else {}),
    }


def _target_json(target: Target, index: int) -> JsonObject:
    at_once = target.instant or target.table
    return {
        "refId": ref_id(index),
        "datasource": dict(DATASOURCE),
        "editorMode": "code",
        "expr": target.expr,
        "format": "table" if target.table else "time_series",
        "instant": at_once,
        "range": not at_once,
        **({"legendFormat": target.legend} if target.legend else {}),
    }


def ref_id(index: int) -> str:
    """The name of a panel's target, which columns of a table are named after: A, B, and so on."""
    return chr(ord("A") + index)
