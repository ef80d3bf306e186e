"""The kinds of panels, each with the options that all of its kind have here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from exporter.dashboards.model import JsonObject, Panel, Target, ref_id

# Colours from their lower bounds on; the first has none.
Thresholds: TypeAlias = tuple[tuple[str, float | None], ...]
PLAIN: Final[Thresholds] = (("blue", None),)
ERROR_RATIO: Final[Thresholds] = (("green", None), ("orange", 0.01), ("red", 0.05))
AVAILABILITY: Final[Thresholds] = (("red", None), ("orange", 0.99), ("green", 0.999))
LATENCY: Final[Thresholds] = (("green", None), ("orange", 1.0), ("red", 3.0))
SOME_IS_BAD: Final[Thresholds] = (("green", None), ("orange", 1.0))
HIT_RATIO: Final[Thresholds] = (("red", None), ("orange", 0.3), ("green", 0.6))
ALL_IS_WELL: Final[Thresholds] = (("red", None), ("orange", 0.9), ("green", 1.0))
AGE: Final[Thresholds] = (("green", None), ("orange", 900.0), ("red", 3600.0))

_LAST: Final[JsonObject] = {"calcs": ["lastNotNull"], "fields": "", "values": False}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of values in a table: its title, what it asks, and how its cells look."""

    title: str
    expr: str
    unit: str = "short"
    thresholds: Thresholds | None = None
    decimals: int | None = None


def stat(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = "short",
    thresholds: Thresholds = PLAIN,
    decimals: int | None = None,
    legend: str = "",
    opens: str = "",
    width: int = 4,
) -> Panel:
    """One figure (or one for each series, named by `legend`). A click leads to the dashboard with the uid `opens`."""
    options = {
        "reduceOptions": _LAST,
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "value_and_name" if legend else "auto",
        "wideLayout": True,
    }
    url = f"/d/{opens}?${{__url_time_range}}&${{__all_variables}}"
    more = {"links": [{"title": "The details", "url": url}]} if opens else {}
    targets = (Target(expr, legend, instant=True),)
    return Panel("stat", title, description, targets, width, 4, _fields(unit, thresholds, decimals, **more), options)


def time_series(
    title: str,
    description: str,
    *targets: tuple[str, str],
    unit: str = "short",
    stacked: bool = False,
    signed: bool = False,
    right_axis: Mapping[str, str] | None = None,
    width: int = 12,
    height: int = 8,
    interval: str = "1m",
) -> Panel:
    """Lines over time; `targets` are expressions and legends. `stacked` is for parts of a whole,
    `signed` for values that may be below 0.

    `right_axis` gives units to the legends (regular expressions) that belong there.
    """
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 10,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    fields = _fields(unit, None, None, color={"mode": "palette-classic"}, custom=custom)
    fields["defaults"].pop("max", None)  # a ratio of 1 % is to be seen
    if signed:
        del fields["defaults"]["min"]
    fields["overrides"] = [
        _override("byRegexp", pattern, unit=of, **{"custom.axisPlacement": "right"})
        for pattern, of in (right_axis or {}).items()
    ]
    options = {
        "legend": {"displayMode": "table", "placement": "right", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    asked = tuple(Target(expr, legend) for expr, legend in targets)
    return Panel("timeseries", title, description, asked, width, height, fields, options, interval=interval)


def bar_gauge(
    title: str,
    description: str,
    expr: str,
    legend: str,
    *,
    unit: str = "short",
    thresholds: Thresholds = PLAIN,
    width: int = 12,
    height: int = 8,
) -> Panel:
    """A bar for each series, the largest first."""
    options = {
        "reduceOptions": _LAST,
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "color",
        "namePlacement": "auto",
        "showUnfilled": True,
        "sizing": "auto",
        "minVizHeight": 16,
        "minVizWidth": 8,
        "maxVizHeight": 300,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
    }
    targets = (Target(f"sort_desc({expr})", legend, instant=True),)
    return Panel("bargauge", title, description, targets, width, height, _fields(unit, thresholds), options)


def pie_chart(
    title: str, description: str, expr: str, legend: str, *, unit: str = "short", width: int = 8, height: int = 8
) -> Panel:
    """Parts of a whole at one moment."""
    options = {
        "pieType": "donut",
        "reduceOptions": _LAST,
        "displayLabels": ["percent"],
        "legend": {
            "displayMode": "table",
            "placement": "right",
            "showLegend": True,
            "values": ["value", "percent"],
            "calcs": [],
        },
        "tooltip": {"mode": "single", "sort": "none"},
    }
    fields = _fields(unit, None, color={"mode": "palette-classic"})
    targets = (Target(f"sort_desc({expr})", legend, instant=True),)
    return Panel("piechart", title, description, targets, width, height, fields, options)


def table(
    title: str,
    description: str,
    labels: Mapping[str, str],
    *columns: Column,
    sort_by: str = "",
    width: int = 24,
    height: int = 9,
) -> Panel:
    """A row for each combination of labels (label -> title), with the columns' values; the first column sorts it."""
    renamed = dict(labels)
    for index, column in enumerate(columns):
        # Grafana calls the values of a lone target `Value`, those of several `Value #A` and so on
        renamed["Value" if len(columns) == 1 else f"Value #{ref_id(index)}"] = column.title
    order = {name: index for index, name in enumerate(renamed)}
    organized = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": renamed}
    fields = _fields("none", None, custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True})
    fields["overrides"] = [_column_override(column) for column in columns]
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": sort_by or columns[0].title, "desc": True}],
    }
    targets = tuple(Target(column.expr, table=True) for column in columns)
    transformations = ({"id": "merge", "options": {}}, {"id": "organize", "options": organized})
    return Panel("table", title, description, targets, width, height, fields, options, transformations)


