"""What `forebay doctor` takes. Quick to import: every command line reads it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from gateway.commands.doctor.finding import KINDS


def register(commands: Any, add_places: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add it to what `ArgumentParser.add_subparsers` gave; `add_places` adds --config and --state."""
    doctor = commands.add_parser(
        "doctor",
        help="check a deployment, and say what to do",
        description="Check a deployment, and say what to do. Changes nothing. Exit code 1: something fails.",
    )
    add_places(doctor)
    doctor.add_argument("--json", action="store_true", help="print it as JSON")
    doctor.add_argument("--offline", action="store_true", help="ask nobody over the network")
    kinds = ", ".join(KINDS)
    doctor.add_argument("--only", nargs="+", choices=KINDS, metavar="NAME", help=f"some of: {kinds}")
    doctor.set_defaults(run=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from gateway.commands.doctor.command import run

    return run(args)
