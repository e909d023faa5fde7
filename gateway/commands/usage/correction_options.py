"""What the verbs take that correct and compare what is booked. Quick to import."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

_WHEN = "2026-11-01, a time, or a span back like 24h, 7d; or month"


def add_reprice(verbs: Any) -> argparse.ArgumentParser:
    """Add `reprice`."""
    verb: argparse.ArgumentParser = verbs.add_parser(
        "reprice",
        help="compute past costs anew, with the prices that were in force",
        description="Compute past costs anew with the prices in force at each call's time, and book what "
        "differs: what was booked is reversed and booked again, never overwritten. It can be run again at "
        "any time.",
    )
    verb.add_argument("--since", required=True, metavar="WHEN", help=_WHEN)
    verb.add_argument(
        "--until",
        default="1h",
        metavar="WHEN",
        help="not included (default: 1h, as late counts may yet come)",
    )
    for name in ("model", "backend"):
        verb.add_argument(
            f"--{name}", action="append", default=[], metavar="GLOB", help="only these; may be repeated"
        )
    verb.add_argument("--tenant", action="append", default=[], metavar="NAME", help="only these")
    verb.add_argument("--dry-run", action="store_true", help="say what would change, and book nothing")
    return verb


def add_reconcile(verbs: Any) -> argparse.ArgumentParser:
    """Add `reconcile`."""
    verb: argparse.ArgumentParser = verbs.add_parser(
        "reconcile",
        help="compare what was booked with a provider's bill",
        description="Compare with a bill or an export of usage (CSV), day by day and model by model, and say "
        "why they differ. Exits with 1 where a model or the total differs by more than the tolerance.",
    )
    verb.add_argument("--invoice", required=True, type=Path, metavar="FILE.csv")
    verb.add_argument(
        "--provider",
        default="",
        metavar="NAME",
        help="whose it is: a preset or provider, as openai or bedrock",
    )
    verb.add_argument(
        "--backend",
        action="append",
        default=[],
        metavar="NAME",
        help="backends it is for, in place of --provider",
    )
    verb.add_argument("--month", default="", metavar="2026-11", help="default: the days that the bill has")
    verb.add_argument(
        "--tolerance", type=_share, default=Decimal("0.01"), metavar="1%", help="a part (default: 1%%)"
    )
    verb.add_argument(
        "--floor", type=_dollars, default=Decimal("0.01"), metavar="USD", help="nor less (default: 0.01)"
    )
    verb.add_argument(
        "--columns",
        type=_columns,
        default={},
        metavar="date=..,model=..,usd=..",
        help="the titles of its columns, where they are not known; also kind, tokens, currency",
    )
    verb.add_argument("--format", choices=("table", "csv", "json"), default="table")
    return verb


def add_throughput(verbs: Any) -> argparse.ArgumentParser:
    """Add `throughput`."""
    verb: argparse.ArgumentParser = verbs.add_parser(
        "throughput",
        help="measure what a backend of your own delivers, for the price of its GPUs",
    )
    verb.add_argument("--backend", required=True, metavar="NAME")
    verb.add_argument("--since", default="7d", metavar="WHEN", help=f"{_WHEN} (default: 7d)")
    verb.add_argument("--until", default="now", metavar="WHEN", help="not included (default: now)")
    verb.add_argument("--usd-per-hour", type=_dollars, metavar="USD", help="what one machine costs")
    verb.add_argument("--count", type=_dollars, default=Decimal(1), metavar="N", help="machines (default: 1)")
    verb.add_argument("--format", choices=("table", "json"), default="table")
    return verb


VERBS = (add_reprice, add_reconcile, add_throughput)


def _share(text: str) -> Decimal:
    """Read `1%` or `0.01`."""
    number = _dollars(text.removesuffix("%"))
    return number / 100 if text.endswith("%") else number


def _dollars(text: str) -> Decimal:
    if not re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number like 0.5")
    return Decimal(text)


def _columns(text: str) -> dict[str, str]:
    """Read `date=Day,usd=Cost (USD)`."""
    pairs: Sequence[tuple[str, str, str]] = [part.partition("=") for part in text.split(",")]
    if any(not name.strip() or not title.strip() for name, _, title in pairs):
        raise argparse.ArgumentTypeError("write it as date=TITLE,model=TITLE,usd=TITLE")
    return {name.strip(): title.strip() for name, _, title in pairs}
