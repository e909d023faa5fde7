"""Open the ledger: the spool that calls go into, and the database that is asked about them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import time
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from gateway.compose.reading import Config
from gateway.errors import ConfigError, StoreDown
from gateway.exchange import Record
from gateway.finops.budgets.recovery import Recovery
from gateway.finops.meter import STATE_FILE, MeterState
from gateway.ledger.booking import Told
from gateway.ledger.ledger import Ledger
from gateway.ledger.reading import left_behind
from gateway.ledger.spool import Spool, SpoolSettings
from gateway.protocols import QuotaStore, UsageStore
from gateway.routing.decisions import summary_of
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.clickhouse.place import Place, place_of

if TYPE_CHECKING:
    from gateway.config.routing import LedgerSpec


_OLD_S = 60.0
_LOOK_S = 1.0

log = logging.getLogger("forebay")


def spool_folder(state_dir: Path) -> Path:
    """Say where entries wait."""
    return state_dir / "spool"


def open_ledger(config: Config, state_dir: Path) -> Ledger | None:
    """Open what calls are entered in; None: nothing is kept."""
    spec = config.resolved.ledger
    if not spec.enabled:
        return None
    spool = Spool(SpoolSettings(spool_folder(state_dir), spec.spool_limit_bytes, spec.sync_s))
    kept = config.retention
    return Ledger(spool, summary_of if kept.users == "keep" else partial(_look, kept.of))


def ledger_state(ledger: Ledger, meter: MeterState | None) -> tuple[bool, str]:
    """Say how entries get from this process into the database. `meter` is what that last said."""
    spool = ledger.spool
    if spool.problem:
        return False, f"the spool has no more room: {spool.problem}"
    if meter is None:
        return False, "the meter has not begun yet; entries wait in the spool"
    age_s = time() - meter.at
    if meter.problem or age_s > _OLD_S:
        why = meter.problem or f"the meter has not said anything for {age_s:.0f} s"
        return False, f"{why}; entries wait in the spool, {meter.spool_bytes >> 20} MiB"
    lost = f"; {spool.lost} were lost" if spool.lost else ""
    aside = f"; {meter.set_aside} were set aside" if meter.set_aside else ""
    return True, f"the meter takes entries{aside}{lost}"


class MeterWatch:
    """What the meter last said of itself, read in a thread: a disk that hangs must not hold up calls."""

    def __init__(self, state_dir: Path) -> None:
        self._path = spool_folder(state_dir) / STATE_FILE
        self.last: MeterState | None = None
        """None: nothing yet."""

    async def follow(self) -> None:
        """Read it each second, until cancelled."""
        while True:
            self.last = await asyncio.to_thread(_said, self._path)
            await asyncio.sleep(_LOOK_S)


def _said(path: Path) -> MeterState | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=MeterState)
    except (OSError, msgspec.MsgspecError):
        return None


def _look(kept: Callable[[str, str], str], record: Record) -> Told:
    """Tell of a call what may be kept of it."""
    user, conversation, decision = summary_of(record)
    return kept(record.tenant, user), kept(record.tenant, conversation), decision


def open_engine(config: Config, state_dir: Path, stack: ExitStack) -> None:
    """Start the engine of our own where no server is configured; `stack` ends it. Does not wait for it."""
    if not config.resolved.ledger.enabled or config.resolved.ledger.clickhouse_url:
        return
    from gateway.embedded.clickhouse import Engine

    try:
        engine = Engine(state_dir)
    except ConfigError as missing:
        log.warning("%s; %s", missing.message, missing.hint)
        return
    stack.callback(engine.stop)
    engine.start()


def prepare(config: Config, state_dir: Path) -> None:
    """Bring the tables up to date, and have them forget what is older than it is kept.

    Raises StoreDown; ConfigError where they are of a newer Forebay.
    """
    store = ClickHouse(_where(config.resolved.ledger, state_dir))
    try:
        store.migrate()
        store.apply_ttl(config.retention.days)
    finally:
        store.close()


def open_usage(config: Config, state_dir: Path) -> UsageStore:
    """Open the database. Asks nobody yet."""
    return ClickHouse(_where(config.resolved.ledger, state_dir))


def open_recovery(
    config: Config, state_dir: Path, usage: UsageStore, quotas: QuotaStore, workers: int
) -> Recovery | None:
    """Prepare to give budgets back what was spent before; None: nobody knows."""
    if not config.resolved.ledger.enabled:
        return None
    return Recovery(usage, quotas, lambda: left_behind(spool_folder(state_dir)), workers)


def _where(spec: LedgerSpec, state_dir: Path) -> Callable[[], Place]:
    if not spec.enabled:
        return _nowhere
    if not spec.clickhouse_url:
        return lambda: place_of(state_dir)
    place = _place(spec)
    return lambda: place


def _nowhere() -> Place:
    raise StoreDown("there is no ledger: `ledger.enabled` is false")


def _place(spec: LedgerSpec) -> Place:
    """Take a URL with a user and a password apart."""
    url = urlsplit(spec.clickhouse_url)
    host = url.hostname or ""
    host = f"[{host}]" if ":" in host else host
    address = f"{url.scheme}://{host}" + (f":{url.port}" if url.port else "") + url.path.rstrip("/")
    user, password = unquote(url.username or "default"), unquote(url.password or "")
    return Place(address, user, password, spec.database, spec.cluster)
