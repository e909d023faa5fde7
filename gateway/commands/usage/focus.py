"""`forebay usage focus`: export a month in FOCUS columns, day by day: memory is that of a day."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from io import TextIOWrapper

from gateway.commands.usage.books import Books, opened_out
from gateway.finops.focus import COLUMNS, Export, Row, correction_rows, day_rows
from gateway.finops.statement.asking import corrected_in, is_summed, standing_in
from gateway.finops.statement.months import month_around, month_of
from gateway.finops.statement.paper import SUMMED
from gateway.protocols import UsageStore


def run(args: argparse.Namespace, books: Books) -> int:
    """Ask and write; raises ValueError for what is no month, StoreDown, BadQuery."""
    month = month_of(args.month) if args.month else month_around(books.now_unix_s, ago=1)
    export = Export(month, args.account)
    if books.now_unix_s < month.until_s:
        sys.stderr.write(f"forebay usage focus: {month.name} is not over: the export is not final\n")
    if is_summed(month, books.config.retention.days["ledger"], books.now_unix_s):
        sys.stderr.write(f"forebay usage focus: {SUMMED}\n")
    with opened_out(args.out) as out:
        text = TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(focus_rows(books.store, export, tuple(args.tenant), demo=args.with_demo))
        text.detach()
    return 0


def focus_rows(store: UsageStore, export: Export, tenants: tuple[str, ...], *, demo: bool) -> Iterator[Row]:
    """Yield the rows of a month; no tenants: all of them. Raises StoreDown, BadQuery."""
    corrected = corrected_in(store, export.month, tenants, demo=demo)
    for day in export.month.days():
        of_day = [one for one in corrected if one.is_of and one.booking.day == day.since_s]
        yield from day_rows(export, standing_in(store, day, tenants, demo=demo), of_day)
    yield from correction_rows(export, corrected)
