"""Write what was used as a table for people: aligned, with units in the titles and a line of totals. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import msgspec

from gateway.finops.panels import Column
from gateway.finops.questions import Table
from gateway.finops.statement.bookings import text_of

_NARROW = (
    *("calls", "errors", "input_tokens", "cached_tokens", "output_tokens"),
    *("total_p95_ms", "wasted_usd", "cost_usd"),
)
"""What fits beside a few dimensions; --wide shows all."""
_UNITS: Mapping[str, str] = {"usd": ", USD", "ms": ", ms", "per_s": ", 1/s", "share": ", %", "time": ", UTC"}
_CENTS = Decimal("0.01")
_LONGEST = 40


class Look(msgspec.Struct, frozen=True):
    """How the table is to be written."""

    exact: bool = False
    wide: bool = False
    by_days: bool = False


def as_table(data: Table, total: Table, look: Look) -> str:
    """Write rows below their titles, and the total below a rule."""
    measures = [column.name for column in total.columns]
    shown = [
        at
        for at, column in enumerate(data.columns)
        if look.wide or column.name not in measures or column.name in _NARROW
    ]
    columns = [data.columns[at] for at in shown]
    if not data.rows:
        return "nothing was used\n"
    sums = dict(zip(measures, total.rows[0], strict=True))
    last = [_cell(sums.get(column.name), column, look) for column in columns]
    if columns[0].name not in measures:
        last[0] = "total"
    lines = [
        [column.title + _UNITS.get(column.type, "") for column in columns],
        *([_cell(row[at], data.columns[at], look) for at in shown] for row in data.rows),
    ]
    return _aligned(lines, last, [column.type not in {"text", "time"} for column in columns])


def _aligned(lines: Sequence[Sequence[str]], last: Sequence[str], numbers: Sequence[bool]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, last, strict=True)]
    rule = ["-" * width for width in widths]
    written = [
        "  ".join(
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(line, widths, numbers, strict=True)
        ).rstrip()
        for line in (*lines[:1], rule, *lines[1:], rule, last)
    ]
    return "\n".join(written) + "\n"


def _cell(value: Any, column: Column, look: Look) -> str:
    if value is None:
        return ""
    if column.type == "text":
        return _named(str(value))
    if column.type == "time":
        moment = datetime.fromtimestamp(value, UTC)
        return moment.strftime("%Y-%m-%d" if look.by_days else "%Y-%m-%d %H:%M")
    return _number(value, column, look)


def _number(value: Any, column: Column, look: Look) -> str:
    if column.type == "usd":
        return _grouped(text_of(value)) if look.exact else _rounded(value)
    if column.type == "share":
        return f"{100 * value:,.1f}"
    if column.type == "ms":
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _named(text: str) -> str:
    """Write a name so that it stays in its place, whatever it is."""
    shown = "".join(char if char.isprintable() else "?" for char in text)
    return shown[: _LONGEST - 3] + "..." if len(shown) > _LONGEST else shown or "(none)"


def _rounded(usd: Decimal) -> str:
    """Write dollars to the cent; what is less than one, as such."""
    if usd and abs(usd) < _CENTS:
        return "<0.01" if usd > 0 else ">-0.01"
    return f"{usd.quantize(_CENTS, ROUND_HALF_EVEN):,}"


def _grouped(text: str) -> str:
    whole, _, rest = text.partition(".")
    sign = "-" if whole.startswith("-") else ""
    return f"{sign}{int(whole.lstrip('-')):,}.{rest}"
