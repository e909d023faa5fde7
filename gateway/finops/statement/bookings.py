"""What the ledger has of a span of time, summed up by all that a bill asks about. Pure; in femto-USD."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import msgspec

from gateway.ledger.entries import MEASURES
from gateway.protocols import Found

AMOUNTS = tuple(name for name in MEASURES if name != "saved")
"""What is added up of each booking."""

_EXACT = Context(prec=76)
_PER_MILLION = 6
FEMTO_DIGITS = 15


class Kind(msgspec.Struct, frozen=True):
    """A kind of what is paid for."""

    name: str
    title: str
    unit: str


KINDS = (
    Kind("input", "Input", "Tokens"),
    Kind("cached", "Cached input", "Tokens"),
    Kind("cache_write", "Cache writes", "Tokens"),
    Kind("audio_input", "Audio input", "Tokens"),
    Kind("image_input", "Image input", "Tokens"),
    Kind("output", "Output", "Tokens"),
    Kind("reasoning", "Reasoning", "Tokens"),
    Kind("audio_output", "Audio output", "Tokens"),
    Kind("image_output", "Image output", "Tokens"),
    Kind("other", "Searches, sound, characters, requests", "Units"),
)
"""In the order of `Cost`. Kinds do not overlap: they add up to the whole."""


class Booking(msgspec.Struct):
    """Amounts that have all of these in common."""

    day: int
    """When it began, Unix seconds, UTC."""
    tenant: str
    team: str
    key: str
    route: str
    backend: str
    model: str
    price: str
    waste: str
    confidence: str
    source: str
    amounts: dict[str, int]

    @property
    def what(self) -> tuple[int | str, ...]:
        """Tell bookings apart."""
        return tuple(getattr(self, name) for name in DIMENSIONS)


class Correction(msgspec.Struct):
    """A booking of reversals and rebookings."""

    booking: Booking
    is_of: bool
    """Its calls ended in the span."""
    is_in: bool
    """It was booked in the span."""


DIMENSIONS = tuple(name for name in Booking.__struct_fields__ if name != "amounts")


def bookings(found: Found) -> list[Booking]:
    """Read the rows of dashboards/sql/statement.sql."""
    at = {name: index for index, name in enumerate(found.names)}
    return [_booking(row, at) for row in found.rows]


def corrections(found: Found) -> list[Correction]:
    """Read the rows of dashboards/sql/statement_corrections.sql."""
    at = {name: index for index, name in enumerate(found.names)}
    return [
        Correction(_booking(row, at), bool(row[at["is_of"]]), bool(row[at["is_in"]])) for row in found.rows
    ]


def charges(standing: Iterable[Booking], corrected: Iterable[Correction]) -> list[Booking]:
    """Return what was charged at first: what stands of a span, less all that was corrected of it since."""
    sums = {one.what: one for one in standing}
    for correction in corrected:
        if not correction.is_of:
            continue
        booking = correction.booking
        if (before := sums.get(booking.what)) is None:
            before = sums[booking.what] = msgspec.structs.replace(booking, amounts=dict.fromkeys(AMOUNTS, 0))
        amounts = {name: before.amounts[name] - booking.amounts[name] for name in AMOUNTS}
        sums[booking.what] = msgspec.structs.replace(before, amounts=amounts)
    return [one for one in sums.values() if any(one.amounts.values())]


def added(every: Iterable[Booking]) -> dict[str, int]:
    """Add amounts up."""
    sums = dict.fromkeys(AMOUNTS, 0)
    for one in every:
        for name, amount in one.amounts.items():
            sums[name] += amount
    return sums


def quantities(amounts: Mapping[str, int]) -> dict[str, int]:
    """Return how much of each kind there was, without what is of another kind.

    Of `other` it is the searches, the characters or the milliseconds of sound, where there is one of them
    alone; else the attempts.
    """
    special_input = sum(amounts[name] for name in _SPECIAL_INPUT)
    special_output = sum(amounts[name] for name in _SPECIAL_OUTPUT)
    units = [amounts[name] for name in ("searches", "characters", "audio_ms") if amounts[name]]
    return {
        "input": amounts["input_tokens"] - special_input,
        "cached": amounts["cached_tokens"],
        "cache_write": amounts["cache_write_tokens"],
        "audio_input": amounts["audio_input_tokens"],
        "image_input": amounts["image_input_tokens"],
        "output": amounts["output_tokens"] - special_output,
        "reasoning": amounts["reasoning_tokens"],
        "audio_output": amounts["audio_output_tokens"],
        "image_output": amounts["image_output_tokens"],
        "other": units[0] if len(units) == 1 else amounts["attempts"],
    }


_SPECIAL_INPUT = ("cached_tokens", "cache_write_tokens", "audio_input_tokens", "image_input_tokens")
_SPECIAL_OUTPUT = ("reasoning_tokens", "audio_output_tokens", "image_output_tokens")


def unit_prices(parts: Sequence[Booking]) -> dict[str, Decimal | None]:
    """Return dollars for a million of each kind that was used; None where it was not the same for all.

    What had no known price has no unit price either.
    """
    found: dict[str, set[Fraction]] = {}
    for part in parts:
        if not part.price:
            continue
        used = quantities(part.amounts)
        for kind in KINDS:
            cost = part.amounts[f"cost_{kind.name}"]
            if used[kind.name] > 0 and (cost or kind.name != "other"):
                found.setdefault(kind.name, set()).add(Fraction(cost, used[kind.name]))
    return {name: _only(rates) for name, rates in found.items()}


def _only(rates: set[Fraction]) -> Decimal | None:
    """Return the one rate there is; prices are whole femto-USD for one, so another one is a mixture."""
    rate = min(rates)
    if len(rates) > 1 or rate.denominator != 1:
        return None
    return Decimal(rate.numerator).scaleb(_PER_MILLION - FEMTO_DIGITS, _EXACT)


def dollars(femtousd: int) -> Decimal:
    """Return an amount in dollars, exactly."""
    return Decimal(femtousd).scaleb(-FEMTO_DIGITS, _EXACT)


def text_of(usd: Decimal, digits: int = 2) -> str:
    """Write dollars exactly, with so many decimals at least."""
    whole, _, rest = f"{usd:f}".partition(".")
    rest = rest.rstrip("0").ljust(digits, "0")
    return f"{whole}.{rest}" if rest else whole


def _booking(row: Sequence[Any], at: Mapping[str, int]) -> Booking:
    amounts = {name: int(row[at[name]]) for name in AMOUNTS}
    return Booking(**{name: row[at[name]] for name in DIMENSIONS}, amounts=amounts)
