"""The calls running now, so that a shutdown can wait for them, and in the end interrupt them."""

from __future__ import annotations

import asyncio

from gateway.exchange import Flight


class Flights:
    """The running calls of one worker that began under one configuration."""

    def __init__(self) -> None:
        self._running: set[Flight] = set()
        self.draining = False
        """The worker is about to stop."""
        self._empty: asyncio.Event | None = None
        """Set when the last call ends, once somebody waits for that."""
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ended(self) -> None:
        """Wait until no call runs."""
        if self._running:
            self._empty = asyncio.Event()
            await self._empty.wait()

    def drain(self) -> None:
        """The worker is about to stop: say so to whoever asks for readiness."""
        self.draining = True

    def state(self) -> tuple[bool, str]:
        """Whether new calls are welcome, and a sentence about it."""
        if self.draining:
            return False, f"shutting down, {len(self._running)} calls still run"
        return True, f"serving, {len(self._running)} calls run"

    def __len__(self) -> int:
        return len(self._running)

    def begin(self) -> Flight:
        """Register the current task as a call."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a call runs in a task")
        flight = Flight(task.cancel, loop.call_later)
        self._running.add(flight)
        return flight

    def end(self, flight: Flight) -> None:
        """The call is over."""
        self._running.discard(flight)
        if self._empty is not None and not self._running:
            self._empty.set()

    def interrupt_all(self) -> None:
        """End every running call as a shutdown does: streams with an error event, others with a 503."""
        for flight in tuple(self._running):
            flight.interrupt("shutdown")
