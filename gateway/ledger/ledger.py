"""The ledger as a worker sees it: calls that have ended go in, and are safe on disk when it returns.

Costs 12 us a call. It must not know ClickHouse: whoever inserts reads the spool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time
from typing import Literal

import msgspec

from gateway.exchange import Attempt, Record
from gateway.ledger.booking import Ended, Told, entries_of, estimate, rebooked
from gateway.ledger.entries import Entry
from gateway.ledger.spool import Spool

Table = Literal["ledger", "prices"]
MARKS: dict[bytes, Table] = {b"L": "ledger", b"P": "prices"}
"""The first byte of a record in the spool says which table its rows are for."""

_encode = msgspec.json.Encoder().encode
"""JSON has integers of any size, and can be read by whoever finds a spool."""
_MOST_VERSIONS = 10_000


class PriceRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a version of a price is: a row of `prices`. `rates` is JSON, in femto-USD for one of each."""

    version: str
    backend: str
    model: str
    rates: str
    seen: int
    """Unix ms."""


class Ledger:
    """Of one process. Nothing it does waits."""

    def __init__(self, spool: Spool, look: Callable[[Record], Told]) -> None:
        self.spool = spool
        self._look = look
        self._told: set[str] = set()
        """The versions of prices that were written down."""

    def book(
        self, record: Record, ended_s: float, untold: Sequence[Attempt] = ()
    ) -> Callable[[], None] | None:
        """Enter a call that has ended. Nobody's are not kept, nor what cost nothing while there is no room.

        The usage of `untold` attempts is estimated; what is returned enters it again once it was counted.
        """
        if not record.tenant or not (record.attempts or self.spool.has_room):
            return None
        for attempt in record.attempts:
            price = attempt.price
            if price is not None and price.version not in self._told:
                self._tell(attempt)
        ended = Ended(record, ended_s, int(time() * 1000), self._look(record))
        if not untold:
            self.spool.append(b"L" + _encode(entries_of(ended)))
            return None
        estimate(untold, record.call)
        booked = entries_of(ended)
        self.spool.append(b"L" + _encode(booked))
        return lambda: self._book_again(ended, booked)

    def _book_again(self, ended: Ended, booked: Sequence[Entry]) -> None:
        if changed := rebooked(ended, booked):
            self.spool.append(b"L" + _encode(changed))

    def _tell(self, attempt: Attempt) -> None:
        price = attempt.price
        if price is None:
            return
        if len(self._told) >= _MOST_VERSIONS:
            self._told.clear()
        self._told.add(price.version)
        rates = msgspec.json.encode(price).decode()
        row = PriceRow(price.version, attempt.backend, attempt.model, rates, int(time() * 1000))
        self.spool.append(b"P" + _encode([row]))
