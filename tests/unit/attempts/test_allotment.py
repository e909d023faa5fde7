"""How much time an attempt has."""

from __future__ import annotations

from math import inf

import pytest

from gateway.attempts.allotment import allotted, patience_s
from gateway.exchange import Timeouts
from gateway.routing.routes import Limits

OWN = Timeouts(connect_s=5, first_byte_s=20, gap_s=10, total_s=60)


def test_without_limits_the_backends_own_hold() -> None:
    assert allotted(OWN, Limits(), inf, stream=True) is OWN


@pytest.mark.parametrize(
    ("limits", "left_s", "stream", "expected"),
    [
        (Limits(first_token_s=2), inf, True, (2, 10, 60, 2)),
        (Limits(first_token_s=2), inf, False, (20, 10, 60, inf)),
        (Limits(latency_s=3), inf, True, (3, 10, 60, 3)),
        (Limits(latency_s=3), inf, False, (3, 10, 3, inf)),
        (Limits(gap_s=4), inf, True, (20, 4, 60, inf)),
        (Limits(gap_s=40), inf, True, (20, 10, 60, inf)),
        (Limits(), 7.0, True, (7, 10, 7, 7)),
        (Limits(), 7.0, False, (7, 10, 7, inf)),
        (Limits(first_token_s=9, latency_s=8), 7.0, True, (7, 10, 7, 7)),
    ],
)
def test_the_tightest_limit_counts(
    limits: Limits, left_s: float, stream: bool, expected: tuple[float, ...]
) -> None:
    given = allotted(OWN, limits, left_s, stream=stream)
    assert (given.first_byte_s, given.gap_s, given.total_s, given.first_token_s) == expected


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_spent_of_an_attempt_is_gone(stream: bool) -> None:
    assert allotted(OWN, Limits(latency_s=3), inf, 2.0, stream=stream).first_byte_s == 1
    assert allotted(OWN, Limits(latency_s=3), inf, 3.0, stream=stream).first_byte_s == 0


@pytest.mark.parametrize(
    ("limits", "stream", "expected"),
    [
        (Limits(), True, 9),
        (Limits(first_token_s=2), True, 2),
        (Limits(first_token_s=2), False, 9),
        (Limits(latency_s=3), False, 3),
    ],
)
def test_nobody_waits_longer_for_a_turn_than_for_an_answer(
    limits: Limits, stream: bool, expected: float
) -> None:
    assert patience_s(limits, 9.0, stream=stream) == expected
