"""Turn an accepted answer into the client's reply: headers chosen, bytes passed on and looked at.

A stream that breaks is gone on with where its route says so, else it ends with an error event and without its
format's end: it is never dressed as whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial

from gateway.attempts.outcome import Opened, Outcome
from gateway.errors import Broken, ShuttingDown, UpstreamError
from gateway.exchange import Flight, Record, Reply
from gateway.formats.http.headers import REQUEST_ID_NAMES, relayed_headers
from gateway.routing.decisions import decision_header


def relay(outcome: Outcome, record: Record, flight: Flight) -> Reply:
    """Build the reply. Of a stream, the record learns the ending as it passes."""
    record.status = outcome.status
    headers, remember = _headers(outcome, record), outcome.remember
    if outcome.opened is not None:
        stream = _stream(outcome.opened, outcome, record, flight)
        if remember is not None:
            stream = _remembered(stream, record, partial(remember, _type_of(headers)))
        return Reply(outcome.status, headers, stream)
    record.ending = "finished"
    if remember is not None:
        remember(_type_of(headers), outcome.body)
    return Reply(outcome.status, headers, outcome.body)


def _headers(outcome: Outcome, record: Record) -> list[tuple[bytes, bytes]]:
    call_id = record.call_id.encode()
    own = [(b"x-forebay-call-id", call_id), (b"x-forebay-route", record.route.encode())]
    if outcome.backend:
        own.append((b"x-forebay-backend", outcome.backend.encode()))
    if outcome.dropped:
        own.append((b"x-forebay-dropped", ", ".join(outcome.dropped).encode()))
    own += outcome.notes
    if record.lease is not None:
        own += record.lease.headers()
    if record.call is not None:
        own += decision_header(record.call.headers, record)
    headers = relayed_headers(outcome.headers, own)
    if outcome.content_type is not None:
        headers = [line for line in headers if line[0] != b"content-type"]
        headers.append((b"content-type", outcome.content_type))
    for wanted in REQUEST_ID_NAMES if record.format == "messages" else REQUEST_ID_NAMES[:1]:
        if not any(name == wanted for name, _ in headers):
            headers.append((wanted, call_id))
    return headers


def _type_of(headers: list[tuple[bytes, bytes]]) -> bytes:
    return next((value for name, value in headers if name == b"content-type"), b"application/json")


async def _stream(
    opened: Opened, outcome: Outcome, record: Record, flight: Flight
) -> AsyncGenerator[bytes, None]:
    record.ending = "broken"  # until it has ended otherwise
    following: Opened | None = opened
    try:
        while following is not None:
            opened, following = following, None
            try:
                while passed := await _next(opened):
                    yield passed
            except UpstreamError as error:
                if opened.stream.done:  # all had been said: a host may well break the line there
                    break
                following = await _go_on(opened, error, outcome, record)
                if following is None:
                    yield opened.stream.fail(record.error or error)
    except asyncio.CancelledError:
        if flight.reason != "shutdown" or opened.stream.done:
            raise
        record.error = ShuttingDown("the gateway is shutting down; the answer is not whole")
        yield opened.stream.fail(record.error)
    finally:
        _close(opened, record)


async def _remembered(
    stream: AsyncGenerator[bytes, None], record: Record, remember: Callable[[bytes], None]
) -> AsyncGenerator[bytes, None]:
    """Pass a stream on, and keep what the client got of it when it was whole.

    One that began anew is not kept: only clients that say so can take one.
    """
    kept = list[bytes]()
    try:
        async for passed in stream:
            kept.append(passed)
            yield passed
    finally:
        await stream.aclose()
    if record.ending == "finished" and all(attempt.why != "restart" for attempt in record.attempts):
        remember(b"".join(kept))


async def _go_on(broken: Opened, error: UpstreamError, outcome: Outcome, record: Record) -> Opened | None:
    """Close a stream that broke, and return the one that goes on where it did, if there is one."""
    record.error = record.error or error  # of several the first: the others are of going on
    broken.close(error)
    return await outcome.resume(broken, error) if outcome.resume else None


async def _next(opened: Opened) -> bytes:
    """Return what the client gets next, b"" at the end. Raises UpstreamError."""
    if opened.held:
        held, opened.held = opened.held, b""
        return held
    while not opened.ended:
        if piece := await opened.answer.next_piece():
            if passed := opened.stream.feed(piece):
                return passed
        else:
            opened.ended = True
            if passed := opened.stream.close():
                return passed
    return _regular_end(opened)


def _regular_end(opened: Opened) -> bytes:
    """Write what a finished stream lacks of its format's end. Raises what broke it and was not told."""
    stream = opened.stream
    if stream.fault is not None and opened.silent:
        raise stream.fault
    if opened.mended or stream.done or stream.fault is not None:
        return b""
    if not stream.finished:
        raise Broken("the upstream ended its stream without saying that its answer is whole")
    opened.mended = True
    return stream.mend()


def _close(opened: Opened, record: Record) -> None:
    """Enter how the last of the streams ended. A client may well hang up at the end: all has been said."""
    stream = opened.stream
    if (stream.done or opened.mended) and stream.fault is None:
        record.ending, record.error = "finished", None
        opened.close(None)
    elif stream.fault is not None:
        record.error = record.error or stream.fault
        opened.close(stream.fault)
    else:
        opened.give_up()
