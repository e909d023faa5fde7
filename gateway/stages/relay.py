"""Turn an accepted answer into the client's reply: headers chosen, bytes passed on and looked at.

A stream that breaks ends with an error event and without its format's end: it is never dressed as whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from gateway.errors import Broken, GatewayError, ShuttingDown, UpstreamError
from gateway.exchange import Flight, Record, Reply
from gateway.formats.http.headers import REQUEST_ID_NAMES, relayed_headers
from gateway.formats.passage.seam import AnswerStream
from gateway.stages.dispatch import Opened, Outcome


def relay(outcome: Outcome, record: Record, flight: Flight) -> Reply:
    """Build the reply. Of a stream, the record learns the usage and the ending as it passes."""
    record.status = outcome.status
    headers = _headers(outcome, record)
    if outcome.opened is not None:
        return Reply(outcome.status, headers, _stream(outcome.opened, record, flight))
    record.ending = "finished"
    return Reply(outcome.status, headers, outcome.body)


def _headers(outcome: Outcome, record: Record) -> list[tuple[bytes, bytes]]:
    call_id, passage = record.call_id.encode(), outcome.passage
    own = [(b"x-forebay-call-id", call_id), (b"x-forebay-route", record.route.encode())]
    own.append((b"x-forebay-backend", outcome.target.deployment.backend.name.encode()))
    if outcome.dropped:
        own.append((b"x-forebay-dropped", ", ".join(outcome.dropped).encode()))
    headers = relayed_headers(outcome.headers, own)
    if passage.content_type is not None:
        headers = [line for line in headers if line[0] != b"content-type"]
        headers.append((b"content-type", passage.content_type))
    for wanted in REQUEST_ID_NAMES if record.format == "messages" else REQUEST_ID_NAMES[:1]:
        if not any(name == wanted for name, _ in headers):
            headers.append((wanted, call_id))
    return headers


async def _stream(opened: Opened, record: Record, flight: Flight) -> AsyncGenerator[bytes, None]:
    stream, answer = opened.stream, opened.answer
    record.transcript = stream.text
    record.ending = "broken"  # until it has ended otherwise
    try:
        piece = opened.first
        while piece:
            if passed := stream.feed(piece):
                yield passed
            piece = await answer.next_piece()
        if rest := stream.close():
            yield rest
        _check_end(stream)
        record.ending = "finished"
    except (UpstreamError, asyncio.CancelledError) as error:
        if (told := _broken_by(error, stream, flight)) is not None:
            record.error = told
            yield stream.fail(told)
    finally:
        answer.close()
        record.usage = stream.usage
        if record.ending == "finished" or stream.done:
            # A client may well hang up at the end, and a host break the line there: all has been said.
            record.ending = "broken" if record.error or stream.failed else "finished"


def _check_end(stream: AnswerStream) -> None:
    if not (stream.done or stream.finished or stream.failed):
        raise Broken("the upstream ended its stream without saying that its answer is whole")


def _broken_by(error: BaseException, stream: AnswerStream, flight: Flight) -> GatewayError | None:
    """Say what to tell the client of a break; None where all has been said. Raises what is not ours."""
    if isinstance(error, UpstreamError):
        return None if stream.done else error
    if flight.reason == "shutdown":
        return ShuttingDown("the gateway is shutting down; the answer is not whole")
    raise error
