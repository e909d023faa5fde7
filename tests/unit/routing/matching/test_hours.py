"""Parts of the week: in their zone, past midnight, and where summer time begins and ends."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gateway.config.signals import HoursSpec
from gateway.routing.matching.hours import compile_hours

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri")


def on(spec: HoursSpec, text: str, zone: str = "UTC", fold: int = 0) -> bool:
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return compile_hours(spec)(local.timestamp())


def hours(**fields: Any) -> HoursSpec:
    return HoursSpec(**fields)


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        ("2026-11-20T08:59:59", False),
        ("2026-11-20T09:00:00", True),
        ("2026-11-20T17:29:59.999", True),
        ("2026-11-20T17:30:00", False),
        ("2026-11-21T12:00:00", False),
    ],
)
def test_the_beginning_counts_and_the_end_does_not(at: str, *, holds: bool) -> None:
    assert on(hours(days=WEEKDAYS, start="09:00", end="17:30"), at) is holds


def test_the_whole_day_has_no_end() -> None:
    saturday = hours(days=("sat",))
    assert on(saturday, "2026-11-21T00:00:00")
    assert on(saturday, "2026-11-21T23:59:59.999")
    assert not on(saturday, "2026-11-22T00:00:00")
    assert not on(saturday, "2026-11-20T23:59:59.999")


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        ("2026-11-20T21:59:00", False),  # Friday
        ("2026-11-20T22:00:00", True),
        ("2026-11-21T05:59:00", True),  # Saturday morning, begun on Friday
        ("2026-11-21T06:00:00", False),
        ("2026-11-21T22:00:00", False),  # nothing begins on a Saturday
        ("2026-11-20T05:00:00", False),  # nothing began on Thursday
    ],
)
def test_past_midnight_the_day_is_the_one_on_which_it_began(at: str, *, holds: bool) -> None:
    assert on(hours(days=("fri",), start="22:00", end="06:00"), at) is holds


def test_a_sunday_that_goes_past_midnight_ends_on_monday() -> None:
    night = hours(days=("sun",), start="22:00", end="06:00")
    assert on(night, "2026-11-23T05:59:00")
    assert not on(night, "2026-11-22T05:59:00")


def test_an_end_at_midnight_is_the_end_of_the_day() -> None:
    for end in ("00:00", "24:00"):
        evening = hours(days=("fri",), start="18:00", end=end)
        assert on(evening, "2026-11-20T23:59:00")
        assert not on(evening, "2026-11-21T00:00:00")
        assert not on(evening, "2026-11-20T17:59:00")


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        ("2026-01-15T07:59:59", False),
        ("2026-01-15T08:00:00", True),
        ("2026-01-15T16:00:00", False),
        ("2026-07-15T06:59:59", False),
        ("2026-07-15T07:00:00", True),
        ("2026-07-15T15:00:00", False),
    ],
)
def test_hours_are_those_of_the_zone_in_winter_and_in_summer(at: str, *, holds: bool) -> None:
    assert on(hours(start="09:00", end="17:00", zone="Europe/Berlin"), at) is holds


def test_the_day_is_that_of_the_zone() -> None:
    tokyo = hours(days=("sat",), zone="Asia/Tokyo")
    assert on(tokyo, "2026-11-20T15:00:00")
    assert not on(tokyo, "2026-11-20T14:59:59")


def test_an_hour_that_comes_twice_counts_twice() -> None:
    night = hours(days=("sun",), start="02:00", end="02:30", zone="Europe/Berlin")
    for fold in (0, 1):
        assert on(night, "2026-10-25T02:10:00", "Europe/Berlin", fold)
        assert not on(night, "2026-10-25T02:40:00", "Europe/Berlin", fold)


def test_an_hour_that_is_skipped_is_not_waited_for() -> None:
    skipped = hours(days=("sun",), start="02:00", end="03:00", zone="Europe/Berlin")
    begun = datetime(2026, 3, 29, 1, 0, tzinfo=ZoneInfo("UTC")).timestamp()  # 03:00 in Berlin
    holds = compile_hours(skipped)
    assert not any(holds(begun + minute * 60) for minute in range(-60, 60))
    longer = compile_hours(hours(days=("sun",), start="02:30", end="03:30", zone="Europe/Berlin"))
    assert [longer(begun + minute * 60) for minute in (-1, 0, 29, 30)] == [False, True, True, False]


def test_asking_again_and_again_gives_the_answer_of_each_time() -> None:
    holds = compile_hours(hours(start="09:00", end="10:00"))
    nine = datetime(2026, 11, 20, 9, 0, tzinfo=ZoneInfo("UTC")).timestamp()
    assert [holds(nine + s) for s in (-0.1, 0, 59, 3599.9, 3600, 0)] == [False, True, True, True, False, True]
