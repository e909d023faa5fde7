"""The SQL of the panels as Grafana asks it: macros and variables of the dashboard in place of parameters.

It must not know how a panel looks. Grafana has no bound parameters: what a variable holds becomes part of the
text, quoted where it is a text (`:sqlstring`): the data source's user must be one that can only read.
Sources: the ClickHouse data source's README, "Macros"; Grafana's documentation, "Variable syntax" (2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from gateway.finops.panels import PANELS, Column
from gateway.finops.sql import text_of

SOURCE: Final = {"type": "grafana-clickhouse-datasource", "uid": "${clickhouse}"}
ALL: Final = "/* all */"
"""What stands for "All" between the brackets of a list: nothing. An empty text would mean every option."""

FILTERS: Final = ("tenant", "team", "route", "model", "backend")
DIMENSIONS: Final = ("model", "tenant", "team", "key", "route", "backend", "purpose", "ending", "waste")
RESOLUTIONS: Final = ("minute", "hour", "day")
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})

_R = "transform('${resolution}', ['minute', 'hour', 'day'], [60, 3600, 86400], 3600)"
_SINCE = f"intDiv(toUnixTimestamp($__fromTime), {_R}) * {_R}"
_UNTIL = "toUnixTimestamp($__toTime)"
_MONTH = f"toUnixTimestamp(toDateTime(toStartOfMonth(toDateTime({_SINCE}, 'UTC')), 'UTC'))"
_PARAMETERS: Final = {
    "since": f"({_SINCE})",
    "until": _UNTIL,
    "before": f"(2 * ({_SINCE}) - {_UNTIL})",
    "month": _MONTH,
    "step": f"(intDiv(greatest($__interval_s, {_R}), {_R}) * {_R})",
    "rollup": "usage_${resolution:raw}",
    "raw": "0",
    "limit": "100",
    "keys": "CAST([], 'Array(String)')",
    "is_known": "0",
    "by1": "nothing",
    "by2": "nothing",
    "by3": "nothing",
    **{f"{name}s": f"CAST([${{{name}:sqlstring}}], 'Array(String)')" for name in FILTERS},
}
"""What stands for each parameter of the SQL. The beginning is that of a step of the resolution: a rollup has
no finer rows. Times are Unix seconds."""

_NO_RATE: Final = "toDecimal128(0, 15)"
"""No dashboard knows a baseline price: what is compared with one (`savings`) may not be shown here."""

_NAMES = (
    "SELECT DISTINCT toString(DIMENSION) AS DIMENSION FROM usage_day WHERE DIMENSION != '' ORDER BY DIMENSION"
)
_PLACEHOLDER = re.compile(r"\{(\w+):[\w(), ]+\}")


def asked(name: str, given: Mapping[str, str] = _NOTHING) -> str:
    """Return the SQL of dashboards/sql/NAME.sql with `given`, else what is usual, for its parameters.

    Raises KeyError for a parameter that nothing stands for.
    """
    lines = text_of(name).splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    meant = {**_PARAMETERS, **given}

    def standing_for(found: re.Match[str]) -> str:
        name = found[1]
        return _NO_RATE if name.startswith("rate_") else meant[name]

    return _PLACEHOLDER.sub(standing_for, text).strip()


def names_of(dimension: str) -> str:
    """Ask for what a dimension may be."""
    return _NAMES.replace("DIMENSION", dimension)


def query(sql: str, *, over_time: bool, ref: str = "A") -> dict[str, Any]:
    """Write a target of a panel."""
    kind = "timeseries" if over_time else "table"
    return {
        "datasource": SOURCE,
        "editorType": "sql",
        "format": 0 if over_time else 1,
        "queryType": kind,
        "rawSql": sql,
        "refId": ref,
    }


def over_time(name: str, columns: Sequence[str], given: Mapping[str, str] = _NOTHING) -> str:
    """Ask for columns over time; those of text, which name the lines, come first."""
    known = {column.name: column for column in PANELS[name].columns}
    shown = [_shown(known[column]) for column in columns]
    chosen = ", ".join(["toDateTime(s.time, 'UTC') AS time", *shown])
    return f"SELECT {chosen}\nFROM\n(\n{_indented(asked(name, given))}\n) AS s\nORDER BY time"


def in_rows(name: str, columns: Sequence[str], given: Mapping[str, str] = _NOTHING) -> str:
    """Ask for columns of a table, in its own order."""
    known = {column.name: column for column in PANELS[name].columns}
    chosen = ", ".join(_shown(known[column]) for column in columns)
    return f"SELECT {chosen}\nFROM\n(\n{_indented(asked(name, given))}\n) AS s"


def _shown(column: Column) -> str:
    """Show a column as Grafana can draw it: it knows no decimals, and a moment is no number to it."""
    if column.type == "usd":
        return f"toFloat64(s.{column.name}) AS {column.name}"
    if column.type == "time":
        return f"toDateTime(s.{column.name}, 'UTC') AS {column.name}"
    return f"s.{column.name} AS {column.name}"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
