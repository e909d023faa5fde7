"""What was spent comes back from the ledger: each counter as it was, once, whatever does not answer."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from contract.seeded_usage import opened_ledger
from rig.entries import an_entry
from rig.programs.lacking import lacking
from rig.programs.redis import RedisServer, redis_program, running_redis
from unit.stand_ins import Unwatched, call, candidate, plan_of, target

from gateway.admission.desk import Desk
from gateway.admission.entrance import Entrance
from gateway.admission.notes import notes
from gateway.admission.watch import Watch
from gateway.config.located import load
from gateway.errors import QuotaExceeded, StoreDown
from gateway.exchange import Attempt, Caller, Price, Rates, Record, Usage
from gateway.finops.budgets import recovery
from gateway.finops.budgets.recovery import Recovery
from gateway.finops.budgets.spent import without_users
from gateway.finops.budgets.telling import Budgets
from gateway.ledger.booking import Ended, entries_of, rebooked
from gateway.ledger.entries import Entry
from gateway.policy import budgets as budget_policy
from gateway.policy import quotas as quota_policy
from gateway.policy.budgets import BudgetsSpec
from gateway.policy.quotas import QuotasSpec
from gateway.protocols import QuotaStore, UsageStore
from gateway.quotas.counting import Ask, Counter
from gateway.quotas.estimates import Estimates
from gateway.quotas.rules import Rules, Scope
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.quotas_memory import MemoryQuotas
from gateway.stores.quotas_redis import RedisQuotas

NOW = int(datetime(2026, 11, 21, 19, 34, 56, tzinfo=UTC).timestamp() * 1000)
HOUR, DAY = 3_600_000, 86_400_000
PRICES = [
    Price.flat("odd@1", Rates.plain(1_234_567, 9_876_543, 123_457)),
    Price.flat("dear@1", Rates.plain(75_000_000_001, 150_000_000_003)),
    None,
]
TENANTS = {
    "acme": Caller("acme", "", tags=("paid",), timezone="Europe/Berlin"),
    "globex": Caller("globex", "", tags=("free", "old"), timezone="America/New_York"),
    "initech": Caller("initech", "", tags=("free",), timezone="Asia/Kolkata"),
}
BUDGETS = """
budgets:
  month: {per: [tenant], usd: 900000, every: month, over: warn}
  all: {usd: 800000, every: day, over: warn}
  week-each-key: {per: [key], usd: 700000, every: week, timezone: Asia/Tokyo, over: warn}
  each-user: {for: {user: ["*"]}, per: [user], usd: 600000, every: month, over: warn}
  free: {for: {tags: [free]}, usd: 500000, every: month, over: warn}
  team: {for: {tenant: [acme], team: [search]}, usd: 400000, every: day, over: warn}
  models: {for: {route: [fast]}, per: [route, model], usd: 300000, every: hour, over: warn}
  rolling: {per: [tenant], usd: 200000, every: month, rolling: true, over: warn}
  rolling-hour: {usd: 100000, every: hour, rolling: true, over: warn}
"""
QUOTAS = """
quotas:
  daily: {per: [tenant], tokens_per_day: 1000000000, requests_per_day: 1000000}
