"""Tell of hours whose spend is unusual: each once for a tenant, also after a restart.

What was told is kept in a small file: told first, then noted, so that an end in between tells twice rather
than never. The running hour is told as soon as it costs too much; that an hour cost too little, when it is
over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from time import time
from typing import Any

import msgspec

from gateway.errors import GatewayFault
from gateway.finops.anomalies import EVERYBODY, HOUR_S, Anomaly, Habits, find_anomalies, spend_of
from gateway.finops.sql import text_of
from gateway.protocols import UsageStore

PAUSE_S, _SOON_S = 600.0, 30.0
_LATE_HOURS = 6
"""So far back is looked: entries may come late, and the process may have been down."""
_WEEK = 168
_FEMTO_EXPONENT = -15
_HOURS_KEPT = 48

Announce = Callable[[str, Mapping[str, Any]], object]
"""Takes the kind of an event, and what it tells."""

_log = logging.getLogger("forebay")


async def follow_anomalies(
    store: UsageStore, announce: Announce, told: Path, habits: Habits | None = None, pause_s: float = PAUSE_S
) -> None:
    """Look every ten minutes, until cancelled. `told` is the file that remembers.

    A store that cannot be asked is asked again soon: it may just be starting, which is nothing to tell.
    """
    memory, is_again = Told(told), False
    while True:
        wait_s = pause_s
        try:
            for anomaly in await asyncio.to_thread(look, store, time(), habits or Habits()):
                if anomaly not in memory:
                    announce("spend_anomaly", event_of(anomaly))
                    memory.add(anomaly)
            is_again = False
        except GatewayFault as error:
            if is_again:
                _log.warning("unusual spend is not looked for: %s", error.message)
            else:
                is_again, wait_s = True, min(pause_s, _SOON_S)
        except OSError as error:
            _log.warning("what was told of unusual spend cannot be noted: %s", error.strerror)
        await asyncio.sleep(wait_s)


def look(store: UsageStore, now_unix_s: float, habits: Habits) -> list[Anomaly]:
    """Return what is unusual of the last hours, the running one included. Raises StoreDown, BadQuery."""
    running = int(now_unix_s) // HOUR_S
    since = running - _LATE_HOURS
    window = {
        "tenants": [],
        "since": (since - habits.weeks * _WEEK - 1) * HOUR_S,
        "until": (running + 1) * HOUR_S,
        "demo": 0,
    }
    found = store.query(text_of("hourly_spend"), window)
    return find_anomalies(spend_of(found.rows), since, running + 1, habits, running=running)


def event_of(anomaly: Anomaly) -> dict[str, Any]:
    """Return what a receiver is told: amounts are US dollars, as decimal texts."""
    return {
        "tenant": anomaly.tenant or None,
        "scope": "tenant" if anomaly.tenant != EVERYBODY else "all tenants",
        "hour": datetime.fromtimestamp(anomaly.time_s, UTC).isoformat().replace("+00:00", "Z"),
        "cost_usd": usd_of(anomaly.cost),
        "usual_usd": usd_of(anomaly.usual),
        "low_usd": usd_of(anomaly.low),
        "high_usd": usd_of(anomaly.high),
        "score": anomaly.score,
    }


def usd_of(femto: int) -> str:
    """Write femto-USD as dollars, exactly."""
    text = f"{Decimal(femto).scaleb(_FEMTO_EXPONENT):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


class Told:
    """Which hours of which tenants were told, in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._hours = msgspec.json.decode(path.read_bytes(), type=set[tuple[int, str]])
        except (FileNotFoundError, msgspec.DecodeError):
            self._hours = set()

    def __contains__(self, anomaly: Anomaly) -> bool:
        return (anomaly.time_s, anomaly.tenant) in self._hours

    def add(self, anomaly: Anomaly) -> None:
        """Note that it was told."""
        self._hours.add((anomaly.time_s, anomaly.tenant))
        newest = max(time_s for time_s, _ in self._hours)
        self._hours = {one for one in self._hours if newest - one[0] < _HOURS_KEPT * HOUR_S}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(sorted(self._hours)))
        new.rename(self._path)
