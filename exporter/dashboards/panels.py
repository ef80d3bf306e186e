"""The kinds of panels, each with the options that all of its kind have here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from exporter.dashboards.model import POINTS, JsonObject, Panel, Target, ref_id

# Colours from their lower bounds on; the first has none.
Thresholds: TypeAlias = tuple[tuple[str, float | None], ...]
PLAIN: Final[Thresholds] = (("blue", None),)
GREY: Final[Thresholds] = (("text", None),)
ERROR_RATIO: Final[Thresholds] = (("green", None), ("orange", 0.01), ("red", 0.05))
LATENCY: Final[Thresholds] = (("green", None), ("orange", 1.0), ("red", 2.0))
SOME_IS_BAD: Final[Thresholds] = (("green", None), ("red", 1.0))
SOME_IS_4XX: Final[Thresholds] = (("text", None), ("orange", 1.0))
SOME_IS_5XX: Final[Thresholds] = (("text", None), ("red", 1.0))
LEFT: Final[Thresholds] = (("red", None), ("orange", 0.000001), ("green", 0.25))
BURN_RATE: Final[Thresholds] = (("green", None), ("orange", 1.0), ("red", 6.0))
ALL_IS_WELL: Final[Thresholds] = (("red", None), ("orange", 0.9), ("green", 1.0))
ONE_IS_GOOD: Final[Thresholds] = (("red", None), ("green", 1.0))
INTERVALS: Final[Thresholds] = (("green", None), ("orange", 2.0), ("red", 5.0))

GREEN: Final = "green"
ORANGE: Final = "orange"
RED: Final = "red"
GREY_LINE: Final = "#8e8e8e"

COUNT: Final = "locale"  # every digit of a number: 6,353 and not 6 K
PER_MINUTE: Final = "reqpm"

_TREND_POINTS: Final = 60  # of a line as small as a cell
_LAST: Final[JsonObject] = {"calcs": ["lastNotNull"], "fields": "", "values": False}
# A line's colour comes from its name, so that an API has the same one on every chart.
_BY_NAME: Final[JsonObject] = {"mode": "palette-classic-by-name"}


class Column(Struct, frozen=True):
    """A column of values in a table: its title, what it asks, and how its cells look.

    `trend` asks for the whole time range, and its cells are small lines; `bar` draws the values as bars as well.
    `first` puts it before the labels, where a phone shows it.
    """

    title: str
    expr: str
    unit: str = COUNT
    thresholds: Thresholds | None = None
    decimals: int | None = None
    words: Mapping[str, tuple[str, str]] | None = None
    trend: bool = False
    bar: bool = False
    first: bool = False


class Line(Struct, frozen=True):
    """What a chart asks, and how the lines are drawn: in the colours of their names, or all in one `color`.

    `dashed` is for what others are compared with; `right` is the unit of the right axis, for lines that belong there.
    """

    expr: str
    legend: str
    color: str = ""
    dashed: bool = False
    right: str = ""


class Figure(Struct, frozen=True):
    """One of several figures in a stat: the name comes from the legend."""

    expr: str
    legend: str
    unit: str = COUNT
    thresholds: Thresholds = PLAIN
    decimals: int | None = None
    words: Mapping[str, tuple[str, str]] | None = None


def stat(
    title: str,
    description: str,
    expr: str,
    *,
    unit: str = COUNT,
    thresholds: Thresholds = PLAIN,
    decimals: int | None = None,
    legend: str = "",
    links: Sequence[JsonObject] = (),
    words: Mapping[str, tuple[str, str]] | None = None,
    nothing: str = "none",
    compared: Figure | None = None,
    width: int = 6,
    height: int = 4,
) -> Panel:
    """One figure (or one for each series, named by `legend`), and what it is `compared` with below it.

    `nothing` is what stands there without a value, `words` are texts and colours for values.
    """
    if compared is not None:
        first = Figure(expr, legend or title, unit, thresholds, decimals, words)
        return figures(title, description, first, compared, links=links, nothing=nothing, width=width, height=height)
    fields = _fields(unit, thresholds, decimals, noValue=nothing, **_link(links), **_map_values(words))
    targets = (Target(expr, legend, instant=True),)
    return Panel("stat", title, description, targets, width, height, fields, _stat_options(named=bool(legend)))


def figures(
    title: str,
    description: str,
    *several: Figure,
    links: Sequence[JsonObject] = (),
    nothing: str = "none",
    colored: str = "value",
    width: int = 24,
    height: int = 3,
    interval: str = "1m",
) -> Panel:
    """Several figures side by side, each with its name; one that has no value is not there."""
    fields = _fields(several[0].unit, several[0].thresholds, noValue=nothing, **_link(links))
    fields["overrides"] = [
        _override(
            "byFrameRefID",
            ref_id(index),
            unit=one.unit,
            thresholds=_steps(one.thresholds),
            **({"decimals": one.decimals} if one.decimals is not None else {}),
            **_map_values(one.words),
        )
        for index, one in enumerate(several)
    ]
    targets = tuple(Target(one.expr, one.legend, instant=True) for one in several)
    options = _stat_options(named=True) | {"colorMode": colored}
    return Panel("stat", title, description, targets, width, height, fields, options, interval=interval)


def _stat_options(*, named: bool) -> JsonObject:
    return {
        "reduceOptions": _LAST,
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "textMode": "value_and_name" if named else "value",
        "wideLayout": True,
    }


def time_series(
    title: str,
    description: str,
    *lines: Line,
    unit: str = PER_MINUTE,
    stacked: bool = False,
    signed: bool = False,
    links: Sequence[JsonObject] = (),
    calcs: Sequence[str] = ("mean", "max"),
    thresholds: Thresholds | None = None,
    width: int = 12,
    height: int = 9,
    interval: str = "1m",
) -> Panel:
    """Lines over time. `stacked` is for parts of a whole, `signed` for values that may be below 0.

    The legend is below, the largest first, by the first of `calcs`. `thresholds` are drawn as lines.
    """
    custom: JsonObject = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    fields = _fields(unit, None, None, color=dict(_BY_NAME), custom=custom, noValue="none", **_link(links))
    fields["defaults"].pop("max", None)  # a ratio of 1 % is to be seen
    if thresholds is not None:
        fields["defaults"]["thresholds"] = _steps(thresholds)
        custom["thresholdsStyle"] = {"mode": "dashed"}
    if signed:
        del fields["defaults"]["min"]
    fields["overrides"] = [
        _override("byFrameRefID", ref_id(index), **properties)
        for index, line in enumerate(lines)
        if (properties := _line_properties(line))
    ]
    options = {
        "legend": {
            "displayMode": "table",
            "placement": "bottom",
            "showLegend": True,
            "calcs": list(calcs),
            "sortBy": _CALC_NAMES[calcs[0]],
            "sortDesc": True,
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    asked = tuple(Target(line.expr, line.legend) for line in lines)
    return Panel("timeseries", title, description, asked, width, height, fields, options, interval=interval)


_CALC_NAMES: Final = {"mean": "Mean", "max": "Max", "lastNotNull": "Last *"}


def _line_properties(line: Line) -> JsonObject:
    properties: JsonObject = {}
    if line.color:
        properties["color"] = {"mode": "fixed", "fixedColor": line.color}
    if line.dashed:
        properties["custom.lineStyle"] = {"fill": "dash", "dash": [6, 6]}
        properties["custom.fillOpacity"] = 0
        properties["custom.stacking"] = {"mode": "none", "group": ref_id(25)}
    if line.right:
        properties |= {"unit": line.right, "custom.axisPlacement": "right"}
    return properties


def bar_gauge(
    title: str,
    description: str,
    expr: str,
    legend: str,
    *,
    unit: str = COUNT,
    thresholds: Thresholds | None = None,
    links: Sequence[JsonObject] = (),
    width: int = 12,
    height: int = 9,
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
    decimals = 0 if unit == COUNT else None
    fields = _fields(unit, thresholds, decimals, noValue="none", **_link(links))
    if thresholds is None:
        fields["defaults"]["color"] = dict(_BY_NAME)
    return Panel("bargauge", title, description, targets, width, height, fields, options)


def table(
    title: str,
    description: str,
    labels: Mapping[str, str],
    *columns: Column,
    sort_by: str = "",
    then_by: str = "",
    ascending: bool = False,
    links: Mapping[str, Sequence[JsonObject]] | None = None,
    words: Mapping[str, Mapping[str, tuple[str, str]]] | None = None,
    hidden: Sequence[str] = (),
    nothing: str = "none",
    width: int = 24,
    height: int = 9,
) -> Panel:
    """A row for each combination of labels (label -> title), with the columns' values.

    It is sorted by `sort_by`, else by the first column, and where that is the same by `then_by`. `links` and `words`
    are those of the labels' columns, by title; `hidden` labels are asked for, but are no columns.
    """
    renamed = dict(labels)
    for index, column in enumerate(columns):
        # Grafana calls the values of a lone target `Value`, those of several `Value #A` and so on
        value = "Value" if len(columns) == 1 else f"Value #{ref_id(index)}"
        renamed[f"Trend #{ref_id(index)}" if column.trend else value] = column.title
    firsts = [column.title for column in columns if column.first]
    order = {name: index for index, name in enumerate(sorted(renamed, key=lambda one: renamed[one] not in firsts))}
    left_out = {"Time": True} | dict.fromkeys(hidden, True)
    organized = {"excludeByName": left_out, "indexByName": order, "renameByName": renamed}
    fields = _fields("none", None, custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True})
    fields["defaults"]["noValue"] = nothing
    fields["overrides"] = [
        *(_override("byName", title, links=list(of)) for title, of in (links or {}).items()),
        *(_override("byName", title, **_map_values(of)) for title, of in (words or {}).items()),
        *(_column_override(column) for column in columns),
    ]
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [
            {"displayName": name, "desc": not ascending} for name in (sort_by or columns[0].title, then_by) if name
        ],
    }
    targets = tuple(
        Target(column.expr, " ".join(f"{{{{{name}}}}}" for name in labels)) if column.trend
        else Target(column.expr, table=True)
        for column in columns
    )  # fmt: skip
    trends = {ref_id(index): {"timeField": "Time"} for index, column in enumerate(columns) if column.trend}
    transformations = (
        *([{"id": "timeSeriesTable", "options": trends}] if trends else []),
        {"id": "merge", "options": {}},
        {"id": "organize", "options": organized},
    )
    points = _TREND_POINTS if trends else POINTS
    return Panel("table", title, description, targets, width, height, fields, options, transformations, points=points)


def heat_map(
    title: str,
    description: str,
    expr: str,
    *,
    row: str,
    column: str,
    named: str,
    links: Sequence[JsonObject] = (),
    width: int = 12,
) -> Panel:
    """A table with a row for each value of one label and a column for each status code: 4xx orange, 5xx red."""
    matrix = {"rowField": row, "columnField": column, "valueField": "Value", "emptyValue": "empty"}
    custom = {"align": "center", "cellOptions": {"type": "color-background", "mode": "basic"}}
    fields = _fields(COUNT, (("transparent", None),), 0, custom=custom, noValue="none")
    first = rf"{row}\{column}"  # so Grafana calls the field of the rows' names
    plain: JsonObject = {"custom.cellOptions": {"type": "auto"}, "custom.align": "left"}
    fields["overrides"] = [
        _override("byRegexp", "/^4/", thresholds=_steps((("transparent", None), (ORANGE, 1.0)))),
        _override("byRegexp", "/^5/", thresholds=_steps((("transparent", None), (RED, 1.0)))),
        _override("byName", first, displayName=named, links=list(links), **plain),
    ]
    options = {"showHeader": True, "cellHeight": "sm"}
    targets = (Target(expr, table=True),)
    transformations = ({"id": "groupingToMatrix", "options": matrix},)
    return Panel("table", title, description, targets, width, 9, fields, options, transformations)


def geomap(title: str, description: str, expr: str, *, code: str, value: str, width: int = 16) -> Panel:
    """A marker for each country, found by its ISO code in the label `code`, larger for a larger value."""
    style = {
        "size": {"field": value, "fixed": 5, "min": 4, "max": 30},
        "color": {"fixed": "blue"},
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
    fields = _fields(COUNT, PLAIN, 0, noValue="none")
    targets = (Target(expr, table=True),)
    organized = {"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": {"Value": value}}
    transformations = ({"id": "organize", "options": organized},)
    return Panel("geomap", title, description, targets, width, 12, fields, options, transformations)


UP_OR_FAILING: Final = {"1": ("up", GREEN), "0": ("failing", RED)}


def state_timeline(
    title: str,
    description: str,
    expr: str,
    legend: str,
    *,
    words: Mapping[str, tuple[str, str]] | None = None,
    width: int = 24,
    height: int = 9,
    interval: str = "1m",
) -> Panel:
    """Which state something had over time: the `words` and colours of its values, or well (1) and not (0)."""
    fields = _fields("none", ONE_IS_GOOD, custom={"fillOpacity": 70, "lineWidth": 0}, noValue="none")
    fields["defaults"] |= _map_values(UP_OR_FAILING if words is None else words)
    if words == {}:  # states without words of their own: a colour each
        fields["defaults"] |= {"color": {"mode": "palette-classic"}}
    options = {
        "showValue": "never" if words is None else "auto",
        "mergeValues": True,
        "rowHeight": 0.8,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    }
    asked = (Target(expr, legend),)
    return Panel("state-timeline", title, description, asked, width, height, fields, options, interval=interval)


def with_links(panel: Panel, *links: JsonObject) -> Panel:
    """The panel with links in the corner of its title."""
    return replace(panel, links=links)


def _fields(unit: str, thresholds: Thresholds | None, decimals: int | None = None, **more: Any) -> JsonObject:
    defaults: JsonObject = {"unit": unit, "min": 0}
    if unit == "percentunit":
        defaults["max"] = 1
    if decimals is not None:
        defaults["decimals"] = decimals
    if thresholds is not None:
        defaults |= {"color": {"mode": "thresholds"}, "thresholds": _steps(thresholds)}
    return {"defaults": defaults | more, "overrides": []}


def _link(links: Sequence[JsonObject]) -> JsonObject:
    return {"links": list(links)} if links else {}


def _map_values(words: Mapping[str, tuple[str, str]] | None) -> JsonObject:
    """Texts and colours (none, if empty) in place of values."""
    if not words:
        return {}
    shown = {
        value: {"text": text, "index": index, **({"color": color} if color else {})}
        for index, (value, (text, color)) in enumerate(words.items())
    }
    return {"mappings": [{"type": "value", "options": shown}]}


def _steps(thresholds: Thresholds) -> JsonObject:
    return {"mode": "absolute", "steps": [{"color": color, "value": value} for color, value in thresholds]}


def _column_override(column: Column) -> JsonObject:
    properties: JsonObject = {"unit": column.unit}
    decimals = 0 if column.decimals is None and column.unit == COUNT else column.decimals
    if decimals is not None:
        properties["decimals"] = decimals
    if column.trend:
        properties["custom.cellOptions"] = {"type": "sparkline", "drawStyle": "line", "lineWidth": 1, "hideValue": True}
        properties["color"] = {"mode": "fixed", "fixedColor": "blue"}
        return _override("byName", column.title, **properties)
    if column.thresholds is not None:
        properties |= {"thresholds": _steps(column.thresholds), "custom.cellOptions": {"type": "color-text"}}
        properties["color"] = {"mode": "thresholds"}
    if column.bar:
        properties["custom.cellOptions"] = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
        properties["color"] = {"mode": "fixed", "fixedColor": "blue"}
    return _override("byName", column.title, **properties, **_map_values(column.words))


def _override(matcher: str, of: str, **properties: Any) -> JsonObject:
    listed: Sequence[JsonObject] = [{"id": name, "value": value} for name, value in properties.items()]
    return {"matcher": {"id": matcher, "options": of}, "properties": list(listed)}
