"""A part of the week: whether it is on. Pure: the time is told.

What the clock on the wall of the zone says decides. So an hour that comes twice when summer time ends
counts twice, and one that is skipped when it begins is not waited for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from gateway.config.signals import WEEK, HoursSpec


def compile_hours(spec: HoursSpec) -> Callable[[float], bool]:
    """Make what tells whether a time (Unix seconds) lies in it.

    `days` are those on which it begins: one that goes past midnight is still on in the next morning.
    """
    zone = ZoneInfo(spec.zone)
    start, end = _minutes(spec.start), _minutes(spec.end)
    today = frozenset(WEEK.index(day) for day in spec.days)
    yesterday = frozenset((day + 1) % len(WEEK) for day in today)

    @lru_cache(2)
    def holds(minute: int) -> bool:
        local = datetime.fromtimestamp(minute * 60, zone)
        now, day = local.hour * 60 + local.minute, local.weekday()
        if start < end:
            return start <= now < end and day in today
        return (now >= start and day in today) or (now < end and day in yesterday)

    # Offsets of zones are whole minutes: within one the answer stays the same.
    return lambda unix_s: holds(int(unix_s // 60))


def _minutes(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * 60 + int(minutes)
