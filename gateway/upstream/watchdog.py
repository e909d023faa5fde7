"""End a wait for an upstream that takes too long, with one timer for a whole attempt.

`asyncio.timeout` around every read would arm and cancel a timer per chunk. Here one timer is armed per
attempt; moving the deadline is an assignment, and the timer looks at it when it fires.
"""

from __future__ import annotations

import asyncio
import math

from gateway.errors import TimedOut
from gateway.exchange import Timeouts


class Watchdog:
    """Watches the current task; call `expect` before a wait, `rest` after it, `stop` at the end.

    When a wait is too long the task is cancelled inside of it; `verdict` then tells the timeout apart
    from a cancellation by somebody else.
    """

    __slots__ = (
        "_due_s",
        "_end_s",
        "_fired",
        "_loop",
        "_shortest_s",
        "_task",
        "_timer",
        "_total_s",
        "_what",
        "_within_s",
    )

    def __init__(self, timeouts: Timeouts, loop: asyncio.AbstractEventLoop | None = None) -> None:
        # Python 3.11 asks the kernel for the process id whenever it is asked for the running loop.
        self._loop = loop or asyncio.get_running_loop()
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a watchdog needs a running task")
        self._task = task
        self._total_s = timeouts.total_s
        self._end_s = self._loop.time() + timeouts.total_s
        self._shortest_s = min(timeouts.first_byte_s, timeouts.gap_s, timeouts.total_s)
        self._due_s = math.inf
        self._what, self._within_s = "", 0.0
        self._fired = False
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, what: str, within_s: float) -> None:
        """Give the coming wait `within_s` seconds; raises TimedOut when the total time is already up."""
        now_s = self._loop.time()
        self._what, self._within_s = what, within_s
        self._due_s = now_s + within_s
        if self._end_s < self._due_s:
            self._what, self._within_s, self._due_s = "the whole answer", self._total_s, self._end_s
            if now_s >= self._end_s:
                raise self._timed_out()
        if self._timer is None:
            self._arm(now_s)

    def rest(self) -> None:
        """Nobody waits for the upstream now: a slow client must not count against it."""
        self._due_s = math.inf

    def stop(self) -> None:
        """Disarm for good. Idempotent."""
        self._due_s = math.inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def verdict(self) -> TimedOut | None:
        """After a CancelledError: the timeout that caused it, None when somebody else cancelled."""
        if not self._fired:
            return None
        self._fired = False
        self._task.uncancel()
        return self._timed_out()

    def _timed_out(self) -> TimedOut:
        return TimedOut(f"the upstream took more than {self._within_s:g} s for {self._what}")

    def _arm(self, now_s: float) -> None:
        # Never later than the shortest limit, so that no deadline set afterwards can come before it.
        look_s = min(self._due_s, now_s + self._shortest_s)
        if now_s < self._end_s < look_s:
            look_s = self._end_s
        self._timer = self._loop.call_at(look_s, self._look)

    def _look(self) -> None:
        now_s = self._loop.time()
        if now_s < self._due_s:
            self._arm(now_s)
            return
        self._timer = None
        self._fired = True
        self._task.cancel()
