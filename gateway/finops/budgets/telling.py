"""How budgets stand: what was spent of each, day by day, and where that leads until its end.

What is spent and what the limit is say the counters, which turn calls away; while they do not answer, and for
the days, it is the ledger. Who is no admin is told days of its own tenant alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import msgspec

from gateway.admission.lease import PLACES
from gateway.admission.standing import concerned, read
from gateway.errors import StoreDown
from gateway.exchange import Caller
from gateway.finops.budgets.spent import Asked, read_sums, zones_of
from gateway.protocols import QuotaStore, UsageStore
from gateway.quotas.forecast import ends_at_ms, expected
from gateway.quotas.periods import Period
from gateway.quotas.rules import NANOUSD, Held, Line, Rules, Scope

_MONEY = PLACES["nanousd"]
_DAY = Period("day")


class Day(msgspec.Struct, frozen=True):
    """What was spent on a day, and since the beginning; `time` is where the day begins."""

    time: int
    spent_usd: str
    running_usd: str


class Budget(msgspec.Struct, frozen=True):
    """One counter of a budget. Money is in dollars, exact; times are Unix seconds."""

    name: str
    per: Mapping[str, str]
    """Whose it is; empty: all share it that it is for."""
    text: str
    over: str
    """What becomes of calls that it does not cover."""
    shadow: bool
    since: int
    end: int | None
    """None: it slides on."""
    spent_usd: str
    limit_usd: str
    revised: bool
    """The limit was set at run time."""
    share: float
    forecast_usd: str | None
    """What will have been spent at its end at this rate."""
    runs_out: int | None
    """When it will be spent at this rate; None: not before its end, or it is too early to tell."""
    days: Sequence[Day]


class _Found(msgspec.Struct):
    """A counter of a budget, and what the ledger has of it: by days, as far as may be told."""

    held: Held
    scope: Scope
    total: int = 0
    days: dict[int, int] = {}


class Budgets:
    """Of one configuration."""

    def __init__(
        self, usage: UsageStore, quotas: QuotaStore, rules: Rules, tenants: Mapping[str, Caller]
    ) -> None:
        money = [rule for rule in rules.every if any(line.metric == "nanousd" for line in rule.lines)]
        self._rules = Rules(money)
        self._usage = usage
        self._quotas = quotas
        self._tenants = tenants

    async def tell(self, whose: tuple[str, ...], limit: int) -> tuple[list[Budget], int]:
        """Return budgets for these tenants (empty: all), the nearest to its end first, and how many more are.

        Only as many are looked at more closely: those of which most was spent. Raises StoreDown.
        """
        if not self._rules.every:
            return [], 0
        now_ms = self._quotas.now_ms()
        found = await asyncio.to_thread(self._find, whose, now_ms)
        every = sorted(found.values(), key=lambda one: (-one.total, one.held.rule.name, one.held.prefix))
        some = every[:limit]
        told = [
            _budget(one, now_ms, *amounts) for one, amounts in zip(some, await self._taken(some), strict=True)
        ]
        told.sort(key=lambda one: (-one.share, one.name, tuple(one.per.values())))
        return told, len(every) - len(some)

    async def _taken(self, some: Sequence[_Found]) -> list[tuple[int, int]]:
        """Return what is taken of each, and how much may be."""
        try:
            standings = await read([(one.held, one.scope) for one in some], self._quotas)
        except StoreDown:
            return [(one.total, one.held.line.meter.limit) for one in some]
        return [(one.taken, one.limit) for one in standings]

    def _find(self, whose: tuple[str, ...], now_ms: int) -> dict[str, _Found]:
        found: dict[str, _Found] = {}
        for name, tenant in self._tenants.items():
            if not whose or name in whose:
                scope = Scope(name, tags=tenant.tags, timezone=tenant.timezone)
                for held in concerned(self._rules, scope):
                    found.setdefault(_name(held, now_ms), _Found(held, scope))
        asked = Asked(self._edges(now_ms), now_ms + 1, whose)
        for scope, began_ms, amounts in read_sums(
            self._usage, asked, self._tenants, users=self._rules.looks_at_users
        ):
            for held in self._rules.of(scope):
                if began_ms >= _since_ms(held.line, held.timezone, now_ms):
                    one = found.setdefault(_name(held, now_ms), _Found(held, scope))
                    day_ms = _day_of(held, began_ms, now_ms)
                    one.days[day_ms] = one.days.get(day_ms, 0) + amounts[_MONEY]
                    one.total += amounts[_MONEY]
        return found

    def _edges(self, now_ms: int) -> list[int]:
        """Say when days and running periods begin, in all time zones."""
        lines = [line for rule in self._rules.every for line in rule.lines]
        edges = set[int]()
        for zone in zones_of(self._rules, self._tenants):
            firsts = {_since_ms(line, zone, now_ms) for line in lines}
            edges |= firsts
            edges.update(_days(min(firsts), zone, now_ms))
        return sorted(edges)


def _budget(found: _Found, now_ms: int, taken: int, limit: int) -> Budget:
    held = found.held
    rule, line = held.rule, held.line
    since_ms, ends_ms = _since_ms(line, held.timezone, now_ms), held.counter(now_ms).ends_ms
    runs_out_ms = ends_at_ms(taken, limit, since_ms, ends_ms, now_ms) if ends_ms else None
    return Budget(
        name=rule.name,
        per={dimension: getattr(found.scope, dimension) for dimension in rule.per},
        text=line.text,
        over=rule.over,
        shadow=rule.shadow,
        since=since_ms // 1000,
        end=ends_ms // 1000 if ends_ms else None,
        spent_usd=_usd(taken),
        limit_usd=_usd(limit),
        revised=limit != line.meter.limit,
        share=round(taken / limit, 6) if limit > 0 else 1.0,
        forecast_usd=_usd(expected(taken, since_ms, ends_ms, now_ms)) if ends_ms else None,
        runs_out=None if runs_out_ms is None else runs_out_ms // 1000,
        days=_burned(found, since_ms, now_ms),
    )


def _burned(found: _Found, since_ms: int, now_ms: int) -> list[Day]:
    days, running = list[Day](), 0
    for day_ms in [since_ms, *_days(since_ms, found.held.timezone, now_ms)]:
        spent = found.days.get(day_ms, 0)
        running += spent
        days.append(Day(day_ms // 1000, _usd(spent), _usd(running)))
    return days


def _name(held: Held, now_ms: int) -> str:
    return held.counter(now_ms).key


def _since_ms(line: Line, timezone: str, now_ms: int) -> int:
    if line.period is None:
        return now_ms - line.meter.span_ms
    return line.period.around(now_ms, timezone)[0]


def _day_of(held: Held, moment_ms: int, now_ms: int) -> int:
    """Return where a day begins; the first one with the budget's span."""
    return max(_DAY.around(moment_ms, held.timezone)[0], _since_ms(held.line, held.timezone, now_ms))


def _days(since_ms: int, timezone: str, now_ms: int) -> list[int]:
    """Say when days begin after a moment, until now."""
    days, day_ms = list[int](), _DAY.around(since_ms, timezone)[1]
    while day_ms <= now_ms:
        days.append(day_ms)
        day_ms = _DAY.around(day_ms, timezone)[1]
    return days


def _usd(nanousd: int) -> str:
    """Write money as its exact digits, without noughts at the end."""
    whole, part = divmod(nanousd, NANOUSD)
    return f"{whole}.{part:09d}".rstrip("0").rstrip(".")
