"""How limits stand: which are told to whom, and what is told of them."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
import pytest
from unit.admission.rules import ACME, MONTH_ENDS_MS, NOW_MS, RULES, USD, Store

from gateway.admission.standing import Bound, Forecast, Standing, bounds, read, standing
from gateway.quotas.counting import Ask, Counter, Meter
from gateway.quotas.rules import Line, Rule, Rules, Scope

T = TypeVar("T")


@pytest.fixture
def store() -> Store:
    return Store()


def done(scene: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(scene)


def of(scope: Scope, store: Store) -> list[Standing]:
    return done(standing(RULES, scope, store))


def named(standings: list[Standing]) -> list[str]:
    return [f"{one.rule} {one.metric}" for one in standings]


def narrowed(**names: str) -> Scope:
    return msgspec.structs.replace(ACME, **names)


@pytest.mark.parametrize(
    ("names", "added"),
    [
        ({}, []),
        ({"user": "ann"}, ["free requests", "free tokens"]),
        ({"route": "gpt"}, ["provider requests"]),
        ({"team": "blue"}, ["teams calls"]),
        ({"key": "key_1"}, ["free requests", "free tokens", "teams calls"]),
        ({"user": "ann", "route": "gpt"}, ["free requests", "free tokens", "provider requests"]),
    ],
)
def test_a_limit_is_told_when_the_scope_names_whose_counter_is_meant(
    store: Store, names: dict[str, str], added: list[str]
) -> None:
    assert named(of(narrowed(**names), store)) == [*added, "paid nanousd", "shared nanousd"]


def test_all_limits_are_read_at_one_moment_and_nothing_is_taken(store: Store) -> None:
    scope = narrowed(user="ann", key="key_1")
    assert of(scope, store) == of(scope, store)
    assert store.questions == 2
    assert {one.taken for one in of(scope, store)} == {0}


def test_very_many_are_read_in_parts(store: Store) -> None:
    scopes = [narrowed(tenant=f"tenant-{number}") for number in range(600)]
    asked = [(held, scope) for scope in scopes for held in RULES.of(scope) if held.rule.name == "paid"]
    assert [one.per["tenant"] for one in done(read(asked, store))] == [scope.tenant for scope in scopes]
    assert store.questions == 2


def test_a_window_tells_what_is_left_and_when_it_is_whole_again(store: Store) -> None:
    done(store.take(narrowed(user="ann"), "free", 20))
    store.at_ms += 10_000
    requests = of(narrowed(user="ann"), store)[0]
    assert (requests.limit, requests.taken, requests.remaining) == (60, 20, 40)
    assert NOW_MS + 60_000 <= requests.resets_ms <= NOW_MS + 62_000
    assert requests.per == {"tenant": "acme", "user": "ann"}
    assert of(narrowed(user="bob"), store)[0].taken == 0


def test_seats_are_free_when_calls_end_and_a_shadow_says_that_it_is_one(store: Store) -> None:
    seats = of(narrowed(team="blue"), store)[0]
    assert (seats.rule, seats.resets_ms, seats.shadow) == ("teams", None, True)


def test_a_budget_tells_where_it_is_going(store: Store) -> None:
    done(store.take(ACME, "paid", 300 * USD))
    paid = of(ACME, store)[0]
    assert (paid.remaining, paid.resets_ms) == (200 * USD, MONTH_ENDS_MS)
    assert paid.forecast == Forecast(NOW_MS + 10 * 86_400_000, 620 * USD)


def test_a_budget_without_a_calendar_has_no_forecast(store: Store) -> None:
    assert of(ACME, store)[1].forecast is None


def test_a_limit_that_was_set_at_run_time_says_so(store: Store) -> None:
    [held] = [held for held in RULES.of(ACME) if held.rule.name == "paid"]
    done(store.revise(held.counter(NOW_MS).key, 700 * USD, 60_000))
    paid = of(ACME, store)[0]
    assert (paid.limit, paid.revised, paid.text) == (700 * USD, True, "$500 per month")


def test_more_than_all_leaves_nothing_and_never_less(store: Store) -> None:
    async def scene() -> list[Standing]:
        counter = Counter("quota:one:requests:window60000", Meter("window", 1, 60_000))
        await store.exchange([Ask(counter, 3, over=True)])
        rule = Rule("one", "quota", lambda _: True, (), (Line("requests", counter.meter, "1 per minute"),))
        return await standing(Rules([rule]), ACME, store)

    [one] = done(scene())
    assert (one.taken, one.remaining) == (3, 0)


def test_the_size_of_a_call_is_a_bound_of_its_own() -> None:
    assert bounds(RULES, ACME) == [Bound("short", 8000, None, caps_output=False)]
