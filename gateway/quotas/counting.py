"""What is counted, and what a worker and the store of counters say to each other.

What is taken is charged at once, also what is only reserved; what was not used is given back. So whatever
dies in between, a limit is never exceeded. Data only: no clock, no store.
"""

from __future__ import annotations

import asyncio
from typing import Literal

import msgspec

from gateway.errors import StoreDown

MeterKind = Literal["window", "bucket", "period", "seats"]
"""How amounts are forgotten: one after the other as a window slides on, by a steady refill, all at once at
the end of a period, or when they are given back (or their worker no longer says that it lives)."""


class Meter(msgspec.Struct, frozen=True, gc=False):
    """How much of something there may be.

    `window`: at most `limit` in any `span_ms`. `bucket`: at most `limit` at once, of which `limit / span_ms`
    come back in a millisecond. `period`: at most `limit` until the counter ends. `seats`: at most `limit` at
    the same time.
    """

    kind: MeterKind
    limit: int
    span_ms: int = 0
    steps: int = 60
    """Of a window: it slides on in so many steps, and counts the one that is half out as still in."""


class Counter(msgspec.Struct, frozen=True, gc=False):
    """One counter: `key` names it in the store, for ever the same; `ends_ms` (Unix) ends that of a period."""

    key: str
    meter: Meter
    ends_ms: int = 0


class Ask(msgspec.Struct, gc=False):
    """What a worker wants of one counter."""

    counter: Counter
    need: int = 0
    """To be taken, if all that is asked together has room; else nothing is."""
    wish: int = 0
    """To be taken beside it where there is plenty, so that the next calls need not ask."""
    back: tuple[tuple[int, int], ...] = ()
    """Slot and amount of what was taken and not used; negative: more was used than was taken. It is given
    back also where `need` is refused."""
    seen: int = 0
    """What the counter last told of `taken`; of seats, how many this worker has. A store that has lost its
    memory learns it again from this."""
    seen_us: int = 0
    """When it told that, by the store's clock: of several workers the one that heard last knows it."""
    over: bool = False
    """`need` is taken even beyond the limit: it only measures, or it was used already."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """What the store says of one counter, after what was asked."""

    granted: int
    """`need` and what of `wish` there was; 0 where nothing is granted."""
    taken: int
    """By all workers."""
    limit: int
    """As set at run time, else as asked."""
    slot: int = 0
    """Where it was taken from: to be said again when some of it is given back. What a window granted is
    good as long as its slot is the present one."""
    valid_ms: int = 0
    """So long the rest of what was granted may still be used by later calls."""
    frees_ms: int = 0
    """Until `need` has room, 0 where it has now; of seats nobody knows."""
    whole_ms: int = 0
    """Until all of it is free again, if nothing more is taken."""


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What became of all that was asked together: `granted` or nothing was taken (but `over`)."""

    granted: bool
    told: tuple[Told, ...]
    at_us: int = 0
    """By the store's clock; 0: it loses no memory that somebody else could give back."""


class TooSlow(StoreDown):
    """The store did not answer in time.

    `later` gets what it says after all, None where it did nothing; cancelled: that is never known.
    """

    def __init__(self, message: str, later: asyncio.Future[Verdict | None]) -> None:
        super().__init__(message)
        self.later = later
