"""Calendar periods in a time zone, and where the spending of one is going. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

Unit = Literal["hour", "day", "week", "month"]

_MS = 1000
_zone = lru_cache(256)(ZoneInfo)


class Period(msgspec.Struct, frozen=True, gc=False):
    """An hour, day, week (from Monday) or month of the calendar."""

    unit: Unit

    def around(self, now_ms: int, timezone: str) -> tuple[int, int]:
        """Return when the period that is now began and when it ends, in Unix ms."""
        return _around(self.unit, now_ms // 60_000, timezone)


@lru_cache(4096)
def _around(unit: Unit, minute: int, timezone: str) -> tuple[int, int]:
    # No zone that is in use has changed its offset within a minute since 1972.
    zone = _zone(timezone)
    now = datetime.fromtimestamp(minute * 60, zone)
    first = now.replace(minute=0, second=0, microsecond=0)
    if unit == "hour":
        # By the clock that never jumps: in the hour that comes twice, both have a budget of their own.
        start = minute * 60 - now.minute * 60
        return start * _MS, (start + 3600) * _MS
    first = first.replace(hour=0)
    if unit == "week":
        first -= timedelta(days=now.weekday())
    elif unit == "month":
        first = first.replace(day=1)
    return _ms(first, zone), _ms(_next(first, unit), zone)


def _next(first: datetime, unit: Unit) -> datetime:
    if unit == "day":
        return first + timedelta(days=1)
    if unit == "week":
        return first + timedelta(days=7)
    return (first + timedelta(days=32)).replace(day=1)


def _ms(moment: datetime, zone: ZoneInfo) -> int:
    return int(moment.replace(tzinfo=zone, fold=0).timestamp()) * _MS
