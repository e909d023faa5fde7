"""Give the counters of budgets back what was spent before they were lost, once, from the ledger.

A store of counters that was never rebuilt has no mark of it. Whoever sees that first writes down the moment:
calls that began before it are in the ledger, those that come later are charged by their workers. Of the
workers one adds up; a counter of which something is taken was not lost, and stays as it is. Until it is done,
`Guarded` keeps the workers off these counters.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from gateway.errors import StoreDown
from gateway.exchange import Caller
from gateway.finops.budgets.guard import Guarded
from gateway.finops.budgets.spent import (
    MOST,
    Asked,
    Spent,
    add_up,
    edges_of,
    read_sums,
    require_tables,
    zones_of,
)
from gateway.protocols import QuotaStore, UsageStore
from gateway.quotas.counting import Ask, Counter, Meter, Told
from gateway.quotas.rules import Rules

PENDING_S = 90.0
"""So long entries on disk are waited for, once the ledger answers: the meter may pause for 30."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_LOOKS, _LOOK_S = 4, 0.03
_TURNS: Mapping[str, tuple[int, float]] = {"asks": (10_000, 9.0), "puts": (60_000, 40.0)}
"""For how long (ms) a worker alone may do something, and after how many seconds it rather asks again."""
_TOGETHER = 100
_FOR_EVER_MS = 4_102_444_800_000
"""The year 2100."""

log = logging.getLogger("forebay")


class Recovery:
    """Of one worker of `workers`. `store` is what the desk asks.

    `pending` counts the segments of the spool that wait to be inserted, of processes that have ended.
    """

    def __init__(
        self, usage: UsageStore, quotas: QuotaStore, pending: Callable[[], int], workers: int = 1
    ) -> None:
        self.store = Guarded(quotas, workers)
        self._usage = usage
        self._quotas = quotas
        self._pending = pending
        self._known = asyncio.Event()
        self._said = "being rebuilt from the ledger"
        self._problem = ""
        self._patience_ends_s: float | None = None
        self._turn_ends_s: dict[str, float] = {}

    def state(self) -> tuple[bool, str]:
        """Say whether it is known what was spent, and the same in words for people."""
        return self._known.is_set(), self._said + (f": {self._problem}" if self._problem else "")

    async def ready(self, patience_s: float) -> bool:
        """Wait until it is known what was spent; False: not in time."""
        try:
            async with asyncio.timeout(patience_s):
                await self._known.wait()
        except TimeoutError:
            return False
        return True

    async def follow(self, rules: Rules, tenants: Mapping[str, Caller]) -> None:
        """Work until the counters are as they should be."""
        if not edges_of(rules, ("UTC",), self._quotas.now_ms()):
            self._said, self.store.is_open = "nothing to rebuild", True
            self._known.set()
            return
        pause_s = _FIRST_PAUSE_S
        while not await self._is_done(
            Rules(rules.every), tenants
        ):  # rules of its own: it fills what they remember
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S) if self._problem else _FIRST_PAUSE_S
        self._problem = ""
        self._known.set()

    async def _is_done(self, rules: Rules, tenants: Mapping[str, Caller]) -> bool:
        try:
            began_ms, counters = await self._begin()
            if counters is None:
                counters = await self._rebuild(rules, tenants, began_ms)
            if counters is None:
                return False
            await self.store.open()
        except StoreDown as error:
            self._note(error.message)
            return False
        except Exception as error:
            if not self._problem:
                log.exception("a defect keeps budgets from being rebuilt")
            self._problem = type(error).__name__
            return False
        self._said = f"rebuilt from the ledger, {counters} counter{'' if counters == 1 else 's'}"
        return True

    def _note(self, problem: str) -> None:
        if not self._problem:
            log.warning("budgets are not rebuilt from the ledger yet: %s; trying again", problem)
        self._problem = problem

    async def _begin(self) -> tuple[int, int | None]:
        """Return when it was first seen that nothing was rebuilt, and how many counters were since then."""
        now_ms = self._quotas.now_ms()
        asks = [Ask(_mark("began", now_ms), need=now_ms), Ask(_mark("done", 0))]
        began, done = (await self._quotas.exchange(asks)).told
        return began.taken, done.taken - 1 if done.taken else None

    async def _rebuild(self, rules: Rules, tenants: Mapping[str, Caller], now_ms: int) -> int | None:
        """Return how many counters were rebuilt; None: another worker is at it, or it takes longer."""
        if not await self._has_turn("asks"):
            return None
        await asyncio.to_thread(require_tables, self._usage)
        if (missing := await self._missing()) is None:
            return None
        spent = await asyncio.to_thread(_spent_before, rules, self._usage, tenants, now_ms)
        if not await self._has_turn("puts"):
            return None
        counters = await _put(spent, self._quotas, now_ms, self._is_in_time)
        await self._quotas.exchange([Ask(_mark("done", 0), need=counters + 1, over=True)])
        log.info("budgets are rebuilt from the ledger", extra={"counters": counters})
        if missing:
            log.warning(
                "some of what was spent may be missing: the ledger has not taken all entries yet",
                extra={"segments": missing},
            )
        return counters

    async def _missing(self) -> int | None:
        """Return how many segments are not waited for any longer; None: some still are."""
        pending = await self._look()
        if not pending:
            return 0
        if self._patience_ends_s is None:
            self._patience_ends_s = monotonic() + PENDING_S
        if monotonic() < self._patience_ends_s:
            self._problem = ""
            return None
        return pending

    async def _look(self) -> int:
        """Count what is pending: nothing only where several looks find nothing.

        A segment that the meter looks at in the same moment may seem to be written still.
        """
        for _ in range(_LOOKS):
            if pending := await asyncio.to_thread(self._pending):
                return pending
            await asyncio.sleep(_LOOK_S)
        return 0

    async def _has_turn(self, what: str) -> bool:
        if self._is_mine(what):
            return True
        ttl_ms, mine_s = _TURNS[what]
        ends_s = monotonic() + mine_s
        if not await self._quotas.claim(f"recovery:{what}", ttl_ms):
            return False
        self._turn_ends_s[what] = ends_s
        return True

    def _is_mine(self, what: str) -> bool:
        return monotonic() < self._turn_ends_s.get(what, 0.0)

    def _is_in_time(self) -> bool:
        return self._is_mine("puts")


