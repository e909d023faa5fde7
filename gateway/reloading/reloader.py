"""Serve under the newest good configuration: notice an edit, check it, swap it in whole.

A call ends under the configuration it began with; what only that one had open is closed after its last
call. An edit that cannot be used changes nothing: it is reported, and the one before serves on.

Must not know what a configuration consists of.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import msgspec

from gateway.errors import ConfigError, ConfigErrors
from gateway.reloading.watch import Fingerprint, Watched
from gateway.runtime import PartState, Runtime
from gateway.telemetry.alarms import Trouble

_LOOK_S = 0.25
"""An edit is live in less than a second: it is seen within this, and settled after as much again."""

_MOST_REASON_CHARS = 2000
"""Of what is wrong with an edit, in an event."""

log = logging.getLogger("forebay")

Open = Callable[[AsyncExitStack], Awaitable[Runtime]]
"""Reads the files and opens what they say; raises ConfigErrors. The stack closes it again."""


class Reloader:
    """Holds the runtime of one worker."""

    def __init__(self, open_runtime: Open, watched: Watched) -> None:
        self._open = open_runtime
        self._watched = watched
        self._current: Runtime | None = None
        self._stack = AsyncExitStack()
        self._older: dict[asyncio.Task[None], Runtime] = {}
        self._trouble = ""
        self._stopping = False
        self._since = datetime.now(UTC)
        self._one = asyncio.Lock()

    def current(self) -> Runtime:
        """Return the runtime that new calls begin under."""
        if self._current is None:
            raise RuntimeError("nothing was opened yet")
        return self._current

    async def start(self) -> None:
        """Open the first configuration; raises ConfigErrors."""
        self._current = await self._opened(self._stack)

    async def _opened(self, stack: AsyncExitStack) -> Runtime:
        try:
            runtime = await self._open(stack)
        except BaseException:  # what was opened until then is nobody's
            await stack.aclose()
            raise
        return msgspec.structs.replace(
            runtime,
            parts={**runtime.parts, "configuration": self.state},
            troubles=lambda: (*runtime.troubles(), *self._troubles()),
            optional={*runtime.optional, "configuration"},
        )

    async def follow(self) -> None:
        """Look for edits until cancelled. What fails at that is told once, and ends nothing.

        Once it works again all is read anew: nobody knows what was missed.
        """
        lost = ""
        while True:
            await asyncio.sleep(_LOOK_S)
            try:
                seen = self._watched.look()
                if lost or seen != self._watched.seen:
                    await self._settle(seen)
                    await self.reload()
                lost = ""
            except Exception as error:
                why = f"{type(error).__name__} while edits were looked for; the log has more"
                if why != lost:
                    log.exception("internal error")
                    self._refuse(why)
                lost = why

    async def _settle(self, seen: Fingerprint) -> None:
        """Wait until whoever writes has written all: half a file is no edit."""
        while True:
            await asyncio.sleep(_LOOK_S)
            again = self._watched.look()
            if again == seen:
                return
            seen = again

    async def reload(self) -> None:
        """Read the configuration anew and swap it in; one that cannot be used is reported."""
        async with self._one:
            if self._stopping:
                return
            stack = AsyncExitStack()
            try:
                self._watched.renew()
                runtime = await self._opened(stack)
            except (ConfigErrors, ConfigError) as error:
                self._refuse(str(error))
            except Exception as error:
                log.exception("internal error")
                self._refuse(f"{type(error).__name__} while it was read; the log has more")
            else:
                self._apply(runtime, stack)

    def _apply(self, runtime: Runtime, stack: AsyncExitStack) -> None:
        old, old_stack = self.current(), self._stack
        self._current, self._stack = runtime, stack
        self._trouble, self._since = "", datetime.now(UTC)
        runtime.metrics.count_reload("applied")
        log.info("configuration applied")
        retiring = asyncio.create_task(_retire(old, old_stack))
        self._older[retiring] = old
        retiring.add_done_callback(self._retired)

    def _retired(self, task: asyncio.Task[None]) -> None:
        del self._older[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("internal error", exc_info=error)

    def _refuse(self, trouble: str) -> None:
        self._trouble = trouble
        self.current().metrics.count_reload("refused")
        for line in trouble.splitlines():
            log.error("configuration refused", extra={"reason": line})

    def _troubles(self) -> Iterator[Trouble]:
        """Tell of an edit that cannot be used, until one can."""
        if self._trouble:
            reason = self.current().clean(self._trouble)[:_MOST_REASON_CHARS]
            summary = "the newest edit of the configuration cannot be used; the one before serves on"
            yield Trouble("config_reload_failed", "configuration", summary, {"reason": reason})

    def state(self) -> PartState:
        """Say which configuration serves, and what is wrong with a newer one. The old one still serves."""
        since = self._since.strftime("%Y-%m-%dT%H:%M:%SZ")
        if self._trouble:
            return False, f"the newest edit cannot be used, that of {since} serves on: {self._trouble}"
        return True, f"read {since}"

    def running(self) -> int:
        """Count the running calls, of all configurations."""
        return sum(len(runtime.flights) for runtime in self._all())

    def drain(self) -> None:
        """The worker is about to stop: say so to whoever asks for readiness. No edit is taken any more."""
        self._stopping = True
        for runtime in self._all():
            runtime.flights.drain()

    def interrupt_all(self) -> None:
        """End every running call, as a shutdown does."""
        for runtime in self._all():
            runtime.flights.interrupt_all()

    async def close(self) -> None:
        """Close what is open. No call runs any more."""
        self._stopping = True
        async with self._one:  # a reload that has begun opens something
            if self._older:
                await asyncio.wait(self._older)
            await self._stack.aclose()

    def _all(self) -> list[Runtime]:
        return [*self._older.values(), self.current()]


async def _retire(runtime: Runtime, stack: AsyncExitStack) -> None:
    """Close what was open for a configuration once its last call has ended."""
    await runtime.flights.ended()
    await stack.aclose()
