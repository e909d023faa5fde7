"""Take the request's body from the socket, decompressed, within its limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from gateway.errors import ClientGone, LedgerFull, ReadTimeout, TooLarge
from gateway.exchange import Arrival
from gateway.formats.http.compression import decompress


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
    return body if encoding is None else decompress(body, encoding, intake.max_body_bytes)


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
