"""A month of the calendar, in a time zone. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from gateway.quotas.periods import Period

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
_FIRST_YEAR, _LAST_YEAR = 2000, 2100
_DAY_S, _HOUR_S = 86_400, 3_600
_zone = lru_cache(256)(ZoneInfo)


class Month(msgspec.Struct, frozen=True):
    """A month; `until_s` is not of it any more. Unix seconds."""

    name: str
    """Like 2026-11."""
    timezone: str
    since_s: int
    until_s: int

    @property
    def rollup(self) -> str:
        """Name the smallest table that can be asked for exactly this month."""
        edges = (self.since_s, self.until_s)
        if not any(edge % _DAY_S for edge in edges):
            return "usage_day"
        return "ledger" if any(edge % _HOUR_S for edge in edges) else "usage_hour"

    def days(self) -> Iterator[Month]:
        """Yield its days, each as a span of its own; of a month of UTC."""
        for since_s in range(self.since_s, self.until_s, _DAY_S):
            yield Month(self.name, self.timezone, since_s, since_s + _DAY_S)


def month_of(text: str, timezone: str = "UTC") -> Month:
    """Read `2026-11`; raises ValueError for what is no month."""
    found = _MONTH.fullmatch(text)
    if found is None or not _FIRST_YEAR <= int(found[1]) <= _LAST_YEAR:
        raise ValueError("a month is written like 2026-11")
    middle = datetime(int(found[1]), int(found[2]), 15, tzinfo=UTC)
    return _around(int(middle.timestamp()), timezone)


def month_around(now_unix_s: float, timezone: str = "UTC", ago: int = 0) -> Month:
    """Return the month that is now, or the one so many before it."""
    month = _around(int(now_unix_s), timezone)
    for _ in range(ago):
        month = _around(month.since_s - _DAY_S, timezone)
    return month


def _around(unix_s: int, timezone: str) -> Month:
    since_ms, until_ms = Period("month").around(unix_s * 1000, timezone)
    name = datetime.fromtimestamp(unix_s, _zone(timezone)).strftime("%Y-%m")
    return Month(name, timezone, since_ms // 1000, until_ms // 1000)
