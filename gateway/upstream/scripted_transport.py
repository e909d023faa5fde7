"""Play scenes as if they were an upstream: delays, errors and cuts, in this process, without a socket.

Knows no format: what is said, and when, is the scene's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal

import msgspec

from gateway.errors import Broken, ConnectFailed
from gateway.exchange import Headers, Request, Timeouts
from gateway.protocols import Sending
from gateway.upstream.answer import WatchedAnswer
from gateway.upstream.watchdog import Watchdog


class Scene(msgspec.Struct, frozen=True):
    """One answer: its pieces, each after a pause in seconds, and what goes wrong."""

    status: int
    headers: Headers
    pieces: tuple[tuple[float, bytes], ...]
    fault: Literal["", "refuse", "hang", "cut"] = ""
    """refuse: no connection; hang: never answers; cut: breaks off half-way."""


class ScriptedTransport:
    """Answers each request with the scene that `play` gives for it."""

    def __init__(self, play: Callable[[Request], Scene]) -> None:
        self._play = play

    async def send(self, request: Request, timeouts: Timeouts, sending: Sending) -> WatchedAnswer:
        """Start the scene; raises ConnectFailed where the script says so."""
        scene = self._play(request)
        if scene.fault == "refuse":
            raise ConnectFailed("the script refuses the connection")
        sending.sent()
        watchdog = Watchdog(timeouts)
        watchdog.expect("the first byte", timeouts.first_byte_s)
        told = (len(scene.pieces) + 1) // 2 if scene.fault == "cut" else len(scene.pieces)
        pieces = iter(scene.pieces[:told])

        async def pull() -> bytes:
            if scene.fault == "hang":
                await asyncio.Event().wait()
            pause_s, piece = next(pieces, (0.0, b""))
            if pause_s:
                await asyncio.sleep(pause_s)
            if not piece and scene.fault == "cut":
                raise Broken("the script cuts the answer here")
            return piece

        return WatchedAnswer(scene.status, scene.headers, pull, _nothing, watchdog, timeouts.gap_s)

    async def close(self) -> None:
        """Nothing is open."""


def _nothing() -> None:
    """There is no connection to give back."""
