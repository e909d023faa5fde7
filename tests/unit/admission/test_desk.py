"""All that a call takes, or nothing; and what holds while the store does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, ParamSpec

import pytest

from gateway.admission.desk import Desk
from gateway.admission.lease import PLACES, Amounts, Line, amounts_of
from gateway.errors import BudgetExceeded, QuotaExceeded, StoreDown
from gateway.exchange import Caller
from gateway.quotas.counting import Ask, Meter, Told, TooSlow, Verdict
from gateway.quotas.periods import Period
from gateway.quotas.rules import Fail, Held, Metric, Over, Rule, Rules, Scope
from gateway.quotas.rules import Line as RuleLine
from gateway.stores.quotas_memory import MemoryQuotas

P = ParamSpec("P")


def awaited(scene: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test that waits, on a loop of its own."""

    @wraps(scene)
    def run(*args: P.args, **named: P.kwargs) -> None:
        asyncio.run(scene(*args, **named))

    return run


ACME = Scope("acme")
CALL = amounts_of(input_tokens=30, output_tokens=70, nanousd=500)


def rule(
    name: str, *lines: RuleLine, fail: Fail = "local", shadow: bool = False, over: Over = "deny"
) -> Rule:
    kind = "budget" if any(line.metric == "nanousd" for line in lines) else "quota"
    return Rule(name, kind, lambda _scope: True, ("tenant",), lines, fail=fail, shadow=shadow, over=over)


def per_minute(metric: Metric, limit: int) -> RuleLine:
    return RuleLine(metric, Meter("window", limit, 60_000), f"{limit} {metric} per minute")


def seats(limit: int) -> RuleLine:
    return RuleLine("calls", Meter("seats", limit), f"{limit} calls at the same time")


def money(limit: int) -> RuleLine:
    return RuleLine("nanousd", Meter("period", limit), "$1 per month", Period("month"))


class Heard:
    """Remembers which counters were told of."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def stands(self, held: Held, told: Told) -> None:
        self.seen.append((held.rule.name, told.taken))

    def called(self, caller: Caller, now_s: float) -> None:
        raise AssertionError(f"{caller} has not called at {now_s}")


class Store(MemoryQuotas):
    """Counters in memory, with a clock and outages of the test's own."""

    __slots__ = ("down", "exchanges", "ms")

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000
        super().__init__(lambda: self.ms)
        self.down = ""
        self.exchanges = 0

    async def exchange(self, asks: Sequence[Ask]) -> Verdict:
        self.exchanges += 1
        if self.down:
            error = StoreDown(self.down)
            error.reached = False
            raise error
        return await super().exchange(asks)


class Place:
    """A desk of one worker over a store, with the lines of its rules."""

    def __init__(self, *rules: Rule, store: Store | None = None, is_remote: bool = False) -> None:
        self.store = Store() if store is None else store
        self.heard = Heard()
        self.rules = Rules(rules)
        self.desk = Desk(self.store, self.heard, workers=2, is_remote=is_remote)

    def lines(self) -> list[Line]:
        now_ms = self.store.now_ms()
        return [
            Line(held, self.desk.pocket(held, now_ms), PLACES[held.line.metric])
            for held in self.rules.of(ACME)
        ]

    async def take(self, amounts: Amounts = CALL) -> list[tuple[str, int]]:
        taken = await self.desk.take(self.lines(), amounts, self.store.now_ms())
        return [(line.held.line.metric, amount) for line, _, amount, _ in taken]

    async def taken(self) -> list[int]:
        now_ms = self.store.now_ms()
        await self.desk.close()  # what it has for its next calls goes back
        verdict = await self.store.exchange([Ask(held.counter(now_ms)) for held in self.rules.of(ACME)])
        return [told.taken for told in verdict.told]


@awaited
async def test_every_limit_is_charged_with_its_own_amount() -> None:
    place = Place(rule("q", per_minute("requests", 5), per_minute("tokens", 500)), rule("b", money(9_000)))
    assert await place.take() == [("requests", 1), ("tokens", 100), ("nanousd", 500)]
    assert await place.taken() == [1, 100, 500]
    assert [name for name, _ in place.heard.seen] == ["q", "q", "b"]


@awaited
async def test_a_refusal_takes_nothing_and_names_the_limit_that_lasts_longest() -> None:
    place = Place(rule("short", per_minute("requests", 1)), rule("long", money(999)), rule("free", seats(9)))
    await place.take()
    with pytest.raises(BudgetExceeded, match="'long' of tenant") as caught:
        await place.take()
    assert (caught.value.limit, caught.value.status) == ("long", 402)
    assert (caught.value.retry_after_s or 0) > 60
    assert await place.taken() == [1, 500, 1]


@awaited
async def test_limits_that_only_measure_or_warn_never_refuse() -> None:
    place = Place(rule("s", per_minute("requests", 0), shadow=True), rule("w", money(1), over="warn"))
    await place.take()
    assert await place.taken() == [1, 500]


@awaited
async def test_a_soft_limit_takes_nothing_from_a_call_that_another_one_refuses() -> None:
    place = Place(rule("s", per_minute("tokens", 0), shadow=True), rule("hard", per_minute("requests", 0)))
    with pytest.raises(QuotaExceeded, match="'hard'"):
        await place.take()
    assert await place.taken() == [0, 0]


@awaited
async def test_with_leases_most_calls_ask_nobody() -> None:
    place = Place(rule("q", per_minute("requests", 100_000)), is_remote=True)
    for _ in range(500):
        await place.take()
    assert place.store.exchanges < 20
    assert (await place.taken())[0] >= 500


