"""When somebody is told how much of a limit is taken, and what.

A worker remembers what it has told, so that it asks the store who tells only when there is something new.
What it has forgotten costs one such question. Pure.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.quotas.counting import Told
from gateway.quotas.forecast import ends_at_ms
from gateway.quotas.rules import NANOUSD, Held

_ARMED_AGAIN = 10
"""Per cent below a level at which it is news again: a raised limit or a window that slid on, and not the
reservations of a few calls."""


class Alarms:
    """The highest level that was told of each counter; counters that ended are the first to be forgotten."""

    REMEMBERED = 10_000

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def crossed(self, key: str, taken: int, limit: int, levels: tuple[int, ...]) -> tuple[int, ...]:
        """Return the levels (per cent, ascending) that have been reached since the last time.

        A counter without a limit to speak of (0 or less) has reached all of them with its first unit.
        """
        percent = taken * 100 // (limit if limit > 0 else 1)
        told = self._told.get(key, 0)
        if told and percent < told - _ARMED_AGAIN:
            told = self._lower(key, percent + _ARMED_AGAIN, levels)
        if percent <= told or not levels or percent < levels[0]:
            return ()
        crossed = tuple(level for level in levels if told < level <= percent)
        if crossed:
            self._remember(key, crossed[-1])
        return crossed

    def _lower(self, key: str, percent: int, levels: tuple[int, ...]) -> int:
        told = max((level for level in levels if level <= percent), default=0)
        if told:
            self._told[key] = told
        else:
            del self._told[key]
        return told

    def _remember(self, key: str, level: int) -> None:
        """Keep those that were told last: a counter whose period is over tells nothing any more."""
        self._told.pop(key, None)
        if len(self._told) >= self.REMEMBERED:
            del self._told[next(iter(self._told))]
        self._told[key] = level


def alarm_data(held: Held, told: Told, level: int, now_ms: int) -> dict[str, Any]:
    """Say in an event which limit has reached a level, whose it is, and when it will be reached."""
    rule, line = held.rule, held.line
    data: dict[str, Any] = {
        "rule": rule.name,
        "kind": rule.kind,
        "metric": line.metric,
        "text": line.text,
        "shadow": rule.shadow,
        "per": dict(zip(rule.per, _values(held), strict=True)),
        "level": level,
    }
    if line.metric == "nanousd":
        data |= {"limit_usd": _usd(told.limit), "spent_usd": _usd(told.taken)}
    else:
        data |= {"limit": told.limit, "taken": told.taken}
    if line.period is not None:
        starts_ms, ends_ms = line.period.around(now_ms, held.timezone)
        reached_ms = ends_at_ms(told.taken, told.limit, starts_ms, ends_ms, now_ms)
        data |= {
            "period_start": rfc3339(starts_ms),
            "period_end": rfc3339(ends_ms),
            "reached_at": None if reached_ms is None else rfc3339(reached_ms),
        }
    return data


def rfc3339(unix_ms: int) -> str:
    """Write a time in UTC, to the second."""
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _values(held: Held) -> list[str]:
    """Read from a counter's name the values that it is kept apart by."""
    count = len(held.rule.per)
    named = held.prefix.split(":")[-count:] if count else []
    return [value.replace("%3a", ":").replace("%25", "%") for value in named]


def _usd(nanousd: int) -> str:
    """Write money as a decimal number without loss, which JSON's own numbers do not promise."""
    whole, part = divmod(nanousd, NANOUSD)
    return f"{whole}." + f"{part:09d}".rstrip("0").ljust(2, "0")
