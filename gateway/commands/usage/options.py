"""What `forebay usage` and `forebay demo` take. Quick to import: every command line reads it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.commands.usage import correction_options

FILTERS = ("tenant", "team", "key", "route", "model", "backend")
_WHEN = "2026-11-01, a time, or a span back like 30m, 24h, 7d; or month"


def register(commands: Any, add_places: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add both to what `ArgumentParser.add_subparsers` gave; `add_places` adds --config and --state."""
    usage = commands.add_parser(
        "usage",
        help="tell what was used and what it cost",
        description="Tell what was used and what it cost, by any dimensions; or one of the verbs.",
    )
    _add_question(usage)
    add_places(usage)
    verbs = usage.add_subparsers(dest="verb", required=False, metavar="VERB")
    for add in VERBS:
        _add_places_again(add(verbs))
    usage.set_defaults(run=_usage)

    demo = commands.add_parser("demo", help="fill the ledger with made-up traffic, or remove it")
    demo.add_argument("--days", type=_days, default=30, metavar="N", help="so far back (default: 30)")
    demo.add_argument("--calls-per-day", type=_calls, default=2000, metavar="N", help="default: 2000")
    demo.add_argument("--seed", type=int, default=1, metavar="N", help="the same one: the same calls")
    demo.add_argument("--remove", action="store_true", help="remove all of it, and nothing else")
    add_places(demo)
    demo.set_defaults(run=_demo)


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add where the answer goes."""
    parser.add_argument("--out", type=Path, metavar="FILE", help="default: the standard output")


def _add_question(usage: argparse.ArgumentParser) -> None:
    usage.add_argument("--by", metavar="NAMES", help="dimensions: tenant,model (default: model)")
    usage.add_argument("--since", default="7d", metavar="WHEN", help=f"{_WHEN} (default: 7d)")
    usage.add_argument("--until", default="now", metavar="WHEN", help="not included (default: now)")
    usage.add_argument("--step", choices=("auto", "minute", "hour", "day"), help="a row for each of them")
    for name in FILTERS:
        usage.add_argument(
            f"--{name}", action="append", default=[], metavar="NAME", help="only these; may be repeated"
        )
    usage.add_argument("--limit", metavar="N", help="so many rows at most")
    usage.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table")
    usage.add_argument("--exact", action="store_true", help="all digits of money in the table")
    usage.add_argument("--wide", action="store_true", help="all columns in the table")
    add_out(usage)


def _add_statement(verbs: Any) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser(
        "statement", help="write what a tenant is charged for a month"
    )
    verb.add_argument("--tenant", required=True, metavar="NAME")
    verb.add_argument("--month", default="", metavar="2026-11", help="default: the last one that is over")
    verb.add_argument("--format", choices=("csv", "html"), default="csv", help="html: a page to print")
    add_out(verb)
    return verb


def _add_focus(verbs: Any) -> argparse.ArgumentParser:
    verb: argparse.ArgumentParser = verbs.add_parser("focus", help="export a month in FOCUS 1.2 columns, CSV")
    verb.add_argument("--month", default="", metavar="2026-11", help="of UTC (default: the last one)")
    verb.add_argument("--tenant", action="append", default=[], metavar="NAME", help="only these")
    verb.add_argument(
        "--account", default="forebay", metavar="ID", help="BillingAccountId (default: forebay)"
    )
    verb.add_argument("--with-demo", action="store_true", help="data of `forebay demo`, too")
    add_out(verb)
    return verb


VERBS: tuple[Callable[[Any], argparse.ArgumentParser], ...] = (
    _add_statement,
    _add_focus,
    *correction_options.VERBS,
)
"""Each adds a verb and gives its parser; `gateway.commands.usage.running` runs it."""


def _add_places_again(verb: argparse.ArgumentParser) -> None:
    """Take the places after the verb, too; what was said before it stands otherwise."""
    for option, what in (("--config", "where routing.yaml is"), ("--state", "where data is kept")):
        verb.add_argument(option, type=Path, default=argparse.SUPPRESS, metavar="DIR", help=what)


def _days(text: str) -> int:
    return _whole(text, 1, 400)


def _calls(text: str) -> int:
    return _whole(text, 1, 1_000_000)


def _whole(text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least:,} to {most:,}")
    return int(text)


def _usage(args: argparse.Namespace) -> int:
    from gateway.commands.usage.running import run

    return run(args)


def _demo(args: argparse.Namespace) -> int:
    from gateway.commands.ledger.demo import run

    return run(args)
