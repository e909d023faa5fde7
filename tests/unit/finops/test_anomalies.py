"""Hours outside their usual band: a spike always, plain noise rarely."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.finops.anomalies import EVERYBODY, FEMTO, Habits, find_anomalies, spend_of

WEEK = 168
NOW = 2900 * WEEK + 37
"""An hour in 2025."""


def spend(weeks: int, hourly: Callable[[int], float]) -> dict[int, int]:
    return {hour: int(hourly(hour) * FEMTO) for hour in range(NOW - weeks * WEEK, NOW)}


def rhythm(hour: int) -> float:
    """Busy days, quiet nights and weekends."""
    day = 1 + 0.9 * math.sin(hour * math.tau / 24)
    return 100 * day * (0.2 if hour // 24 % 7 > 4 else 1)


def alarms(
    hours: dict[int, int], cost: float | None = None, habits: Habits | None = None, **ways: int
) -> int:
    if cost is not None:
        hours = hours | {NOW: int(cost * FEMTO)}
    return len(find_anomalies({"acme": hours}, NOW, NOW + 1, habits, **ways))


@given(
    usual=st.floats(0.2, 1e4),
    noise=st.floats(0, 3),
    seed=st.integers(0, 1000),
    weeks=st.integers(1, 8),
    factor=st.floats(10, 1000),
)
@settings(max_examples=150, deadline=None)
def test_a_spike_of_ten_times_is_always_found(
    usual: float, noise: float, seed: int, weeks: int, factor: float
) -> None:
    draw = random.Random(seed)
    hours = spend(weeks, lambda _: usual * math.exp(draw.gauss(0, noise)))
    probe = find_anomalies({"acme": hours | {NOW: 10**12 * FEMTO}}, NOW, NOW + 1)
    median = probe[0].usual
    found = find_anomalies({"acme": hours | {NOW: int(median * factor) + FEMTO + 1}}, NOW, NOW + 1)
    assert len(found) == 1
    assert found[0].score >= 5.9
    assert found[0].low <= found[0].usual <= found[0].high < found[0].cost


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", ["uniform", "normal"])
def test_plain_noise_is_found_in_fewer_than_one_hour_of_five_hundred(shape: str, seed: int) -> None:
    draw = random.Random(seed)
    ways = {"uniform": lambda: draw.uniform(0.4, 1.6), "normal": lambda: max(draw.gauss(1, 1 / 3), 0.0)}
    hours = spend(20, lambda hour: rhythm(hour) * ways[shape]())
    looked = 14 * WEEK
    assert len(find_anomalies({"acme": hours}, NOW - looked, NOW)) < looked / 500


def test_a_few_spikes_before_hide_no_other() -> None:
    hours = spend(6, rhythm)
    for week in (1, 2, 3):
        hours[NOW - week * WEEK] *= 100
    assert alarms(hours, 10 * rhythm(NOW)) == 1
    assert alarms(hours, rhythm(NOW)) == 0


def test_each_weekday_and_hour_has_its_own_band() -> None:
    hours = spend(6, rhythm)
    saturday = next(hour for hour in range(NOW - WEEK, NOW) if hour // 24 % 7 == 5 and rhythm(hour) > 30)
    hours[saturday] = int(rhythm(saturday + 3 * 24) * FEMTO)
    found = find_anomalies({"acme": hours}, NOW - WEEK, NOW)
    assert [one.time_s // 3600 for one in found] == [saturday]


def test_a_new_tenant_has_no_habits() -> None:
    assert alarms(spend(1, lambda _: 10.0) | {}, 100_000) == 1
    assert alarms(dict.fromkeys(range(NOW - 160, NOW), FEMTO), 100_000) == 0


def test_nothing_below_the_floor_is_told() -> None:
    hours = spend(6, lambda _: 0.01)
    assert alarms(hours, 0.9) == 0
    assert alarms(hours, 1.1) == 1
    assert alarms(hours, 0.2, Habits(floor=FEMTO // 10)) == 1


def test_hours_that_cost_nothing_are_usual_where_most_do() -> None:
    nightly = {hour: 50 * FEMTO for hour in range(NOW - 6 * WEEK, NOW) if hour % 24 == 3}
    # The job runs late today.
    assert NOW % 24 != 3
    assert alarms(nightly, 51) == 0
    assert alarms(nightly, 500) == 1
    assert alarms({NOW - 6 * WEEK: FEMTO}, 51) == 1


def test_an_hour_that_cost_nothing_where_each_does_is_told_when_it_is_over() -> None:
    hours = spend(6, lambda _: 100.0)
    assert alarms(hours, 0, running=NOW) == 0
    assert alarms(hours, 0) == 1
    assert alarms(hours, 1000, running=NOW) == 1


def test_all_tenants_together_are_one_more() -> None:
    rows = [(hour, tenant, 10 * FEMTO) for hour in range(NOW - 6 * WEEK, NOW) for tenant in ("a", "b")]
    together = spend_of([*rows, (NOW, "a", 400 * FEMTO)])
    assert [one.tenant for one in find_anomalies(together, NOW, NOW + 1)] == [EVERYBODY, "a", "b"]
    assert spend_of(rows[::2]).keys() == {"a"}
