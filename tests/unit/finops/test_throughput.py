"""What a backend delivers by its busy minutes, and what its tokens cost then."""

from __future__ import annotations

from decimal import Decimal

import pytest

from gateway.finops.throughput import Throughput, measure, usd_per_mtok, utilization


def measured(busy: int = 100, model: str = "llama") -> Throughput:
    """A minute with one, two, ... thousand tokens of output, and ten times as many of input."""
    return measure((minute, model, 60_000 * (minute + 1), 6_000 * (minute + 1)) for minute in range(busy))[0]


def test_the_sustained_pace_is_the_95th_percentile_of_busy_minutes() -> None:
    one = measured()
    assert (one.output.median, one.output.sustained, one.output.most) == (5100.0, 9500.0, 10_000.0)
    assert one.input.sustained == 95_000.0
    assert (one.busy_minutes, one.is_scarce) == (100, False)
    assert measured(busy=10).is_scarce


def test_a_price_is_of_input_and_output_of_the_same_minutes() -> None:
    # While much is read little is written: never both at their most.
    rows = [(minute, "m", 600_000 * (minute % 2), 60_000 * (1 - minute % 2)) for minute in range(100)]
    one = measure(rows)[0]
    assert (one.input.sustained, one.output.sustained) == (10_000.0, 1000.0)
    assert one.busiest[0] / 10_000 + one.busiest[1] / 1000 == pytest.approx(1)


def test_models_of_a_backend_are_measured_together_and_each() -> None:
    rows = [(minute, model, 6000, 600) for minute in range(60) for model in ("a", "b")]
    together, *each = measure(rows)
    assert (together.model, together.input.median) == ("", 200.0)
    assert [(one.model, one.input.median) for one in each] == [("a", 100.0), ("b", 100.0)]


def test_nothing_measured_is_nothing() -> None:
    assert measure([]) == []


def test_what_is_idle_counts_as_utilization() -> None:
    rows = [(minute, "m", 6000, 600) for minute in range(100)]
    assert utilization(measure(rows)[0], 400) == 0.25
    assert utilization(measure(rows)[0], 0) == 0.0


def test_a_second_in_which_all_is_done_costs_a_second() -> None:
    second = Decimal(36) / 3600
    read, written = Decimal(5000), Decimal(500)
    prices = [usd_per_mtok(second, float(pace), Decimal("0.5")) for pace in (read, written)]
    assert prices == [Decimal(1), Decimal(10)]
    assert sum(price * pace for price, pace in zip(prices, (read, written), strict=True)) / 10**6 == second
    assert usd_per_mtok(second, 0.0, Decimal(1)) is None
