"""The breaker: what opens it, who may try when it is half open, and what closes it again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.errors import Cause
from gateway.routing.health.breaker import PLACE_S, Breaker, BreakerSettings, BreakerStanding, State
from gateway.routing.health.sharing import Alone

FAILURES: tuple[Cause, ...] = ("unreachable", "timeout", "error", "bad_answer", "broken", "overloaded")
ALIVE: tuple[Cause, ...] = ("rejected", "context_length", "content_filter")
NEITHER: tuple[Cause, ...] = ("rate_limited", "quota", "busy", "credential", "unknown_model")


def breaker(draw: Callable[[], float] = lambda: 0.5, **settings: float) -> Breaker:
    told: list[State] = []
    return Breaker(BreakerSettings(**settings), draw, Alone(), told.append)


def opened(now_s: float = 0.0, **settings: float) -> Breaker:
    made = breaker(consecutive=1, **settings)
    made.ended(now_s, "error")
    assert made.state == "open"
    return made


def may_go(made: Breaker, now_s: float) -> bool:
    return made.obstacle(now_s) is None


@pytest.mark.parametrize("cause", FAILURES)
def test_failures_in_a_row_open_it(cause: Cause) -> None:
    made = breaker(consecutive=3)
    for _ in range(2):
        made.ended(0.0, cause)
    assert made.is_closed
    made.ended(0.0, cause)
    assert not made.is_closed


@pytest.mark.parametrize("cause", [None, *ALIVE])
def test_an_answer_between_failures_ends_the_row_whatever_it_says(cause: Cause | None) -> None:
    made = breaker(consecutive=2, error_rate=1.0)
    for _ in range(5):
        made.ended(0.0, "error")
        made.ended(0.0, cause)
    assert made.is_closed


@pytest.mark.parametrize("cause", NEITHER)
def test_what_says_nothing_of_the_deployment_neither_counts_nor_ends_the_row(cause: Cause) -> None:
    made = breaker(consecutive=2)
    for _ in range(50):
        made.ended(0.0, cause)
    assert made.is_closed
    made.ended(0.0, "error")
    made.ended(0.0, cause)
    made.ended(0.0, "error")
    assert not made.is_closed


def test_empty_answers_count_in_the_rate_and_not_in_a_row() -> None:
    made = breaker(consecutive=3, min_calls=10)
    for _ in range(9):
        made.ended(0.0, "empty")
    assert made.is_closed, "one odd prompt, sent again and again"
    made.ended(0.0, "empty")
    assert not made.is_closed


def test_the_error_rate_opens_it_once_there_are_enough_calls() -> None:
    made = breaker(consecutive=100, error_rate=0.5, min_calls=6)
    for cause in (None, "error", None, "error", None):
        made.ended(0.0, cause)
    assert made.is_closed
    made.ended(0.0, "error")
    obstacle = made.obstacle(0.0)
    assert obstacle is not None
    assert obstacle.reason == "its circuit breaker is open: 3 of 6 calls failed (error)"


def test_failures_that_have_left_the_window_count_no_more() -> None:
    made = breaker(consecutive=100, error_rate=0.5, min_calls=4, window_s=10)
    for _ in range(3):
        made.ended(0.0, "error")
    made.ended(12.0, "error")
    assert made.is_closed
    assert made.window.whole() == (1, 1)


@pytest.mark.parametrize(("drawn", "cool_down_s"), [(0.0, 8.0), (0.5, 10.0), (0.75, 11.0)])
def test_the_cool_down_has_jitter(drawn: float, cool_down_s: float) -> None:
    made = breaker(lambda: drawn, consecutive=1, cool_down_s=10, jitter=0.2)
    made.ended(100.0, "error")
    assert not may_go(made, 100 + cool_down_s - 0.01)
    assert may_go(made, 100 + cool_down_s + 0.01)


def test_half_open_it_lets_one_call_try_until_that_has_ended() -> None:
    made = opened()
    assert may_go(made, 10.0)
    assert made.state == "open", "asking changes nothing"
    ticket = made.admit(10.0)
    assert ticket
    assert [made.admit(10.0 + wait_s) for wait_s in (0, 1, PLACE_S - 1)] == [0, 0, 0]
    made.ended(11.0, None, ticket)
    assert made.is_closed


def test_a_call_that_tries_and_fails_opens_it_again_for_a_whole_cool_down() -> None:
    made = opened()
    made.ended(12.0, "timeout", made.admit(10.0))
    obstacle = made.obstacle(13.0)
    assert obstacle is not None
    assert obstacle.reason == "its circuit breaker is open: the call that tried failed too (timeout)"
    assert obstacle.retry_after_s == 9.0
    assert may_go(made, 22.0)


@pytest.mark.parametrize("cause", NEITHER)
def test_a_call_that_tries_and_learns_nothing_leaves_its_place_to_the_next(cause: Cause) -> None:
    made = opened()
    made.ended(10.5, cause, made.admit(10.0))
    assert made.state == "half_open"
    assert made.admit(10.5)


def test_a_call_that_is_given_up_leaves_its_place_to_the_next_one_alone() -> None:
    made = opened()
    made.given_up(made.admit(10.0))
    assert made.admit(10.1)
    assert not made.admit(10.1)


def test_a_call_that_never_ends_does_not_keep_others_away_for_ever() -> None:
    made = opened()
    lost = made.admit(10.0)
    second = made.admit(10.0 + PLACE_S)
    assert second
    made.given_up(lost)
    assert not made.admit(10.0 + PLACE_S), "the place is the second one's"
    made.ended(50.0, None, lost)
    assert made.is_closed, "it took long, and went well"


def test_the_first_content_closes_it_and_one_failure_after_it_opens_it_again() -> None:
    made = breaker(consecutive=3)
    for _ in range(3):
        made.ended(0.0, "error")
    ticket = made.admit(10.0)
    made.answered(ticket)
    assert made.is_closed
    made.ended(12.0, "broken", ticket)
    assert made.state == "open"


def test_once_a_call_has_ended_well_it_takes_a_row_again() -> None:
    made = breaker(consecutive=3)
    for _ in range(3):
        made.ended(0.0, "error")
    ticket = made.admit(10.0)
    made.answered(ticket)
    made.ended(12.0, None, ticket)
    for _ in range(2):
        made.ended(13.0, "error")
    assert made.is_closed


def test_what_began_before_it_opened_decides_nothing_when_it_ends() -> None:
    made = opened()
    made.ended(5.0, "error")
    assert may_go(made, 10.0), "the cool-down is not longer for it"
    made.admit(10.0)
    made.ended(11.0, None)
    made.ended(11.0, "error")
    assert made.state == "half_open"


def test_a_call_of_an_earlier_try_does_not_decide_a_later_one() -> None:
    made = opened()
    first = made.admit(10.0)
    second = made.admit(10.0 + PLACE_S)
    made.ended(45.0, "error", second)
    third = made.admit(60.0)
    made.ended(61.0, "error", first)
    assert made.state == "half_open"
    made.ended(62.0, None, third)
    assert made.is_closed


def test_old_failures_are_forgotten_when_it_closes() -> None:
    made = breaker(consecutive=100, error_rate=0.5, min_calls=4)
    for _ in range(4):
        made.ended(0.0, "error")
    made.ended(11.0, None, made.admit(10.0))
    assert made.window.whole() == (1, 0)


def test_it_follows_what_others_tell() -> None:
    made = breaker()
    made.opened_elsewhere(100.0, 7.0, "5 failures in a row (error)")
    obstacle = made.obstacle(101.0)
    assert obstacle is not None
    assert obstacle.retry_after_s == 6.0
    made.closed_elsewhere()
    assert made.is_closed
    made.closed_elsewhere()
    assert made.is_closed


def test_who_looks_on_is_told_since_when_it_lets_nobody_through_and_when_the_next_may_try() -> None:
    made = breaker(consecutive=2, cool_down_s=10)
    made.ended(1.0, None)
    made.ended(1.0, "error")
    assert made.standing(1.0) == BreakerStanding("closed", None, "", None, calls=2, failures=1)
    made.ended(2.0, "error")
    told = made.standing(3.0)
    assert (told.state, told.since_s, told.tries_s) == ("open", 2.0, 12.0)
    assert told.why == "2 failures in a row (error)"
    assert made.standing(30.0).tries_s == 30.0, "the next call may"
    ticket = made.admit(30.0)
    told = made.standing(30.0)
    assert (told.state, told.since_s, told.tries_s) == ("half_open", 2.0, None)
    made.failed(31.0, "timeout", ticket)
    told = made.standing(31.0)
    assert (told.state, told.since_s, told.tries_s) == ("open", 2.0, 41.0)
    assert told.why == "the call that tried failed too (timeout)"
    made.ended(42.0, None, made.admit(41.0))
    assert made.standing(42.0) == BreakerStanding("closed", None, "", None, calls=1, failures=0)


def test_one_that_others_opened_says_so_since_it_was_heard() -> None:
    made = breaker()
    made.opened_elsewhere(5.0, 10.0, "said another")
    made.opened_elsewhere(9.0, 10.0, "said a third")
    told = made.standing(9.0)
    assert (told.since_s, told.tries_s, told.why) == (5.0, 19.0, "said a third")
