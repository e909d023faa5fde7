"""Tell somebody when a budget's levels are reached, and when a key calls more often than usual: each once.

Of all workers the first to claim an event in the store tells it. Must not know how events are sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from gateway.errors import StoreDown
from gateway.exchange import Caller
from gateway.protocols import QuotaStore
from gateway.quotas.alarms import Alarms, alarm_data
from gateway.quotas.counting import Told
from gateway.quotas.rules import Held
from gateway.quotas.surges import Surges

_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000

Tell = Callable[[str, Mapping[str, Any]], None]
"""Sends an event of a kind; never waits."""

log = logging.getLogger("forebay")


class Watch:
    """Of one worker. `count` counts what a limit that only measures would have turned away, by its rule."""

    def __init__(self, store: QuotaStore, tell: Tell, count: Callable[[str], None]) -> None:
        self._store = store
        self._tell = tell
        self._count = count
        self._alarms = Alarms()
        self._surges: Surges[tuple[str, str]] = Surges()
        self._telling: set[asyncio.Task[None]] = set()

    def stands(self, held: Held, told: Told) -> None:
        """A counter that holds for a call was read or changed."""
        rule = held.rule
        if rule.shadow and told.taken > told.limit:
            self._count(rule.name)
        if not rule.alerts:
            return
        now_ms = self._store.now_ms()
        counter = held.counter(now_ms)
        # A budget that has no room for a call is spent, whatever small change is left of it.
        taken = max(told.taken, told.limit) if told.frees_ms else told.taken
        for level in self._alarms.crossed(counter.key, taken, told.limit, rule.alerts):
            ttl_ms = counter.ends_ms - now_ms if counter.ends_ms else counter.meter.span_ms or _DAY_MS
            data = alarm_data(held, told, level, now_ms)
            # A limit that was raised meanwhile reaches its levels anew.
            name = f"alert:{counter.key}:{told.limit}:{level}"
            self._begin(self._once(name, ttl_ms, rule.kind, data))

    def called(self, caller: Caller, now_s: float) -> None:
        """A key was used; the time is monotonic."""
        tenant, key = caller.tenant, caller.key
        if (surge := self._surges.note((tenant, key), now_s)) is not None:
            data = surge.data(tenant, key)
            self._begin(self._once(f"surge:{tenant}:{key}", _HOUR_MS, "surge", data))

    async def close(self) -> None:
        """Let what is being told be told."""
        if self._telling:
            await asyncio.wait(self._telling)

    def _begin(self, telling: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(telling)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _once(self, name: str, ttl_ms: int, kind: str, data: Mapping[str, Any]) -> None:
        try:
            first = await self._store.claim(name, ttl_ms)
        except StoreDown:  # rather told twice than not at all
            first = True
        if first:
            self._tell(kind, data)
