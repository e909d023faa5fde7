"""Compare a bill with what was booked: in total, model by model, day by day. Pure.

A bill's days may begin at another hour than UTC's: the hours that fit best are looked for, and told. Amounts
are US dollars, or tokens where the bill has no money.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from gateway.finops.reconciling.invoices import ALL_MODELS, BillLine, Invoice
from gateway.finops.reconciling.names import Kind, canonical, model_in

_KINDS: tuple[Kind, ...] = ("input", "cached", "cache_write", "output", "other")
_SHIFTS = sorted(range(-12, 15), key=abs)
_HOUR_S = 3600
_BETTER = Decimal("0.5")
"""What has to be left of the differences for other hours to be believed."""
_WORTH_A_SHIFT = Decimal("0.002")
ZERO = Decimal(0)
_Sums = Mapping[tuple[date, str], Decimal]


class Booked(msgspec.Struct, frozen=True):
    """An hour of a model, from the ledger."""

    hour: int
    model: str
    attempts: int
    tokens: dict[Kind, int]
    usd: dict[Kind, Decimal]
    doubtful: Decimal
    wasted: Decimal
    unpriced: int
    prices: tuple[str, ...]


class Side(msgspec.Struct):
    """What one of the two says of a model, on a day or in all."""

    amount: Decimal = ZERO
    usd: dict[Kind, Decimal] = msgspec.field(default_factory=lambda: defaultdict(Decimal))
    tokens: dict[Kind, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    rows: int = 0
    """Lines of the bill, or attempts."""
    doubtful: Decimal = ZERO
    wasted: Decimal = ZERO
    unpriced: int = 0
    prices: set[str] = msgspec.field(default_factory=set)
    rounding: Decimal = ZERO
    """How much all its lines may be off together, being rounded."""


class Cell(msgspec.Struct):
    """A model on a day; `day` None: on all of them."""

    model: str
    """As the ledger names it, else as the bill does; empty: all."""
    day: date | None
    billed: Side
    booked: Side
    why: list[str] = []

    @property
    def difference(self) -> Decimal:
        """What the bill has more."""
        return self.billed.amount - self.booked.amount

    def is_within(self, tolerance: Decimal, floor: Decimal) -> bool:
        """Tell whether they agree: to a part of what was billed (or booked), or to a small amount."""
        larger = max(abs(self.billed.amount), abs(self.booked.amount))
        return abs(self.difference) <= max(larger * tolerance, floor)


class Comparison(msgspec.Struct):
    """What came of it, before reasons are looked for."""

    unit: str
    """usd or tokens."""
    shift_hours: int
    """How far ahead of UTC the bill's days are."""
    residue: tuple[Decimal, Decimal]
    """What differs by days in all: with the days of UTC, and with those."""
    first: date
    last: date
    total: Cell
    models: list[Cell]
    days: list[Cell]
    """By day, then model."""


def booked_of(rows: Iterable[Sequence[Any]]) -> list[Booked]:
    """Read the rows of reconcile.sql."""
    return [
        Booked(
            hour=row[0],
            model=row[1],
            attempts=row[2],
            tokens=dict(zip(_KINDS, map(int, row[3:7]), strict=False)),
            usd=dict(zip(_KINDS, map(_usd, row[7:12]), strict=True)),
            doubtful=_usd(row[12]),
            wasted=_usd(row[13]),
            unpriced=row[14],
            prices=tuple(row[15]),
        )
        for row in rows
    ]


def _usd(femto: Any) -> Decimal:
    return Decimal(int(femto)).scaleb(-15)


def compare(invoice: Invoice, booked: Sequence[Booked], span: tuple[date, date]) -> Comparison:
    """Compare the days of `span`, both included."""
    has_money = invoice.has_money
    lines = [line for line in invoice.lines if span[0] <= line.day <= span[1]]
    billed = {line.model for line in lines}
    names = {one.model: _name(one.model, billed, by_text=invoice.by_text) for one in booked}
    shift, residue = _best_shift(lines, booked, names, has_money=has_money, span=span)
    cells: dict[tuple[date, str], Cell] = {}
    # Trailing zeros may be left out: what one line shows, all were rounded to.
    rounding = Decimal(5).scaleb(-max((line.places for line in lines), default=0) - 1)
    for line in lines:
        _add_line(_cell(cells, line.day, line.model).billed, line, rounding, has_money=has_money)
    for one in booked:
        day = _day(one.hour, shift)
        if span[0] <= day <= span[1]:
            _add_booked(_cell(cells, day, names[one.model]).booked, one, has_money=has_money)
    shown = {key: name for name, key in names.items()}
    days = [cells[key] for key in sorted(cells)]
    models = [
        _sum(name, None, [cell for cell in days if cell.model == name])
        for name in {cell.model for cell in days}
    ]
    for cell in (*days, *models):
        cell.model = shown.get(cell.model, cell.model)
    models.sort(key=lambda cell: -abs(cell.difference))
    total = _sum("", None, days)
    return Comparison("usd" if has_money else "tokens", shift, residue, *span, total, models, days)


