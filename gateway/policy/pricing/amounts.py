"""From dollars as they are published to whole femto-USD, and the names that prices get.

It must not know where a price comes from. What is finer than a femto-dollar for one of a thing is rounded to
the nearest, of two to the even one: of the public prices some 30, which were divided by three or by floats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec.structs import asdict

from gateway.exchange import Price, Rates, Schedule

_DIGEST_CHARS = 8
_FEMTO = 10**15

MILLION = 1_000_000


class Amount(NamedTuple):
    """A rate: its field of Rates, and of how many the price is told; of hours the rate is told, too."""

    rate: str
    per: int = MILLION

    def femtousd(self, usd: Decimal) -> Decimal:
        """Return what one costs, in femto-USD, not yet rounded."""
        return usd * (_FEMTO // self.per)


def named(source: str, standard: Schedule, tiers: Mapping[str, Schedule] | None = None) -> Price:
    """Make a price whose version tells its source and what is in it: of the same content it is the same."""
    differing = {name: one for name, one in sorted((tiers or {}).items()) if one != standard}
    content = msgspec.json.encode((standard, differing))
    return Price(f"{source}@{hashlib.sha256(content).hexdigest()[:_DIGEST_CHARS]}", standard, differing)


def times(factor: Decimal, schedule: Schedule) -> Schedule:
    """Return a schedule whose every rate is so many times another's."""
    longer = tuple((above, _times(factor, rates)) for above, rates in schedule.longer)
    return Schedule(_times(factor, schedule.rates), longer)


def _times(factor: Decimal, rates: Rates) -> Rates:
    return Rates(**{name: round(factor * rate) for name, rate in asdict(rates).items()})
