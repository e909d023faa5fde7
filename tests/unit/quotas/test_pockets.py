"""What a worker holds of a counter: taken at once where there is enough, given back where nobody uses it."""

from __future__ import annotations

import pytest

from gateway.quotas.counting import Counter, Meter, Told
from gateway.quotas.pockets import Pocket

MONTH = Counter("budget:m", Meter("period", 1000), 10_000_000)
MINUTE = Counter("quota:m", Meter("window", 1000, 60_000))
SEATS = Counter("quota:s", Meter("seats", 8))


def granted(
    pocket: Pocket, need: int, extra: int, now_ms: int = 0, slot: int = 0, valid_ms: int = 1000
) -> None:
    ask = pocket.ask(need, now_ms)
    pocket.told(ask, Told(need + extra, need + extra, 1000, slot, valid_ms), now_ms)


def owed(pocket: Pocket, now_ms: int) -> dict[int, int]:
    return dict(pocket.ask(0, now_ms).back)


def test_nothing_is_taken_before_the_store_has_granted_it() -> None:
    pocket = Pocket(MONTH, 0)
    assert not pocket.take(1, 0)
    granted(pocket, 5, 10)
    assert (pocket.take(10, 1), pocket.take(1, 1)) == (True, False)


def test_what_a_window_granted_is_good_for_its_slot_alone() -> None:
    pocket = Pocket(MINUTE, 0)
    granted(pocket, 1, 10, slot=7, valid_ms=500)
    assert pocket.take(1, 499)
    assert not pocket.take(1, 500)
    assert owed(pocket, 500) == {7: 9}


def test_a_new_slot_takes_the_place_of_the_old_one() -> None:
    pocket = Pocket(MINUTE, 0)
    granted(pocket, 0, 10, slot=7)
    granted(pocket, 1, 5, now_ms=100, slot=8)
    assert (pocket.free, owed(pocket, 100)) == (5, {7: 10})


def test_an_answer_that_was_overtaken_goes_back_to_its_slot() -> None:
    pocket = Pocket(MINUTE, 0)
    granted(pocket, 0, 10, slot=8)
    granted(pocket, 1, 4, now_ms=1, slot=7)
    assert (pocket.free, owed(pocket, 1)) == (10, {7: 4})


def test_what_a_call_did_not_use_is_there_for_the_next_one_up_to_the_lease() -> None:
    pocket = Pocket(MONTH, 0)
    granted(pocket, 5, 10)
    assert pocket.take(8, 0)
    pocket.settle(0, 8, 3)
    assert (pocket.free, owed(pocket, 0)) == (7, {})
    pocket.settle(0, 5, 1)
    pocket.settle(0, 0, 0)
    assert pocket.free == 11
    granted(pocket, 4, 0)
    pocket.settle(0, 4, 1)
    assert owed(pocket, 0) == {0: 3}


def test_more_than_was_taken_is_owed() -> None:
    pocket = Pocket(MONTH, 0)
    granted(pocket, 5, 0)
    pocket.settle(0, 5, 9)
    assert owed(pocket, 0) == {0: -4}


def test_what_nobody_uses_goes_back() -> None:
    pocket = Pocket(MONTH, 0)
    granted(pocket, 1, 10)
    pocket.settle(0, 1, 1)
    assert (pocket.rest(199), pocket.rest(200)) == (False, True)
    assert owed(pocket, 200) == {0: 10}
    assert pocket.is_idle


@pytest.mark.parametrize(("surely", "still"), [(True, {0: 3, 1: -2}), (False, {1: -2})])
def test_a_store_that_may_have_heard_is_given_nothing_twice(surely: bool, still: dict[int, int]) -> None:
    pocket = Pocket(MONTH, 0)
    pocket.backs = {0: 3, 1: -2}
    pocket.unheard(pocket.ask(1, 0), surely=surely)
    assert pocket.backs == still


def test_wishes_grow_with_the_rate_of_calls() -> None:
    pocket = Pocket(MONTH, 0)

    def wish(now_ms: int) -> int:
        ask = pocket.ask(10, now_ms)
        pocket.told(ask, Told(0, 1000, 1000), now_ms)
        return ask.wish

    assert [wish(now_ms) for now_ms in (0, 100, 200, 1000)] == [40, 80, 160, 40]
    assert pocket.ask(0, 1001).wish == 0


def test_an_answer_to_a_call_that_wished_for_nothing_says_nothing_of_how_much_may_be_kept() -> None:
    pocket = Pocket(MONTH, 0)
    first, second = pocket.ask(10, 0), pocket.ask(10, 0)
    pocket.told(first, Told(10 + 40, 50, 1000), 0)
    assert pocket.take(40, 0)
    pocket.told(second, Told(10, 60, 1000), 0)
    pocket.settle(0, 10, 4)
    assert (pocket.free, pocket.backs) == (6, {})


def test_calls_of_one_moment_wish_once() -> None:
    pocket = Pocket(MONTH, 0)
    first, second = pocket.ask(10, 0), pocket.ask(10, 0)
    assert (first.wish, second.wish) == (40, 0)
    pocket.unheard(second, surely=True)
    assert pocket.ask(10, 0).wish == 0
    pocket.overheard(first, Told(0, 1000, 1000))
    assert pocket.ask(10, 0).wish > 0


def test_what_was_taken_alone_is_told_later_and_its_share_is_bounded() -> None:
    pocket = Pocket(MONTH, 0)
    granted(pocket, 0, 0)
    pocket.taken = 600
    assert pocket.share(4) == 100
    slot = pocket.take_alone(60, 0)
    assert pocket.share(4) == 40
    pocket.settle(slot, 60, 50)
    assert owed(pocket, 0) == {0: -50}


def test_a_window_is_charged_where_time_was_when_it_was_taken_alone() -> None:
    assert Pocket(MINUTE, 0).take_alone(5, 61_500) == 61


def test_seats_are_told_by_their_number() -> None:
    pocket = Pocket(SEATS, 0)
    pocket.take_alone(1, 0)
    assert (pocket.memory(0).seen, pocket.backs, pocket.is_seated) == (1, {}, True)
    assert pocket.share(2) == 3
