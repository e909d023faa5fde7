"""Whether what calls cost gets into ClickHouse: the database, the meter, the spool between them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import time
from typing import Final

import msgspec

from gateway.commands.doctor.finding import Clock, Finding, Told, fail, ok, skipped, warn
from gateway.commands.doctor.running import aside
from gateway.compose.examining import LedgerFacts, look_at_ledger
from gateway.compose.ledger import spool_folder
from gateway.compose.reading import Config
from gateway.errors import StoreDown
from gateway.finops.meter import STATE_FILE, MeterState
from gateway.ledger.spool import size_bytes

_DATABASE, _METER, _SPOOL = "ledger", "meter", "spool"
_SILENT_S: Final = 60.0
_LATE_S: Final = 60.0
_FULL, _TOO_FULL = 0.5, 0.9
_INSTALL: Final = "pip install 'forebay[clickhouse]', or set CLICKHOUSE_URL"
_OFF: Final = "there is none: `ledger.enabled` is false"


async def look_at_database(config: Config, state_dir: Path) -> list[Told]:
    """Ask ClickHouse: the server that is configured, or the engine of our own where it runs."""
    spec = config.resolved.ledger
    if not spec.enabled:
        return [skipped(_DATABASE, _OFF)]
    if not spec.clickhouse_url and find_spec("chdb") is None:
        return [fail(_DATABASE, "there is no ClickHouse: neither a server nor the engine", _INSTALL)]
    try:
        facts = await aside(partial(look_at_ledger, config, state_dir))
    except StoreDown as error:
        return [judge_down(error.message, is_ours=not spec.clickhouse_url)]
    found: list[Told] = [judge_database(facts)]
    if spec.clickhouse_url and facts.version:
        found.append(Clock(_DATABASE, facts.ahead_s, facts.round_trip_s / 2))
    return found


def judge_down(why: str, *, is_ours: bool) -> Finding:
    """Say what it means that nobody answers: our own engine runs with the gateway only."""
    if is_ours:
        return skipped(_DATABASE, why, "It runs with the gateway: forebay serve")
    return fail(_DATABASE, why, "Look at that server, and at CLICKHOUSE_URL or ledger.clickhouse_url.")


def judge_database(facts: LedgerFacts) -> Finding:
    """Judge a ClickHouse that answers."""
    if facts.schema is None:
        return warn(_DATABASE, "its tables are not there yet", "The gateway makes them: forebay serve")
    if facts.schema > facts.newest:
        seen = f"its tables ({facts.schema}) are newer than this Forebay ({facts.newest})"
        return fail(_DATABASE, seen, "Upgrade Forebay here.")
    seen = f"ClickHouse {facts.version} answers in {facts.round_trip_s * 1000:.1f} ms"
    if facts.schema < facts.newest:
        seen += f"; its tables are of version {facts.schema}, not {facts.newest}"
        return warn(_DATABASE, seen, "The next start brings them up to date: forebay serve")
    return ok(_DATABASE, seen)


async def look_at_spool(config: Config, state_dir: Path) -> list[Told]:
    """Read what the meter has said last, and how much waits."""
    spec, folder = config.resolved.ledger, spool_folder(state_dir)
    if not spec.enabled:
        return [skipped(_METER, _OFF)]
    if not folder.is_dir():
        return [skipped(_METER, "no gateway has run on this state directory yet")]
    waiting_bytes = size_bytes(folder)
    spool = judge_spool(waiting_bytes, spec.spool_limit_bytes)
    try:
        meter = msgspec.json.decode((folder / STATE_FILE).read_bytes(), type=MeterState)
    except (OSError, msgspec.MsgspecError):
        return [skipped(_METER, "it has not said anything yet"), spool]
    return [*judge_meter(meter, time()), spool]


def judge_meter(meter: MeterState, now_unix_s: float) -> Iterator[Finding]:
    """Judge how entries get into the database."""
    if meter.set_aside:
        seen = f"{meter.set_aside} entries were set aside: the ledger does not have them"
        yield warn(_METER, seen, "forebay meter --quarantine")
    age_s = now_unix_s - meter.at
    if age_s > _SILENT_S:
        yield warn(
            _METER, f"it has said nothing for {age_s:.0f} s", "It runs with the gateway: forebay serve"
        )
    elif meter.problem:
        yield fail(_METER, f"it inserts nothing: {meter.problem}", "Look at the ledger above.")
    elif meter.lag_s > _LATE_S:
        seen = f"entries wait for {meter.lag_s:.0f} s until they are in the ledger"
        yield warn(_METER, seen, "Give ClickHouse more to work with, or wait until it has caught up.")
    else:
        yield ok(_METER, f"entries are in the ledger after {max(meter.lag_s, 1.0):.0f} s")


def judge_spool(waiting_bytes: int, limit_bytes: int) -> Finding:
    """Judge how much of its share of the disk the spool takes."""
    share = waiting_bytes / limit_bytes
    seen = f"{waiting_bytes >> 20} MiB of {limit_bytes >> 20} MiB wait for the ledger"
    if share < _FULL:
        return ok(_SPOOL, seen)
    todo = "Have ClickHouse answer again, or raise ledger.spool_limit_bytes."
    return (fail if share > _TOO_FULL else warn)(_SPOOL, seen, todo)
