"""The counters as a worker sees them until it is known what was spent before it began.

What is to be rebuilt cannot be taken of meanwhile: it is as if the store did not answer, so that each limit
does what its `fail` says. What is used all the same is kept here, and charged later. So no counter changes
before it is rebuilt, and one of which something is taken is one that was never lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import StoreDown
from gateway.finops.budgets.spent import is_rebuilt
from gateway.protocols import QuotaStore
from gateway.quotas.counting import Ask, Counter, Told, Verdict

_TOGETHER = 200
"""Counters that are told of at once: a store serves nobody else meanwhile."""


class Guarded:
    """A QuotaStore in front of another one, which `workers` share."""

    def __init__(self, store: QuotaStore, workers: int = 1) -> None:
        self._store = store
        self._workers = workers
        self.is_open = False
        self._kept: dict[str, tuple[Counter, dict[int, int]]] = {}
        """What is owed to counters, by their slots; negative: more was used than was taken."""

    def now_ms(self) -> int:
        """Return the Unix time that all workers agree on."""
        return self._store.now_ms()

    async def exchange(self, asks: Sequence[Ask]) -> Verdict:
        """Give back and take; raises StoreDown for what is being rebuilt."""
        if self.is_open:
            return await self._store.exchange(asks)
        waits = [is_rebuilt(ask.counter.meter) for ask in asks]
        if any(wait and (ask.need or not ask.back) for ask, wait in zip(asks, waits, strict=True)):
            down = StoreDown("what was spent before is being read from the ledger", retry_after_s=1)
            down.reached = False
            raise down
        others = [ask for ask, wait in zip(asks, waits, strict=True) if not wait]
        verdict = await self._store.exchange(others) if others else Verdict(granted=True, told=())
        told = iter(verdict.told)
        every = tuple(self._keep(ask) if wait else next(told) for ask, wait in zip(asks, waits, strict=True))
        return Verdict(verdict.granted, every, verdict.at_us)

    async def open(self) -> None:
        """Charge what was kept, and let everything through from now on. Raises StoreDown: try again."""
        while self._kept:
            keys = list(self._kept)[:_TOGETHER]
            some = {key: self._kept.pop(key) for key in keys}
            try:
                await self._store.exchange(
                    [Ask(counter, back=tuple(back.items())) for counter, back in some.values()]
                )
            except StoreDown as down:
                # What may have been charged is rather charged twice than not at all.
                for counter, back in some.values():
                    self._owe(counter, [one for one in back.items() if one[1] < 0 or not down.reached])
                raise
        self.is_open = True

    async def claim(self, name: str, ttl_ms: int) -> bool:
        """Return True to the first who asks in that time."""
        return await self._store.claim(name, ttl_ms)

    async def revise(self, key: str, limit: int | None, ttl_ms: int) -> None:
        """Set a counter's limit in place of its meter's."""
        await self._store.revise(key, limit, ttl_ms)

    async def reset(self, key: str) -> None:
        """Forget what was taken."""
        await self._store.reset(key)

    async def close(self) -> None:
        """Let go of connections."""
        await self._store.close()

    def _keep(self, ask: Ask) -> Told:
        self._owe(ask.counter, ask.back)
        owed = max(-sum(self._kept[ask.counter.key][1].values()), 0)
        # Nothing is taken of the counter. The limit is told so that this worker has its share of the rest.
        return Told(0, 0, max(ask.counter.meter.limit - owed * self._workers, 0))

    def _owe(self, counter: Counter, back: Sequence[tuple[int, int]]) -> None:
        slots = self._kept.setdefault(counter.key, (counter, {}))[1]
        for slot, amount in back:
            slots[slot] = slots.get(slot, 0) + amount
