"""Do with what calls leave behind what may wait: in batches, in a thread of its own.

It must not know what it is that is written, nor where. Batches go by the clock: waking a thread for each
entry would cost more than the entry itself.
"""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Lock, Thread
from typing import Generic, TypeVar

_BATCH_S = 0.1
_JOIN_S = 2.0
_NEVER = -1.0

T = TypeVar("T")


class Batches(Generic[T]):
    """Hands what is put to `write`, up to `every_s` later; None: when it is asked to hurry.

    `most` None: everything waits as long as it takes; else the oldest entries are lost to new ones.
    """

    def __init__(
        self,
        name: str,
        write: Callable[[Sequence[T]], None],
        most: int | None = None,
        every_s: float | None = _BATCH_S,
    ) -> None:
        self._write = write
        self._most = sys.maxsize if most is None else most
        self._every_s = _NEVER if every_s is None else every_s
        self.waiting: deque[T] = deque()
        """What was put and is not yet written, the oldest first."""
        self.lost = 0
        """So many were lost to new ones: exact where they are put one at a time."""
        self._asleep = Lock()
        """Taken: nobody has asked to hurry since the thread began to wait."""
        self._asleep.acquire()
        self.closed = False
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def put(self, entry: T) -> None:
        """Queue an entry; never waits."""
        waiting = self.waiting
        waiting.append(entry)
        if len(waiting) > self._most:
            try:
                waiting.popleft()
            except IndexError:  # the thread was faster: none wait
                return
            self.lost += 1

    def hurry(self) -> None:
        """Have what waits written at once; once the thread has ended, by whoever asks.

        It may be asked for anywhere, in the midst of asking for it, too: by what handles a signal, or frees
        an object. An Event would wait for itself then.
        """
        if not self._thread.is_alive():
            self._write_waiting()
            return
        with suppress(RuntimeError):  # it is awake
            self._asleep.release()

    def close(self, within_s: float = _JOIN_S) -> None:
        """Write what is queued, for so long, and stop."""
        self.closed = True
        self.hurry()
        self._thread.join(within_s)
        if not self._thread.is_alive():
            self._write_waiting()

    def _work(self) -> None:
        while not self.closed:
            self._asleep.acquire(timeout=self._every_s)
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        if not self.waiting:
            return
        try:
            self._write(list(self._taken()))
        except Exception:  # what is to come is written all the same
            logging.getLogger("forebay").exception("entries are lost", extra={"writer": self._thread.name})

    def _taken(self) -> Iterator[T]:
        waiting = self.waiting
        with suppress(IndexError):  # somebody else took the last: whoever puts too many does
            for _ in range(len(waiting)):
                yield waiting.popleft()
