"""Send a call to its targets, as its plan has them, until one accepts it."""

from __future__ import annotations

from time import monotonic

from gateway.attempts.outcome import Outcome
from gateway.attempts.resuming import resume_of
from gateway.attempts.trip import Trip
from gateway.exchange import Call, Record
from gateway.routing.plans import Plan


async def dispatch(call: Call, plan: Plan, record: Record) -> Outcome:
    """Return the first accepted answer. Raises the last target's UpstreamError, or why there was none.

    Raises Unsupported when no target's format can express the call.
    """
    trip = Trip(call, plan, record)
    outcome = await trip.run()
    if outcome.opened is not None:
        outcome.resume = resume_of(trip)
    record.first_byte_s = monotonic()
    return outcome
