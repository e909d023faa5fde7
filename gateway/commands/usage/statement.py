"""`forebay usage statement`: write a tenant's statement of a month."""

from __future__ import annotations

import argparse
import sys

from gateway.commands.usage.books import Books, opened_out
from gateway.finops.statement.asking import Statements
from gateway.finops.statement.paper import SUMMED, as_html
from gateway.finops.statement.sheet import as_csv


def run(args: argparse.Namespace, books: Books) -> int:
    """Ask and write; raises ValueError for what is no month, StoreDown, BadQuery."""
    desk = Statements(books.store, books.config.tenants.tenants, books.config.retention.days["ledger"])
    month = desk.month(args.tenant, args.month, books.now_unix_s)
    found = desk.of(args.tenant, month, books.now_unix_s)
    if not any(lines for _, lines in found.parts):
        sys.stderr.write(f"forebay usage statement: {args.tenant} has used nothing in {month.name}\n")
    if found.is_summed:
        sys.stderr.write(f"forebay usage statement: {SUMMED}\n")
    text = as_html(found, books.now_unix_s) if args.format == "html" else as_csv(found)
    with opened_out(args.out) as out:
        out.write(text.encode())
    return 0
