"""Forecasts: a straight line from the beginning of the period, as far as it says anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.quotas.forecast import ends_at_ms, expected

MONTH = (1_000_000, 1_000_000 + 30 * 86_400_000)
STARTS, ENDS = MONTH
SPAN = ENDS - STARTS
HALF = STARTS + SPAN // 2


def test_a_limit_is_reached_where_the_line_meets_it() -> None:
    assert ends_at_ms(300, 400, *MONTH, HALF) == STARTS + SPAN * 2 // 3


@pytest.mark.parametrize("taken", [-3, 0, 1, 200])
def test_what_would_last_until_the_end_of_the_period_has_no_end(taken: int) -> None:
    assert ends_at_ms(taken, 400, *MONTH, HALF) is None


@pytest.mark.parametrize("taken", [400, 401])
@pytest.mark.parametrize("now_ms", [STARTS, HALF])
def test_a_limit_that_is_reached_is_so_now_however_early(taken: int, now_ms: int) -> None:
    assert ends_at_ms(taken, 400, *MONTH, now_ms) == now_ms


def test_an_amount_of_zero_is_reached_from_the_beginning() -> None:
    assert ends_at_ms(0, 0, *MONTH, STARTS) == STARTS


def test_before_a_fiftieth_of_the_period_is_over_nothing_is_said() -> None:
    fiftieth = STARTS + SPAN // 50
    assert ends_at_ms(399, 400, *MONTH, fiftieth - 1) is None
    assert ends_at_ms(399, 400, *MONTH, fiftieth) is not None


def test_the_sum_at_the_end_grows_with_the_time_that_is_left() -> None:
    assert expected(300, *MONTH, HALF) == 600
    assert expected(300, *MONTH, STARTS + SPAN * 3 // 4) == 400
    assert expected(300, *MONTH, ENDS) == 300
    assert expected(0, *MONTH, HALF) == 0


def test_the_sum_of_an_early_moment_is_that_of_a_fiftieth() -> None:
    assert expected(300, *MONTH, STARTS) == expected(300, *MONTH, STARTS + SPAN // 50) == 15_000


amounts = st.integers(0, 10**18)
moments = st.integers(STARTS, ENDS - 1)


@given(taken=amounts, limit=amounts, now_ms=moments)
def test_a_limit_is_never_reached_in_the_past_nor_after_the_period(
    taken: int, limit: int, now_ms: int
) -> None:
    at_ms = ends_at_ms(taken, limit, *MONTH, now_ms)
    assert at_ms is None or now_ms <= at_ms < ENDS


@given(taken=amounts, limit=amounts, now_ms=moments)
def test_what_is_reached_within_the_period_is_also_expected_at_its_end(
    taken: int, limit: int, now_ms: int
) -> None:
    if ends_at_ms(taken, limit, *MONTH, now_ms) is not None:
        assert expected(taken, *MONTH, now_ms) >= limit


@given(taken=amounts, now_ms=moments)
def test_no_less_is_expected_than_was_taken(taken: int, now_ms: int) -> None:
    assert expected(taken, *MONTH, now_ms) >= taken
