"""Take the request's body from the socket, decompressed, within its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import msgspec

from gateway.errors import ClientGone, LedgerFull, ReadTimeout, TooLarge
from gateway.exchange import Arrival
from gateway.formats.http.compression import decompress

_SHORT_BYTES: Final = 64 << 10
"""Unfolds on the loop, in less than 0.2 ms; the way to a thread and back is 0.05. 32 MiB take 150."""
_MOST_TIMES: Final = 100
_ANY_TIMES_BYTES: Final = 1 << 20
"""A body may be larger than this only by what was sent for it, at most `_MOST_TIMES` as much."""
_UNFOLDING: Final = ThreadPoolExecutor(2, "unfolding")
"""Its own threads: however many bodies come, news of keys need not wait for them."""


class Intake(msgspec.Struct, frozen=True, gc=False):
    """What a request may be: its size in bytes, decompressed, and the seconds its body may take."""

    max_body_bytes: int
    body_timeout_s: float
    has_room: Callable[[], bool] | None = None
    """Whether there is room to write down what a call costs; None: it need not be."""


async def receive(arrival: Arrival, intake: Intake) -> bytes:
    """Return the body.

    Raises LedgerFull, TooLarge, ReadTimeout, ClientGone, BadRequest for a broken compression.
    """
    if intake.has_room is not None and not intake.has_room():
        raise LedgerFull("what calls cost cannot be written down now: there is no room", retry_after_s=5)
    declared = arrival.headers.get("content-length", "")
    if declared.isdecimal() and float(declared) > intake.max_body_bytes:  # an int of 5,000 digits raises
        raise _too_large(intake)
    # The first piece too may never come. A bare timer costs a third of `asyncio.timeout`.
    timer = arrival.flight.interrupt_after(intake.body_timeout_s, "body_late")
    try:
        body = await _whole(arrival, intake)
    except asyncio.CancelledError:
        if arrival.flight.reason != "body_late":
            raise
        raise ReadTimeout(f"the request's body did not arrive within {intake.body_timeout_s:g} s") from None
    finally:
        timer.cancel()
    encoding = arrival.headers.get("content-encoding")
    return body if encoding is None else await _unfolded(body, encoding, intake.max_body_bytes)


async def _unfolded(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Decompress, what is long beside the loop. Nobody sees from outside how long it is: a try tells.

    Not for brotli: it unfolds a whole window, up to 16 MiB, before it gives the first byte.
    """
    if len(body) <= _SHORT_BYTES and "br" not in encoding.lower():
        try:
            return decompress(body, encoding, min(_SHORT_BYTES, limit_bytes))
        except TooLarge:
            pass
    fair_bytes = max(_ANY_TIMES_BYTES, _MOST_TIMES * len(body))
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(
            _UNFOLDING, decompress, body, encoding, min(fair_bytes, limit_bytes)
        )
    except TooLarge:
        if limit_bytes <= fair_bytes:
            raise
        raise TooLarge(
            f"the request's body unfolds to more than {_MOST_TIMES} times what was sent, which it may only"
            f" up to {_ANY_TIMES_BYTES} bytes; send it less compressed"
        ) from None


async def _whole(arrival: Arrival, intake: Intake) -> bytes:
    pieces, size_bytes, more = list[bytes](), 0, True
    while more:
        message = await arrival.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone("the client left before its request was whole")
        piece, more = message.get("body", b""), message.get("more_body", False)
        pieces.append(piece)
        size_bytes += len(piece)
        if size_bytes > intake.max_body_bytes:
            raise _too_large(intake)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(intake: Intake) -> TooLarge:
    return TooLarge(f"the request's body is larger than the limit of {intake.max_body_bytes} bytes")
