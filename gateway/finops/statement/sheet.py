"""Write a statement as CSV: a row for each line of each part, and the total. Pure; every amount is exact."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from gateway.finops.statement.bookings import KINDS, dollars, text_of
from gateway.finops.statement.composing import Line, Statement

_FORMULA = ("=", "+", "-", "@", "\t", "\r")

_NAMES = ("team", "key", "route", "backend", "model", "waste")

TITLES = (
    *("statement", "tenant", "timezone", "part", *_NAMES, "calls", "attempts"),
    *(f"{kind.name}_{'units' if kind.name == 'other' else 'tokens'}" for kind in KINDS),
    *(f"{kind.name}_usd_per_{'m' if kind.name == 'other' else 'mtok'}" for kind in KINDS),
    *(f"{kind.name}_usd" for kind in KINDS),
    "cost_usd",
)


def as_csv(statement: Statement) -> str:
    """Write a statement for programs and spreadsheets."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(TITLES)
    writer.writerows(_rows(statement))
    return out.getvalue()


def plain(text: str) -> str:
    """Keep a spreadsheet from taking a text for a formula: names come from whoever calls."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rows(statement: Statement) -> Iterator[Sequence[object]]:
    head = (statement.month.name, plain(statement.tenant), statement.month.timezone)
    every = [line for _, lines in statement.parts for line in lines]
    for part, lines in statement.parts:
        for line in lines:
            yield (*head, part, *_cells(line))
    costs = [sum(line.costs[kind.name] for line in every) for kind in KINDS]
    yield (
        *(*head, "total", *[""] * len(_NAMES)),
        *(sum(line.calls for line in every), sum(line.attempts for line in every)),
        *[""] * (2 * len(KINDS)),
        *(text_of(dollars(cost)) for cost in (*costs, statement.total)),
    )


def _cells(line: Line) -> Iterator[object]:
    for name in _NAMES:
        yield plain(getattr(line, name))
    yield line.calls
    yield line.attempts
    for kind in KINDS:
        yield line.quantities[kind.name] if _is_used(line, kind.name) else 0
    for kind in KINDS:
        rate = line.rates.get(kind.name)
        yield "" if rate is None else text_of(rate)
    for kind in KINDS:
        yield text_of(dollars(line.costs[kind.name]))
    yield text_of(dollars(line.cost))


def _is_used(line: Line, kind: str) -> bool:
    """Tell whether a number of units says anything: attempts stand for `other` where it cost something."""
    return kind != "other" or line.costs[kind] != 0
