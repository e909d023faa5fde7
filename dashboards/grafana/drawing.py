"""How panels, variables and dashboards are written in Grafana's JSON.

It must not know what is asked. Source: Grafana 11 and 12, the dashboard JSON model (schema version 39).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from dashboards.grafana import asking
from gateway.finops.panels import PANELS, Column

PROMETHEUS: Final = {"type": "prometheus", "uid": "${prometheus}"}
_WIDTH: Final = 24
_UNITS: Final = {
    "usd": "currencyUSD",
    "ms": "ms",
    "share": "percentunit",
    "number": "short",
    "per_s": "suffix: tok/s",
}
_CALM: Final = {"mode": "palette-classic-by-name"}
_PLAIN: Final = {"mode": "fixed", "fixedColor": "text"}

Json = dict[str, Any]


class Drawn(msgspec.Struct, frozen=True):
    """A panel before it has a place: `width` of 24, `height` in rows of 30 px."""

    kind: str
    title: str
    description: str
    targets: list[Json]
    unit: str = "short"
    width: int = 12
    height: int = 8
    stacked: bool = False
    label: str = ""
    """The column that names its lines; empty: each column is a line."""
    overrides: list[Json] = []
    source: Json = msgspec.field(default_factory=lambda: asking.SOURCE)


def lines(name: str, columns: Sequence[str], title: str, description: str, **given: str) -> Drawn:
    """Draw columns of a question over time."""
    numbers = [column for column in _columns(name, columns) if column.type not in {"text", "time"}]
    sql = asking.over_time(name, columns, given)
    texts = [column.name for column in _columns(name, columns) if column.type == "text"]
    return Drawn(
        "timeseries",
        title,
        description,
        [asking.query(sql, over_time=True)],
        unit=_UNITS[numbers[0].type],
        label=texts[0] if texts else "",
        overrides=[] if texts else [_named(column) for column in numbers],
    )


def stacked(drawn: Drawn) -> Drawn:
    """Draw bars on top of each other in place of lines: for parts of a whole."""
    return replace(drawn, stacked=True)


def half(drawn: Drawn) -> Drawn:
    """Draw half as wide as the page."""
    return replace(drawn, width=_WIDTH // 2, height=8)


def table(name: str, columns: Sequence[str], title: str, description: str, **given: str) -> Drawn:
    """Draw a table."""
    sql = asking.in_rows(name, columns, given)
    overrides = [_named(column) for column in _columns(name, columns)]
    return Drawn(
        "table",
        title,
        description,
        [asking.query(sql, over_time=False)],
        overrides=overrides,
        width=24,
        height=9,
    )


def numbers(name: str, columns: Sequence[str], title: str, description: str) -> Drawn:
    """Draw a few numbers side by side, of one question."""
    known = _columns(name, columns)
    query = asking.query(asking.in_rows(name, columns), over_time=False)
    overrides = [_named(column) for column in known]
    return Drawn("stat", title, description, [query], width=_WIDTH, height=4, overrides=overrides)


def metric(title: str, description: str, unit: str, *asked: tuple[str, str]) -> Drawn:
    """Draw expressions of Prometheus, each with what its lines are called."""
    targets: list[Json] = [
        {"datasource": PROMETHEUS, "expr": expr, "legendFormat": legend, "range": True, "refId": ref}
        for ref, (expr, legend) in zip("ABCDEF", asked, strict=False)
    ]
    return Drawn("timeseries", title, description, targets, unit=unit, source=PROMETHEUS)


def dashboard(
    uid: str, title: str, description: str, variables: list[Json], rows: Sequence[Sequence[Drawn]]
) -> Json:
    """Lay panels out in rows, and write the whole."""
    panels, y = list[Json](), 0
    for row in rows:
        x = 0
        for drawn in row:
            place = {"x": x, "y": y, "w": drawn.width, "h": drawn.height}
            panels.append(_panel(drawn, len(panels) + 1, place))
            x += drawn.width
        if x > _WIDTH:
            raise ValueError(f"{title}: a row is {x} wide")
        y += max(drawn.height for drawn in row)
    return {
        "annotations": {"list": []},
        "description": description,
        "editable": True,
        "graphTooltip": 1,
        "id": None,
        "links": [_link()],
        "panels": panels,
        "refresh": "",
        "schemaVersion": 39,
        "tags": ["forebay"],
        "templating": {"list": variables},
        "time": {"from": "now-7d", "to": "now"},
        "timezone": "browser",
        "title": title,
        "uid": uid,
        "version": 1,
    }


def source_variable(name: str, label: str, plugin: str) -> Json:
    """Let the reader choose a data source of a kind; the first one is taken where nobody does."""
    return {
        "current": {},
        "hide": 0,
        "label": label,
        "name": name,
        "options": [],
        "query": plugin,
        "refresh": 1,
        "type": "datasource",
    }


def choice(name: str, label: str, options: Sequence[str], chosen: str) -> Json:
    """Let the reader choose one of a few words."""
    return {
        "current": {"selected": True, "text": chosen, "value": chosen},
        "hide": 0,
        "includeAll": False,
        "label": label,
        "multi": False,
        "name": name,
        "options": [{"selected": one == chosen, "text": one, "value": one} for one in options],
        "query": ",".join(options),
        "type": "custom",
    }


def found(name: str, label: str, source: Json, query: Any, every: str) -> Json:
    """Let the reader choose some of what a query finds, or all, which is written as `every`."""
    return {
        "allValue": every,
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": source,
        "definition": query if isinstance(query, str) else query["query"],
        "hide": 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "options": [],
        "query": query,
        "refresh": 1,
        "sort": 1,
        "type": "query",
    }


def _columns(name: str, columns: Sequence[str]) -> list[Column]:
    known = {column.name: column for column in PANELS[name].columns}
    return [known[column] for column in columns]


def _named(column: Column) -> Json:
    """Give a column its title and its unit."""
    properties: list[Json] = [{"id": "displayName", "value": column.title}]
    if column.type in _UNITS:
        properties.append({"id": "unit", "value": _UNITS[column.type]})
    return {"matcher": {"id": "byName", "options": column.name}, "properties": properties}


def _panel(drawn: Drawn, number_: int, place: Json) -> Json:
    return {
        "datasource": drawn.source,
        "description": drawn.description,
        "fieldConfig": {"defaults": _defaults(drawn), "overrides": drawn.overrides},
        "gridPos": place,
        "id": number_,
        "options": _options(drawn),
        "targets": drawn.targets,
        "title": drawn.title,
        "type": drawn.kind,
    }


def _defaults(drawn: Drawn) -> Json:
    if drawn.kind == "table":
        return {"custom": {"align": "auto", "filterable": True}, "unit": "short"}
    if drawn.kind == "stat":
        return {"color": _PLAIN, "unit": drawn.unit, "noValue": "-"}
    custom: Json = {
        "drawStyle": "line",
        "fillOpacity": 0,
        "lineWidth": 1,
        "showPoints": "auto",
        "spanNulls": False,
    }
    custom["stacking"] = {"group": "A", "mode": "none"}
    if drawn.stacked:
        custom |= {"drawStyle": "bars", "fillOpacity": 80, "stacking": {"group": "A", "mode": "normal"}}
    name = {"displayName": f"${{__field.labels.{drawn.label}}}"} if drawn.label else {}
    return {"color": _CALM, "custom": custom, "min": 0, "unit": drawn.unit, **name}


def _options(drawn: Drawn) -> Json:
    if drawn.kind == "table":
        return {"cellHeight": "sm", "footer": {"show": False}, "showHeader": True}
    if drawn.kind == "stat":
        reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {
            "colorMode": "none",
            "graphMode": "none",
            "reduceOptions": reduced,
            "textMode": "value_and_name",
        }
    legend = {
        "calcs": ["sum"] if drawn.stacked else ["mean", "max"],
        "displayMode": "table",
        "placement": "bottom",
    }
    return {"legend": {**legend, "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}


def _link() -> Json:
    return {
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "tags": ["forebay"],
        "title": "Forebay",
        "type": "dashboards",
    }
