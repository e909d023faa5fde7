"""What every store of quotas does: the one in memory, a Valkey and a Redis.

Two workers are two stores in one process, each with its own connection, as two processes would have them; of
the one in memory both are the same.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig.programs.redis import VALKEY, RedisServer, redis_program, running_redis

from gateway.errors import StoreDown
from gateway.protocols import QuotaStore
from gateway.quotas.counting import Ask, Counter, Meter, Told, Verdict
from gateway.stores.quotas_memory import MemoryQuotas
from gateway.stores.quotas_redis import RedisQuotas

DAY_MS = 86_400_000
PATIENCE_S = 30.0
"""A Redis that a busy machine makes slow is not lost."""
KINDS = ["window", "bucket", "period", "seats"]
_numbers = itertools.count(1)

Open = Callable[[], QuotaStore]
Scene = Callable[..., Awaitable[None]]


@pytest.fixture(scope="module")
def valkey() -> Iterator[RedisServer]:
    with running_redis(VALKEY) as server:
        yield server


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis(redis_program()) as server:
        yield server


@pytest.fixture(params=["memory", "valkey", "redis"])
def open_store(request: pytest.FixtureRequest) -> Open:
    """Opens the store of one more worker."""
    if request.param == "memory":
        memory = MemoryQuotas()
        return lambda: memory
    server: RedisServer = request.getfixturevalue(request.param)
    return lambda: RedisQuotas(server.url, patience_s=PATIENCE_S)


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> RedisServer:
    found: RedisServer = request.getfixturevalue(request.param)
    return found


@asynccontextmanager
async def workers(open_store: Open, count: int = 1) -> AsyncIterator[Sequence[QuotaStore]]:
    stores = [open_store() for _ in range(count)]
    try:
        for store in stores:
            await ready(store)
        yield stores
    finally:
        for store in stores:
            await store.close()


async def ready(store: QuotaStore) -> None:
    """A server that is new waits first for workers which know more."""
    async with asyncio.timeout(30):
        while True:
            try:
                await store.exchange([])
            except StoreDown:
                await asyncio.sleep(0.01)
            else:
                return


async def soon(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await is_so():
            await asyncio.sleep(0.005)


def counter(kind: str, limit: int, span_ms: int = DAY_MS, steps: int = 60) -> Counter:
    """A counter of its own."""
    meter = Meter(kind, limit, span_ms, steps)
    ends_ms = int(time.time() * 1000) + span_ms if kind == "period" else 0
    return Counter(f"test:{next(_numbers)}:{kind}", meter, ends_ms)


async def ask(store: QuotaStore, one: Counter, need: int = 0, **more: object) -> Told:
    verdict = await store.exchange([Ask(one, need, **more)])
    return verdict.told[0]


def run(scene: Scene, open_store: Open, count: int = 1) -> None:
    async def played() -> None:
        async with workers(open_store, count) as stores:
            await scene(*stores)

    asyncio.run(played())


@pytest.mark.parametrize("kind", KINDS)
def test_no_more_is_taken_than_the_limit_by_all_workers_together(open_store: Open, kind: str) -> None:
    async def scene(one: QuotaStore, two: QuotaStore) -> None:
        limited = counter(kind, 100)
        assert (await ask(one, limited, 60)).granted == 60
        assert (await ask(two, limited, 41)).granted == 0
        told = await ask(two, limited, 40)
        assert (told.granted, told.taken, told.limit) == (40, 100, 100)
        refused = await ask(one, limited, 1)
        assert (refused.granted, refused.taken) == (0, 100)
        assert refused.frees_ms > 0
        assert refused.whole_ms > 0

    run(scene, open_store, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_what_comes_back_can_be_taken_again(open_store: Open, kind: str) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter(kind, 100)
        first = await ask(one, limited, 100)
        assert (await ask(one, limited, back=((first.slot, 30),), seen=70)).taken == 70
        assert (await ask(one, limited, 31, seen=70)).granted == 0
        assert (await ask(one, limited, 30, seen=70)).granted == 30

    run(scene, open_store)


@pytest.mark.parametrize("kind", ["window", "period", "seats"])
def test_no_more_comes_back_than_was_taken(open_store: Open, kind: str) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter(kind, 100)
        first = await ask(one, limited, 10)
        assert (await ask(one, limited, back=((first.slot, 1000),))).taken == 0
        assert (await ask(one, limited, 101)).granted == 0

    run(scene, open_store)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_used_beyond_is_charged_beyond_the_limit(open_store: Open, kind: str) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter(kind, 100)
        first = await ask(one, limited, 100)
        assert (await ask(one, limited, back=((first.slot, -50),), seen=100)).taken == 150
        over = await ask(one, limited, 7, over=True, seen=150)
        assert (over.granted, over.taken) == (7, 157)
        assert over.frees_ms > 0

    run(scene, open_store)


def test_a_bucket_takes_back_only_what_is_still_owed_of_it(open_store: Open) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter("bucket", 100, 1000)
        first = await ask(one, limited, 100)

        async def half_has_flowed_back() -> bool:
            return (await ask(one, limited)).taken <= 50

        await soon(half_has_flowed_back)
        later = await ask(one, limited, 50)
        assert later.granted == 50
        # Of the first 100 at most 50 were still owed when the others were taken.
        assert (await ask(one, limited, back=((first.slot, 100),))).taken >= 50
        assert (await ask(one, limited, 51)).granted == 0

    run(scene, open_store)


def test_all_that_is_asked_is_taken_or_nothing(open_store: Open) -> None:
    async def scene(one: QuotaStore) -> None:
        counters = [counter(kind, 100) for kind in KINDS]
        full = counter("window", 5)
        refused = await one.exchange([*(Ask(each, 10, wish=40) for each in counters), Ask(full, 6)])
        assert not refused.granted
        assert [told.granted for told in refused.told] == [0] * 5
        assert [told.taken for told in refused.told] == [0] * 5
        assert [told.frees_ms for told in refused.told] == [0, 0, 0, 0, -1]
        granted = await one.exchange([*(Ask(each, 10) for each in counters), Ask(full, 5)])
        assert granted.granted
        assert [told.taken for told in granted.told] == [10, 10, 10, 10, 5]

    run(scene, open_store)


def test_what_is_refused_still_gives_back_and_charges_what_only_measures(open_store: Open) -> None:
    async def scene(one: QuotaStore) -> None:
        full, shadow, other = counter("period", 5), counter("window", 5), counter("window", 100)
        slot = (await ask(one, other, 50)).slot
        verdict = await one.exchange(
            [Ask(full, 6), Ask(shadow, 9, over=True), Ask(other, 1, back=((slot, 20),))]
        )
        assert not verdict.granted
        assert [told.granted for told in verdict.told] == [0, 9, 0]
        assert [told.taken for told in verdict.told] == [0, 9, 30]

    run(scene, open_store)


def test_two_asks_for_one_counter_count_together(open_store: Open) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter("window", 10)
        assert not (await one.exchange([Ask(limited, 6), Ask(limited, 5)])).granted
        assert (await one.exchange([Ask(limited, 6), Ask(limited, 4)])).granted
        assert (await ask(one, limited)).taken == 10

    run(scene, open_store)


@pytest.mark.parametrize(("kind", "share"), [("window", 32), ("period", 128), ("seats", 32)])
def test_a_part_of_what_is_left_may_be_had_in_advance(open_store: Open, kind: str, share: int) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter(kind, 1000)
        assert (await ask(one, limited, 40, wish=1000)).granted == 40 + 960 // share
        assert (await ask(one, limited, 0, wish=5, seen=70)).granted == 5
        assert (await ask(one, limited, 900, wish=1000, seen=75)).granted == 900
        assert (await ask(one, limited, 25, wish=1000, seen=975)).granted == 25

    run(scene, open_store)


def test_a_bucket_gives_nothing_in_advance(open_store: Open) -> None:
    async def scene(one: QuotaStore) -> None:
        assert (await ask(one, counter("bucket", 1000), 40, wish=1000)).granted == 40

    run(scene, open_store)


@pytest.mark.parametrize("kind", ["window", "bucket"])
def test_there_is_room_again_when_it_was_said(open_store: Open, kind: str) -> None:
    async def scene(one: QuotaStore) -> None:
        limited, other = counter(kind, 10, 300, steps=3), counter(kind, 10, 300, steps=3)
        before_s = time.monotonic()
        # All in one breath, so that nothing has come free yet.
        filled, told, _, told_other = await asyncio.gather(
            *(ask(one, which, need) for which in (limited, other) for need in (10, 3))
        )
        told_s = time.monotonic()
        assert (filled.granted, told.granted, told_other.granted) == (10, 0, 0)
        assert 0 < told.frees_ms <= 400

        async def has_room() -> bool:
            return bool((await ask(one, limited, 3)).granted)

        await soon(has_room)
        assert (time.monotonic() - before_s) * 1000 >= told.frees_ms - 3, "not earlier"
        frees_s = told_s + told_other.frees_ms / 1000 + 0.02
        await asyncio.sleep(max(frees_s - time.monotonic(), 0))
        assert (await ask(one, other, 3)).granted == 3, "not later"

    run(scene, open_store)


def test_a_window_says_how_long_a_slot_lasts_and_forgets_slots_that_are_out(open_store: Open) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter("window", 10, 200, steps=4)
        first = await ask(one, limited, 10)
        assert 0 < first.valid_ms <= 50
        assert 200 < first.whole_ms <= 250

        async def is_free() -> bool:
            return (await ask(one, limited)).taken == 0

        await soon(is_free)
        assert (await ask(one, limited, back=((first.slot, 5), (first.slot, -5)))).taken == 0
        assert (await ask(one, limited, 10)).granted == 10

    run(scene, open_store)


def test_amounts_are_exact_to_the_last_nano_dollar(open_store: Open) -> None:
    async def scene(one: QuotaStore) -> None:
        most = 10**15
        limited = counter("period", most)
        assert (await ask(one, limited, most - 1)).taken == most - 1
        assert (await ask(one, limited, 2)).granted == 0
        last = await ask(one, limited, 1)
        assert (last.granted, last.taken, last.limit) == (1, most, most)

    run(scene, open_store)


def test_a_limit_can_be_set_while_it_runs_for_some_time(open_store: Open) -> None:
    async def scene(one: QuotaStore, two: QuotaStore) -> None:
        limited = counter("period", 10)
        await one.revise(limited.key, 20, 60_000)
        told = await ask(two, limited, 15)
        assert (told.granted, told.limit) == (15, 20)
        await one.revise(limited.key, None, 0)
        assert (await ask(two, limited, 1)).limit == 10
        await one.revise(limited.key, 30, 1)

        async def has_ended() -> bool:
            return (await ask(two, limited)).limit == 10

        await soon(has_ended)

    run(scene, open_store, 2)


def test_what_was_taken_can_be_forgotten(open_store: Open) -> None:
    async def scene(one: QuotaStore, two: QuotaStore) -> None:
        limited = counter("period", 10)
        await ask(one, limited, 10)
        await two.reset(limited.key)
        assert (await ask(one, limited, 10)).granted == 10

    run(scene, open_store, 2)


def test_one_worker_claims_what_is_done_once(open_store: Open) -> None:
    async def scene(one: QuotaStore, two: QuotaStore) -> None:
        name = f"alert:{next(_numbers)}"
        assert await one.claim(name, 60_000)
        assert not await two.claim(name, 60_000)
        assert await two.claim(name + "b", 1)

        async def has_ended() -> bool:
            return await one.claim(name + "b", 60_000)

        await soon(has_ended)

    run(scene, open_store, 2)


def test_all_workers_have_one_time(open_store: Open) -> None:
    async def scene(one: QuotaStore, two: QuotaStore) -> None:
        for _ in range(20):
            await asyncio.gather(one.exchange([]), two.exchange([]))

        async def have_one_time() -> bool:
            # An answer that comes late tells the time of then, until the next one comes.
            await asyncio.gather(one.exchange([]), two.exchange([]))
            # On this machine the server's clock is ours.
            now_ms = time.time() * 1000
            return abs(one.now_ms() - two.now_ms()) <= 20 and abs(one.now_ms() - now_ms) <= 20

        await soon(have_one_time)

    run(scene, open_store, 2)


def test_many_exchanges_at_once_get_each_their_own_answer(open_store: Open) -> None:
    async def scene(one: QuotaStore, two: QuotaStore) -> None:
        counters = [counter(KINDS[number % 4], 1000 + number) for number in range(100)]
        found = await asyncio.gather(*(ask(store, each, 1) for each in counters for store in (one, two)))
        assert [told.limit for told in found] == [each.meter.limit for each in counters for _ in range(2)]
        shared = counter("period", 50)
        granted = await asyncio.gather(*(ask(store, shared, 1) for store in (one, two) for _ in range(100)))
        assert sum(told.granted for told in granted) == 50

    run(scene, open_store, 2)


Step = tuple[int, int, int, bool, int]
STEPS = st.lists(
    st.lists(
        st.tuples(
            st.integers(0, len(KINDS) - 1),
            st.integers(0, 60),
            st.sampled_from([0, 0, 1, 400]),
            st.booleans(),
            st.integers(-20, 60),
        ),
        max_size=5,
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None
)
@given(exchanges=STEPS)
def test_redis_answers_as_the_definition_does(server: RedisServer, exchanges: list[list[Step]]) -> None:
    async def scene(shared: QuotaStore) -> None:
        counters = [counter(kind, 100) for kind in KINDS]
        known, found = Player(MemoryQuotas(), counters), Player(shared, counters)
        for steps in exchanges:
            expected = await known.play(steps)
            assert await found.play(steps) == expected

    run(scene, lambda: RedisQuotas(server.url, patience_s=PATIENCE_S))


class Player:
    """Plays exchanges on a store, and remembers the slots of what it took last."""

    def __init__(self, store: QuotaStore, counters: Sequence[Counter]) -> None:
        self.store = store
        self.counters = counters
        self.slots = [0] * len(counters)

    async def play(self, steps: Sequence[Step]) -> tuple[bool, list[int], dict[int, int]]:
        """Give what was granted to each, and how the counters stand."""
        asks = []
        for which, need, wish, over, back in steps:
            backs = ((self.slots[which], back),) if back and self.slots[which] else ()
            if KINDS[which] == "seats":
                backs = ((0, back),) if back > 0 else ()
            asks.append(Ask(self.counters[which], need, wish, backs, 0, over))
        verdict: Verdict = await self.store.exchange(asks)
        taken: dict[int, int] = {}
        for (which, *_), told in zip(steps, verdict.told, strict=True):
            self.slots[which] = told.slot
            taken[which] = told.taken
        return verdict.granted, [told.granted for told in verdict.told], taken


def test_a_bucket_of_a_billion_a_day_is_exact_to_the_smallest_part(server: RedisServer) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter("bucket", 10**9 - 7)
        await ask(one, limited, 10**9 - 7)
        with server.client() as client:

            async def owed() -> tuple[Fraction, int]:
                await ask(one, limited, 1, over=True)
                held = {
                    name: int(value)
                    for name, value in client.hgetall("{forebay}:counter:" + limited.key).items()
                }
                return held[b"whole"] + Fraction(held[b"part"], DAY_MS), held[b"at_ms"]

            before, before_ms = await owed()
            for _ in range(50):
                await asyncio.sleep(0.002)
                after, after_ms = await owed()
                assert after == before + 1 - Fraction((after_ms - before_ms) * limited.meter.limit, DAY_MS)
                before, before_ms = after, after_ms

    run(scene, lambda: RedisQuotas(server.url, patience_s=PATIENCE_S))


def test_the_seats_of_a_worker_that_is_not_heard_of_are_free_again(server: RedisServer) -> None:
    async def scene(one: QuotaStore, two: QuotaStore) -> None:
        limited = counter("seats", 10)
        await ask(one, limited, 7)
        assert (await ask(two, limited, 4)).granted == 0
        key = "{forebay}:counter:" + limited.key
        with server.client() as client:
            # As if its ten seconds were over.
            names = [
                name
                for name in client.hkeys(key)
                if name.startswith(b"n:") and int(client.hget(key, name)) == 7
            ]
            client.hset(key, b"u:" + names[0][2:], 1)
            client.hset(key, "due_ms", 1)
        assert (await ask(two, limited, 10)).granted == 10
        # It lives, and had only been slow: the others' seats stay theirs.
        told = await ask(one, limited, seen=7)
        assert told.taken == 17

    run(scene, lambda: RedisQuotas(server.url, patience_s=PATIENCE_S), 2)


def test_a_worker_that_is_heard_of_keeps_its_seats(server: RedisServer) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter("seats", 10)
        await ask(one, limited, 7)
        key = "{forebay}:counter:" + limited.key
        with server.client() as client:
            client.pexpire(key, 100)
            assert (await ask(one, limited, seen=7)).taken == 7
            assert client.pttl(key) > 5000

    run(scene, lambda: RedisQuotas(server.url, patience_s=PATIENCE_S))


@pytest.mark.parametrize("kind", KINDS)
def test_counters_go_away_by_themselves(server: RedisServer, kind: str) -> None:
    async def scene(one: QuotaStore) -> None:
        limited = counter(kind, 10, 2000)
        await ask(one, limited, 10)
        with server.client() as client:
            left_ms = client.pttl("{forebay}:counter:" + limited.key)
        assert 0 < left_ms <= 2000 + 62_000

    run(scene, lambda: RedisQuotas(server.url, patience_s=PATIENCE_S))
