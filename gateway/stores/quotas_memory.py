"""Counters of quotas in this process's memory: for a gateway of one worker.

They are lost when the process ends, and no other worker sees them. What a counter is, `gateway.quotas.meters`
says; here is where counters are found, and where those that hold nothing are forgotten.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from gateway.quotas.counting import Ask, Counter, Verdict
from gateway.quotas.meters import Tally, take, tally_of

_LOOKS = 2
"""For each counter that is new, so many are looked at: all in turn, before their number can double."""
_FEW = 1024
"""So many claims more than lasted the last time, and it is looked again which have ended."""


def _unix_ms() -> int:
    return time.time_ns() // 1_000_000


class MemoryQuotas:
    """A `QuotaStore`. Nothing in it waits, so what happens in `exchange` happens at one moment.

    `clock` gives Unix ms. Where it steps back, time stands still until it has caught up: a limit rather holds
    too long.
    """

    __slots__ = ("_claims", "_clock", "_limits", "_most_claims", "_now_ms", "_tallies", "_to_look_at")

    def __init__(self, clock: Callable[[], int] = _unix_ms) -> None:
        self._clock = clock
        self._now_ms = 0
        self._tallies: dict[str, Tally] = {}
        self._to_look_at: deque[str] = deque()
        self._limits: dict[str, tuple[int, int]] = {}
        """Set at run time, and until when (Unix ms)."""
        self._claims: dict[str, int] = {}
        """Until when a name is claimed."""
        self._most_claims = _FEW

    def __len__(self) -> int:
        """How many counters there are."""
        return len(self._tallies)

    def now_ms(self) -> int:
        """Return the Unix time; it never goes back."""
        now_ms = self._now_ms = max(self._clock(), self._now_ms)
        return now_ms

    async def exchange(self, asks: Sequence[Ask]) -> Verdict:
        """Give back, then take all that is needed or nothing; at one moment for all counters."""
        now_ms = self.now_ms()
        tallies = self._tallies
        known = len(tallies)
        pairs = []
        for ask in asks:
            counter = ask.counter
            tally = tallies.get(counter.key) or self._open(counter, now_ms)
            limit = self._limit(counter, now_ms) if self._limits else counter.meter.limit
            tally.move(now_ms, limit)
            for slot, amount in ask.back:
                tally.give_back(slot, amount)
            pairs.append((ask, tally))
        verdict = take(pairs)
        if len(tallies) > known:
            self._look_at_some((len(tallies) - known) * _LOOKS)
        return verdict

    async def claim(self, name: str, ttl_ms: int) -> bool:
        """Return True to the first who asks in that time."""
        now_ms = self.now_ms()
        if len(self._claims) >= self._most_claims:
            self._claims = {known: until_ms for known, until_ms in self._claims.items() if until_ms > now_ms}
            self._most_claims = 2 * len(self._claims) + _FEW
        if self._claims.get(name, now_ms) > now_ms:
            return False
        self._claims[name] = now_ms + ttl_ms
        return True

    async def revise(self, key: str, limit: int | None, ttl_ms: int) -> None:
        """Set a counter's limit in place of its meter's, for so long; None: no longer."""
        now_ms = self.now_ms()
        self._limits = {one: set_ for one, set_ in self._limits.items() if one != key and set_[1] > now_ms}
        if limit is not None:
            self._limits[key] = (limit, now_ms + ttl_ms)

    async def reset(self, key: str) -> None:
        """Forget what was taken."""
        if self._tallies.pop(key, None) is not None:
            self._to_look_at.remove(key)

    async def close(self) -> None:
        """Nothing is open."""

    def _open(self, counter: Counter, now_ms: int) -> Tally:
        tally = self._tallies[counter.key] = tally_of(counter, now_ms)
        self._to_look_at.append(counter.key)
        return tally

    def _look_at_some(self, most: int) -> None:
        """Forget of some counters, in turn, those that hold nothing."""
        for _ in range(min(most, len(self._to_look_at))):
            key = self._to_look_at.popleft()
            tally = self._tallies[key]
            tally.move(self._now_ms, tally.limit)
            if tally.taken:
                self._to_look_at.append(key)
            else:
                del self._tallies[key]

    def _limit(self, counter: Counter, now_ms: int) -> int:
        limit, until_ms = self._limits.get(counter.key, (0, now_ms))
        return limit if until_ms > now_ms else counter.meter.limit