"""
_numbers = itertools.count(1)


def rules_of(folder: Path, budgets: str = BUDGETS, quotas: str = "") -> Rules:
    """The rules as the files say them."""
    place = folder / f"rules-{next(_numbers)}"
    place.mkdir()
    (place / "budgets.yaml").write_text(budgets)
    (place / "quotas.yaml").write_text(quotas or "quotas: {}")
    found = quota_policy.compile(load(place / "quotas.yaml", QuotasSpec, {}), None)
    money = budget_policy.compile(load(place / "budgets.yaml", BudgetsSpec, {}), None)
    return Rules((*found, *money.rules))


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    if importlib.util.find_spec("chdb") is None:
        lacking("the embedded ClickHouse: chdb-core is not installed")
    with opened_ledger(tmp_path_factory.mktemp("ledger")) as store:
        yield store


@pytest.fixture
def ledger(engine: ClickHouse) -> ClickHouse:
    """An empty ledger."""
    engine.remove("ledger", "1", {})
    return engine


def book(store: UsageStore, entries: Sequence[Entry]) -> None:
    rows = [msgspec.structs.astuple(entry) for entry in entries]
    store.insert("ledger", Entry.__struct_fields__, rows, f"test-{next(_numbers)}")


class Clock:
    """What time it is."""

    def __init__(self, now_ms: int = NOW) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


class Town:
    """Counters before they are lost, the calls that fill them, and what the ledger has of those."""

    def __init__(self, seed: int, rules: Rules) -> None:
        self.draw = random.Random(seed)
        self.clock = Clock(NOW - 40 * DAY)
        self.rules = rules
        self.counters = MemoryQuotas(self.clock)
        desk = Desk(self.counters, Unwatched(), workers=1, is_remote=False)
        self.entrance = Entrance(rules, desk, Estimates(), notes, None)
        self.entries: list[Entry] = []
        self.scopes: set[Scope] = set()
        self.running: list[tuple[int, Record]] = []

    async def live(self, calls: int) -> None:
        """Let calls in until now, and settle each when it ends."""
        draw = self.draw
        near = [NOW - draw.randrange(2 * HOUR) for _ in range(calls // 3)]
        moments = [NOW - draw.randrange(40 * DAY) for _ in range(calls - len(near))] + near
        for moment in sorted(moments):
            self._settle_until(moment)
            self.clock.now_ms = moment
            await self._begin(moment)
        self._settle_until(NOW + DAY)
        self.clock.now_ms = NOW
        await self.entrance.desk.close()

    async def _begin(self, moment: int) -> None:
        draw = self.draw
        payer = TENANTS[draw.choice(list(TENANTS))]
        caller = msgspec.structs.replace(payer, key=draw.choice("ab%:"), team=draw.choice(["search", ""]))
        user = draw.choice(["", "u 1", 'u:2"\\', "ü"])
        name = draw.choice(["fast", "slow"])
        asked = call(
            caller=caller, model=name, max_tokens=draw.randrange(1, 500), **({"user": user} if user else {})
        )
        chosen = candidate(target("one"))
        price = draw.choice(PRICES)
        deployment = msgspec.structs.replace(chosen.deployment, price=price)
        plan = plan_of(asked, msgspec.structs.replace(chosen, deployment=deployment))
        record = Record(f"call_{next(_numbers)}", "chat", moment / 1000, model=name, stream=False)
        record.tenant, record.key, record.call = caller.tenant, caller.key, asked
        record.plan, record.route, record.ending, record.status = plan, plan.route.name, "finished", 200
        await self.entrance.admit(plan, record)
        scope = Scope(caller.tenant, caller.team, caller.key, user, name, name, caller.tags, caller.timezone)
        self.scopes.add(scope)
        record.attempts.extend(self._attempt(price) for _ in range(draw.choice([1, 1, 1, 2, 3])))
        self.running.append((min(moment + draw.choice([5, 1000, 90_000, HOUR]), NOW), record))

    def _attempt(self, price: Price | None) -> Attempt:
        draw = self.draw
        attempt = Attempt("one", "fast", 0.0, price=price)
        if draw.random() < 0.2:
            attempt.cause = "overloaded"
            return attempt
        said = draw.randrange(900)
        attempt.usage = Usage(
            draw.randrange(5000), said, cached_tokens=draw.randrange(100), reasoning_tokens=said // 2
        )
        return attempt

    def _settle_until(self, moment: int) -> None:
        over = [one for one in self.running if one[0] <= moment]
        self.running = [one for one in self.running if one[0] > moment]
        for ended_ms, record in sorted(over, key=lambda one: one[0]):
            self.clock.now_ms = max(ended_ms, self.clock.now_ms)
            told = (record.call.caller and self._user(record), "", "")
            ended = Ended(record, ended_ms / 1000, ended_ms, told)
            if self.draw.random() < 0.3:  # it was estimated first, and is counted later
                was = [attempt.usage for attempt in record.attempts]
                for attempt in record.attempts:
                    attempt.usage = attempt.usage and Usage(7, 7, origin="estimated")
                first = entries_of(ended)
                for attempt, usage in zip(record.attempts, was, strict=True):
                    attempt.usage = usage
                self.entries += [*first, *rebooked(ended, first)]
            else:
                self.entries += entries_of(ended)
            record.lease.settle(record.attempts)

    def _user(self, record: Record) -> str:
        return record.plan.demand.signals.user

    async def taken(self, quotas: QuotaStore) -> dict[str, int]:
        """What is taken of every counter that may have been concerned."""
        counters = {
            held.counter(NOW).key: held.counter(NOW) for scope in self.scopes for held in self.rules.of(scope)
        }
        verdict = await quotas.exchange([Ask(one) for one in counters.values()])
        return {key: told.taken for key, told in zip(counters, verdict.told, strict=True)}


def nothing_waits() -> int:
    return 0


@asynccontextmanager
async def following(
    of: Recovery, rules: Rules, tenants: Mapping[str, Caller] = TENANTS
) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(of.follow(rules, tenants))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() or task.exception() is None


async def rebuilt(usage: UsageStore, quotas: QuotaStore, rules: Rules) -> Recovery:
    made = Recovery(usage, quotas, nothing_waits)
    async with following(made, rules):
        assert await made.ready(20)
    return made


@pytest.mark.parametrize("seed", range(4))
def test_every_counter_is_as_it_was(seed: int, ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, quotas=QUOTAS)
    town = Town(seed, rules)

    async def scene() -> None:
        await town.live(250)
        book(ledger, town.entries)
        before = await town.taken(town.counters)
        fresh = MemoryQuotas(Clock())
        made = await rebuilt(ledger, fresh, rules)
        assert await town.taken(fresh) == before
        counters = sum(amount > 0 for amount in before.values())
        assert counters > 30
        assert made.state() == (True, f"rebuilt from the ledger, {counters} counters")

    asyncio.run(scene())


def test_amounts_slide_out_of_a_rebuilt_window_as_they_would_have(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, "budgets:\n  r: {usd: 10, every: day, rolling: true}\n")
    clock, usd = Clock(), 10**15
    began = [NOW - 23 * HOUR, NOW - 3 * HOUR]
    book(ledger, [an_entry(time=moment, cost=usd, total_ms=0.0) for moment in began])

    async def scene() -> list[int]:
        quotas = MemoryQuotas(clock)
        await rebuilt(ledger, quotas, rules)
        [held] = rules.of(Scope("acme"))
        taken = []
        for later in (0, 2 * HOUR, 22 * HOUR):
            clock.now_ms = NOW + later
            taken.append((await quotas.exchange([Ask(held.counter(clock.now_ms))])).told[0].taken)
        return taken

    assert asyncio.run(scene()) == [2 * 10**9, 10**9, 0]


ONE = "budgets:\n  one: {per: [tenant], usd: 10, every: month, fail: %s}\n"


def test_a_counter_that_was_not_lost_stays_as_it_is(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ONE % "closed")
    book(ledger, [an_entry(time=NOW - HOUR, tenant=name, cost=10**15) for name in ("acme", "globex")])

    async def scene() -> None:
        quotas = MemoryQuotas(Clock())
        acme = counter(rules, "acme")
        await quotas.exchange([Ask(acme, need=5)])
        await rebuilt(ledger, quotas, rules)
        assert await taken_of(quotas, rules, "acme", "globex") == [5, 10**9]

    asyncio.run(scene())


def test_demo_calls_shadows_and_what_comes_later_were_not_charged(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ONE % "closed")
    plain: dict[str, Any] = {"time": NOW - HOUR, "cost": 10**15}
    others = [{"source": "demo"}, {"purpose": "shadow"}, {"time": NOW + 1}, {"time": NOW - 30 * DAY}]
    # It ended in this month, and began in the one before: in Berlin, an hour ahead.
    across = {
        "time": int(datetime(2026, 10, 31, 23, 0, 1, tzinfo=UTC).timestamp() * 1000),
        "total_ms": 2000.0,
    }
    book(ledger, [an_entry(**plain | other) for other in ({}, *others, across)])

    async def scene() -> None:
        quotas = MemoryQuotas(Clock())
        await rebuilt(ledger, quotas, rules)
        assert await taken_of(quotas, rules, "acme") == [10**9]

    asyncio.run(scene())


def test_users_that_the_ledger_does_not_name_are_left_out(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ONE % "closed" + "  users: {per: [user], usd: 1, every: day}\n")
    book(ledger, [an_entry(time=NOW - HOUR, cost=10**15)])

    async def scene() -> None:
        quotas = MemoryQuotas(Clock())
        made = await rebuilt(ledger, quotas, without_users(rules))
        assert (made.state()[1], len(quotas)) == ("rebuilt from the ledger, 1 counter", 3)  # with two marks

    asyncio.run(scene())


def counter(rules: Rules, tenant: str, now_ms: int = NOW) -> Counter:
    known = TENANTS[tenant]
    [held] = rules.of(Scope(tenant, tags=known.tags, timezone=known.timezone))
    return held.counter(now_ms)


async def taken_of(quotas: QuotaStore, rules: Rules, *tenants: str, now_ms: int = NOW) -> list[int]:
    asks = [Ask(counter(rules, name, now_ms)) for name in tenants]
    return [told.taken for told in (await quotas.exchange(asks)).told]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with running_redis(redis_program()) as server:
        yield server


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_of_several_workers_one_puts_it_and_never_again(
    kind: str, ledger: ClickHouse, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    budgets = ONE % "closed" + "  rolling: {usd: 50, every: month, rolling: true}\n"
    rules = rules_of(tmp_path, budgets)
    memory = MemoryQuotas()
    url = request.getfixturevalue("redis").url if kind == "redis" else ""

    def opened() -> QuotaStore:
        return RedisQuotas(url, patience_s=30.0) if url else memory

    async def scene() -> None:
        late, *stores = [opened() for _ in range(5)]
        now_ms = stores[0].now_ms()
        book(ledger, [an_entry(time=now_ms - 1000, tenant=name, cost=10**15) for name in TENANTS])
        workers = await asyncio.gather(*(rebuilt(ledger, one, rules) for one in stores))
        later = await rebuilt(ledger, late, rules)
        assert {one.state() for one in (*workers, later)} == {(True, "rebuilt from the ledger, 4 counters")}
        for store in stores:
            asks = [
                Ask(held.counter(now_ms))
                for name, known in TENANTS.items()
                for held in rules.of(Scope(name, timezone=known.timezone))
            ]
            taken = [told.taken for told in (await store.exchange(asks)).told]
            assert taken == [10**9, 3 * 10**9] * 3
        for store in (late, *stores):
            await store.close()

    asyncio.run(scene())


class Away:
    """A ledger that does not answer as long as it is told so."""

    def __init__(self, store: UsageStore) -> None:
        self._store = store
        self.is_away = True
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        self.asked += 1
        if self.is_away:
            raise StoreDown("ClickHouse is not reachable")
        return getattr(self._store, name)


class Shop:
    """A desk behind a recovery whose ledger is away, and calls that want in."""

    def __init__(self, ledger: UsageStore, rules: Rules, workers: int = 1) -> None:
        self.rules, self.away, self.clock = rules, Away(ledger), Clock()
        self.quotas = MemoryQuotas(self.clock)
        self.recovery = Recovery(self.away, self.quotas, nothing_waits, workers)
        self.told: list[Mapping[str, Any]] = []
        self.calls = 0
        self.watch = Watch(self.quotas, lambda _, data: self.told.append(data), lambda _: None)
        self.desk = Desk(self.recovery.store, self.watch, workers=workers, is_remote=False)
        self.entrance = Entrance(rules, self.desk, Estimates(), notes, None)

    async def call(self) -> None:
        """A call that costs a dollar."""
        caller = msgspec.structs.replace(TENANTS["acme"], key="k")
        chosen = candidate(target("one"))
        price = Price.flat("p", Rates.plain(10**15, 0))
        deployment = msgspec.structs.replace(chosen.deployment, price=price)
        chosen = msgspec.structs.replace(chosen, deployment=deployment)
        record = Record("call_1", "chat", self.clock.now_ms / 1000, model="fast")
        asked = call(caller=caller, messages=[{"role": "user", "content": ""}], max_tokens=1)
        await self.entrance.admit(plan_of(asked, chosen), record)
        record.lease.settle([Attempt("one", "fast", 0.0, usage=Usage(1, 1), price=price)])
        self.calls += 1

    async def taken(self) -> int:
        await self.desk.close()
        [taken] = await taken_of(self.quotas, self.rules, "acme", now_ms=self.clock.now_ms)
        return taken


def test_what_must_not_be_overspent_is_refused_until_it_is_known(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ONE.replace("10,", "900,") % "closed")
    book(ledger, [an_entry(time=NOW - HOUR, cost=3 * 10**15)])

    async def scene() -> None:
        shop = Shop(ledger, rules)
        async with following(shop.recovery, rules):
            assert not await shop.recovery.ready(0.3)
            ready, said = shop.recovery.state()
            assert not ready
            assert said == "being rebuilt from the ledger: ClickHouse is not reachable"
            with pytest.raises(StoreDown, match="the limit 'one' cannot be checked"):
                await shop.call()
            shop.away.is_away = False
            assert await shop.recovery.ready(20)
            await shop.call()
            assert await shop.taken() == 4 * 10**9

    asyncio.run(scene())


def test_others_are_let_in_meanwhile_and_counted_afterwards(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ONE % "open")
    book(ledger, [an_entry(time=NOW - HOUR, cost=3 * 10**15)])

    async def scene() -> None:
        shop = Shop(ledger, rules)
        async with following(shop.recovery, rules):
            assert not await shop.recovery.ready(0.3)
            for _ in range(2):
                shop.clock.now_ms += 10
                await shop.call()
                # The ledger has it soon, too: it must not count twice.
                book(ledger, [an_entry(time=shop.clock.now_ms, cost=10**15)])
                await shop.desk.sync()
            assert await taken_of(shop.quotas, rules, "acme") == [0]
            shop.away.is_away = False
            assert await shop.recovery.ready(20)
            await shop.call()
            assert await shop.taken() == 6 * 10**9

    asyncio.run(scene())


def test_a_local_limit_gives_its_share_meanwhile(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ONE.replace("10,", "900,") % "local")

    async def scene() -> tuple[int, str]:
        shop = Shop(ledger, rules, workers=2)
        async with following(shop.recovery, rules):
            assert not await shop.recovery.ready(0.1)
            while True:
                try:
                    await shop.call()
                except QuotaExceeded as refused:
                    return shop.calls, refused.message
                await shop.desk.sync()

    passed, message = asyncio.run(scene())
    assert "this share of it is used" in message
    # What a call may cost at most is more than what it does cost.
    assert 400 <= passed <= 450


def test_limits_that_are_not_rebuilt_go_on_meanwhile(ledger: ClickHouse, tmp_path: Path) -> None:
    quotas = "quotas:\n  q: {requests_per_minute: 2, fail: closed}\n"
    rules = rules_of(tmp_path, "budgets: {}\n", quotas)
    both = rules_of(tmp_path, ONE % "open", quotas)

    async def scene() -> None:
        shop = Shop(ledger, rules)
        async with following(shop.recovery, both):
            await shop.recovery.ready(0.1)
            await shop.call()
            await shop.call()
            with pytest.raises(Exception, match="limit 'q'"):
                await shop.call()

    asyncio.run(scene())


def test_what_is_still_on_disk_is_waited_for(
    ledger: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rules = rules_of(tmp_path, ONE % "closed")
    waiting = [3, 2, 1]

    def pending() -> int:
        if not waiting:
            return 0
        if len(waiting) == 1:
            book(ledger, [an_entry(time=NOW - HOUR, cost=10**15)])
        return waiting.pop(0)

    async def scene(pending: Callable[[], int]) -> list[int]:
        quotas = MemoryQuotas(Clock())
        made = Recovery(ledger, quotas, pending)
        async with following(made, rules):
            assert await made.ready(20)
        return await taken_of(quotas, rules, "acme")

    assert asyncio.run(scene(pending)) == [10**9]
    assert not waiting
    monkeypatch.setattr(recovery, "PENDING_S", 0.3)
    with caplog.at_level(logging.WARNING):
        assert asyncio.run(scene(lambda: 7)) == [10**9]
    [line] = [line for line in caplog.records if "may be missing" in line.message]
    assert line.__dict__["segments"] == 7


def test_levels_that_were_told_before_are_not_told_again(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ONE.replace("10,", "100,") % "closed")
    book(ledger, [an_entry(time=NOW - HOUR, cost=71 * 10**15)])

    async def scene() -> list[int]:
        shop = Shop(ledger, rules)
        shop.away.is_away = False
        async with following(shop.recovery, rules):
            assert await shop.recovery.ready(20)
        for _ in range(10):
            await shop.call()
            await shop.desk.sync()
        await shop.watch.close()
        return [one["level"] for one in shop.told]

    assert asyncio.run(scene()) == [80]


def test_without_limits_of_money_or_days_nobody_is_asked(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, "budgets: {}\n", "quotas:\n  q: {requests_per_minute: 2}\n")
    away = Away(MemoryQuotas())

    async def scene() -> None:
        made = await rebuilt(away, MemoryQuotas(), rules)
        assert (made.state(), away.asked) == ((True, "nothing to rebuild"), 0)

    asyncio.run(scene())


def test_a_ledger_without_tables_is_waited_for(tmp_path: Path, engine: ClickHouse) -> None:
    rules = rules_of(tmp_path, ONE % "closed")

    class Empty(Away):
        def query(self, sql: str, parameters: Mapping[str, Any]) -> Any:
            return self._store.query(sql.replace("ledger", "no_ledger"), parameters)

    async def scene() -> None:
        made = Recovery(Empty(engine), MemoryQuotas(), nothing_waits)
        async with following(made, rules):
            assert not await made.ready(0.5)
            assert "not set up yet" in made.state()[1]

    asyncio.run(scene())


# How budgets stand


def told(
    ledger: UsageStore, quotas: QuotaStore, rules: Rules, whose: tuple[str, ...], limit: int = 100
) -> Any:
    desk = Budgets(ledger, quotas, rules, TENANTS)
    budgets, more = asyncio.run(desk.tell(whose, limit))
    return [msgspec.to_builtins(one) for one in budgets], more


def test_a_budget_is_told_day_by_day(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ONE % "closed")
    usd = {NOW - 30 * DAY: 50, NOW - 2 * DAY: 3, NOW - 2 * DAY + 1: 1, NOW - HOUR: 2}
    book(ledger, [an_entry(time=time, cost=amount * 10**15) for time, amount in usd.items()])
    quotas = MemoryQuotas(Clock())
    asyncio.run(rebuilt(ledger, quotas, rules))
    [one], more = told(ledger, quotas, rules, ("acme",))
    begin = int(datetime(2026, 10, 31, 23, tzinfo=UTC).timestamp())
    end = int(datetime(2026, 11, 30, 23, tzinfo=UTC).timestamp())
    assert (one["name"], one["per"], one["since"], one["end"], more) == (
        "one",
        {"tenant": "acme"},
        begin,
        end,
        0,
    )
    assert (one["spent_usd"], one["limit_usd"], one["share"]) == ("6", "10", 0.6)
    assert one["runs_out"] is None
    assert 8.5 < float(one["forecast_usd"]) < 9
    days = one["days"]
    assert [day["time"] for day in days] == [begin + place * 86_400 for place in range(21)]
    assert [day["spent_usd"] for day in days if day["spent_usd"] != "0"] == ["4", "2"]
    assert [days[place]["running_usd"] for place in (0, 18, 19, 20)] == ["0", "4", "4", "6"]


def test_a_tenant_is_told_its_own_and_an_admin_all(ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, ONE % "closed" + "  shared: {usd: 100, every: day}\n")
    book(ledger, [an_entry(time=NOW - 60_000, tenant=name, cost=10**15) for name in ("acme", "globex")])
    quotas = MemoryQuotas(Clock())
    asyncio.run(rebuilt(ledger, quotas, rules))
    mine, _ = told(ledger, quotas, rules, ("acme",))
    assert [(one["name"], one["per"], one["spent_usd"]) for one in mine] == [
        ("one", {"tenant": "acme"}, "1"),
        ("shared", {}, "2"),
    ]
    assert mine[1]["days"][-1]["running_usd"] == "1"
    everybody, _ = told(ledger, quotas, rules, ())
    assert [(one["per"].get("tenant"), one["spent_usd"]) for one in everybody] == [
        ("acme", "1"),
        ("globex", "1"),
        (None, "2"),
        ("initech", "0"),
    ]
    few, more = told(ledger, quotas, rules, (), 1)
    assert (len(few), more) == (1, 3)


def test_while_counters_do_not_answer_the_ledger_says_what_was_spent(
    ledger: ClickHouse, tmp_path: Path
) -> None:
    rules = rules_of(tmp_path, ONE % "closed")
    book(ledger, [an_entry(time=NOW - 60_000, cost=10**15)])
    guarded = Recovery(ledger, MemoryQuotas(Clock()), nothing_waits).store
    [one], _ = told(ledger, guarded, rules, ("acme",))
    assert one["spent_usd"] == "1"


@pytest.mark.parametrize("seed", range(2))
def test_days_add_up_to_what_the_counters_have(seed: int, ledger: ClickHouse, tmp_path: Path) -> None:
    rules = rules_of(tmp_path, BUDGETS.replace("month, rolling: true", "month"))
    town = Town(seed, rules)
    asyncio.run(town.live(200))
    book(ledger, town.entries)
    budgets, more = told(ledger, town.counters, rules, (), 1000)
    assert more == 0
    assert len(budgets) > 30
    for one in budgets:
        if one["name"] != "rolling-hour":  # a window counts by its steps
            assert one["days"][-1]["running_usd"] == one["spent_usd"]
