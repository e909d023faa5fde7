"""Bound how many calls a backend gets at once and in a minute; the others wait, or are turned away at once.

Who waits is served in three steps: interactive calls before batch calls, but one batch call in ten; tenants
of one class by their shares; the calls of a tenant in the order in which they came. It does not know what a
call asks for. A gate is of one worker and one event loop.
Sources: self-clocked fair queueing (Golestani, 1994) for the shares; the leaky bucket of aiolimiter for the
pace.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from math import ceil
from time import monotonic

from aiolimiter import AsyncLimiter

from gateway.config.reliability import ConcurrencySpec
from gateway.errors import Busy
from gateway.exchange import Caller, Priority

URGENT_IN_A_ROW = 9
"""After so many interactive calls a batch call that waits has its turn."""
SMOOTHING = 0.1
"""How much the newest call changes what is known of how long calls hold their places."""


class _Waiter:
    """A call in a line. `admitted` tells it whether it may go on; False: it has to give up."""

    __slots__ = ("admitted", "line", "share", "tenant")

    def __init__(self, admitted: asyncio.Future[bool], line: _Line, caller: Caller) -> None:
        self.admitted, self.line = admitted, line
        self.tenant, self.share = caller.tenant, caller.share


class _Line:
    """The calls of one class that wait, each tenant's in a queue of its own.

    A tenant's next call is due at the virtual time of the call that was served last, and 1/share: so a
    tenant of twice the share is served twice as often, and one that comes late claims nothing for before.
    """

    __slots__ = ("_due", "_order", "_tenants", "_virtual", "waiting")

    def __init__(self) -> None:
        self._tenants: dict[str, OrderedDict[_Waiter, None]] = {}
        self._due: list[tuple[float, int, str]] = []
        """One entry for each of the tenants; whose queue is empty by then is forgotten."""
        self._virtual = 0.0
        self._order = count()
        self.waiting = 0

    def add(self, waiter: _Waiter) -> None:
        """Let a call wait."""
        queue = self._tenants.get(waiter.tenant)
        if queue is None:
            queue = self._tenants[waiter.tenant] = OrderedDict()
            self._make_due(waiter)
        queue[waiter] = None
        self.waiting += 1

    def remove(self, waiter: _Waiter) -> None:
        """Forget a call, where it still waits."""
        queue = self._tenants.get(waiter.tenant)
        if queue is not None and waiter in queue:
            del queue[waiter]
            self._count_out()

    def pop(self) -> _Waiter:
        """Take out the call that is due; there must be one."""
        while True:
            due, _, tenant = heappop(self._due)
            if queue := self._tenants[tenant]:
                break
            del self._tenants[tenant]
        waiter, _ = queue.popitem(last=False)
        self._virtual = due
        if queue:
            self._make_due(next(iter(queue)))
        else:
            del self._tenants[tenant]
        self._count_out()
        return waiter

    def ahead_of(self, caller: Caller) -> float:
        """Estimate how many of those that wait are served before a call that comes now."""
        own = len(self._tenants.get(caller.tenant, ()))
        until = (own + 1) / caller.share
        others = (queue for name, queue in self._tenants.items() if queue and name != caller.tenant)
        return own + sum(min(len(queue), until * next(iter(queue)).share) for queue in others)

    def load_of(self, caller: Caller) -> float:
        """Tell how much a tenant would have waiting for its share, with one call more."""
        return (len(self._tenants.get(caller.tenant, ())) + 1) / caller.share

    def heaviest(self) -> tuple[float, _Waiter | None]:
        """Tell what the tenant has waiting that has most for its share, and the newest of its calls."""
        queues = [queue for queue in self._tenants.values() if queue]
        if not queues:
            return 0.0, None
        newest = (next(reversed(queue)) for queue in queues)
        loads = ((len(queue) / waiter.share, waiter) for queue, waiter in zip(queues, newest, strict=True))
        return max(loads, key=lambda load: load[0])

    def _make_due(self, waiter: _Waiter) -> None:
        heappush(self._due, (self._virtual + 1 / waiter.share, next(self._order), waiter.tenant))

    def _count_out(self) -> None:
        self.waiting -= 1
        if not self.waiting:
            self._tenants.clear()
            self._due.clear()
            self._virtual = 0.0


class _Place:
    """A place that a call holds; calling it gives it back. Idempotent."""

    __slots__ = ("_leave", "_since_s")

    def __init__(self, leave: Callable[[float], None], since_s: float) -> None:
        self._leave: Callable[[float], None] | None = leave
        self._since_s = since_s

    def __call__(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave(self._since_s)


class QueueGate:
    """A backend's places, and the lines before them."""

    def __init__(self, name: str, spec: ConcurrencySpec, clock_s: Callable[[], float] = monotonic) -> None:
        self._name, self._spec, self._clock_s = name, spec, clock_s
        self._free = spec.max_calls
        self._urgent, self._patient = _Line(), _Line()
        self._urgent_in_a_row = 0
        self._held_s = 0.0
        """For how long calls hold their places, smoothed; 0 until one has left."""
        self._interval_s = 60 / spec.max_per_minute if spec.max_per_minute else 0.0
        # One in each interval, rather than a minute's calls at its beginning.
        self._pace = AsyncLimiter(1, self._interval_s) if self._interval_s else None
        self._pacer: asyncio.Task[None] | None = None

    @property
    def places(self) -> int:
        """How many calls it lets in at once."""
        return self._spec.max_calls

    @property
    def inside(self) -> int:
        """How many calls hold a place."""
        return self._spec.max_calls - self._free

    @property
    def waiting(self) -> int:
        """How many calls wait for one."""
        return self._urgent.waiting + self._patient.waiting

    async def enter(self, caller: Caller, priority: Priority, patience_s: float) -> Callable[[], None]:
        """Wait for a place, return what gives it back (idempotent).

        Raises Busy: at once where the lines are full or the wait would be longer than `patience_s`, and
        after it otherwise.
        """
        if not self._free or self._urgent.waiting or self._patient.waiting:
            await self._wait(caller, priority, patience_s)
        elif self._pace is None:
            self._free -= 1
        elif self._pace.has_capacity():
            self._free -= 1
            await self._pace.acquire()  # it has capacity: this does not wait
        else:
            await self._wait(caller, priority, patience_s)
        return _Place(self._leave, self._clock_s())

    async def _wait(self, caller: Caller, priority: Priority, patience_s: float) -> None:
        """Wait until a place is taken for the call; raises Busy."""
        line = self._urgent if priority == "interactive" else self._patient
        wait_s = min(patience_s, self._spec.max_wait_ms / 1000)
        expected_s = self._expected_s(line, caller)
        if wait_s <= 0 or expected_s > wait_s or not self._has_room(line, caller):
            raise self._busy(expected_s)
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), line, caller)
        line.add(waiter)
        timer = loop.call_later(wait_s, self._turn_away, waiter)
        self._serve()
        try:
            admitted = await waiter.admitted
        except asyncio.CancelledError:
            self._abandon(waiter)
            raise
        finally:
            timer.cancel()
        if not admitted:
            raise self._busy(self._expected_s(line, caller))

    def _expected_s(self, line: _Line, caller: Caller) -> float:
        """Estimate for how long a call that comes now would wait."""
        ahead = line.ahead_of(caller)
        if line is self._patient:
            ahead += min(self._urgent.waiting, URGENT_IN_A_ROW * (ahead + 1))
        return (ahead + 1) * max(self._held_s / self._spec.max_calls, self._interval_s)

    def _has_room(self, line: _Line, caller: Caller) -> bool:
        """Make room in a full line, where somebody has less of a right to it than the caller.

        That is a batch call, for an interactive one; else a call of a tenant that would still have more
        waiting for its share.
        """
        if self.waiting < self._spec.max_waiting:
            return True
        outranked = line is self._urgent and self._patient.waiting > 0
        load, victim = (self._patient if outranked else line).heaviest()
        if victim is None or not (outranked or load > line.load_of(caller)):
            return False
        self._turn_away(victim)
        return True

    def _busy(self, expected_s: float) -> Busy:
        return Busy(
            f"backend {self._name} has no free place for this call",
            retry_after_s=max(ceil(expected_s), 1),
            detail=f"{self.inside} calls inside, {self.waiting} waiting",
        )

    def _serve(self) -> None:
        """Give free places to those who wait, as fast as the pace lets."""
        if self._pace is None:
            while self._free and self.waiting:
                self._admit_next()
        elif self._pacer is None and self._free and self.waiting:
            self._pacer = asyncio.get_running_loop().create_task(self._serve_paced(self._pace))

    async def _serve_paced(self, pace: AsyncLimiter) -> None:
        while self._free and self.waiting:
            await pace.acquire()
            self._admit_next()
        self._pacer = None

    def _admit_next(self) -> None:
        while self.waiting:
            waiter = self._pop()
            if not waiter.admitted.done():  # one whose task was cancelled is on its way out
                self._free -= 1
                waiter.admitted.set_result(True)
                return

    def _pop(self) -> _Waiter:
        if not self._patient.waiting:
            self._urgent_in_a_row = 0
            return self._urgent.pop()
        if not self._urgent.waiting or self._urgent_in_a_row == URGENT_IN_A_ROW:
            self._urgent_in_a_row = 0
            return self._patient.pop()
        self._urgent_in_a_row += 1
        return self._urgent.pop()

    def _turn_away(self, waiter: _Waiter) -> None:
        if not waiter.admitted.done():
            waiter.admitted.set_result(False)
        self._forget(waiter)  # also one whose task was cancelled, and is on its way out

    def _abandon(self, waiter: _Waiter) -> None:
        """A call that waited was cancelled: give back the place, if it just got one."""
        if waiter.admitted.cancelled() or not waiter.admitted.result():
            self._forget(waiter)
        else:
            self._free += 1
            self._serve()

    def _forget(self, waiter: _Waiter) -> None:
        waiter.line.remove(waiter)
        if self._pacer is not None and not self.waiting:
            self._pacer.cancel()
            self._pacer = None

    def _leave(self, since_s: float) -> None:
        held_s = self._clock_s() - since_s
        self._held_s += SMOOTHING * (held_s - self._held_s) if self._held_s else held_s
        self._free += 1
        self._serve()
