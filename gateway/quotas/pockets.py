"""What one worker has taken of a counter and not used yet: so that most calls need not ask the store.

Pure: time is given. Must not know calls, rules or the store.
"""

from __future__ import annotations

from gateway.quotas.counting import Ask, Counter, Told

_IDLE_MS = 200
"""What nobody used for so long is given back."""
_OFTEN_MS = 250
_FIRST_WISH, _LARGEST_WISH = 4, 1 << 40


class Pocket:
    """Of one counter. `free` may be used by any call; it came out of `slot` and is good until `until_ms`."""

    __slots__ = (
        "_asked_ms",
        "_is_wishing",
        "_lease",
        "_used_ms",
        "_wish",
        "alone",
        "awaited",
        "backs",
        "counter",
        "free",
        "limit",
        "out",
        "slot",
        "taken",
        "told_ms",
        "told_us",
        "until_ms",
        "whole_ms",
    )

    def __init__(self, counter: Counter, now_ms: int) -> None:
        self.counter = counter
        self.free = 0
        self.slot = 0
        self.until_ms = 0
        self.awaited = 0
        """So many calls have taken nothing, and may use something."""
        self.out = 0
        """Taken by calls that have not been settled."""
        self.backs: dict[int, int] = {}
        """By slot, what the store has to be told: used less than was taken, or (negative) more."""
        self.alone = 0
        """Taken while the store did not answer."""
        self.taken, self.limit, self.whole_ms, self.told_ms = 0, counter.meter.limit, 0, now_ms
        self._asked_ms = self._used_ms = now_ms
        self.told_us = 0
        self._wish = 0
        self._is_wishing = False
        """One ask that wishes is under way: calls of one moment do not each have a part of what is left."""
        self._lease = 0

    def take(self, amount: int, now_ms: int) -> bool:
        """Take from what is here; False: there is not enough, and nothing was taken."""
        if self.free < amount or now_ms >= self.until_ms:
            return False
        self.free -= amount
        self.out += amount
        self._used_ms = now_ms
        return True

    def ask(self, need: int, now_ms: int, *, over: bool = False) -> Ask:
        """Say what to ask the store for, with all that it is owed. Follow it by `told` or `unheard`."""
        self._drop_stale(now_ms)
        wish = 0
        if need:
            often = now_ms - self._asked_ms < _OFTEN_MS
            self._wish = min(self._wish * 2, _LARGEST_WISH) if often and self._wish else need * _FIRST_WISH
            wish = 0 if self._is_wishing else self._wish
            self._is_wishing, self._asked_ms = True, now_ms
        back = tuple(self.backs.items())
        self.backs.clear()
        return Ask(self.counter, need, wish, back, self._seen(now_ms), self.told_us, over)

    def told(self, ask: Ask, told: Told, now_ms: int, at_us: int = 0) -> None:
        """Take in what the store said at a time of its own; what it granted beyond `need` is free."""
        self.told_us = at_us
        self.taken, self.limit, self.whole_ms, self.told_ms = told.taken, told.limit, told.whole_ms, now_ms
        self.alone = 0
        self._heard(ask)
        if not told.granted:
            return
        self._used_ms = now_ms
        extra = told.granted - ask.need
        self.out += ask.need
        if told.slot < self.slot:  # an answer that was overtaken by a later one
            self._give_back(told.slot, extra)
            return
        if told.slot > self.slot:
            self._give_back(self.slot, self.free)
            self.free, self.slot = 0, told.slot
        self.free += extra
        if ask.wish:
            self._lease = extra
        self.until_ms = now_ms + told.valid_ms if self.counter.meter.kind == "window" else 1 << 62

    def unheard(self, ask: Ask, *, surely: bool) -> None:
        """The store did not answer. If it may have heard, nothing is given back twice: rather not at all."""
        self._heard(ask)
        for slot, amount in ask.back:
            if surely or amount < 0:
                self._give_back(slot, amount)

    def overheard(self, ask: Ask, told: Told) -> None:
        """The store answered when nobody waited for it any more: what it granted goes back."""
        self._heard(ask)
        if self.counter.meter.kind != "seats":  # those of a connection that was left are gone with it
            self._give_back(told.slot, told.granted)

    def take_alone(self, amount: int, now_ms: int) -> int:
        """Take without the store, which hears of it when it is back; returns the slot."""
        slot = self.slot_at(now_ms)
        self.alone += amount
        self.out += amount
        if self.counter.meter.kind != "seats":  # of those the store hears how many there are
            self._give_back(slot, -amount)
        return slot

    def await_use(self, now_ms: int) -> int:
        """Expect to hear of a use that nothing was taken for; returns the slot that it is charged to."""
        self.awaited += 1
        return self.slot_at(now_ms)

    def slot_at(self, now_ms: int) -> int:
        """Return the slot that is charged for what the store has not granted."""
        meter = self.counter.meter
        return now_ms // -(-meter.span_ms // meter.steps) if meter.kind == "window" else self.slot

    def share(self, workers: int) -> int:
        """Return how much may still be taken without the store, where so many workers do the same."""
        if self.counter.meter.kind == "seats":
            return self.limit // workers - self.out
        return max(self.limit - self.taken, 0) // workers - self.alone

    def memory(self, now_ms: int) -> Ask:
        """Say what is known of the counter: for a store that has lost its memory."""
        return Ask(self.counter, seen=self._seen(now_ms), seen_us=self.told_us)

    def empty(self) -> None:
        """Give back all that no call has."""
        self._give_back(self.slot, self.free)
        self.free = 0

    def _seen(self, now_ms: int) -> int:
        meter = self.counter.meter
        if meter.kind == "seats":
            return self.out + self.free
        is_past = meter.kind == "window" and now_ms - self.told_ms >= meter.span_ms
        return 0 if is_past else self.taken

    def settle(self, slot: int, taken: int, used: int) -> None:
        """A call that had `taken` so much out of `slot` has used so much."""
        self.out -= taken
        if not taken:
            self.awaited -= 1
        rest = taken - used
        if rest > 0 and slot == self.slot and self.free < self._lease:
            self.free += rest
        else:
            self._give_back(slot, rest)

    def rest(self, now_ms: int) -> bool:
        """Give back what nobody uses; True: the store has to be told something."""
        self._drop_stale(now_ms)
        if self.free and now_ms - self._used_ms >= _IDLE_MS:
            self.empty()
        return bool(self.backs)

    @property
    def is_full(self) -> bool:
        """Nothing is left of the limit, as was told last."""
        return self.taken - self.free >= self.limit

    @property
    def is_idle(self) -> bool:
        """Nothing of it is here, and nobody is owed anything."""
        return not (self.free or self.out or self.backs or self.awaited)

    @property
    def is_seated(self) -> bool:
        """Calls have seats: the store has to hear that they still run."""
        return self.counter.meter.kind == "seats" and bool(self.out + self.free)

    def _heard(self, ask: Ask) -> None:
        if ask.wish:
            self._is_wishing = False

    def _drop_stale(self, now_ms: int) -> None:
        if self.free and now_ms >= self.until_ms:
            self.empty()

    def _give_back(self, slot: int, amount: int) -> None:
        if amount:
            self.backs[slot] = self.backs.get(slot, 0) + amount
