"""Hold back the beginning of a stream: what the client has not seen may still break unseen.

Must not know what a stream says, or what is tried after one that broke.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from time import monotonic

from gateway.attempts.outcome import Opened
from gateway.exchange import Headers
from gateway.protocols import Answer
from gateway.routing.routes import StreamTerms

_BYTES_PER_TOKEN = 4
"""Roughly."""


async def hold(opened: Opened, held: list[bytes], terms: StreamTerms) -> None:
    """Read on, into `held`, until there is enough of it, or it is held long enough, or all has been said.

    Raises the error that the stream carries, or what broke it.
    """
    stream, enough = opened.stream, terms.hold_tokens * _BYTES_PER_TOKEN
    until_s = monotonic() + (terms.hold_s or inf)
    while not (opened.ended or stream.done) and len(stream.text()) < enough:
        if (piece := await _piece(opened, until_s - monotonic())) is None:
            return
        held.append(opened.take(piece))
        if (fault := stream.fault) is not None:
            raise fault


async def _piece(opened: Opened, within_s: float) -> bytes | None:
    """Return the next piece; None: it did not come in time. Then it is what the answer gives next."""
    if within_s == inf:
        return await opened.answer.next_piece()
    if within_s <= 0:
        return None
    answer = opened.answer
    coming = asyncio.ensure_future(answer.next_piece())
    try:
        done, _ = await asyncio.wait([coming], timeout=within_s)
    except BaseException:
        _drop(coming)
        raise
    if done:
        return coming.result()
    opened.answer = _Awaited(answer, coming)
    return None


def _drop(coming: asyncio.Future[bytes]) -> None:
    coming.cancel()
    coming.add_done_callback(_unheard)


def _unheard(coming: asyncio.Future[bytes]) -> None:
    """Whatever it ended with, nobody wants it. Who does not ask is told of it by asyncio, in the log."""
    if not coming.cancelled():
        coming.exception()


class _Awaited:
    """An answer whose next piece is awaited already: to cancel that could lose it. See protocols.Answer."""

    __slots__ = ("_answer", "_coming", "connect_s", "headers", "status")

    def __init__(self, answer: Answer, coming: asyncio.Future[bytes]) -> None:
        self.status: int = answer.status
        self.headers: Headers = answer.headers
        self.connect_s: float = answer.connect_s
        self._answer = answer
        self._coming: asyncio.Future[bytes] | None = coming

    async def next_piece(self) -> bytes:
        """Return the next bytes."""
        coming = self._coming
        if coming is None:
            return await self._answer.next_piece()
        piece = await coming
        self._coming = None
        return piece

    async def read(self, limit_bytes: int, first: bytes = b"") -> bytes:
        """Read the rest, of which `first` was read already."""
        return await self._answer.read(limit_bytes, first + await self.next_piece())

    def begun(self, enough_s: Callable[[], float]) -> None:
        """The first token has come."""
        self._answer.begun(enough_s)

    def close(self) -> None:
        """Close the answer, and end the wait for its next piece."""
        if self._coming is not None:
            _drop(self._coming)
        self._answer.close()