def heat_map(title: str, description: str, expr: str, *, row: str, column: str, width: int = 12) -> Panel:
    """A table with a row for each value of one label and a column for each of another, coloured by the values."""
    matrix = {"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "empty"}
    thresholds: Thresholds = (("green", None), ("yellow", 10.0), ("orange", 100.0), ("red", 1000.0))
    custom = {"align": "center", "cellOptions": {"type": "color-background", "mode": "gradient"}}
    fields = _fields("short", thresholds, 0, custom=custom)
    first = rf"{row}\{column}"  # so Grafana calls the field of the rows' names
    fields["overrides"] = [
        _override(
            "byName", first, displayName="API", **{"custom.cellOptions": {"type": "auto"}, "custom.align": "left"}
        )
    ]
    options = {"showHeader": True, "cellHeight": "sm"}
    targets = (Target(expr, table=True),)
    transformations = ({"id": "groupingToMatrix", "options": matrix},)
    return Panel("table", title, description, targets, width, 9, fields, options, transformations)


def geomap(title: str, description: str, expr: str, *, code: str, value: str, width: int = 16) -> Panel:
    """A marker for each country, found by its ISO code in the label `code`, larger for a larger value."""
    style = {
        "size": {"field": value, "fixed": 5, "min": 4, "max": 30},
        "color": {"fixed": "dark-orange"},
        "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
        "opacity": 0.6,
    }
    layer = {
        "type": "markers",
        "name": value,
        "tooltip": True,
        "config": {"showLegend": False, "style": style},
        "location": {"mode": "lookup", "lookup": code, "gazetteer": "public/gazetteer/countries.json"},
    }
    options = {
        "view": {"id": "zero", "lat": 20, "lon": 0, "zoom": 2},
        "controls": {"showZoom": True, "mouseWheelZoom": False, "showAttribution": True},
        "basemap": {"type": "default", "name": "Basemap", "config": {}},
        "layers": [layer],
        "tooltip": {"mode": "details"},
    }
    fields = _fields("short", PLAIN, 0)
    targets = (Target(expr, table=True),)
    organized = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {"Value": value}}
    transformations = ({"id": "organize", "options": organized},)
    return Panel("geomap", title, description, targets, width, 12, fields, options, transformations)


def state_timeline(title: str, description: str, expr: str, legend: str, *, width: int = 24, height: int = 9) -> Panel:
    """What was well (1) and what was not (0), over time."""
    shown = {"1": {"text": "up", "color": "green", "index": 0}, "0": {"text": "failing", "color": "red", "index": 1}}
    fields = _fields("none", (("red", None), ("green", 1.0)), custom={"fillOpacity": 70, "lineWidth": 0})
    fields["defaults"] |= {"mappings": [{"type": "value", "options": shown}], "color": {"mode": "thresholds"}}
    options = {
        "showValue": "never",
        "mergeValues": True,
        "rowHeight": 0.8,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    return Panel("state-timeline", title, description, (Target(expr, legend),), width, height, fields, options)


def _fields(unit: str, thresholds: Thresholds | None, decimals: int | None = None, **more: Any) -> JsonObject:
    defaults: JsonObject = {"unit": unit, "min": 0}
    if unit == "percentunit":
        defaults["max"] = 1
    if decimals is not None:
        defaults["decimals"] = decimals
    if thresholds is not None:
        defaults |= {"color": {"mode": "thresholds"}, "thresholds": _steps(thresholds)}
    return {"defaults": defaults | more, "overrides": []}


def _steps(thresholds: Thresholds) -> JsonObject:
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in thresholds]}


def _column_override(column: Column) -> JsonObject:
    properties: JsonObject = {"unit": column.unit}
    if column.decimals is not None:
        properties["decimals"] = column.decimals
    if column.thresholds is not None:
        properties |= {"thresholds": _steps(column.thresholds), "custom.cellOptions": {"type": "color-text"}}
        properties["color"] = {"mode": "thresholds"}
    return _override("byName", column.title, **properties)


def _override(matcher: str, of: str, **properties: Any) -> JsonObject:
    listed: Sequence[JsonObject] = [{"id": name, "value": value} for name, value in properties.items()]
    return {"matcher": {"id": matcher, "options": of}, "properties": list(listed)}
