"""Whatever workers do with counters: no limit is ever exceeded, by a single token or nano-dollar.

The laws are checked on a list of all that was ever taken, with its times, in the plainest way: what a call
took counts from when it could be used, as much of it as was not given back. In process, time jumps; on a
real Redis it passes as it does, and the spans are too long for that to matter.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig.programs.redis import RedisServer, running_redis

from gateway.errors import StoreDown
from gateway.protocols import QuotaStore
from gateway.quotas.counting import Ask, Counter, Meter, MeterKind, Told
from gateway.stores.quotas_memory import MemoryQuotas
from gateway.stores.quotas_redis import RedisQuotas

HOUR_MS = 3_600_000
START_MS = 1_790_000_000_123
NANOUSD = 1_000_000_007
WORKERS = 3
STARTED_S = 30.0
_numbers = itertools.count()


class Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


@dataclass
class Site:
    """A store, and how time passes in it. `slack_ms`: so far off may its time be that one reads."""

    store: QuotaStore
    pass_ms: Callable[[int], None]
    slack_ms: int


@dataclass(eq=False)
class Entry:
    """So much was taken, and can be used from `at_ms` on; it came out of `slot`."""

    at_ms: int
    slot: int
    amount: int


@dataclass(eq=False)
class Ledger:
    """All that was ever taken of a counter."""

    counter: Counter
    entries: list[Entry] = field(default_factory=list)
    has_got_back: bool = False

    def check(self, slack_ms: int) -> None:
        """The laws of `Meter`, as they are written there."""
        meter = self.counter.meter
        entries = sorted(self.entries, key=lambda entry: entry.at_ms)
        assert all(entry.amount >= 0 for entry in entries)
        if meter.kind in {"period", "seats"}:
            assert self.sum(entries) <= meter.limit
        for last, end in enumerate(entries):
            for first, begin in enumerate(entries[: last + 1]):
                used = self.sum(entries[first : last + 1])
                passed_ms = end.at_ms - begin.at_ms
                if meter.kind == "window" and passed_ms < meter.span_ms:
                    assert used <= meter.limit
                if meter.kind == "bucket":
                    flowed = meter.limit * (passed_ms + slack_ms)
                    assert used * meter.span_ms <= meter.limit * meter.span_ms + flowed

    def counts(self, now_ms: int) -> int:
        """Return what of it counts now; of a bucket, at least."""
        meter = self.counter.meter
        if meter.kind == "window":
            step_ms = -(-meter.span_ms // meter.steps)
            oldest = (now_ms - meter.span_ms) // step_ms
            return self.sum([entry for entry in self.entries if entry.slot >= oldest])
        return self.owed(now_ms) if meter.kind == "bucket" else self.sum(self.entries)

    def owed(self, now_ms: int) -> int:
        """Return what a bucket would lack, had only been taken what was not given back."""
        meter = self.counter.meter
        owed, at_ms = 0, START_MS
        for entry in [*self.entries, Entry(now_ms, 0, 0)]:
            owed = max(owed - (entry.at_ms - at_ms) * meter.limit, 0) + entry.amount * meter.span_ms
            at_ms = entry.at_ms
        return -(-owed // meter.span_ms)

    @staticmethod
    def sum(entries: Sequence[Entry]) -> int:
        return sum(entry.amount for entry in entries)


@dataclass(eq=False)
class Held:
    """What a call, or a worker for the next calls, has of a counter."""

    ledger: Ledger
    entry: Entry
    until_ms: int = 0


class World:
    """Workers that take of limits and give back, and the ledgers of all counters."""

    def __init__(self, site: Site, meters: Sequence[Meter]) -> None:
        self.site = site
        self.meters = meters
        self.name = f"counter-{next(_numbers)}"
        self.ledgers: dict[str, Ledger] = {}
        self.calls: list[tuple[int, list[Held]]] = []
        self.spare: list[tuple[int, Held]] = []

    @property
    def now_ms(self) -> int:
        return self.site.store.now_ms()

    def ledger(self, index: int) -> Ledger:
        """Return the ledger of a limit's counter of now."""
        meter = self.meters[index]
        key, ends_ms = f"{self.name}:{index}", 0
        if meter.kind == "period":
            number = self.now_ms // meter.span_ms
            key, ends_ms = f"{key}:{number}", (number + 1) * meter.span_ms
        return self.ledgers.setdefault(key, Ledger(Counter(key, meter, ends_ms)))

    async def exchange(self, pairs: Sequence[tuple[Ledger, Ask]]) -> tuple[bool, list[tuple[Ledger, Told]]]:
        verdict = await self.site.store.exchange([ask for _, ask in pairs])
        told = [(ledger, one) for (ledger, _), one in zip(pairs, verdict.told, strict=True)]
        for (_, ask), (_, one) in zip(pairs, told, strict=True):
            assert one.granted >= ask.need if verdict.granted else one.granted == 0
            assert one.granted <= ask.need + ask.wish
        return verdict.granted, told

    async def reserve(self, worker: int, wants: Sequence[tuple[int, int, int]]) -> None:
        """Take of some limits; `wants` are their index, and need and wish in per cent of the limit."""
        by_index = {index % len(self.meters): (need, wish) for index, need, wish in wants}
        pairs = []
        for index, (need, wish) in by_index.items():
            ledger = self.ledger(index)
            limit = ledger.counter.meter.limit
            pairs.append((ledger, Ask(ledger.counter, -(-limit * need // 100), limit * wish // 100)))
        granted, told = await self.exchange(pairs)
        now_ms = self.now_ms
        if granted:
            held = []
            for (ledger, ask), (_, one) in zip(pairs, told, strict=True):
                held.append(Held(ledger, self.enter(ledger, one.slot, ask.need)))
                extra = self.enter(ledger, one.slot, one.granted - ask.need)
                self.spare.append((worker, Held(ledger, extra, now_ms + one.valid_ms)))
            self.calls.append((worker, held))
        else:
            assert any(
                self.lacks(ledger, one, ask) for (ledger, ask), (_, one) in zip(pairs, told, strict=True)
            )
            assert any(one.frees_ms for _, one in told)
        self.compare(told)

    def lacks(self, ledger: Ledger, told: Told, ask: Ask) -> bool:
        is_plain = ledger.counter.meter.kind != "bucket"
        return (ledger.counts(self.now_ms) if is_plain else told.taken) + ask.need > told.limit

    def enter(self, ledger: Ledger, slot: int, amount: int) -> Entry:
        entry = Entry(self.now_ms, slot, amount)
        ledger.entries.append(entry)
        return entry

    def use_spare(self, number: int, percent: int) -> None:
        """A call takes of what a worker has: it is used now, not when it was taken."""
        if self.spare:
            worker, held = self.spare[number % len(self.spare)]
            if self.now_ms < held.until_ms:
                amount = held.entry.amount * percent // 100
                held.entry.amount -= amount
                entry = self.enter(held.ledger, held.entry.slot, amount)
                self.calls.append((worker, [Held(held.ledger, entry)]))

    async def settle(self, number: int, percent: int) -> None:
        """A call has used so much of what it took; then it says so again."""
        if self.calls:
            _, helds = self.calls.pop(number % len(self.calls))
            await self.give_back(helds, percent)
            await self.exchange([(held.ledger, Ask(held.ledger.counter)) for held in helds])

    async def return_spare(self, number: int) -> None:
        if self.spare:
            await self.give_back([self.spare.pop(number % len(self.spare))[1]], 0)

    async def give_back(self, helds: Sequence[Held], percent: int) -> None:
        pairs = []
        for held in helds:
            entry, counter = held.entry, held.ledger.counter
            used = 0 if counter.meter.kind == "seats" else entry.amount * percent // 100
            rest = entry.amount - used
            pairs.append((held.ledger, Ask(counter, back=((entry.slot, rest),))))
            held.ledger.has_got_back |= rest > 0
            entry.amount = used
        granted, told = await self.exchange(pairs)
        assert granted
        self.compare(told)

    def crash(self, worker: int) -> None:
        """A worker forgets all it has: it counts as used."""
        self.calls = [one for one in self.calls if one[0] != worker]
        self.spare = [one for one in self.spare if one[0] != worker]

    def compare(self, told: Sequence[tuple[Ledger, Told]]) -> None:
        """The store says what the ledgers do. What has flowed back into a bucket is not given back again."""
        for ledger, one in told:
            counts, ends_ms = ledger.counts(self.now_ms), ledger.counter.ends_ms
            if 0 < ends_ms <= self.now_ms:
                assert one.taken in {0, counts}
            elif ledger.counter.meter.kind != "bucket":
                assert one.taken == counts
            elif self.site.slack_ms == 0:
                assert one.taken >= counts if ledger.has_got_back else one.taken == counts

    def check(self) -> None:
        for ledger in self.ledgers.values():
            ledger.check(self.site.slack_ms)

    async def step(self, kind: str, *details: Any) -> None:
        if kind == "reserve":
            await self.reserve(*details)
        elif kind == "settle":
            await self.settle(*details)
        elif kind == "use":
            self.use_spare(*details)
        elif kind == "return":
            await self.return_spare(*details)
        elif kind == "crash":
            self.crash(*details)
        else:
            index, part = details
            span_ms = self.meters[index % len(self.meters)].span_ms
            self.site.pass_ms(span_ms * part // 1000)
        self.check()

    async def end(self) -> None:
        """Settle all."""
        while self.calls:
            await self.settle(0, 0)
        while self.spare:
            await self.return_spare(0)


LIMITS = st.sampled_from([100, 64, 10, 1, 0, NANOUSD, 5 * NANOUSD])
KINDS: tuple[MeterKind, ...] = ("window", "bucket", "period", "seats")
SPANS_MS = (10, 100, 1000, 60_000, 24 * HOUR_MS)
NUMBERS = st.integers(0, 5)
NEEDS, WISHES = st.sampled_from([100, 60, 40, 10, 1, 0, 101]), st.sampled_from([0, 100, 2])
RESERVE = st.tuples(
    st.just("reserve"),
    st.integers(0, WORKERS - 1),
    st.lists(st.tuples(NUMBERS, NEEDS, WISHES), min_size=1, max_size=3),
)
SETTLE = st.tuples(st.just("settle"), NUMBERS, st.sampled_from([0, 10, 50, 100]))
USE = st.tuples(st.just("use"), NUMBERS, st.sampled_from([30, 100]))
RETURN = st.tuples(st.just("return"), NUMBERS)
CRASH = st.tuples(st.just("crash"), st.integers(0, WORKERS - 1))
PARTS = (30, 0, 5, 100, 300, 500, 900, 985, 999, 1000, 1020, 2000)
WAIT = st.tuples(st.just("wait"), NUMBERS, st.sampled_from(PARTS))
STEPS = st.lists(
    st.one_of(RESERVE, WAIT, SETTLE, RESERVE, WAIT, SETTLE, RESERVE, WAIT, SETTLE, USE, RETURN, CRASH),
    min_size=4,
    max_size=30,
)


def meters(kinds: Sequence[MeterKind], spans_ms: Sequence[int]) -> st.SearchStrategy[list[Meter]]:
    steps = st.sampled_from([60, 7, 1])
    one = st.builds(Meter, st.sampled_from(kinds), LIMITS, st.sampled_from(spans_ms), steps)
    return st.lists(one, min_size=1, max_size=3)


OpenSite = Callable[[], AbstractAsyncContextManager[Site]]


@asynccontextmanager
async def in_memory() -> Any:
    clock = Clock()

    def pass_ms(some: int) -> None:
        clock.now_ms += some

    yield Site(MemoryQuotas(clock), pass_ms, 0)


async def play(open_site: OpenSite, limits: Sequence[Meter], steps: Sequence[tuple[Any, ...]]) -> None:
    """Do the steps; at the end, when all is settled and time has passed, nothing is taken."""
    async with open_site() as site:
        world = World(site, limits)
        for step in steps:
            await world.step(*step)
        await world.end()
        world.check()
        has_crashed = any(step[0] == "crash" for step in steps)
        site.pass_ms(3 * 24 * HOUR_MS)
        for ledger in world.ledgers.values():
            (told,) = (await site.store.exchange([Ask(ledger.counter)])).told
            if ledger.counter.meter.kind == "seats":
                assert told.taken == 0 or (has_crashed and told.taken == ledger.sum(ledger.entries))
            elif site.slack_ms == 0:
                assert told.taken == told.whole_ms == 0


@pytest.mark.parametrize("kinds", [KINDS, ["bucket"], ["window"]])
@settings(max_examples=400, deadline=None)
@given(data=st.data(), steps=STEPS)
def test_no_limit_is_exceeded_in_process_and_nothing_stays_taken(
    kinds: Sequence[MeterKind], data: st.DataObject, steps: list[tuple[Any, ...]]
) -> None:
    asyncio.run(play(in_memory, data.draw(meters(kinds, SPANS_MS)), steps))


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis() as server:
        asyncio.run(wait_for(server))
        yield server


async def wait_for(server: RedisServer) -> None:
    """Wait until a new server has heard that there is nothing to remember."""
    store = RedisQuotas(server.url)
    deadline_s = time.monotonic() + STARTED_S
    while True:
        try:
            await store.exchange([Ask(Counter("first", Meter("seats", 1)))])
            break
        except StoreDown:
            assert time.monotonic() < deadline_s
            await asyncio.sleep(0.05)
    await store.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limits=meters(KINDS, [24 * HOUR_MS, 240 * HOUR_MS]), steps=STEPS)
def test_no_limit_is_exceeded_in_redis(
    redis: RedisServer, limits: list[Meter], steps: list[tuple[Any, ...]]
) -> None:
    @asynccontextmanager
    async def in_redis() -> Any:
        store = RedisQuotas(redis.url, patience_s=30.0)
        await store.exchange([Ask(Counter("first", Meter("seats", 1)))])
        yield Site(store, lambda _: None, 100)
        await store.close()

    asyncio.run(play(in_redis, limits, steps))