def _name(model: str, billed: set[str], *, by_text: bool) -> str:
    """Return the name of a ledger's model that the bill has it under."""
    if billed == {ALL_MODELS}:
        return ALL_MODELS
    name = canonical(model)
    described = model_in(name)
    return described if by_text and name not in billed and described in billed else name


def _cell(cells: dict[tuple[date, str], Cell], day: date, model: str) -> Cell:
    return cells.setdefault((day, model), Cell(model, day, Side(), Side(), []))


def _day(hour: int, shift: int) -> date:
    return datetime.fromtimestamp((hour + shift) * _HOUR_S, UTC).date()


def _add_line(side: Side, line: BillLine, rounding: Decimal, *, has_money: bool) -> None:
    side.rows += 1
    tokens = line.tokens or 0
    side.tokens[line.kind] += tokens
    if line.usd is not None:
        side.usd[line.kind] += line.usd
        side.rounding += rounding
    side.amount += (line.usd or ZERO) if has_money else tokens


def _add_booked(side: Side, one: Booked, *, has_money: bool) -> None:
    side.rows += one.attempts
    for kind, tokens in one.tokens.items():
        side.tokens[kind] += tokens
    for kind, usd in one.usd.items():
        side.usd[kind] += usd
    side.doubtful += one.doubtful
    side.wasted += one.wasted
    side.unpriced += one.unpriced
    side.prices.update(one.prices)
    side.amount += _amount(one, has_money=has_money)


def _amount(one: Booked, *, has_money: bool) -> Decimal:
    return sum(one.usd.values(), ZERO) if has_money else Decimal(sum(one.tokens.values()))


def _sum(model: str, day: date | None, cells: Sequence[Cell]) -> Cell:
    total = Cell(model, day, Side(), Side(), [])
    for cell in cells:
        for side, one in ((total.billed, cell.billed), (total.booked, cell.booked)):
            side.amount += one.amount
            side.rows += one.rows
            side.doubtful += one.doubtful
            side.wasted += one.wasted
            side.unpriced += one.unpriced
            side.rounding += one.rounding
            side.prices |= one.prices
            for kind, usd in one.usd.items():
                side.usd[kind] += usd
            for kind, tokens in one.tokens.items():
                side.tokens[kind] += tokens
    return total


def _best_shift(
    lines: Sequence[BillLine],
    booked: Sequence[Booked],
    names: dict[str, str],
    *,
    has_money: bool,
    span: tuple[date, date],
) -> tuple[int, tuple[Decimal, Decimal]]:
    """Find the hour at which the bill's days begin: where they differ least, discounts left aside."""
    billed = defaultdict[tuple[date, str], Decimal](Decimal)
    for line in lines:
        billed[line.day, line.model] += (line.usd or ZERO) if has_money else (line.tokens or 0)

    def residue(shift: int) -> Decimal:
        ours = defaultdict[tuple[date, str], Decimal](Decimal)
        for one in booked:
            day = _day(one.hour, shift)
            if span[0] <= day <= span[1]:
                ours[day, names[one.model]] += _amount(one, has_money=has_money)
        return _residue(billed, ours)

    plain = residue(0)
    if span[0] == span[1] or plain <= sum(billed.values(), ZERO) * _WORTH_A_SHIFT:
        return 0, (plain, plain)
    best = min(_SHIFTS, key=residue)
    left = residue(best)
    return (best, (plain, left)) if left < plain * _BETTER else (0, (plain, plain))


def _residue(billed: _Sums, ours: _Sums) -> Decimal:
    """Add up what differs by day, after each model's sum was made equal."""
    cells = billed.keys() | ours.keys()
    totals = {name: (_total(billed, name), _total(ours, name)) for _, name in cells}
    left = ZERO
    for day, name in cells:
        bill, booked = totals[name]
        scale = bill / booked if booked else Decimal(1)
        left += abs(billed.get((day, name), ZERO) - ours.get((day, name), ZERO) * scale)
    return left


def _total(side: _Sums, model: str) -> Decimal:
    return sum((amount for (_, name), amount in side.items() if name == model), ZERO)


def window_of(span: tuple[date, date]) -> tuple[int, int]:
    """Return the Unix seconds that may belong to the days of a span, wherever they begin."""
    since = datetime.combine(span[0] - timedelta(days=1), datetime.min.time(), UTC)
    until = datetime.combine(span[1] + timedelta(days=2), datetime.min.time(), UTC)
    return int(since.timestamp()), int(until.timestamp())
