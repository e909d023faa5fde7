"""How much extra work an outage may cause."""

from __future__ import annotations

import pytest

from gateway.routing.budgets import Allowance


def taken(allowance: Allowance, asked: int) -> int:
    return sum(allowance.take() for _ in range(asked))


def test_the_reserve_is_there_from_the_beginning_and_no_more() -> None:
    assert taken(Allowance(0.2), 50) == 10
    assert taken(Allowance(0.2, reserve=3), 50) == 3


def test_calls_pay_in_their_share() -> None:
    allowance = Allowance(0.25, reserve=2)
    taken(allowance, 2)
    for _ in range(3):
        allowance.pay_in()
        assert not allowance.take()
    allowance.pay_in()
    assert taken(allowance, 5) == 1


def test_a_quiet_hour_saves_up_no_storm() -> None:
    allowance = Allowance(0.2)
    for _ in range(100_000):
        allowance.pay_in()
    assert taken(allowance, 100) == 10


@pytest.mark.parametrize("calls", [0, 1000])
def test_a_share_of_nothing_allows_nothing(calls: int) -> None:
    allowance = Allowance(0.0)
    for _ in range(calls):
        allowance.pay_in()
    assert not allowance.take()


def test_a_share_of_all_allows_a_try_for_each_call() -> None:
    allowance = Allowance(1.0)
    taken(allowance, 10)
    for _ in range(100):
        allowance.pay_in()
        assert taken(allowance, 2) == 1
