"""Compose a tenant's statement of a month from what the ledger has of it. Pure; money is whole femto-USD.

What was charged stands as it was charged; what was corrected since stands for itself, and so does what nobody
had anything of. The parts add up to the total, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec

from gateway.finops.statement.bookings import (
    KINDS,
    Booking,
    Correction,
    added,
    charges,
    quantities,
    unit_prices,
)
from gateway.finops.statement.months import Month

T = TypeVar("T", bound=Hashable)

_CONFIDENCES = ("reported", "counted", "estimated")


class Line(msgspec.Struct, frozen=True):
    """What a team used of a model with a key, over a route. `waste`: why nobody had anything of it."""

    team: str
    key: str
    route: str
    backend: str
    model: str
    waste: str
    calls: int
    attempts: int
    quantities: dict[str, int]
    """By kind; without what is of another kind."""
    costs: dict[str, int]
    rates: dict[str, Decimal | None]
    """Dollars for a million; None: not the same for all."""
    cost: int


class PriceUsed(msgspec.Struct, frozen=True):
    """A price that amounts were computed with."""

    version: str
    models: tuple[str, ...]
    rates: dict[str, Decimal | None]
    cost: int


class Share(msgspec.Struct, frozen=True):
    """How sure amounts are: who counted the tokens."""

    confidence: str
    attempts: int
    cost: int


class Team(msgspec.Struct, frozen=True):
    """What one team has to bear."""

    team: str
    calls: int
    useful: int
    wasted: int
    corrected: int
    cost: int


class Statement(msgspec.Struct, frozen=True):
    """All of it; `credits` are corrections of earlier months that were booked in this one."""

    tenant: str
    name: str
    month: Month
    lines: tuple[Line, ...]
    waste: tuple[Line, ...]
    corrections: tuple[Line, ...]
    credits: tuple[Line, ...]
    teams: tuple[Team, ...]
    prices: tuple[PriceUsed, ...]
    shares: tuple[Share, ...]
    unpriced_attempts: int
    is_open: bool
    """The month is not over."""
    is_summed: bool
    """Rows of single attempts are not kept any more: corrections are a part of what they correct."""
    is_demo: bool

    @property
    def parts(self) -> tuple[tuple[str, tuple[Line, ...]], ...]:
        """Name the parts that add up to the total."""
        return (
            ("usage", self.lines),
            ("waste", self.waste),
            ("correction", self.corrections),
            ("credit", self.credits),
        )

    @property
    def total(self) -> int:
        """Return the whole."""
        return sum(total_of(lines) for _, lines in self.parts)


class Whose(msgspec.Struct, frozen=True):
    """Whose statement it is, of which month, and what time it is."""

    tenant: str
    name: str
    month: Month
    now_unix_s: float
    is_summed: bool = False


def compose(whose: Whose, standing: Sequence[Booking], corrected: Sequence[Correction]) -> Statement:
    """Compose a statement from the ledger's rows of this tenant and month.

    Calls for which no upstream was asked are left out: they were refused, or answered by a cache of ours.
    """
    charged = [one for one in charges(standing, corrected) if one.amounts["attempts"] or one.amounts["cost"]]
    useful = [one for one in charged if not one.waste]
    wasted = [one for one in charged if one.waste]
    of_month = [one.booking for one in corrected if one.is_in and one.is_of]
    earlier = [one.booking for one in corrected if one.is_in and not one.is_of]
    every = [*charged, *of_month, *earlier]
    return Statement(
        tenant=whose.tenant,
        name=whose.name,
        month=whose.month,
        lines=_lines(useful),
        waste=_lines(wasted),
        corrections=_lines(of_month),
        credits=_lines(earlier),
        teams=_teams(useful, wasted, [*of_month, *earlier]),
        prices=_prices(every),
        shares=_shares(every),
        unpriced_attempts=sum(one.amounts["attempts"] for one in every if one.confidence and not one.price),
        is_open=whose.now_unix_s < whose.month.until_s,
        is_summed=whose.is_summed,
        is_demo=any(one.source == "demo" for one in every),
    )


def total_of(lines: Iterable[Line]) -> int:
    """Add up what lines cost."""
    return sum(line.cost for line in lines)


def _lines(every: Iterable[Booking]) -> tuple[Line, ...]:
    grouped = _grouped(every, lambda one: (one.team, one.key, one.route, one.backend, one.model, one.waste))
    return tuple(_line(what, parts) for what, parts in sorted(grouped.items()))


def _line(what: tuple[str, str, str, str, str, str], parts: Sequence[Booking]) -> Line:
    team, key, route, backend, model, waste = what
    sums = added(parts)
    return Line(
        team=team,
        key=key,
        route=route,
        backend=backend,
        model=model,
        waste=waste,
        calls=sums["calls"],
        attempts=sums["attempts"],
        quantities=quantities(sums),
        costs={kind.name: sums[f"cost_{kind.name}"] for kind in KINDS},
        rates=unit_prices(parts),
        cost=sums["cost"],
    )


def _teams(
    useful: Sequence[Booking], wasted: Sequence[Booking], corrected: Sequence[Booking]
) -> tuple[Team, ...]:
    by_team = [_grouped(part, lambda one: one.team) for part in (useful, wasted, corrected)]
    found = []
    for team in sorted(set().union(*by_team)):
        sums = [added(part.get(team, ())) for part in by_team]
        used, lost, revised = (one["cost"] for one in sums)
        calls = sum(one["calls"] for one in sums)
        found.append(Team(team, calls, used, lost, revised, used + lost + revised))
    return tuple(sorted(found, key=lambda one: -one.cost))


def _prices(every: Iterable[Booking]) -> tuple[PriceUsed, ...]:
    grouped = _grouped((one for one in every if one.price), lambda one: one.price)
    return tuple(
        PriceUsed(
            version,
            tuple(sorted({f"{part.backend}/{part.model}" for part in parts})),
            unit_prices(parts),
            added(parts)["cost"],
        )
        for version, parts in sorted(grouped.items())
    )


def _shares(every: Iterable[Booking]) -> tuple[Share, ...]:
    grouped = _grouped((one for one in every if one.confidence), lambda one: one.confidence)
    known = [name for name in _CONFIDENCES if name in grouped]
    shares = []
    for name in (*known, *sorted(grouped.keys() - set(known))):
        sums = added(grouped[name])
        shares.append(Share(name, sums["attempts"], sums["cost"]))
    return tuple(shares)


def _grouped(every: Iterable[Booking], by: Callable[[Booking], T]) -> dict[T, list[Booking]]:
    groups: dict[T, list[Booking]] = {}
    for one in every:
        groups.setdefault(by(one), []).append(one)
    return groups
