"""Turn an accepted answer into the client's reply: headers chosen, bytes passed on and looked at.

A stream that breaks ends with an error event and without `[DONE]`: it is never dressed as whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import msgspec

from gateway.errors import Broken, GatewayError, ShuttingDown, UpstreamError
from gateway.exchange import Flight, Record, Reply
from gateway.formats.chat.errors import encode_error_event
from gateway.formats.chat.response import rename_model
from gateway.formats.chat.stream import RelayedStream
from gateway.formats.headers import relayed_headers
from gateway.protocols import Answer
from gateway.stages.dispatch import Outcome


class Passage(msgspec.Struct, frozen=True, gc=False):
    """How an answer goes through: whose call, what to withhold, which name to show."""

    record: Record
    flight: Flight
    withhold_usage: bool
    rename: str | None


def relay(outcome: Outcome, passage: Passage) -> Reply:
    """Build the reply. Of a stream, the record learns the usage and the ending as it passes."""
    record = passage.record
    record.status = outcome.status
    own = [(b"x-forebay-call-id", record.call_id.encode()), (b"x-forebay-route", record.route.encode())]
    own.append((b"x-forebay-backend", outcome.target.deployment.backend.name.encode()))
    headers = relayed_headers(outcome.headers, own)
    if not any(name == b"x-request-id" for name, _ in headers):
        headers.append((b"x-request-id", record.call_id.encode()))
    if outcome.answer is not None:
        return Reply(outcome.status, headers, _stream(outcome, outcome.answer, passage))
    record.ending = "finished"
    body = outcome.body if passage.rename is None else rename_model(outcome.body, passage.rename)
    return Reply(outcome.status, headers, body)


async def _stream(outcome: Outcome, answer: Answer, passage: Passage) -> AsyncGenerator[bytes, None]:
    record = passage.record
    stream = RelayedStream(
        withhold_usage=passage.withhold_usage,
        rename=passage.rename,
        limit_bytes=outcome.target.deployment.event_limit_bytes,
    )
    record.transcript = stream.text
    record.ending = "broken"  # until it has ended otherwise
    try:
        piece = outcome.body
        while piece:
            if passed := stream.feed(piece):
                yield passed
            piece = await answer.next_piece()
        if rest := stream.close():
            yield rest
        _check_end(stream)
        record.ending = "finished"
    except (UpstreamError, asyncio.CancelledError) as error:
        if (told := _broken_by(error, stream, passage)) is not None:
            record.error = told
            yield encode_error_event(told)
    finally:
        answer.close()
        record.usage = stream.usage
        if record.ending == "finished" or stream.done:
            # A client may well hang up at [DONE], and a host break the line there: all has been said.
            record.ending = "broken" if record.error or stream.failed else "finished"


def _check_end(stream: RelayedStream) -> None:
    if not (stream.done or stream.finished or stream.failed):
        raise Broken("the upstream ended its stream without a finish reason or [DONE]")


def _broken_by(error: BaseException, stream: RelayedStream, passage: Passage) -> GatewayError | None:
    """Say what to tell the client of a break; None where all has been said. Raises what is not ours."""
    if isinstance(error, UpstreamError):
        return None if stream.done else error
    if passage.flight.reason == "shutdown":
        return ShuttingDown("the gateway is shutting down; the answer is not whole")
    raise error
