"""The options of `forebay quota` and `forebay budget`.

Apart from what the commands do: every command reads all options, and should be there at once.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from gateway.commands.keys import duration_s

_DOLLARS: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?")
_NANOUSD: Final = 1_000_000_000
_SCOPE: Final[Mapping[str, str]] = {
    "tenant": "a tenant of policies/tenants.yaml",
    "team": "a team of the tenant",
    "key": "the id of a key",
    "user": "a user whom requests name",
    "route": "a route of routing.yaml",
    "model": "a model that requests name",
}


def register(subparsers: Any) -> None:
    """Add `quota` and `budget` to what `ArgumentParser.add_subparsers` gave."""
    quota = subparsers.add_parser("quota", help="show how limits stand, and reset them")
    verbs = quota.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_show(verbs, "the limits on a caller")
    verb = verbs.add_parser("reset", help="forget what was taken of a limit")
    verb.add_argument("rule", metavar="RULE", help="its name in policies/quotas.yaml or budgets.yaml")
    _add_scope(verb)
    verb.add_argument("--all", action="store_true", help="those of all tenants")

    budget = subparsers.add_parser("budget", help="show what is spent, and change a budget for its period")
    verbs = budget.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_show(verbs, "the budgets of a caller")
    verb = verbs.add_parser("set", help="set a budget at once, until its period ends")
    verb.add_argument("rule", metavar="NAME", help="its name in policies/budgets.yaml")
    what = verb.add_mutually_exclusive_group(required=True)
    what.add_argument("--usd", type=nanousd, metavar="700", help="how much it is")
    what.add_argument("--as-written", action="store_true", help="what policies/budgets.yaml says")
    _add_scope(verb)
    when = "12h, 3d, 2027-01-31 or 2027-01-31T18:00:00Z (default: until its period ends)"
    verb.add_argument("--until", type=time_ms, metavar="WHEN", help=when)


def _add_show(verbs: Any, what: str) -> None:
    verb = verbs.add_parser("show", help=f"show {what} (default: of each tenant)")
    _add_scope(verb)
    verb.add_argument("--format", choices=("table", "json"), default="table")


def _add_scope(parser: Any) -> None:
    """Add the options that say whose limits are meant."""
    for name, description in _SCOPE.items():
        parser.add_argument(f"--{name}", default="", metavar=name.upper(), help=description)


def nanousd(text: str) -> int:
    """Read dollars; raises argparse.ArgumentTypeError."""
    if not _DOLLARS.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no amount in dollars: write 700 or 0.25")
    return int(Decimal(text) * _NANOUSD)


def time_ms(text: str) -> int:
    """Read a time from now, a date (its beginning, UTC) or a time; raises argparse.ArgumentTypeError."""
    if text[-1:] in {"d", "h", "m", "s"}:
        return int((time.time() + duration_s(text)) * 1000)
    try:
        moment = dt.datetime.fromisoformat(text.upper())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 12h, 3d or 2027-01-31") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp() * 1000)
