"""The sliding window and the percentile."""

from __future__ import annotations

import pytest

from gateway.routing.health.gauges import Window, percentile, smoothed


def counted(window: Window, now_s: float, *, failed: bool = False) -> tuple[int, int]:
    if now_s >= window.ends_s:
        window.turn(now_s)
    window.calls += 1
    window.failures += failed
    return window.whole()


def test_calls_stay_in_the_window_for_its_length_and_leave_it_one_bucket_after_the_other() -> None:
    window = Window(10.0)
    assert counted(window, 100.0, failed=True) == (1, 1)
    assert counted(window, 104.5) == (2, 1)
    assert counted(window, 109.9) == (3, 1)
    assert counted(window, 110.5) == (3, 0)
    assert counted(window, 114.9) == (3, 0)


def test_after_a_pause_longer_than_the_window_nothing_is_left() -> None:
    window = Window(10.0)
    counted(window, 0.0, failed=True)
    assert counted(window, 1e9) == (1, 0)
    assert window.rate() == 0.0


def test_a_window_without_calls_has_no_rate_of_failures() -> None:
    assert Window(10.0).rate() == 0.0


def test_a_smoothed_value_begins_with_the_first_and_moves_towards_the_new_ones() -> None:
    assert smoothed(None, 3.0) == 3.0
    assert smoothed(1.0, 2.0) == pytest.approx(1.2)


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (10, 1), (50, 5), (55, 6), (95, 10), (100, 10)])
def test_a_percentile_is_one_of_the_values(percent: float, value: int) -> None:
    assert percentile(range(10, 0, -1), percent) == value
