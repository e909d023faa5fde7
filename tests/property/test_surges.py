"""Whatever quiet keys do, they are never flagged."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.quotas.surges import Surges

PAUSE_S = st.floats(1.0, 5.0) | st.floats(1.0, 100_000.0)
PLAYS = st.lists(st.tuples(PAUSE_S, st.integers(1, 200)), min_size=1, max_size=30)
"""Runs of calls: the pause before each, and how many there are."""


@settings(max_examples=200, deadline=None)
@given(PLAYS)
def test_a_key_with_at_most_one_call_a_second_is_never_flagged(plays: list[tuple[float, int]]) -> None:
    surges: Surges[str] = Surges()
    now_s = 0.0
    for pause_s, calls in plays:
        for _ in range(calls):
            now_s += pause_s
            assert surges.note("key", now_s) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(0, 9), st.integers(1, 9))
def test_a_key_with_a_steady_rate_is_never_flagged_when_it_grows_less_than_tenfold(
    per_slot: int, offset_s: int, times: int
) -> None:
    surges: Surges[str] = Surges()
    for slot in range(200):
        count = per_slot if slot < 150 else per_slot * times
        assert all(surges.note("key", offset_s + slot * 10.0) is None for _ in range(count))
