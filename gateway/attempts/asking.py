"""Make a call of the gateway's own: its answer is read whole, and goes to no client."""

from __future__ import annotations

from gateway.attempts.outcome import Outcome
from gateway.attempts.trip import Trip
from gateway.errors import Broken, UpstreamError
from gateway.exchange import Call, Record
from gateway.formats.chat.transcript import text_of
from gateway.routing.plans import Plan


async def ask(call: Call, plan: Plan, record: Record) -> str:
    """Return what is answered, as text. Raises UpstreamError; the record has what was used all the same."""
    outcome = await Trip(call, plan, record).run()
    record.status = outcome.status
    record.ending = "broken"
    text = text_of(outcome.body) if outcome.opened is None else await _heard(outcome)
    record.ending = "finished"
    return text


async def _heard(outcome: Outcome) -> str:
    """Read a stream to its end. Raises what breaks it."""
    opened = outcome.opened
    if opened is None:
        return ""
    stream = opened.stream
    try:
        while not (opened.ended or stream.done):
            opened.take(await opened.answer.next_piece())
        if not (stream.done or stream.finished):
            raise stream.fault or Broken("the upstream's stream ended before it was whole")
        opened.close(None)
        return stream.text()
    except UpstreamError as error:
        opened.close(error)
        raise
    finally:
        opened.give_up()
