"""`forebay usage --by ...`: the same question as GET /v1/usage, asked as an admin."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import msgspec

from gateway.commands.usage.books import Books, opened_out
from gateway.commands.usage.options import FILTERS
from gateway.commands.usage.tables import Look, as_table
from gateway.exchange import Caller
from gateway.finops.questions import Questions, Table
from gateway.finops.statement.bookings import text_of
from gateway.finops.terms import Query, Terms, read_terms

_ADMIN = Caller("", "", (), admin=True)
_DEFAULT_BY = "model"


def run(args: argparse.Namespace, books: Books) -> int:
    """Ask and write; raises BadRequest, StoreDown, BadQuery."""
    terms = read_terms(query_of(args), _ADMIN, books.now_unix_s)
    questions = Questions(books.store, raw_days=books.config.retention.days["ledger"])
    if args.format == "parquet" and args.out is None and sys.stdout.isatty():
        raise ValueError("parquet is for a file: add --out FILE")
    with opened_out(args.out) as out:
        for piece in _pieces(args, questions, terms):
            out.write(piece)
    return 0


def query_of(args: argparse.Namespace) -> Query:
    """Write the options as the parameters of a URL, which have one meaning for both."""
    query: dict[str, list[str]] = {"since": [args.since], "until": [args.until]}
    query["by"] = [_DEFAULT_BY if args.by is None else args.by]
    query["format"] = ["json" if args.format == "table" else args.format]
    for name in ("step", "limit"):
        if (value := getattr(args, name)) is not None:
            query[name] = [value]
    return query | {name: given for name in FILTERS if (given := getattr(args, name))}


def _pieces(args: argparse.Namespace, questions: Questions, terms: Terms) -> Iterator[bytes]:
    if args.format == "parquet":
        yield from questions.parquet("usage", terms)
        return
    data, total, is_cut = questions.usage(terms)
    if args.format == "json":
        yield _as_json(terms, data, total)
    elif args.format == "csv":
        yield _as_csv(data)
    else:
        look = Look(exact=args.exact, wide=args.wide, by_days=terms.step % 86_400 == 0)
        yield as_table(data, total, look).encode()
    if is_cut:
        sys.stderr.write("forebay usage: there are more rows: raise --limit, or ask for less\n")


def _as_json(terms: Terms, data: Table, total: Table) -> bytes:
    names = next(name for name in ("minute", "hour", "day") if _STEP_S[name] >= terms.step)
    told = {
        "object": "usage",
        "since": terms.since,
        "until": terms.until,
        "step": names if terms.is_stepped else None,
        "by": terms.by,
        "data": _named(data),
        "total": _named(total)[0],
    }
    return msgspec.json.format(msgspec.json.encode(told)) + b"\n"


_STEP_S = {"minute": 60, "hour": 3600, "day": 86_400}


def _as_csv(data: Table) -> bytes:
    text = io.StringIO()
    written = csv.writer(text, lineterminator="\n")
    written.writerow(column.name for column in data.columns)
    written.writerows([_value(value) for value in row] for row in data.rows)
    return text.getvalue().encode()


def _named(table: Table) -> list[dict[str, Any]]:
    names = [column.name for column in table.columns]
    return [dict(zip(names, map(_value, row), strict=True)) for row in table.rows]


def _value(value: Any) -> Any:
    """Return money as its exact digits."""
    return text_of(value, 0) if isinstance(value, Decimal) else value
