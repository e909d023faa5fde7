"""`forebay usage reconcile`: compare what was booked with a provider's bill."""

from __future__ import annotations

import argparse
import calendar
import csv
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec

from gateway.commands.limits.limiting import table
from gateway.commands.usage.books import Books
from gateway.config.resolve import BackendSettings
from gateway.finops.reconciling.comparing import Cell, Comparison, booked_of, compare, window_of
from gateway.finops.reconciling.invoices import BadInvoice, Invoice, read_invoice
from gateway.finops.reconciling.reasons import explain
from gateway.finops.sql import text_of

DIFFERS = 1
_NAMES = ("scope", "day", "model", "billed", "booked", "difference", "share", "why")
_ALIKE: Mapping[str, frozenset[str]] = {
    "google": frozenset({"gemini", "gemini-openai", "vertex", "vertex_anthropic"}),
    "aws": frozenset({"bedrock"}),
}
"""Who sends one bill for several."""


def run(args: argparse.Namespace, books: Books) -> int:
    """Compare and tell: 0, or 1 where they differ; raises ValueError, OSError, StoreDown."""
    try:
        # Not only in UTF-8 do bills come, and names of accounts do not matter.
        with args.invoice.open(encoding="utf-8", errors="replace", newline="") as file:
            invoice = read_invoice(file, args.columns)
    except BadInvoice as bad:
        raise ValueError(f"{args.invoice}: {bad}") from None
    span = span_of(args.month, invoice)
    backends = backends_of(args, books.config.resolved.backends)
    since, until = window_of(span)
    window = {"tenants": [], "since": since, "until": until, "backends": backends}
    booked = booked_of(books.store.query(text_of("reconcile"), window).rows)
    comparison = compare(invoice, booked, span)
    explain(comparison, args.tolerance, args.floor)
    write = {"table": _as_table, "csv": _as_csv, "json": _as_json}[args.format]
    write(comparison, invoice, backends)
    agree = all(cell.is_within(args.tolerance, args.floor) for cell in (comparison.total, *comparison.models))
    return 0 if agree else DIFFERS


def span_of(month: str, invoice: Invoice) -> tuple[date, date]:
    """Return the first and last day that are compared. Raises ValueError."""
    days = [line.day for line in invoice.lines]
    if not month:
        return min(days), max(days)
    named = re.fullmatch(r"(20\d\d)-(0[1-9]|1[0-2])", month)
    if named is None:
        raise ValueError(f"{month!r} is not a month: write 2026-11")
    year, number = int(named[1]), int(named[2])
    span = date(year, number, 1), date(year, number, calendar.monthrange(year, number)[1])
    if not any(span[0] <= day <= span[1] for day in days):
        raise ValueError(f"the bill has nothing of {month}: it is of {min(days)} to {max(days)}")
    return span


def backends_of(args: argparse.Namespace, backends: Mapping[str, BackendSettings]) -> list[str]:
    """Name the backends whose calls the bill is for. Raises ValueError."""
    if args.backend:
        return sorted(args.backend)
    wanted = _ALIKE.get(args.provider, frozenset({args.provider}))
    found = [name for name, spec in backends.items() if {spec.preset, spec.provider} & wanted]
    if not args.provider or not found:
        known = sorted({spec.preset or spec.provider for spec in backends.values()})
        raise ValueError(f"say whose bill it is: --provider {' | '.join(known)}, or --backend NAME")
    return sorted(found)


def _as_table(comparison: Comparison, invoice: Invoice, backends: Sequence[str]) -> None:
    out = sys.stdout
    out.write(
        f"{invoice.form}, {comparison.first} to {comparison.last}, against {', '.join(backends)}; "
        f"amounts in {'US dollars' if comparison.unit == 'usd' else 'tokens'}\n"
    )
    out.writelines(
        f"not compared: {count:,} lines, {what}\n" for what, count in sorted(invoice.left_out.items())
    )
    titles = ("MODEL", "BILLED", "BOOKED", "DIFFERENCE", "SHARE", "WHY")
    cells = [*comparison.models, comparison.total]
    out.write("\n" + table(titles, [_texts(cell, comparison)[1:] for cell in cells]))
    differing = [cell for cell in comparison.days if cell.why]
    if differing:
        out.write("\n" + table(("DAY", *titles), [_texts(cell, comparison) for cell in differing]))


def _texts(cell: Cell, comparison: Comparison) -> tuple[str, ...]:
    amounts = (cell.billed.amount, cell.booked.amount, cell.difference)
    shown = (f"{one:,.4f}" if comparison.unit == "usd" else f"{one:,.0f}" for one in amounts)
    share = "" if not cell.booked.amount else f"{cell.difference / cell.booked.amount:+.2%}"
    name = "all" if cell is comparison.total else cell.model or "(not told)"
    return (str(cell.day or ""), name, *shown, share, "; ".join(cell.why))


def _as_csv(comparison: Comparison, _invoice: Invoice, _backends: Sequence[str]) -> None:
    written = csv.writer(sys.stdout, lineterminator="\n")
    written.writerow(_NAMES)
    for row in _told(comparison):
        written.writerow("; ".join(value) if isinstance(value, list) else value for value in row.values())


def _as_json(comparison: Comparison, invoice: Invoice, backends: Sequence[str]) -> None:
    told = {
        "form": invoice.form,
        "unit": comparison.unit,
        "since": comparison.first,
        "until": comparison.last,
        "backends": backends,
        "days_ahead_of_utc_h": comparison.shift_hours,
        "lines_left_out": invoice.left_out,
        "rows": list(_told(comparison)),
    }
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(told)).decode() + "\n")


def _told(comparison: Comparison) -> Iterator[dict[str, Any]]:
    scopes = (
        ("total", [comparison.total]),
        ("model", comparison.models),
        ("day", comparison.days),
    )
    for scope, cells in scopes:
        for cell in cells:
            booked = cell.booked.amount
            share = None if not booked else f"{cell.difference / booked:.6f}"
            amounts = map(_plain, (cell.billed.amount, booked, cell.difference))
            values = (scope, cell.day and str(cell.day), cell.model, *amounts, share, cell.why)
            yield dict(zip(_NAMES, values, strict=True))


def _plain(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
