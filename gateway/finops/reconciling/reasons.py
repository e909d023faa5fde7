"""Why a bill and the ledger differ, as far as both show. Pure.

Each reason is a sentence with its numbers: what somebody can check. Several may hold at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from decimal import Decimal

from gateway.finops.reconciling.comparing import ZERO, Cell, Comparison
from gateway.finops.reconciling.names import Kind

_SAME = Decimal("0.005")
"""Parts that differ by less are the same."""
_FEW_DAYS = 3
_MOST_OF_IT = Decimal("0.9")
_MTOK = 1_000_000
_WORDS: dict[Kind, str] = {
    "input": "input",
    "cached": "cached input",
    "cache_write": "written cache",
    "output": "output",
    "other": "other",
    "": "unnamed kind",
}


def explain(comparison: Comparison, tolerance: Decimal, floor: Decimal) -> None:
    """Say why models and days differ that do not agree; sets `why` of each cell."""
    comparison.total.why = list(_of_the_whole(comparison))
    for cell in comparison.models:
        if cell.is_within(tolerance, floor):
            cell.why = list(_of_rounding(cell))
            continue
        days = [day for day in comparison.days if day.model == cell.model]
        cell.why = list(_of_model(cell, days, comparison)) or ["no reason was found in the two"]
    agreeing = {cell.model for cell in comparison.models if not cell.why}
    for cell in comparison.days:
        if not cell.is_within(tolerance, floor):
            cell.why = list(_of_day(cell))
            if not cell.why and cell.model in agreeing:
                cell.why = ["other days make up for it: the edge of a day"]


def _of_the_whole(comparison: Comparison) -> Iterator[str]:
    shift = comparison.shift_hours
    if shift:
        before, after = comparison.residue
        yield (
            f"the bill's days begin at UTC{-shift:+d}h: by days of UTC {_text(before, comparison.unit)} "
            f"are on other days, by those {_text(after, comparison.unit)}"
        )
    yield from _of_rounding(comparison.total)


def _of_rounding(cell: Cell) -> Iterator[str]:
    if cell.difference and abs(cell.difference) <= cell.billed.rounding:
        yield f"rounding: the bill's {cell.billed.rows} lines are rounded"


def _of_model(cell: Cell, days: Sequence[Cell], comparison: Comparison) -> Iterator[str]:
    if rounding := list(_of_rounding(cell)):
        yield from rounding
        return
    if not cell.billed.rows or not cell.booked.rows:
        yield from _of_absence(cell, comparison)
        return
    prices = list(_of_prices(cell)) if comparison.unit == "usd" else []
    kinds = list(_of_tokens(cell))
    yield from prices
    if comparison.unit == "usd" and not prices and not kinds:
        yield from _of_ratio(cell, days)
    yield from kinds
    yield from _of_doubt(cell)
    yield from _of_days(cell, days)


def _of_absence(cell: Cell, comparison: Comparison) -> Iterator[str]:
    if cell.booked.rows and not cell.billed.rows:
        alone = [one.model for one in comparison.models if not one.booked.rows]
        hint = _hint(cell.model, alone)
        attempts = f"{cell.booked.rows:,} attempts"
        yield f"not on the bill: {attempts} of another account, or under another name{hint}"
    elif cell.billed.rows:
        alone = [one.model for one in comparison.models if not one.billed.rows]
        hint = _hint(cell.model, alone)
        yield f"not in the ledger: calls beside the gateway, or under another name{hint}"


def _hint(model: str, others: Sequence[str]) -> str:
    near = difflib.get_close_matches(model, others, n=1, cutoff=0.5)
    return f" (is it {near[0]!r}?)" if near else ""


def _of_prices(cell: Cell) -> Iterator[str]:
    """Compare what a million tokens of each kind cost, where the bill tells both."""
    ratios = list[Decimal]()
    told = list[str]()
    for kind, tokens in cell.billed.tokens.items():
        ours = cell.booked.tokens.get(kind, 0)
        if not kind or not tokens or not ours or not cell.booked.usd[kind]:
            continue
        billed, booked = cell.billed.usd[kind] / tokens, cell.booked.usd[kind] / ours
        ratios.append(billed / booked)
        if abs(billed / booked - 1) > _SAME:
            told.append(
                f"price of {_WORDS[kind]}: billed ${_short(billed * _MTOK)}, "
                f"booked ${_short(booked * _MTOK)} per million tokens"
            )
    if told and len(ratios) > 1 and max(ratios) - min(ratios) <= _SAME:
        yield _discount(sum(ratios, ZERO) / len(ratios), "each kind of token", cell)
        return
    yield from told


def _of_ratio(cell: Cell, days: Sequence[Cell]) -> Iterator[str]:
    """Look for a discount: the bill is the same part of what was booked on each day."""
    both = [day for day in days if day.billed.amount > 0 and day.booked.amount > 0]
    if len(both) < _FEW_DAYS:
        return
    ratio = sum((day.billed.amount for day in both), ZERO) / sum((day.booked.amount for day in both), ZERO)
    if abs(ratio - 1) <= _SAME:
        return
    is_constant = all(
        abs(day.billed.amount - ratio * day.booked.amount)
        <= max(_SAME * day.booked.amount, day.billed.rounding)
        for day in both
    )
    if is_constant:
        yield _discount(ratio, f"each of {len(both)} days", cell)


def _discount(ratio: Decimal, where: str, cell: Cell) -> str:
    versions = ", ".join(sorted(cell.booked.prices)[:3]) or "none"
    share = f"{abs(1 - ratio) * 100:.1f}"
    if ratio < 1:
        hint = f"a discount ({float(1 - ratio):.3g}) or an older price is missing in policies/prices.yaml"
        return f"{where} is billed {share} % below what was booked: {hint} (booked by {versions})"
    return f"{where} is billed {share} % above what was booked: another price holds (booked by {versions})"


def _of_tokens(cell: Cell) -> Iterator[str]:
    billed, booked = cell.billed.tokens, cell.booked.tokens
    if not any(billed.values()):
        yield from _of_kinds(cell)
        return
    read = [
        sum(side.get(kind, 0) for kind in ("input", "cached", "cache_write")) for side in (billed, booked)
    ]
    alike = read[0] and abs(Decimal(read[1]) / read[0] - 1) <= _SAME
    for kind, word in _WORDS.items():
        theirs, ours = billed.get(kind, 0), booked.get(kind, 0)
        if not kind or theirs == ours or (theirs and abs(Decimal(ours) / theirs - 1) <= _SAME):
            continue
        if kind == "other":
            continue
        rest = ", of as much input in all" if alike and kind in {"input", "cached", "cache_write"} else ""
        yield f"{word} tokens: {theirs:,} billed, {ours:,} booked{rest}"


def _of_kinds(cell: Cell) -> Iterator[str]:
    """Without tokens: kinds that only one of the two has."""
    billed, booked = cell.billed.usd, cell.booked.usd
    if not any(kind and amount for kind, amount in billed.items()):
        return
    kinds: tuple[Kind, ...] = ("cached", "cache_write", "other")
    for kind in kinds:
        theirs, ours = billed.get(kind, ZERO), booked.get(kind, ZERO)
        if bool(theirs) != bool(ours):
            side = "billed" if theirs else "booked"
            yield f"only one has {_WORDS[kind]}: ${_short(theirs or ours)} {side}"


def _of_doubt(cell: Cell) -> Iterator[str]:
    booked, difference = cell.booked, cell.difference
    if booked.unpriced:
        yield f"{booked.unpriced:,} attempts had no known price and were booked as 0"
    if any(version.startswith("default:") for version in booked.prices):
        yield "some were booked at the declared default for unknown models"
    if booked.doubtful and booked.amount and abs(difference) <= booked.doubtful:
        share = f"{booked.doubtful / booked.amount:.0%}"
        yield f"${_short(booked.doubtful)} ({share}) of what was booked was counted or estimated here"
    if difference < 0 and booked.wasted and abs(-difference - booked.wasted) <= booked.wasted / 5:
        wasted = f"${_short(booked.wasted)}"
        yield f"about as much ({wasted}) was booked for attempts that failed or were cancelled"


def _of_days(cell: Cell, days: Sequence[Cell]) -> Iterator[str]:
    """Name the days on which almost all of it is."""
    whole = sum((abs(day.difference) for day in days), ZERO)
    if len(days) < _FEW_DAYS + 2 or not whole:
        return
    largest = sorted(days, key=lambda day: -abs(day.difference))[:2]
    top = abs(largest[0].difference)
    named = largest[:1] if top >= whole * _MOST_OF_IT else largest
    if sum((abs(day.difference) for day in named), ZERO) >= whole * _MOST_OF_IT:
        when = " and ".join(str(day.day) for day in sorted(named, key=lambda one: str(one.day)))
        more = "billed" if cell.difference > 0 else "booked"
        yield f"almost all of it on {when}: calls that only one of the two has ({more} more)"


def _of_day(cell: Cell) -> Iterator[str]:
    yield from _of_rounding(cell)
    if not cell.billed.rows:
        yield f"not on the bill: {cell.booked.rows:,} attempts"
    elif not cell.booked.rows:
        yield "not in the ledger"


def _short(usd: Decimal) -> str:
    text = f"{usd:,.2f}" if abs(usd) >= 100 else f"{usd:.4g}"
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _text(amount: Decimal, unit: str) -> str:
    return f"${_short(amount)}" if unit == "usd" else f"{amount:,.0f} tokens"
