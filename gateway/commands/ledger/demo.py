"""`forebay demo`: fill the ledger with made-up traffic, so that a newcomer sees full dashboards."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from secrets import token_hex
from time import monotonic
from typing import Any, Protocol, TextIO, runtime_checkable

import msgspec

from gateway.commands.usage.books import Books, opened_books
from gateway.errors import BadQuery, BadRows, StoreDown
from gateway.finops.demo.books import PRICED, Prices, budgets, changes_ms, entries
from gateway.finops.demo.traffic import Plan
from gateway.finops.demo.world import SOURCE
from gateway.finops.sql import text_of
from gateway.finops.statement.bookings import dollars
from gateway.finops.statement.months import month_around
from gateway.ledger.entries import Entry
from gateway.protocols import UsageStore

AT_ONCE = 25_000
"""Rows of an insert: some 13 MB. Few and large ones make few parts of each table to write and to merge."""

_TABLES = ("ledger", "usage_minute", "usage_hour", "usage_day")
_PRICE_COLUMNS = ("version", "backend", "model", "rates", "seen")


@runtime_checkable
class Removing(Protocol):
    """A UsageStore that can remove rows."""

    def remove(self, table: str, where: str, parameters: Mapping[str, Any]) -> None:
        """Remove the rows that a condition holds for; they are gone when it returns."""


class Made(msgspec.Struct):
    """What was made."""

    rows: int = 0
    calls: int = 0
    took_s: float = 0.0
    cost: dict[str, int] = {}
    """Femto-USD by tenant."""
    this_month: dict[str, int] = {}
    """The same, since the month began."""


def run(args: argparse.Namespace) -> int:
    """Run a parsed `forebay demo`; gives the exit status: 0 or 1 (failed)."""
    try:
        with opened_books(args.config, args.state) as books:
            if args.remove:
                return _say_removed(remove(books.store), sys.stdout)
            plan = Plan(args.days, args.calls_per_day, args.seed, int(books.now_unix_s * 1000))
            return _say_made(fill(books, plan), plan, sys.stdout)
    except BrokenPipeError:  # whoever read has seen enough
        return 0
    except (StoreDown, BadQuery, BadRows) as error:
        sys.stderr.write(f"forebay demo: {error}\n")
        return 1


def fill(books: Books, plan: Plan) -> Made:
    """Put the demo's calls into the ledger, in place of those that are there."""
    begun_s = monotonic()
    remove(books.store)
    prices = Prices(books.config.prices.of, changes_ms(plan))
    made, token = Made(), token_hex(8)
    month_ms = month_around(books.now_unix_s).since_s * 1000
    # The database writes down one batch while the next one is made up.
    with ThreadPoolExecutor(1) as other:
        writing: Future[None] | None = None
        for number, rows in enumerate(_batches(entries(plan, prices))):
            _count(rows, made, month_ms)
            tuples = [msgspec.structs.astuple(one) for one in rows]
            if writing is not None:
                writing.result()
            batch = (Entry.__struct_fields__, tuples, f"{SOURCE}-{token}-{number}")
            writing = other.submit(books.store.insert, "ledger", *batch)
        if writing is not None:
            writing.result()
    seen_ms = plan.since_ms
    known = [
        (version, model.backend, model.name, msgspec.json.encode(price).decode(), seen_ms)
        for version, (model, price) in prices.used.items()
    ]
    books.store.insert("prices", _PRICE_COLUMNS, known, f"{SOURCE}-{token}-prices")
    made.took_s = monotonic() - begun_s
    return made


def remove(store: UsageStore) -> int:
    """Remove all of the demo from ledger, rollups and prices; gives how many attempts there were.

    Raises StoreDown, BadQuery.
    """
    [[there, attempts]] = store.query(text_of("is_demo"), {"tenants": []}).rows
    if not there:
        return 0
    if not isinstance(store, Removing):
        raise BadQuery("this store removes nothing: drop the rows whose source is demo by hand")
    # The table that tells whether there is a demo comes last: what was cut in the middle is done again.
    store.remove("prices", "startsWith(version, {start:String})", {"start": PRICED})
    for table in _TABLES:
        store.remove(table, "source = {source:String}", {"source": SOURCE})
    return int(attempts)


def _count(rows: Sequence[Entry], made: Made, month_ms: int) -> None:
    made.rows += len(rows)
    for one in rows:
        made.calls += one.calls
        made.cost[one.tenant] = made.cost.get(one.tenant, 0) + one.cost
        if one.time >= month_ms:
            made.this_month[one.tenant] = made.this_month.get(one.tenant, 0) + one.cost


def _batches(every: Iterable[Entry]) -> Iterator[Sequence[Entry]]:
    rows = iter(every)
    while batch := list(islice(rows, AT_ONCE)):
        yield batch


def _say_removed(attempts: int, out: TextIO) -> int:
    out.write(f"removed the demo: {attempts:,} attempts\n" if attempts else "there is no demo data\n")
    return 0


def _say_made(made: Made, plan: Plan, out: TextIO) -> int:
    whole = dollars(sum(made.cost.values()))
    out.write(
        f"made {made.calls:,} calls of {len(made.cost)} tenants in {plan.days} days: {made.rows:,} rows, "
        f"US$ {whole:,.2f}, in {made.took_s:.1f} s\n\n"
        "look at them:     forebay usage --since 30d --by tenant,model\n"
        "                  /dashboard of `forebay serve`, with the key that --quickstart prints, or one of\n"
        "                  forebay keys create --tenant NAME --admin\n"
        "make it larger:   forebay demo --calls-per-day 20000\n"
        "remove it again:  forebay demo --remove\n\n"
        "budgets that such tenants could have, for policies/budgets.yaml:\n"
    )
    out.writelines(
        f"  {tenant}: {{for: {{tenant: [{tenant}]}}, usd: {usd}, every: month}}\n"
        for tenant, usd in budgets(made.this_month).items()
    )
    return 0
