"""Do with what calls leave behind what may wait: in batches, in a thread of its own.

It must not know what it is that is written, nor where. Batches go by the clock: waking a thread for each
entry would cost more than the entry itself.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from threading import Event, Thread
from typing import Generic, TypeVar

_BATCH_S = 0.1
_JOIN_S = 2.0

T = TypeVar("T")


class Batches(Generic[T]):
    """Hands what is put to `write`, up to a tenth of a second later.

    `most` None: everything waits as long as it takes; else the oldest entries are lost to new ones.
    """

    def __init__(self, name: str, write: Callable[[Sequence[T]], None], most: int | None = None) -> None:
        self._write = write
        self.waiting: deque[T] = deque(maxlen=most)
        """What was put and is not yet written, the oldest first."""
        self.put = self.waiting.append
        """Queue an entry; never waits."""
        self._wake = Event()
        self.closed = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is queued and stop."""
        self.closed = True
        self._wake.set()
        self._thread.join(_JOIN_S)

    def _work(self) -> None:
        while not self.closed:
            self._wake.wait(_BATCH_S)
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        waiting = self.waiting
        if not waiting:
            return
        try:
            self._write([waiting.popleft() for _ in range(len(waiting))])
        except Exception:  # what is to come is written all the same
            logging.getLogger("forebay").exception("entries are lost", extra={"writer": self._thread.name})
