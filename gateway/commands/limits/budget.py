"""`forebay budget`: see where the money goes, and let a budget be another one until its period ends."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TextIO

from gateway.admission.standing import Standing
from gateway.admission.steering import Revise, Show
from gateway.commands.limits import limiting
from gateway.commands.limits.limiting import Reach
from gateway.quotas.rules import MOST_USD, NANOUSD


def run(args: argparse.Namespace, reach: Reach, out: TextIO) -> int:
    """Run a parsed `forebay budget ...`; gives the exit status."""
    act = _show if args.verb == "show" else _set
    return limiting.run(lambda: act(args, reach), "budget", out)


def _show(args: argparse.Namespace, reach: Reach) -> str:
    every = reach.perform(Show(limiting.scopes_of(args, reach)))
    standings = [one for one in every if one.kind == "budget"]
    if args.format == "json":
        return limiting.as_json(standings)
    return _table(standings) if standings else "no budget holds\n"


def _set(args: argparse.Namespace, reach: Reach) -> str:
    if args.usd is not None and args.usd > MOST_USD * NANOUSD:
        raise ValueError(f"more than {MOST_USD:,} dollars cannot be counted to the nano-dollar")
    return _table(reach.perform(Revise(args.rule, limiting.scopes_of(args, reach), args.usd, args.until)))


def _table(standings: Sequence[Standing]) -> str:
    titles = ("BUDGET", "FOR", "LIMIT", "SPENT", "LEFT", "ENDS", "EXPECTED", "SPENT BY", "")
    return limiting.table(titles, map(_row, standings))


def _row(one: Standing) -> Sequence[str]:
    forecast = one.forecast
    return (
        one.rule,
        limiting.whose(one),
        limiting.limit(one),
        limiting.amount(one, one.taken),
        limiting.amount(one, one.remaining),
        limiting.moment(one.resets_ms),
        "-" if forecast is None else limiting.amount(one, forecast.expected),
        "-" if forecast is None else limiting.moment(forecast.ends_at_ms),
        limiting.remark(one),
    )