@awaited
async def test_two_workers_with_leases_never_exceed_a_limit_and_leave_nothing_of_it() -> None:
    store = Store()
    limits = rule("q", per_minute("requests", 1000))
    places = [Place(limits, store=store, is_remote=True) for _ in range(2)]
    let_in = 0
    for turn in range(4000):
        try:
            await places[turn % 2].take()
        except QuotaExceeded:
            await places[1 - turn % 2].desk.sync()
            store.ms += 1
        else:
            let_in += 1
    assert let_in == 1000


@pytest.mark.parametrize(
    ("fail", "calls", "refused"),
    [("open", 30, set()), ("local", 5, {"QuotaExceeded 1"}), ("closed", 0, {"StoreDown 1"})],
)
@awaited
async def test_while_the_store_is_down_a_rule_says_what_holds(
    fail: Fail, calls: int, refused: set[str]
) -> None:
    place = Place(rule("q", per_minute("requests", 10), fail=fail))
    place.store.down = "gone"
    refusals = set[str]()
    for _ in range(30):
        try:
            await place.take()
        except (QuotaExceeded, StoreDown) as error:
            refusals.add(f"{type(error).__name__} {error.retry_after_s}")
    assert refusals == refused
    place.store.down = ""
    assert await place.taken() == [calls]


@awaited
async def test_seats_come_back_and_close_gives_back_what_nobody_has() -> None:
    place = Place(rule("q", seats(2), per_minute("requests", 10_000)), is_remote=True)
    seat, request = await place.desk.take(place.lines(), CALL, place.store.now_ms())
    for (_, pocket, amount, slot), used in ((seat, 0), (request, 1)):
        pocket.settle(slot, amount, used)
    await place.desk.close()
    assert await place.taken() == [0, 1]


@awaited
async def test_a_client_that_leaves_while_the_store_is_asked_keeps_nothing() -> None:
    class Slow(Store):
        async def exchange(self, asks: Sequence[Ask]) -> Verdict:
            verdict = await super().exchange(asks)
            await asyncio.sleep(0)
            return verdict

    place = Place(rule("q", per_minute("requests", 10)), store=Slow(), is_remote=True)
    task = asyncio.create_task(place.take())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    place.store.ms += 1000
    await place.desk.sync()
    assert await place.taken() == [0]


@awaited
async def test_a_new_period_has_a_counter_of_its_own() -> None:
    place = Place(rule("b", money(600)))
    await place.take()
    with pytest.raises(BudgetExceeded):
        await place.take()
    place.store.ms += 32 * 86_400_000
    await place.take()
    assert await place.taken() == [500]


@awaited
async def test_what_nothing_was_taken_for_is_told_however_late_it_is_used() -> None:
    place = Place(rule("b", money(600)))
    nothing = amounts_of()
    [(_, pocket, amount, slot)] = await place.desk.take(place.lines(), nothing, place.store.now_ms())
    for _ in range(3):
        place.store.ms += 1000
        await place.desk.sync()
    pocket.settle(slot, amount, 250)
    await place.desk.sync()
    assert await place.taken() == [250]
    place.store.exchanges = 0
    await place.desk.sync()
    assert place.store.exchanges == 0, "there is nothing to tell"


@awaited
async def test_what_the_store_did_not_hear_is_told_when_it_is_back() -> None:
    place = Place(rule("b", money(600)))
    [(_, pocket, amount, slot)] = await place.desk.take(place.lines(), CALL, place.store.now_ms())
    pocket.settle(slot, amount, 100)
    place.store.down = "gone"
    await place.desk.close()
    await place.desk.sync()
    place.store.down = ""
    await place.desk.sync()
    assert await place.taken() == [100]


class LateStore(Store):
    """Lets nobody wait for what it is asked first: `answered` says later whether it did it."""

    __slots__ = ("later", "verdict")

    def __init__(self) -> None:
        super().__init__()
        self.verdict: Verdict | None = None
        self.later: asyncio.Future[Verdict | None] | None = None

    async def exchange(self, asks: Sequence[Ask]) -> Verdict:
        if self.later is not None:
            return await super().exchange(asks)
        self.later = asyncio.get_running_loop().create_future()
        self.verdict = await super().exchange(asks)
        raise TooSlow("no answer in time", self.later)


@awaited
async def test_what_is_granted_too_late_goes_back() -> None:
    place = Place(rule("b", money(1140), fail="closed"), store=(store := LateStore()))
    with pytest.raises(StoreDown):
        await place.take()
    assert store.later is not None
    assert await place.taken() == [500 + 640 // 128], "with what was had in advance"
    store.later.set_result(store.verdict)
    await asyncio.sleep(0)
    assert await place.taken() == [0]


@pytest.mark.parametrize("is_known", [True, False])
@awaited
async def test_what_was_given_back_too_late_is_told_again_only_where_it_was_not_heard(
    is_known: bool,
) -> None:
    place = Place(rule("b", money(600)), store=(store := LateStore()))
    store.later = asyncio.get_running_loop().create_future()
    [(_, pocket, amount, slot)] = await place.desk.take(place.lines(), CALL, store.now_ms())
    pocket.settle(slot, amount, 100)
    store.later = None
    await place.desk.close()  # heard, though nobody knows it yet
    later = store.later
    assert later is not None
    if is_known:
        later.set_result(store.verdict)
    else:
        later.cancel()
    await asyncio.sleep(0)
    assert await place.taken() == [100]
