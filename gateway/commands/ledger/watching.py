"""What the meter does beside its work: look for unusual spend, and finish corrections that were cut off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

from gateway.compose.reading import Config
from gateway.errors import GatewayFault
from gateway.finops.alarms import follow_anomalies
from gateway.finops.repricing.journal import Busy, Journal, Unbalanced
from gateway.protocols import UsageStore
from gateway.telemetry.webhooks import Webhooks, new_event

_FINISH_S = 600.0

log = logging.getLogger("forebay")


def watch(config: Config, store: UsageStore, state_dir: Path, stop: Event) -> None:
    """Watch until told to stop. Blocks: it has a thread of its own."""
    asyncio.run(_watch(config, store, state_dir, stop))


async def _watch(config: Config, store: UsageStore, state_dir: Path, stop: Event) -> None:
    alerts = config.alerts
    webhooks = Webhooks("", "") if alerts is None else Webhooks(alerts.url, alerts.secret)

    def announce(kind: str, data: Mapping[str, Any]) -> None:
        log.warning("unusual spend", extra={"anomaly": dict(data)})
        webhooks.send(new_event(kind, data, config.telemetry.spec.runbooks_url))

    jobs = [
        asyncio.create_task(webhooks.follow()),
        asyncio.create_task(follow_anomalies(store, announce, state_dir / "anomalies.json")),
        asyncio.create_task(_finish_corrections(store, Journal(state_dir / "reprice"))),
    ]
    await asyncio.to_thread(stop.wait)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


async def _finish_corrections(store: UsageStore, journal: Journal) -> None:
    """Send a batch that was cut off again while ClickHouse still knows its token."""
    while True:
        await asyncio.to_thread(_finish, store, journal)
        await asyncio.sleep(_FINISH_S)


def _finish(store: UsageStore, journal: Journal) -> None:
    try:
        with suppress(Busy), journal.held():
            journal.finish(store)
    except (GatewayFault, Unbalanced) as error:
        log.warning("corrections that were cut off are not finished: %s", error)
