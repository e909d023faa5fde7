"""Burn rates: counts over windows, and when somebody has to hear."""

from __future__ import annotations

import pytest

from gateway.slo.burning import MOST_WINDOW_S, Counts, History, Past, burn_rate, standing_of
from gateway.slo.objectives import Alert, Objective

START_S = 1_700_000_000 // 86_400 * 86_400
PAGE = Alert(14.4, 3600, 300, "page")


def promise(**fields: object) -> Objective:
    return Objective(**({"name": "p", "kind": "availability", "target": 0.99, "alerts": (PAGE,)} | fields))


def at(minute: float) -> float:
    return START_S + 60 * minute


def history(*counts: tuple[float, int, int]) -> History:
    made = History(60, 10)
    for minute, good, bad in counts:
        made.add(Counts(good, bad), at(minute))
    return made


def test_a_window_is_the_running_minute_and_those_before_it() -> None:
    made = history((0, 1, 0), (1, 10, 0), (2, 100, 0), (2.9, 0, 1))
    assert made.over(60, at(2.95)) == (110, 1)
    assert made.over(120, at(2.95)) == (111, 1)
    assert made.over(60, at(4)) == (0, 0)


def test_the_longest_window_is_all_that_is_kept() -> None:
    made = history((0, 1, 1), (1, 2, 0), (11, 4, 0))
    assert made.over(600, at(11)) == (6, 0)
    assert made.over(600, at(12)) == (4, 0)
    assert made.over(600, at(100)) == (0, 0)


def test_a_clock_that_is_put_back_loses_nothing() -> None:
    made = history((5, 1, 1), (3, 2, 2))
    assert made.over(60, at(3)) == (3, 3)


def test_a_clock_that_was_far_ahead_and_is_put_back_keeps_no_alert_on() -> None:
    made = history((1440, 0, 9), (7, 1, 0))
    assert made.over(600, at(7)) == (1, 0)
    assert made.over(60, at(9)) == (0, 0)


def test_a_history_is_the_same_after_it_was_saved() -> None:
    made, again = history((0, 1, 0), (3, 5, 2)), History(60, 10)
    again.restore(made.saved())
    for one in (made, again):
        one.add(Counts(1, 1), at(4))
    assert [again.over(60 * n, at(4)) for n in range(1, 11)] == [
        made.over(60 * n, at(4)) for n in range(1, 11)
    ]


def test_a_history_of_another_length_is_not_taken() -> None:
    with pytest.raises(ValueError, match="another length"):
        History(60, 11).restore(history().saved())


def test_a_rate_of_one_uses_up_exactly_what_is_allowed() -> None:
    assert burn_rate(Counts(99, 1), promise()) == pytest.approx(1)
    assert burn_rate(Counts(0, 7), promise()) == pytest.approx(100)
    assert burn_rate(Counts(), promise()) == 0


def test_both_windows_have_to_burn() -> None:
    past = Past()
    past.add(Counts(80, 20), at(0))
    burns = {minute: standing_of(promise(), past, at(minute)).burns[0] for minute in (1, 30, 62)}
    assert [burn.is_on for burn in burns.values()] == [True, False, False]
    assert (burns[30].long, burns[30].short) == (pytest.approx(20), 0)


def test_few_calls_wake_nobody() -> None:
    past = Past()
    past.add(Counts(0, 9), at(0))
    assert not standing_of(promise(min_calls=10), past, at(1)).burns[0].is_on
    past.add(Counts(0, 1), at(1))
    assert standing_of(promise(min_calls=10), past, at(1)).burns[0].is_on


def test_a_single_bad_call_of_a_few_wakes_nobody() -> None:
    past = Past()
    past.add(Counts(9, 1), at(0))
    few = standing_of(promise(target=0.995, min_calls=10), past, at(1)).burns[0]
    assert (few.burns, few.is_on) == (True, False)
    past.add(Counts(0, 2), at(1))
    assert standing_of(promise(target=0.995, min_calls=10), past, at(1)).burns[0].is_on
    assert not standing_of(promise(target=0.995, min_bad=4), past, at(1)).burns[0].is_on


def test_the_budget_is_of_days_and_may_be_overdrawn() -> None:
    past = Past()
    past.add(Counts(995, 5), at(0))
    standing = standing_of(promise(days=2), past, at(60))
    assert (standing.counted, standing.budget_left) == ((995, 5), pytest.approx(0.5))
    past.add(Counts(0, 15), at(60))
    assert standing_of(promise(days=2), past, at(61)).budget_left < 0
    assert standing_of(promise(days=2), past, at(4 * 24 * 60)).budget_left == 1


def test_three_days_are_kept_by_minutes() -> None:
    past = Past()
    past.add(Counts(7, 0), at(0))
    assert past.minutes.over(MOST_WINDOW_S, at(MOST_WINDOW_S / 60)) == (7, 0)
    assert past.minutes.over(MOST_WINDOW_S, at(MOST_WINDOW_S / 60 + 1)) == (0, 0)
