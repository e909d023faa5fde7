"""Levels are told once each, and again only when there is something new to tell."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.quotas.alarms import Alarms, alarm_data
from gateway.quotas.counting import Meter, Told
from gateway.quotas.periods import Period
from gateway.quotas.rules import Dimension, Held, Line, Rule, Rules, Scope

LEVELS = (50, 80, 100)
NOON_MS = 1_700_000_000_000
"""2023-11-14, 22:13:20 UTC."""
DOLLAR = 10**9


def held(line: Line, per: tuple[Dimension, ...] = (), **values: Any) -> Held:
    rule = Rule("acme-money", "budget", lambda _: True, per, (line,))
    (only,) = Rules([rule]).of(Scope(**({"tenant": "acme"} | values)))
    return only


def month(limit: int) -> Line:
    return Line("nanousd", Meter("period", limit), "$100 per month", Period("month"))


def test_each_level_is_told_once() -> None:
    alarms = Alarms()
    told = [alarms.crossed("key", taken, 1000, LEVELS) for taken in (0, 499, 500, 501, 799, 800, 1000, 1200)]
    assert told == [(), (), (50,), (), (), (80,), (100,), ()]


def test_levels_that_are_passed_at_once_are_told_together() -> None:
    assert Alarms().crossed("key", 1500, 1000, LEVELS) == LEVELS


def test_what_comes_back_from_reservations_is_not_news_again() -> None:
    alarms = Alarms()
    alarms.crossed("key", 800, 1000, LEVELS)
    assert [alarms.crossed("key", taken, 1000, LEVELS) for taken in (799, 800, 700, 800)] == [()] * 4


def test_a_raised_limit_makes_levels_news_again() -> None:
    alarms = Alarms()
    alarms.crossed("key", 900, 1000, LEVELS)
    assert alarms.crossed("key", 900, 1500, LEVELS) == ()
    assert alarms.crossed("key", 1200, 1500, LEVELS) == (80,)
    assert alarms.crossed("key", 1200, 10_000, LEVELS) == ()
    assert alarms.crossed("key", 5000, 10_000, LEVELS) == (50,)


def test_a_lowered_limit_tells_only_what_is_new() -> None:
    alarms = Alarms()
    alarms.crossed("key", 600, 1000, LEVELS)
    assert alarms.crossed("key", 600, 700, LEVELS) == (80,)


@pytest.mark.parametrize(("taken", "levels"), [(0, ()), (1, LEVELS)])
def test_of_a_limit_of_nothing_the_first_unit_is_all(taken: int, levels: tuple[int, ...]) -> None:
    assert Alarms().crossed("key", taken, 0, LEVELS) == levels


def test_where_nobody_wants_to_be_told_nobody_is() -> None:
    assert Alarms().crossed("key", 1000, 1000, ()) == ()


def test_counters_are_told_of_by_themselves_and_the_oldest_are_forgotten() -> None:
    alarms = Alarms()
    assert alarms.crossed("first", 50, 100, LEVELS) == (50,)
    for n in range(Alarms.REMEMBERED):
        assert alarms.crossed(f"key-{n}", 50, 100, LEVELS) == (50,)
    assert alarms.crossed("key-0", 50, 100, LEVELS) == ()
    assert alarms.crossed("first", 50, 100, LEVELS) == (50,)


@given(st.lists(st.integers(0, 150), max_size=50))
def test_what_only_grows_is_told_once_at_each_level_it_has_reached(takes: list[int]) -> None:
    alarms = Alarms()
    told = [level for taken in sorted(takes) for level in alarms.crossed("key", taken, 100, LEVELS)]
    assert told == [level for level in LEVELS if level <= max(takes, default=0)]


def test_an_event_about_money_says_how_much_whose_and_until_when() -> None:
    of_acme = held(month(100 * DOLLAR), ("tenant", "model"), model="gpt-5")
    told = Told(0, taken=81 * DOLLAR + 500_000_001, limit=100 * DOLLAR)
    assert alarm_data(of_acme, told, 80, NOON_MS) == {
        "rule": "acme-money",
        "kind": "budget",
        "metric": "nanousd",
        "text": "$100 per month",
        "shadow": False,
        "per": {"tenant": "acme", "model": "gpt-5"},
        "level": 80,
        "limit_usd": "100.00",
        "spent_usd": "81.500000001",
        "period_start": "2023-11-01T00:00:00Z",
        "period_end": "2023-12-01T00:00:00Z",
        "reached_at": "2023-11-18T02:05:19Z",
    }


def test_nobody_is_told_when_a_limit_will_be_reached_that_will_not() -> None:
    told = Told(0, taken=DOLLAR, limit=100 * DOLLAR)
    assert alarm_data(held(month(100 * DOLLAR)), told, 1, NOON_MS)["reached_at"] is None


def test_an_event_about_tokens_has_amounts_and_no_period() -> None:
    line = Line("tokens", Meter("window", 1000, 60_000), "1,000 tokens per minute")
    data = alarm_data(held(line), Told(0, taken=500, limit=1000), 50, NOON_MS)
    assert (data["limit"], data["taken"], data["per"]) == (1000, 500, {})
    assert "period_start" not in data
    assert "limit_usd" not in data


@given(st.text(":%25a3", max_size=8), st.text(max_size=8))
def test_values_are_told_as_they_were_whatever_they_hold(user: str, model: str) -> None:
    of_user = held(month(1), ("user", "tenant", "model"), user=user, model=model)
    per = alarm_data(of_user, Told(0, 1, 1), 100, NOON_MS)["per"]
    assert per == {"user": user, "tenant": "acme", "model": model}
