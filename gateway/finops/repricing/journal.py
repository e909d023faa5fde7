"""What is being booked, on disk before it is sent: an interrupted batch is finished, and not begun anew.

An insert that was cut may be in the ledger and not yet in all rollups. Sent once more as it was, with its
token, the database takes what is missing and nothing twice; computed anew it would be another batch. The
database remembers tokens for its next 10,000 inserts: an older batch is sent only where none of it is there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time

import msgspec

from gateway.errors import BadRows
from gateway.finops.repricing.revaluing import token_of
from gateway.finops.sql import text_of
from gateway.ledger.entries import Entry
from gateway.protocols import UsageStore

_TOKENS_LAST_S = 3600
_DAY_S = 86_400


class Busy(Exception):
    """Another process books corrections with this state directory."""


class Unbalanced(Exception):
    """An interrupted batch is in the ledger but not in all rollups, and too old to be sent again."""


class _Batch(msgspec.Struct):
    token: str
    entries: list[Entry]
    at_s: float


class Journal:
    """The batch that is under way, in a folder of the state directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "batch.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nobody else book corrections meanwhile. Raises Busy."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy(f"corrections are being booked already: {lock.name} is held") from None
            yield

    def book(self, store: UsageStore, entries: list[Entry]) -> None:
        """Book a batch, of one tenant and one month. Raises StoreDown: then `finish` has to come first."""
        batch = _Batch(token_of(entries), entries, time())
        self._keep(msgspec.json.encode(batch))
        self._send(store, batch)

    def finish(self, store: UsageStore) -> int:
        """Finish what was interrupted; return how many entries that were. Raises StoreDown, Unbalanced."""
        with suppress(FileNotFoundError):
            # What is half written was not begun.
            (self._folder / "batch.new").unlink()
        try:
            batch = msgspec.json.decode(self._file.read_bytes(), type=_Batch)
        except FileNotFoundError:
            return 0
        old = not 0 <= time() - batch.at_s < _TOKENS_LAST_S
        if old and _is_booked(store, batch):
            _check_rollups(store, batch)
            self._file.unlink()
        else:
            self._send(store, batch)
        return len(batch.entries)

    def _send(self, store: UsageStore, batch: _Batch) -> None:
        rows = [msgspec.structs.astuple(entry) for entry in batch.entries]
        try:
            store.insert("ledger", Entry.__struct_fields__, rows, batch.token)
        except BadRows:
            # It would be refused for ever.
            self._file.unlink()
            raise
        self._file.unlink()

    def _keep(self, data: bytes) -> None:
        new = self._folder / "batch.new"
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._file)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _is_booked(store: UsageStore, batch: _Batch) -> bool:
    """Tell whether the ledger has any of it."""
    times = [entry.time for entry in batch.entries]
    found = store.query(
        text_of("reprice_booked"),
        {"tenants": [batch.entries[0].tenant], "since": min(times), "until": max(times)},
    )
    booked = {(time, call, attempt, revision) for time, call, attempt, revision in found.rows}
    return any(
        (entry.time, entry.call, entry.attempt, entry.revision) in booked
        for entry in batch.entries
        if entry.entry == "rebooking"
    )


def _check_rollups(store: UsageStore, batch: _Batch) -> None:
    times = [entry.time // 1000 for entry in batch.entries]
    since, until = min(times) // _DAY_S * _DAY_S, (max(times) // _DAY_S + 1) * _DAY_S
    tenant = batch.entries[0].tenant
    found = store.query(text_of("reprice_rollups"), {"tenants": [tenant], "since": since, "until": until})
    sums = {name: (cost, attempts) for name, cost, attempts in found.rows}
    wrong = [name for name, amounts in sums.items() if amounts != sums["ledger"]]
    if wrong:
        raise Unbalanced(
            f"{', '.join(wrong)} differ from the ledger for tenant {tenant!r} between {since} and {until}: "
            "a batch was interrupted there too long ago to be sent again"
        )
