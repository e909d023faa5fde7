"""Close a call's account, exactly once, whatever became of it."""

from __future__ import annotations

from gateway.exchange import Record
from gateway.telemetry.books import Books


def settle(record: Record, books: Books) -> None:
    """Enter the call with what it used; the first time counts. Never waits and never raises."""
    if record.is_settled:
        return
    record.is_settled = True
    if record.lease is not None:  # before anything is counted: others may be waiting for its seat
        record.lease.end()
    try:
        books.enter(record)
    finally:
        if record.when_settled is not None:
            record.when_settled.set()
