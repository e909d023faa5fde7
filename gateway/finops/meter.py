"""Move what is in the spool into the ledger: at least once by trying on, at most once by tokens.

It must not know ClickHouse nor the files of the spool. Blocking: it has a process of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Event
from time import monotonic, time
from typing import Any

import msgspec

from gateway.errors import BadRows, StoreDown
from gateway.ledger.reading import COLUMNS, Batch, SpoolReader
from gateway.ledger.spool import size_bytes
from gateway.protocols import UsageStore

STATE_FILE = "meter.json"
"""In the spool's folder: how the meter is doing."""
IDLE_S = 1.0
"""Between two looks into the spool: so many seconds a call may take to be seen."""
_FOR_A_FILE = str.maketrans(":/", "--")
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 5.0

log = logging.getLogger("forebay")


class MeterState(msgspec.Struct):
    """How the meter is doing; other processes read it from its file."""

    at: float = 0.0
    """When it was written, Unix seconds."""
    pid: int = 0
    inserted: int = 0
    """Rows, since it began."""
    set_aside: int = 0
    """Rows and damaged stretches that the ledger does not have."""
    lag_s: float = 0.0
    """How old the oldest entry was that the last round began to insert; 0: there was none."""
    spool_bytes: int = 0
    problem: str = ""
    """Why nothing is inserted; empty: all is well."""


class Meter:
    """`prepare` gets the store ready before anything is inserted; `tell` hears the state after each round."""

    def __init__(
        self,
        spool: SpoolReader,
        store: UsageStore,
        prepare: Callable[[], None],
        tell: Callable[[MeterState], None],
    ) -> None:
        self._spool = spool
        self._store = store
        self._prepare = prepare
        self._tell = tell
        self._is_ready = False
        self.state = MeterState()

    def run(self, stop: Event) -> None:
        """Work until told to stop; then once more, so that what was there is in the ledger."""
        delay_s = IDLE_S
        while not stop.wait(delay_s):
            delay_s = self._pause_s(delay_s, is_well=self.work())
        self.work()

    def work(self) -> bool:
        """Insert all there is; False: the store does not take anything now."""
        self.state.lag_s = 0.0
        try:
            if not self._is_ready:
                self._prepare()
                self._is_ready = True
            for batch in self._spool.batches():
                self._take(batch)
        except StoreDown as error:
            self._report(error.message)
            return False
        except OSError as error:  # a full disk: nothing is handed out that was not written down before
            self._report(f"the spool cannot be read: {error.strerror}")
            return False
        self._report("")
        return True

    def _pause_s(self, before_s: float, *, is_well: bool) -> float:
        if is_well:
            return IDLE_S
        return min(max(before_s, _FIRST_DELAY_S) * 2, _LONGEST_DELAY_S)

    def _take(self, batch: Batch) -> None:
        entries = batch.rows["ledger"]
        if entries:
            self.state.lag_s = max(time() - entries[0].time / 1000, self.state.lag_s)
        for damage in batch.damages:
            content = self._spool.stretch(batch.segment, damage.start, damage.end)
            self._set_aside(
                f"{batch.segment.stem}-{damage.start}.damaged", content, "a part of the spool is damaged"
            )
        for table, rows in batch.rows.items():
            if rows:
                values = [msgspec.structs.astuple(row) for row in rows]
                self._insert(table, values, f"{batch.token}:{table}")
        self._spool.taken(batch)

    def _insert(self, table: Any, rows: Sequence[Sequence[Any]], token: str) -> None:
        """Insert rows; of those that are refused, all but the ones at fault."""
        began_s = monotonic()
        try:
            self._store.insert(table, COLUMNS[table], rows, token)
        except BadRows as error:
            if len(rows) == 1:
                name = token.translate(_FOR_A_FILE) + ".refused"
                self._set_aside(
                    name, msgspec.json.encode(rows[0]), f"the ledger refuses an entry: {error.message}"
                )
                return
            middle = len(rows) // 2
            self._insert(table, rows[:middle], f"{token}/{middle}a")
            self._insert(table, rows[middle:], f"{token}/{middle}b")
        else:
            self.state.inserted += len(rows)
            log.debug(
                "inserted",
                extra={"table": table, "rows": len(rows), "ms": round((monotonic() - began_s) * 1000)},
            )

    def _set_aside(self, name: str, content: bytes, why: str) -> None:
        path = self._spool.set_aside(name, content)
        self.state.set_aside += 1
        log.error(
            "%s; it is kept for you to look at", why, extra={"file": str(path), "size_bytes": len(content)}
        )

    def _report(self, problem: str) -> None:
        state = self.state
        if problem and not state.problem:
            log.warning("nothing gets into the ledger: %s; entries wait in the spool", problem)
        elif state.problem and not problem:
            log.warning("the ledger takes entries again")
        state.problem = problem
        state.at, state.spool_bytes = time(), size_bytes(self._spool.folder)
        with suppress(OSError):  # where there is no disk for it, whoever asks sees that it is old
            self._tell(state)
