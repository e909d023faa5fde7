"""The arithmetic of the meters: what of a counter is taken, and when it is free again.

This is the definition; a store elsewhere has to say the same. Whole numbers only, below 2**53 as a store may
count in doubles, and what has to be rounded is rounded against who asks. Pure. Must not know a clock, nor
who asks: a tally is moved to a time (Unix ms, never backwards), and then answers for that moment.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence

from gateway.quotas.counting import Ask, Counter, Meter, Told, Verdict

NEVER_MS = -1
LATE_MS = 60_000
"""A period's amount is kept so long after its end, for calls that began in time."""
SEAT_MS = 10_000
"""A worker that is not heard of for so long has no seats any more, where several share them."""
SEAT_FREES_MS = 1_000
"""Nobody knows when a call ends: so long is a fair time to come back."""
SHARE, PERIOD_SHARE = 32, 128
"""Of what is left, this part may be had in advance. Less of a period: what is lost with a worker, or on its
way back to a store that dies, is lost for the month and not for the minute."""


class Tally(ABC):
    """What is taken of one counter, by all. `move` it first: the rest holds for that moment."""

    __slots__ = ("limit", "now_ms", "taken")
    share = SHARE

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.limit = 0
        self.taken = 0

    def move(self, now_ms: int, limit: int) -> None:
        """Go on to a time, and to the limit that holds now."""
        self.now_ms, self.limit = now_ms, limit

    def charge(self, amount: int) -> None:
        """Take, limit or not; a negative amount undoes a charge of the same moment."""
        self.taken += amount

    def give_back(self, _slot: int, amount: int, /) -> None:
        """Give back what was taken from a slot, as far as it still counts; negative: charge it there."""
        self.taken = max(self.taken - amount, 0)

    def lend(self, wish: int) -> int:
        """Take what there is of a wish: at most a small part of what is left."""
        amount = min(wish, max(self.limit - self.taken, 0) // self.share)
        self.charge(amount)
        return amount

    def frees_ms(self, need: int) -> int:
        """Return when a need that has no room now will have it, if nothing more is taken."""
        return NEVER_MS if need > self.limit else self._falls_ms(self.limit - need)

    @abstractmethod
    def _falls_ms(self, level: int, /) -> int:
        """Return how long until no more than `level`, which is less than now, is taken."""

    @abstractmethod
    def told(self, granted: int, frees_ms: int) -> Told:
        """Say how it stands."""


class Window(Tally):
    """Amounts by slots of time: those count of which any part lies within the last span."""

    __slots__ = ("_amounts", "_oldest", "_slot", "_span_ms", "_step_ms")

    def __init__(self, meter: Meter, now_ms: int) -> None:
        super().__init__(now_ms)
        self._span_ms = meter.span_ms
        self._step_ms = -(-meter.span_ms // meter.steps)
        # A ring: a slot's place is its number modulo the size. Places of slots to come hold nothing.
        self._amounts = array("q", bytes(8 * (-(-self._span_ms // self._step_ms) + 1)))
        self._slot = now_ms // self._step_ms
        self._oldest = (now_ms - self._span_ms) // self._step_ms

    def move(self, now_ms: int, limit: int) -> None:
        """See `Tally`. What is too old goes out."""
        self.now_ms, self.limit = now_ms, limit
        self._slot = now_ms // self._step_ms
        oldest = (now_ms - self._span_ms) // self._step_ms
        if oldest != self._oldest:
            self._slide(oldest)

    def _slide(self, oldest: int) -> None:
        amounts, size = self._amounts, len(self._amounts)
        if self.taken:
            for slot in range(self._oldest, min(oldest, self._oldest + size)):
                self.taken -= amounts[slot % size]
                amounts[slot % size] = 0
        self._oldest = oldest

    def charge(self, amount: int) -> None:
        """See `Tally`. It counts in the present slot."""
        self._amounts[self._slot % len(self._amounts)] += amount
        self.taken += amount

    def give_back(self, slot: int, amount: int, /) -> None:
        """See `Tally`. No slot holds less than nothing."""
        if self._oldest <= slot <= self._slot:
            place = slot % len(self._amounts)
            change = min(amount, self._amounts[place])
            self._amounts[place] -= change
            self.taken -= change

    def _falls_ms(self, level: int, /) -> int:
        left = self.taken
        slot = self._oldest
        while left > level:
            left -= self._amounts[slot % len(self._amounts)]
            slot += 1
        return self._leaves_ms(slot - 1)

    def _leaves_ms(self, slot: int) -> int:
        return (slot + 1) * self._step_ms + self._span_ms - self.now_ms

    def _whole_ms(self) -> int:
        slot = self._slot
        while not self._amounts[slot % len(self._amounts)]:
            slot -= 1
        return self._leaves_ms(slot)

    def told(self, granted: int, frees_ms: int) -> Told:
        """See `Tally`."""
        valid_ms = (self._slot + 1) * self._step_ms - self.now_ms
        whole_ms = self._whole_ms() if self.taken else 0
        return Told(granted, self.taken, self.limit, self._slot, valid_ms, frees_ms, whole_ms)


class Bucket(Tally):
    """What is owed to it, in 1/span of an amount: it gets less by `limit` of those in a millisecond.

    What was owed first is worked off first. So of what was taken at a time, no more can be given back than is
    owed now beyond all that was taken later: the rest has flowed back already, and would fill the bucket
    twice.
    """

    __slots__ = ("_ever", "_owed", "_span_ms")

    def __init__(self, meter: Meter, now_ms: int) -> None:
        super().__init__(now_ms)
        self._span_ms = meter.span_ms
        self._owed = 0
        # All that was ever taken: the slot of an amount. It goes on from the time, so that a bucket which was
        # forgotten meanwhile never comes to a slot again.
        self._ever = now_ms << 40

    def move(self, now_ms: int, limit: int) -> None:
        """See `Tally`. What has passed since the last time flows back, by the limit of now."""
        self._owed = max(self._owed - (now_ms - self.now_ms) * limit, 0)
        self.now_ms, self.limit = now_ms, limit
        self.taken = -(-self._owed // self._span_ms)

    def charge(self, amount: int) -> None:
        """See `Tally`."""
        self._owed += amount * self._span_ms
        self._ever += amount
        self.taken += amount

    def give_back(self, slot: int, amount: int, /) -> None:
        """See `Tally`. A slot is what had ever been taken, after it was taken."""
        if amount < 0:
            self.charge(-amount)
            return
        left = self._owed - (self._ever - slot) * self._span_ms
        if slot <= self._ever and left > 0:
            self._owed -= min(amount * self._span_ms, left)
            self.taken = -(-self._owed // self._span_ms)

    def lend(self, _wish: int, /) -> int:
        """Nothing: it would flow back at once, and be used later on top of a full bucket."""
        return 0

    def _falls_ms(self, level: int, /) -> int:
        return -(-(self._owed - level * self._span_ms) // self.limit) if self.limit else NEVER_MS

    def told(self, granted: int, frees_ms: int) -> Told:
        """See `Tally`."""
        whole_ms = self._falls_ms(0) if self.taken else 0
        return Told(granted, self.taken, self.limit, self._ever, 0, frees_ms, whole_ms)


class Term(Tally):
    """One amount until its period ends, and a little longer."""

    __slots__ = ("_ends_ms",)
    share = PERIOD_SHARE

    def __init__(self, ends_ms: int, now_ms: int) -> None:
        super().__init__(now_ms)
        self._ends_ms = ends_ms

    def move(self, now_ms: int, limit: int) -> None:
        """See `Tally`. All of it goes at once."""
        self.now_ms, self.limit = now_ms, limit
        if now_ms >= self._ends_ms + LATE_MS:
            self.taken = 0

    def _falls_ms(self, _level: int, /) -> int:
        return max(self._ends_ms - self.now_ms, 1)

    def told(self, granted: int, frees_ms: int) -> Told:
        """See `Tally`."""
        left_ms = max(self._ends_ms - self.now_ms, 1)
        return Told(granted, self.taken, self.limit, 0, left_ms, frees_ms, left_ms if self.taken else 0)


class Seats(Tally):
    """How many there are at the same time."""

    __slots__ = ()

    def _falls_ms(self, _level: int, /) -> int:
        return SEAT_FREES_MS

    def told(self, granted: int, frees_ms: int) -> Told:
        """See `Tally`."""
        return Told(granted, self.taken, self.limit, 0, SEAT_MS, frees_ms, SEAT_FREES_MS if self.taken else 0)


def tally_of(counter: Counter, now_ms: int) -> Tally:
    """Return the tally of a counter of which nothing is taken."""
    meter = counter.meter
    if meter.kind == "window":
        return Window(meter, now_ms)
    if meter.kind == "bucket":
        return Bucket(meter, now_ms)
    return Term(counter.ends_ms, now_ms) if meter.kind == "period" else Seats(now_ms)


def take(pairs: Sequence[tuple[Ask, Tally]]) -> Verdict:
    """Take all that is needed or, but what is `over`, nothing.

    The tallies are at this moment, and everything was given back. Asks of the same counter have the same
    tally, and count together.
    """
    granted, waits_ms = _take_needs(pairs)
    if not granted:
        for ask, tally in pairs:
            if not ask.over:
                tally.charge(-ask.need)
    told = []
    for (ask, tally), wait_ms in zip(pairs, waits_ms, strict=True):
        amount = ask.need if granted or ask.over else 0
        if ask.wish and granted:
            amount += tally.lend(ask.wish)
        told.append(tally.told(amount, wait_ms))
    return Verdict(granted, tuple(told))


def _take_needs(pairs: Sequence[tuple[Ask, Tally]]) -> tuple[bool, list[int]]:
    """Charge all needs; say whether they had room, and how long each has to wait for it."""
    granted = True
    waits_ms = []
    for ask, tally in pairs:
        need, wait_ms = ask.need, 0
        if need:
            if tally.taken + need > tally.limit:
                wait_ms = tally.frees_ms(need)
                granted = granted and ask.over
            tally.charge(need)
        waits_ms.append(wait_ms)
    return granted, waits_ms
