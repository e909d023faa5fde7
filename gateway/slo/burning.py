"""How fast a promise is used up: counts over time, and what they say of an objective. Pure: time is told.

A burn rate of 1 uses up exactly what the promise allows; one of 14.4, a month's worth in two days. A window
of w minutes is the running minute and the w before it, so that it is never empty for being young.
Source: Google, The Site Reliability Workbook, chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from gateway.slo.objectives import Alert, Objective

MINUTE_S, HOUR_S = 60, 3600
MOST_WINDOW_S = 3 * 86_400
MOST_DAYS = 90
_BACK_STEPS = 5
"""So far a clock may be put back, as clocks are."""

Saved = tuple[int, int, int, bytes, bytes]
"""The newest step, both sums, and both sums as each step began."""


class Counts(NamedTuple):
    """Calls that were judged."""

    good: int = 0
    bad: int = 0

    @property
    def bad_share(self) -> float:
        """Of all; of none it is 0."""
        return self.bad / (self.good + self.bad) if self.bad else 0.0


class History:
    """Counts in steps of `step_s` over the last `steps` of them and the running one.

    It keeps what the sums were when each step began, so that a window costs two look-ups, however long.
    """

    def __init__(self, step_s: int, steps: int) -> None:
        self.step_s, self._size = step_s, steps + 1
        self._good, self._bad = array("Q", bytes(8 * self._size)), array("Q", bytes(8 * self._size))
        self._total = Counts()
        self._newest = 0

    def add(self, counts: Counts, unix_s: float) -> None:
        """Count calls that ended now.

        A clock that was put back a little counts into the newest step there is. One that was far ahead has
        spoilt what is known: it begins anew.
        """
        self._go_on(unix_s)
        self._total = Counts(self._total.good + counts.good, self._total.bad + counts.bad)

    def over(self, window_s: int, unix_s: float) -> Counts:
        """Return what was counted in the running step and those of a window before it."""
        self._go_on(unix_s)
        at = (self._newest - window_s // self.step_s) % self._size
        return Counts(self._total.good - self._good[at], self._total.bad - self._bad[at])

    def saved(self) -> Saved:
        """Return all it knows, for `restore`."""
        return (self._newest, *self._total, self._good.tobytes(), self._bad.tobytes())

    def restore(self, saved: Saved) -> None:
        """Know what another one knew. Raises ValueError where that is none of this length."""
        newest, good, bad, *arrays = saved
        if any(len(one) != 8 * self._size for one in arrays):
            raise ValueError("counts of another length")
        self._newest, self._total = newest, Counts(good, bad)
        self._good, self._bad = (array("Q", one) for one in arrays)

    def _go_on(self, unix_s: float) -> None:
        now = int(unix_s) // self.step_s
        if now < self._newest - _BACK_STEPS:  # what is known is of times that have not been
            self._newest = now - self._size
        for step in range(max(self._newest + 1, now - self._size + 1), now + 1):
            self._good[step % self._size], self._bad[step % self._size] = self._total
        self._newest = max(self._newest, now)


class Past:
    """What was counted of one objective: by minutes for alerts, by hours for the budget."""

    def __init__(self) -> None:
        self.minutes = History(MINUTE_S, MOST_WINDOW_S // MINUTE_S)
        self.hours = History(HOUR_S, MOST_DAYS * 24)

    def add(self, counts: Counts, unix_s: float) -> None:
        """Count calls that ended now."""
        self.minutes.add(counts, unix_s)
        self.hours.add(counts, unix_s)


class Burn(NamedTuple):
    """An alert of an objective: how fast both of its windows burn, and whether somebody has to hear."""

    alert: Alert
    long: float
    short: float
    is_on: bool
    """It burns, and on enough calls for it to begin."""

    @property
    def burns(self) -> bool:
        """Tell whether both windows burn too fast: what was told goes on, on however few calls."""
        return min(self.long, self.short) > self.alert.burn  # as the rules for Prometheus have it


class Standing(NamedTuple):
    """How an objective stands now."""

    objective: Objective
    counted: Counts
    """In its `days`."""
    budget_left: float
    """Of the calls that need not be good: 1 is all of them, 0 none; below that, the promise is broken."""
    burns: tuple[Burn, ...]


def burn_rate(counts: Counts, objective: Objective) -> float:
    """Return how many times as fast as the objective allows calls go bad."""
    return counts.bad_share / objective.may_fail


def standing_of(objective: Objective, past: Past, unix_s: float) -> Standing:
    """Say how an objective stands."""
    counted = past.hours.over(objective.days * 24 * HOUR_S, unix_s)
    burns = tuple(_burn(objective, past.minutes, alert, unix_s) for alert in objective.alerts)
    return Standing(objective, counted, 1.0 - burn_rate(counted, objective), burns)


def _burn(objective: Objective, minutes: History, alert: Alert, unix_s: float) -> Burn:
    counted = minutes.over(alert.long_s, unix_s)
    long, short = (burn_rate(one, objective) for one in (counted, minutes.over(alert.short_s, unix_s)))
    is_enough = sum(counted) >= objective.min_calls and counted.bad >= objective.min_bad
    burn = Burn(alert, long, short, is_on=False)
    return burn._replace(is_on=is_enough and burn.burns)
