"""`forebay quota`: see how limits stand, and forget what was taken of one."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TextIO

from gateway.admission.standing import Standing
from gateway.admission.steering import Reset, Show
from gateway.commands.limits import limiting
from gateway.commands.limits.limiting import Reach


def run(args: argparse.Namespace, reach: Reach, out: TextIO) -> int:
    """Run a parsed `forebay quota ...`; gives the exit status."""
    act = _show if args.verb == "show" else _reset
    return limiting.run(lambda: act(args, reach), "quota", out)


def _show(args: argparse.Namespace, reach: Reach) -> str:
    standings = reach.perform(Show(limiting.scopes_of(args, reach)))
    if args.format == "json":
        return limiting.as_json(standings)
    return _table(standings) if standings else "no limit holds\n"


def _reset(args: argparse.Namespace, reach: Reach) -> str:
    if args.all and (args.tenant or args.key):
        raise ValueError("--all is of all tenants: leave out --tenant and --key")
    before = reach.perform(Reset(args.rule, limiting.scopes_of(args, reach), args.all))
    return "".join(
        f"{one.rule}, {limiting.whose(one)}: {limiting.amount(one, one.taken)} of {limiting.limit(one)} "
        "were taken, now none\n"
        for one in before
    )


def _table(standings: Sequence[Standing]) -> str:
    titles = ("RULE", "FOR", "LIMIT", "TAKEN", "LEFT", "RESETS", "")
    return limiting.table(titles, map(_row, standings))


def _row(one: Standing) -> Sequence[str]:
    return (
        one.rule,
        limiting.whose(one),
        limiting.limit(one),
        limiting.amount(one, one.taken),
        limiting.amount(one, one.remaining),
        limiting.moment(one.resets_ms if one.taken else None),
        limiting.remark(one),
    )
