"""End a wait for an upstream that takes too long, with one timer for a whole attempt.

`asyncio.timeout` around every read would arm and cancel a timer per chunk. Here one timer is armed per
attempt; moving the deadline is an assignment, and the timer looks at it when it fires.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from gateway.errors import TimedOut
from gateway.exchange import Timeouts

QUIET_S = 0.25
"""So long an upstream may be quiet before anybody asks whether it has not said all already."""


class Watchdog:
    """Watches the task that waits; call `expect` before a wait, `rest` after it, `stop` at the end.

    When a wait is too long the task is cancelled inside of it; `verdict` then tells the timeout apart
    from a cancellation by somebody else. `enough_s` may say that there is nothing to wait for any more:
    it is asked when nothing has come for `QUIET_S`.
    """

    __slots__ = (
        "_cancelled",
        "_due_s",
        "_end_s",
        "_end_what",
        "_enough_s",
        "_fired",
        "_loop",
        "_shortest_s",
        "_since_s",
        "_start_s",
        "_task",
        "_timeouts",
        "_timer",
        "_what",
        "_within_s",
        "over",
    )

    def __init__(self, timeouts: Timeouts, loop: asyncio.AbstractEventLoop | None = None) -> None:
        # Python 3.11 asks the kernel for the process id whenever it is asked for the running loop.
        self._loop = loop or asyncio.get_running_loop()
        self._task = self._current_task()
        self._cancelled = self._task.cancelling()
        self._timeouts = timeouts
        self._start_s = self._loop.time()
        self._end_what, self._end_s = "the first token", self._start_s + timeouts.first_token_s
        if timeouts.total_s <= timeouts.first_token_s:
            self.begun()
        self._shortest_s = min(
            timeouts.first_byte_s, timeouts.gap_s, timeouts.total_s, timeouts.first_token_s
        )
        self._since_s = 0.0
        self._due_s = math.inf
        self._what, self._within_s = "", 0.0
        self._fired = False
        self._timer: asyncio.TimerHandle | None = None
        self._enough_s: Callable[[], float] | None = None
        self.over = False
        """A wait was ended because all had been said."""

    def _current_task(self) -> asyncio.Task[object]:
        task = asyncio.current_task(self._loop)
        if task is None:
            raise RuntimeError("a watchdog needs a running task")
        return task

    def expect(self, what: str, within_s: float) -> None:
        """Give the coming wait `within_s` seconds; raises TimedOut when the total time is already up."""
        task = asyncio.current_task(self._loop)
        if task is not self._task and task is not None:  # one opens an answer, another may read it
            self._task, self._cancelled = task, task.cancelling()
        self._since_s = now_s = self._loop.time()
        self._what, self._within_s = what, within_s
        self._due_s = now_s + within_s
        if self._end_s < self._due_s:
            self._what, self._within_s = self._end_what, self._end_s - self._start_s
            self._due_s = self._end_s
            if now_s >= self._end_s:
                raise self._timed_out()
        if self._timer is None:
            self._arm(now_s)

    def begun(self) -> None:
        """The first token came: from now on only the whole answer is bounded, and each pause in it."""
        self._end_what, self._end_s = "the whole answer", self._start_s + self._timeouts.total_s

    def ask(self, enough_s: Callable[[], float]) -> None:
        """From now on ask how long a silence is to be taken for the end: infinite, until all was said."""
        self._enough_s = enough_s
        if self._shortest_s > QUIET_S:
            self._shortest_s = QUIET_S
            if self._timer is not None:
                self._timer.cancel()
                self._arm(self._loop.time())

    def rest(self) -> None:
        """Nobody waits for the upstream now: a slow client must not count against it."""
        self._due_s = math.inf

    def stop(self) -> None:
        """Disarm for good. Idempotent."""
        self._due_s = math.inf
        self._enough_s = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def verdict(self) -> TimedOut | None:
        """After a CancelledError: the timeout that caused it, None when somebody else cancelled.

        One that `over` explains is to be taken as the end of the answer.
        """
        if not self._fired:
            return None
        self._fired = False
        if self._task.uncancel() > self._cancelled:  # for both reasons: whoever cancelled wants it gone
            return None
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
        if not self._finds_it_over(now_s) and now_s < self._due_s:
            self._arm(now_s)
            return
        self._timer = None
        self._fired = True
        self._task.cancel()

    def _finds_it_over(self, now_s: float) -> bool:
        if self._enough_s is None or self._due_s == math.inf:
            return False
        is_due, quiet_s = now_s >= self._due_s, now_s - self._since_s
        if not is_due and quiet_s < QUIET_S:
            return False
        enough_s = self._enough_s()
        self.over = enough_s <= quiet_s or (is_due and enough_s < math.inf)
        return self.over