def _mark(name: str, limit: int) -> Counter:
    """Name a counter that is a note among the workers, and is lost where the others are."""
    return Counter(f"recovery:{name}", Meter("period", limit), _FOR_EVER_MS)


def _spent_before(
    rules: Rules, store: UsageStore, tenants: Mapping[str, Caller], now_ms: int
) -> dict[str, Spent]:
    edges = edges_of(rules, zones_of(rules, tenants), now_ms)
    if not edges:
        return {}
    asked = Asked(edges, now_ms)
    return add_up(rules, read_sums(store, asked, tenants, users=rules.looks_at_users), now_ms)


async def _put(
    spent: Mapping[str, Spent], quotas: QuotaStore, now_ms: int, is_in_time: Callable[[], bool]
) -> int:
    counters = 0
    every = list(spent.values())
    for at in range(0, len(every), _TOGETHER):
        some = every[at : at + _TOGETHER]
        if not is_in_time():
            raise StoreDown("the counters take too long")
        found = await quotas.exchange([Ask(one.held.counter(now_ms)) for one in some])
        lost = [one for one, told in zip(some, found.told, strict=True) if not told.taken]
        if not lost:
            continue
        verdict = await quotas.exchange([_ask(one, now_ms) for one in lost])
        counters += len(lost)
        for one, told in zip(lost, verdict.told, strict=True):
            await _quiet(one, told, quotas, now_ms)
    return counters


def _ask(spent: Spent, now_ms: int) -> Ask:
    counter = spent.held.counter(now_ms)
    if spent.slots:
        back = tuple((slot, -min(amount, MOST)) for slot, amount in sorted(spent.slots.items()))
        return Ask(counter, back=back)
    return Ask(counter, need=min(spent.amount, MOST), over=True)


async def _quiet(spent: Spent, told: Told, quotas: QuotaStore, now_ms: int) -> None:
    """Claim the alerts of levels that were reached before: they were told then."""
    levels: Sequence[int] = spent.held.rule.alerts
    reached = [level for level in levels if told.taken * 100 >= level * max(told.limit, 1)]
    if not reached:
        return
    counter = spent.held.counter(now_ms)
    ttl_ms = counter.ends_ms - now_ms if counter.ends_ms else counter.meter.span_ms
    for level in reached:
        # Named as by `gateway.admission.watch`.
        await quotas.claim(f"alert:{counter.key}:{told.limit}:{level}", max(ttl_ms, 1))
