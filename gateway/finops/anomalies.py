"""Find the hours whose spend is outside its usual band. Pure.

What is usual of an hour is the median of the same hour, and of those before and after it, on the same weekday
of the last six weeks; while there are no two weeks of history, of that hour on all days. The band's width is
six times the spread: the median distance from the median (MAD, times 1.4826 that of a normal distribution),
or a tenth of what is usual if that is more. A few earlier spikes change neither. Less than a floor in dollars
above or below what is usual is never an anomaly.

As no spend is negative, the MAD is never more than the median, and the band ends below ten times what is
usual (1 + 6 * 1.4826 = 9.9): a spike of ten times and more than the floor is found always. Plain noise is
found rarely: of hours that spread by a third around what is usual, fewer than one in 500.

Where most hours cost nothing, what is usual is 0: then an hour is compared with those that cost something,
too. Amounts are whole femto-USD; hours are counted from the Unix epoch, of UTC.
Source: Leys et al., "Detecting outliers", J. Exp. Soc. Psychol. 49 (2013), for median and MAD.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

HOUR_S = 3600
EVERYBODY = ""
"""In place of a tenant: all of them together."""

_DAY, _WEEK = 24, 168
_NORMAL = 1.4826
_NEIGHBOURS = (-1, 0, 1)
FEMTO = 10**15
"""A dollar."""


class Habits(msgspec.Struct, frozen=True):
    """What counts as usual."""

    weeks: int = 6
    """So far back."""
    spreads: float = 6.0
    """Half the width of the band; more than 6.07 misses spikes of ten times."""
    least_spread: float = 0.1
    """As a part of what is usual."""
    floor: int = 1 * FEMTO
    """Nearer to what is usual than that is no anomaly."""
    least_hours: int = 7 * _DAY
    """Of a tenant younger than that, nothing is usual."""
    least_paid: int = 5
    """So many hours that cost something tell what such hours cost."""


class Anomaly(msgspec.Struct, frozen=True):
    """An hour of a tenant that cost more, or less, than it usually does. Amounts are femto-USD."""

    time_s: int
    """The beginning of the hour, Unix seconds."""
    tenant: str
    """Empty: all of them together."""
    cost: int
    usual: int
    low: int
    high: int
    score: float
    """How many spreads away from what is usual; negative: it cost less."""


class Band(msgspec.Struct, frozen=True):
    """What is usual of an hour."""

    usual: int
    low: int
    high: int
    spread: float


Hours = Mapping[int, int]
"""Spend by the number of the hour; one that is not here cost nothing."""


def spend_of(rows: Iterable[Sequence[Any]]) -> dict[str, dict[int, int]]:
    """Sort the rows of hourly_spend.sql (hour, tenant, femto-USD) by tenant, and add `EVERYBODY`."""
    spend: dict[str, dict[int, int]] = {EVERYBODY: {}}
    every = spend[EVERYBODY]
    for hour, tenant, cost in rows:
        spend.setdefault(tenant, {})[hour] = int(cost)
        every[hour] = every.get(hour, 0) + int(cost)
    if len(spend) <= 2:
        # All of one tenant's is all of everybody's.
        del spend[EVERYBODY]
    return spend


def find_anomalies(
    spend: Mapping[str, Hours], since: int, until: int, habits: Habits | None = None, *, running: int = 0
) -> list[Anomaly]:
    """Return what is unusual from hour `since` to before hour `until`, the oldest first.

    The spend has to reach back as far as the habits before that. Of the hour `running`, which is not over,
    only that it cost too much already.
    """
    habits = habits or Habits()
    found = list[Anomaly]()
    for tenant, hours in spend.items():
        born = min(hours, default=until)
        past = _Past(hours, born, habits)
        for hour in range(max(since, born + habits.least_hours), until):
            cost = hours.get(hour, 0)
            band = past.band(hour, cost)
            if band is None or band.low <= cost <= band.high or (hour == running and cost < band.low):
                continue
            score = round((cost - band.usual) / band.spread, 1)
            found.append(Anomaly(hour * HOUR_S, tenant, cost, band.usual, band.low, band.high, score))
    return sorted(found, key=lambda one: (one.time_s, one.tenant))


class _Past:
    """What one tenant spent."""

    def __init__(self, hours: Hours, born: int, habits: Habits) -> None:
        self._hours = hours
        self._born = born
        self._habits = habits

    def band(self, hour: int, cost: int) -> Band | None:
        """Return what is usual of an hour that cost so much; None: nothing is."""
        habits = self._habits
        first = max(self._born, hour - habits.weeks * _WEEK)
        age = hour - first
        if age < habits.least_hours:
            return None
        step = _WEEK if age >= 2 * _WEEK else _DAY
        cells = [
            before + offset
            for before in range(hour - step, first - 1, -step)
            for offset in _NEIGHBOURS
            if before + offset >= first
        ]
        usual, spread = _middle([self._hours.get(cell, 0) for cell in cells])
        reach = self._reach(usual, spread)
        low, high = usual - reach, usual + reach
        if not usual and cost > high:
            high = max(high, self._high_of_paid(first, hour))
        return Band(usual, max(low, 0), high, max(reach / habits.spreads, 1.0))

    def _reach(self, usual: int, spread: float) -> int:
        habits = self._habits
        return max(int(habits.spreads * max(spread, habits.least_spread * usual)), habits.floor)

    def _high_of_paid(self, first: int, hour: int) -> int:
        """Return the upper end for one whose hours mostly cost nothing, by those that cost something."""
        paid = [cost for at, cost in self._hours.items() if first <= at < hour and cost > 0]
        if len(paid) < self._habits.least_paid:
            return 0
        usual, spread = _middle(paid)
        return usual + self._reach(usual, spread)


def _middle(values: list[int]) -> tuple[int, float]:
    """Return the median, and the spread around it."""
    middle = _median(values)
    return middle, _NORMAL * _median([abs(value - middle) for value in values])


def _median(values: list[int]) -> int:
    values.sort()
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) // 2
