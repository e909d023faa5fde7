"""Counters in process: found by their keys, forgotten when they hold nothing, under a clock that can jump."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest

from gateway.protocols import QuotaStore
from gateway.quotas.counting import Ask, Counter, Meter, Told
from gateway.stores.quotas_memory import MemoryQuotas

T = TypeVar("T")
START_MS = 1_790_000_000_000
WINDOW = Meter("window", 10, 60_000)
BUCKET = Meter("bucket", 10, 60_000)


class Clock:
    def __init__(self) -> None:
        self.ms = START_MS

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryQuotas:
    return MemoryQuotas(clock)


def done(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what never waits."""
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    result: T = ended.value.value
    return result


def ask(store: QuotaStore, counter: Counter, need: int = 0, back: tuple[tuple[int, int], ...] = ()) -> Told:
    return done(store.exchange([Ask(counter, need, back=back)])).told[0]


def test_counters_are_kept_by_their_keys(store: MemoryQuotas) -> None:
    assert ask(store, Counter("a", WINDOW), 7).taken == 7
    assert ask(store, Counter("b", WINDOW), 2).taken == 2
    assert ask(store, Counter("a", WINDOW), 3).taken == 10


def test_all_is_given_back_before_anything_is_taken(store: MemoryQuotas) -> None:
    counter = Counter("a", WINDOW)
    told = ask(store, counter, 10)
    verdict = done(store.exchange([Ask(counter, 4), Ask(counter, back=((told.slot, 4),))]))
    assert verdict.granted
    assert ask(store, counter).taken == 10


def test_what_is_given_back_stays_so_where_the_need_is_refused(store: MemoryQuotas) -> None:
    counter = Counter("a", WINDOW)
    told = ask(store, counter, 10)
    refused = ask(store, counter, 9, back=((told.slot, 4),))
    assert (refused.granted, refused.taken) == (0, 6)


def test_time_that_steps_back_stands_still(store: MemoryQuotas, clock: Clock) -> None:
    assert store.now_ms() == START_MS
    clock.ms -= 5000
    assert store.now_ms() == START_MS
    assert ask(store, Counter("a", BUCKET), 10).granted == 10
    clock.ms += 4000
    assert ask(store, Counter("a", BUCKET)).taken == 10
    clock.ms += 7000
    assert ask(store, Counter("a", BUCKET)).taken == 9


def test_the_time_is_the_worlds_unless_another_is_given() -> None:
    assert MemoryQuotas().now_ms() > START_MS - 10**11


def test_a_limit_set_at_run_time_holds_for_its_time(store: MemoryQuotas, clock: Clock) -> None:
    counter, other = Counter("a", WINDOW), Counter("b", WINDOW)
    done(store.revise("a", 20, 5000))
    done(store.revise("b", 5, 100))
    assert ask(store, counter, 15).limit == 20
    assert ask(store, other, 6).granted == 0
    clock.ms += 4999
    assert ask(store, counter, 1).granted == 1
    clock.ms += 1
    refused = ask(store, counter, 1)
    assert (refused.granted, refused.taken, refused.limit) == (0, 16, 10)


def test_a_limit_set_at_run_time_can_be_taken_away(store: MemoryQuotas) -> None:
    done(store.revise("a", 20, 5000))
    done(store.revise("a", None, 0))
    assert ask(store, Counter("a", WINDOW)).limit == 10


@pytest.mark.parametrize("meter", [WINDOW, BUCKET, Meter("seats", 10)])
def test_a_reset_counter_is_free(store: MemoryQuotas, meter: Meter) -> None:
    ask(store, Counter("a", meter), 10)
    done(store.reset("a"))
    done(store.reset("unknown"))
    assert ask(store, Counter("a", meter), 10).granted == 10


def test_what_is_to_be_done_once_is_claimed_once(store: MemoryQuotas, clock: Clock) -> None:
    assert done(store.claim("alert", 1000))
    assert not done(store.claim("alert", 1000))
    assert done(store.claim("other", 1000))
    clock.ms += 1000
    assert done(store.claim("alert", 1000))


def test_old_claims_are_forgotten(store: MemoryQuotas, clock: Clock) -> None:
    for number in range(10_000):
        clock.ms += 1
        assert done(store.claim(f"alert {number}", 50))
    assert len(store._claims) < 2000
    assert not done(store.claim("alert 9999", 50))


@pytest.mark.parametrize("meter", [WINDOW, BUCKET, Meter("period", 10)])
def test_counters_that_hold_nothing_are_forgotten(store: MemoryQuotas, clock: Clock, meter: Meter) -> None:
    for number in range(5000):
        clock.ms += 1000
        ask(store, Counter(f"tenant {number}", meter, clock.ms + 60_000), 1)
    # At most 122 hold something; of the others, not all were looked at yet.
    assert 6 <= len(store) < 500


def test_no_counter_is_forgotten_that_holds_something(store: MemoryQuotas) -> None:
    counters = [Counter(f"tenant {number}", Meter("seats", 10)) for number in range(300)]
    for counter in counters:
        ask(store, counter, 1)
    for number in range(2000):
        ask(store, Counter(f"nobody {number}", WINDOW))
    assert [ask(store, counter).taken for counter in counters] == [1] * 300
    assert len(store) < 1000


def test_new_counters_of_one_exchange_are_not_forgotten_in_it(store: MemoryQuotas) -> None:
    counters = [Counter(f"tenant {number}", WINDOW) for number in range(20)]
    done(store.exchange([Ask(counter, 10) for counter in counters]))
    assert all(ask(store, counter, 1).granted == 0 for counter in counters)


def test_closing_is_allowed(store: MemoryQuotas) -> None:
    done(store.close())
    assert len(store) == 0
