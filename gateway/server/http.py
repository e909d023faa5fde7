"""The HTTP server of one process: uvicorn with an orderly end, sweeps and bounds.

It does not know what the application does with a request, nor how many processes there are
(`supervisor` does). What happens on a single connection is in `connection`.

The end: the first SIGTERM or SIGINT turns readiness off at once (`on_drain`) and closes the listener;
idle connections are closed; running answers have `drain_s`; then `on_expire` asks the application
to end them, and they get 2 s more; then they are cut. A second signal cuts everything at once.

Source: uvicorn 0.54, `server.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from types import FrameType
from typing import Any, NamedTuple

import msgspec
import uvicorn

from gateway.server.connection import Connection, EdgeState

Application = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application: scope, receive, send."""

BACKLOG = 4096

EXPIRE_GRACE_S = 2.0
"""Between `on_expire` and the cut: time for an error event to reach the clients."""

ABORT_GRACE_S = 1.0
"""Between the cut and the cancelling of what still runs: time to settle."""

FORCED_GRACE_S = 0.1
"""The same after a second signal."""

WATCHDOG_S = 0.3
"""After a second signal the process ends within this time, whatever its loop is doing."""

_POLL_S = 0.05
_TICKS_PER_SWEEP = 10
"""uvicorn's main loop ticks every 0.1 s."""


class ServerSettings(msgspec.Struct, frozen=True):
    """Limits of one server process; times in seconds.

    `header_timeout_s` runs from a connection's opening, or the first byte of a further request, to
    the end of the request's head. The sweep is coarse: a late head is refused up to 1 s after that.
    """

    max_connections: int = 4096
    header_timeout_s: float = 10.0
    keep_alive_s: float = 75.0
    drain_s: float = 30.0


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen; port 0 takes a free one. Raises OSError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


class Turns(NamedTuple):
    """Called on the loop, at most once each, in this order."""

    on_ready: Callable[[], None]
    """Connections are taken, and a signal ends that in order."""
    on_drain: Callable[[], None]
    """A signal came: no more connections are taken."""
    on_expire: Callable[[], None]
    """What still runs has had its time."""


async def serve(app: Application, settings: ServerSettings, sock: socket.socket, turns: Turns) -> int:
    """Serve `app` on the listening `sock` until a signal ends it; takes over SIGTERM and SIGINT.

    Returns the exit code of the process: 0
    after an orderly end, 1 after a second signal. Raises SystemExit when the application's own
    start-up (ASGI lifespan) fails.
    """
    server = GatewayServer(app, settings, turns)
    await server.serve(sockets=[sock])
    return server.exit_code


class GatewayServer(uvicorn.Server):
    """uvicorn's server; see the module's docstring for what differs."""

    def __init__(
        self,
        app: Application,
        settings: ServerSettings,
        turns: Turns,
    ) -> None:
        super().__init__(_uvicorn_config(app, settings))
        self.settings = settings
        self.exit_code = 0
        self.edge = EdgeState(settings.max_connections, settings.header_timeout_s)
        self.server_state = self.edge
        self._turns = turns
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the clock before the first connection can come."""
        self.edge.now_s = asyncio.get_running_loop().time()
        await super().startup(sockets)
        self._turns.on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Advance the coarse clock; sweep once a second."""
        self.edge.now_s = asyncio.get_running_loop().time()
        if counter % _TICKS_PER_SWEEP == 0:
            self.edge.sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, expire, cut; then end the application's lifespan."""
        self._close_listeners(sockets)
        if not await self._drained(self.settings.drain_s) and not self.force_exit:
            self._turns.on_expire()
            await self._drained(EXPIRE_GRACE_S)
        for connection in (*self.edge.connections, *self.edge.lingering):
            connection.transport.abort()
        await self._settled(FORCED_GRACE_S if self.force_exit else ABORT_GRACE_S)
        if not self.force_exit:
            await self.lifespan.shutdown()

    async def _drained(self, limit_s: float) -> bool:
        """Wait until nothing runs and nobody is connected; False when that takes too long."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + limit_s
        while self.edge.connections or self.edge.tasks:
            self.edge.now_s = loop.time()
            if self.force_exit or self.edge.now_s > deadline_s:
                return False
            self.edge.sweep()
            for connection in list(self.edge.connections):
                connection.shutdown()
            await asyncio.sleep(_POLL_S)
        return True

    async def _settled(self, limit_s: float) -> None:
        """Wait for the application's tasks, whose connections are gone; cancel what takes longer."""
        if self.edge.tasks:
            _, late = await asyncio.wait(self.edge.tasks, timeout=limit_s)
            for task in late:
                task.cancel()

    def _close_listeners(self, sockets: list[socket.socket] | None) -> None:
        for server in self.servers:
            server.close()
        for sock in sockets or ():
            sock.close()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT; unlike uvicorn, do not raise them again: the exit code is ours.

        With `signal.signal`, not the loop's handlers: a loop that is stuck must still see the second one.
        """
        self._loop = asyncio.get_running_loop()
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature of signal handlers
        """Begin to drain at the first signal, to cut at the second."""
        if not self.should_exit:
            self.should_exit = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._begin_drain)
            return
        self.force_exit = True
        self.exit_code = 1
        watchdog = threading.Timer(WATCHDOG_S, os._exit, (1,))
        watchdog.daemon = True
        watchdog.start()

    def _begin_drain(self) -> None:
        """Tell the application; the main loop's next tick, within 0.1 s, closes the listener."""
        self.edge.draining = True
        self._turns.on_drain()


def _uvicorn_config(app: Application, settings: ServerSettings) -> uvicorn.Config:
    """Configure uvicorn: no logging of its own, no protocol but HTTP/1.1, no guess at proxies."""
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        # "auto" would take a failed start-up for an application without lifespan, and serve.
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=math.ceil(settings.keep_alive_s),
    )
