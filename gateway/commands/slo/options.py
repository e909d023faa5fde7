"""What `forebay slo` takes. Quick to import: every command line reads it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def register(commands: Any, add_places: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add it to what `ArgumentParser.add_subparsers` gave; `add_places` adds --config and --state."""
    slo = commands.add_parser("slo", help="say how promises about calls stand, or write rules for Prometheus")
    verbs = slo.add_subparsers(dest="verb", required=True, metavar="VERB")

    rules = verbs.add_parser("rules", help="write policies/slo.yaml as rules for Prometheus")
    rules.add_argument("--out", type=Path, metavar="FILE", help="default: the standard output")
    add_places(rules)
    rules.set_defaults(run=_rules)

    status = verbs.add_parser("status", help="say how fast promises are used up, and what is left of them")
    status.add_argument("--json", action="store_true", help="print it as JSON")
    add_places(status)
    status.set_defaults(run=_status)


def _rules(args: argparse.Namespace) -> int:
    from gateway.commands.slo.rules import run

    return run(args)


def _status(args: argparse.Namespace) -> int:
    from gateway.commands.slo.status import run

    return run(args)
