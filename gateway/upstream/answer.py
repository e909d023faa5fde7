"""An open upstream answer, whatever client opened it: pieces under a watchdog, a bounded whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from gateway.errors import Failed
from gateway.exchange import Headers
from gateway.upstream.watchdog import Watchdog


class WatchedAnswer:
    """See protocols.Answer.

    `pull` returns the next bytes, b"" at the end, and raises Broken when the body is cut; `drop` ends
    the connection, or gives it back when the body was read to its end.
    """

    __slots__ = ("_drop", "_gap_s", "_pull", "_started", "_watchdog", "connect_s", "headers", "status")

    def __init__(  # noqa: PLR0913, PLR0917 - the parts of an answer, put together in three places
        self,
        status: int,
        headers: Headers,
        pull: Callable[[], Awaitable[bytes]],
        drop: Callable[[], None],
        watchdog: Watchdog,
        gap_s: float,
        connect_s: float = 0.0,
    ) -> None:
        self.status = status
        self.headers = headers
        self.connect_s = connect_s
        self._pull = pull
        self._drop = drop
        self._watchdog = watchdog
        self._gap_s = gap_s
        self._started = False

    async def next_piece(self) -> bytes:
        """Return the next bytes, b"" at the end; raises Broken when cut, TimedOut on a gap."""
        watchdog = self._watchdog
        if self._started:  # until the first byte, the first byte's own deadline goes on
            watchdog.expect("the next piece of the answer", self._gap_s)
        try:
            piece = await self._pull()
        except asyncio.CancelledError:
            timed_out = watchdog.verdict()
            if timed_out is None:
                raise
            if watchdog.over:  # what it still owes is nothing that anybody waits for
                return b""
            raise timed_out from None
        self._started = True
        watchdog.rest()
        return piece

    def begun(self, enough_s: Callable[[], float]) -> None:
        """The first token has come. See protocols.Answer."""
        self._watchdog.begun()
        self._watchdog.ask(enough_s)

    async def read(self, limit_bytes: int, first: bytes = b"") -> bytes:
        """Read the whole body; raises Failed beyond `limit_bytes`, Broken when cut, TimedOut."""
        pieces: list[bytes] = []
        size_bytes = 0
        piece = first or await self.next_piece()
        while piece:
            pieces.append(piece)
            size_bytes += len(piece)
            if size_bytes > limit_bytes:
                message = f"the upstream's answer is larger than the limit of {limit_bytes} bytes"
                raise Failed(message, code="upstream_answer_too_large")
            piece = await self.next_piece()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Give the connection back when the body was read to its end, else drop it. Idempotent."""
        self._watchdog.stop()
        self._drop()
