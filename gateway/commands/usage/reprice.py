"""`forebay usage reprice`: compute past costs anew, and book what differs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from gateway.commands.limits.limiting import table
from gateway.commands.usage.books import Books
from gateway.config.resolve import BackendSettings
from gateway.errors import BadRows
from gateway.finops.alarms import usd_of
from gateway.finops.repricing.booking import Outcome, Repricing, Span
from gateway.finops.repricing.journal import Busy, Journal, Unbalanced
from gateway.finops.terms import read_moment
from gateway.routing.matching.globs import Matches, compile_globs

FAILED = 1
_TITLES = ("TENANT", "BACKEND", "MODEL", "ATTEMPTS", "BEFORE USD", "AFTER USD", "CHANGE USD")


def run(args: argparse.Namespace, books: Books) -> int:
    """Reprice and tell; raises BadRequest, StoreDown."""
    now = books.now_unix_s
    since, until = (read_moment(name, getattr(args, name), now).unix_s for name in ("since", "until"))
    if since >= until:
        raise ValueError("--since is not before --until")
    span = Span(
        since * 1000,
        until * 1000,
        tuple(args.tenant),
        backend=_any_of(args.backend),
        model=_any_of(args.model),
    )
    sellers = sellers_of(books.config.resolved.backends)
    repricing = Repricing(books.store, books.config.prices, sellers, Journal(args.state / "reprice"))
    try:
        outcome = repricing.rehearse(span) if args.dry_run else repricing.run(span)
    except (Busy, Unbalanced, BadRows) as error:
        sys.stderr.write(f"forebay usage reprice: {error}\n")
        return FAILED
    sys.stdout.writelines(report(outcome, is_dry=args.dry_run))
    return 0


def sellers_of(backends: Mapping[str, BackendSettings]) -> dict[str, str]:
    """Name by whose public prices each backend's calls are priced; empty: by none."""
    return {name: "" if spec.self_hosted else spec.preset or spec.provider for name, spec in backends.items()}


def report(outcome: Outcome, *, is_dry: bool) -> Iterator[str]:
    """Tell what changed, and what was left alone."""
    if outcome.finished:
        yield f"{outcome.finished:,} entries of an interrupted run were booked to their end\n"
    if outcome.changed:
        yield table(_TITLES, _rows(outcome))
        changed = sum(one.attempts for one in outcome.changed.values())
        verb = "would be" if is_dry else "were"
        yield f"{changed:,} of {outcome.looked_at:,} attempts {verb} booked anew\n"
    else:
        yield f"nothing changes: {outcome.looked_at:,} attempts have the prices that were in force\n"
    for backend, attempts in sorted(outcome.removed.items()):
        yield f"left alone: {attempts:,} attempts at {backend}, which routing.yaml does not have (any more)\n"
    for (backend, model), attempts in sorted(outcome.unpriced.items()):
        yield f"left alone: {attempts:,} attempts at {backend}/{model}, which has no known price\n"


def _rows(outcome: Outcome) -> Iterator[Sequence[str]]:
    before = after = 0
    for (tenant, backend, model), one in sorted(outcome.changed.items()):
        before, after = before + one.before, after + one.after
        yield (tenant, backend, model, f"{one.attempts:,}", *_amounts(one.before, one.after))
    attempts = sum(one.attempts for one in outcome.changed.values())
    yield ("all", "", "", f"{attempts:,}", *_amounts(before, after))


def _amounts(before: int, after: int) -> tuple[str, str, str]:
    change = usd_of(after - before)
    return usd_of(before), usd_of(after), change if Decimal(change) <= 0 else f"+{change}"


def _any_of(globs: Sequence[str]) -> Matches:
    return compile_globs(globs or ("*",))
