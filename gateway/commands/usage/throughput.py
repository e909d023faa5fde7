"""`forebay usage throughput`: measure what a backend of your own delivers, for the price of its GPUs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal

import msgspec

from gateway.commands.limits.limiting import table
from gateway.commands.usage.books import Books
from gateway.finops.sql import text_of
from gateway.finops.terms import read_moment
from gateway.finops.throughput import Pace, Throughput, measure, usd_per_mtok, utilization

NOTHING = 1
_TITLES = ("MODEL", "BUSY MINUTES", "TOKENS", "", "MEDIAN 1/s", "SUSTAINED (P95) 1/s", "MOST 1/s")


def run(args: argparse.Namespace, books: Books) -> int:
    """Measure and tell; raises BadRequest, StoreDown."""
    now = books.now_unix_s
    since, until = (read_moment(name, getattr(args, name), now).unix_s for name in ("since", "until"))
    window = {"tenants": [], "since": since, "until": until, "backend": args.backend}
    measured = measure(books.store.query(text_of("throughput"), window).rows)
    if not measured:
        sys.stderr.write(
            f"forebay usage throughput: nothing was generated at {args.backend!r} in that time\n"
        )
        return NOTHING
    busy = utilization(measured[0], (until - since) // 60)
    if args.format == "json":
        told = {"backend": args.backend, "utilization": busy, "measured": measured}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(told)).decode() + "\n")
        return 0
    sys.stdout.write(table(_TITLES, [row for one in measured for row in _rows(one)]))
    sys.stdout.writelines(_lines(args, measured[0], busy))
    return 0


def _rows(one: Throughput) -> Iterator[Sequence[str]]:
    yield one.model or "all", f"{one.busy_minutes:,}", f"{one.input_tokens:,}", "input", *_pace(one.input)
    yield "", "", f"{one.output_tokens:,}", "output", *_pace(one.output)


def _pace(pace: Pace) -> tuple[str, str, str]:
    return f"{pace.median:,.1f}", f"{pace.sustained:,.1f}", f"{pace.most:,.1f}"


def _lines(args: argparse.Namespace, measured: Throughput, busy: float) -> Iterator[str]:
    """Write what policies/prices.yaml is told."""
    if measured.is_scarce:
        yield f"\nonly {measured.busy_minutes} busy minutes: measure again under load before you rely on it\n"
    read, written = measured.busiest
    hourly = "..." if args.usd_per_hour is None else f"{args.usd_per_hour:f}"
    yield "\nFor policies/prices.yaml, from the busiest tenth of the minutes (input and output together):\n\n"
    yield "models:\n"
    yield f"  {args.backend}/*:\n"
    yield "    gpu:\n"
    yield f"      usd_per_hour: {hourly}\n"
    yield f"      count: {args.count:f}\n"
    yield f"      input_tokens_per_s: {read}\n"
    if written:
        yield f"      output_tokens_per_s: {written}\n"
    yield f"      utilization: {busy}  # measured; 1.0: what is idle is nobody's cost\n"
    if args.usd_per_hour is not None:
        yield from _prices(args, measured, busy)


def _prices(args: argparse.Namespace, measured: Throughput, busy: float) -> Iterator[str]:
    read, written = measured.busiest
    share = Decimal("0.5") if written else Decimal(1)
    for part in dict.fromkeys((Decimal(str(busy)), Decimal(1))):
        if not part:
            continue
        second = args.usd_per_hour * args.count / 3600 / part
        prices = [usd_per_mtok(second, pace, share) for pace in (read, written)]
        words = ("-" if price is None else f"${price:.4f}" for price in prices)
        yield f"\nutilization {part}: {' input, '.join(words)} output, per million tokens"
    yield "\n"
