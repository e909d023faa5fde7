"""Which keys call much more often than they usually do, all of a sudden.

A leaked key shows that way, and a loop that somebody forgot to end. The calls of the last minute are held
against those of the hours before, of which older ones count ever less. Pure: the time is given to it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from math import exp
from typing import Any, Generic, TypeVar

import msgspec

_SLOT_S = 10.0
_SLOTS = 6
"""Of the last minute; an older one counts for what is usual, so that a surge does not raise that at once."""
_KEPT = exp(-_SLOT_S / 3600.0)
"""Of the weight of what is usual, when a slot is added to it."""

_LEARNING_S = 600.0
"""So long a key has to be known before anything is unusual of it."""
_TIMES = 10
"""The usual rate."""
_FLOOR = 60
"""Calls a minute."""
_AGAIN_S = 3600.0

K = TypeVar("K", bound=Hashable)


class Surge(msgspec.Struct, frozen=True, gc=False):
    """A key that calls more often, suddenly."""

    calls_per_minute: int
    usual_per_minute: float

    def data(self, tenant: str, key: str) -> dict[str, Any]:
        """Say it in an event."""
        return {
            "tenant": tenant,
            "key": key,
            "calls_per_minute": self.calls_per_minute,
            "usual_per_minute": round(self.usual_per_minute, 1),
        }


class _Rate(msgspec.Struct, gc=False):
    """How often a key calls. `sum` and `weight` are of past slots: their quotient is what is usual."""

    known_s: float
    turns_s: float
    """The end of the slot that is now."""
    count: int = 0
    """In this slot."""
    most: int = 1 << 62
    """More than so many in this slot are a surge."""
    earlier: tuple[int, ...] = ()
    """In the other slots of the last minute, oldest first, as far as the key was known then."""
    sum: float = 0.0
    weight: float = 0.0
    silent_until_s: float = 0.0

    @property
    def usual_per_minute(self) -> float:
        return self.sum / self.weight * _SLOTS if self.weight else 0.0

    def turn(self, now_s: float) -> None:
        """Go on to the slot that is now."""
        empty = int((now_s - self.turns_s) // _SLOT_S)
        self.turns_s += (empty + 1) * _SLOT_S
        slots = (*self.earlier, self.count, *(0,) * min(empty, _SLOTS - 1))
        leaving, self.earlier = slots[: 1 - _SLOTS], slots[1 - _SLOTS :]
        for count in leaving:
            self._add(count)
        if empty >= _SLOTS:
            kept = _KEPT ** (empty - _SLOTS + 1)
            self.sum *= kept
            self.weight = self.weight * kept + 1 - kept
        self.count = 0
        self._set_most(now_s)

    def _set_most(self, now_s: float) -> None:
        """Say from which count on it is to be looked at closer."""
        quiet = now_s < self.silent_until_s or self.turns_s - self.known_s <= _LEARNING_S
        most = max(_FLOOR, int(self.usual_per_minute * _TIMES)) - sum(self.earlier)
        self.most = 1 << 62 if quiet else most

    def _add(self, count: int) -> None:
        self.sum = self.sum * _KEPT + count * (1 - _KEPT)
        self.weight = self.weight * _KEPT + 1 - _KEPT


class Surges(Generic[K]):
    """The rates of the keys that called last. `K` has to tell apart the keys of all tenants."""

    REMEMBERED = 10_000

    def __init__(self) -> None:
        self._rates: OrderedDict[K, _Rate] = OrderedDict()

    def note(self, key: K, now_s: float) -> Surge | None:
        """Note a call; return a Surge at the first that is too many, for an hour. Time is monotonic."""
        rate = self._rates.get(key)
        if rate is None or now_s >= rate.turns_s:
            rate = self._turned(key, rate, now_s)
        rate.count += 1
        if rate.count > rate.most:
            rate.silent_until_s = now_s + _AGAIN_S
            rate.most = 1 << 62
            return Surge(rate.count + sum(rate.earlier), rate.usual_per_minute)
        return None

    def _turned(self, key: K, rate: _Rate | None, now_s: float) -> _Rate:
        """Go on to the next slot of a key, which also makes it the one that was used last."""
        if rate is None:
            if len(self._rates) >= self.REMEMBERED:
                self._rates.popitem(last=False)
            rate = self._rates[key] = _Rate(now_s, now_s + _SLOT_S)
        else:
            rate.turn(now_s)
            self._rates.move_to_end(key)
        return rate
