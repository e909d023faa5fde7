"""Go on with a stream that broke after its beginning went to the client: by another target, or not at all.

What was begun is never told as an error of going on: whoever asks gets None, and tells why it broke first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from gateway.attempts.outcome import Opened, Resume
from gateway.attempts.trip import Trip
from gateway.errors import BadAnswer, BadRequest, Unsupported, UpstreamError
from gateway.exchange import Format, Moment, Try
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.continued.passage import can_continue, continuing_passage, said, seam_note
from gateway.formats.passage.seam import Passage
from gateway.routing.choice import choose
from gateway.routing.routes import Candidate

WANTED = "x-forebay-stream"
"""The header by which a client says that it can take a stream that begins anew."""

Opening = Callable[[Candidate, Format], Passage]


def resume_of(trip: Trip) -> Resume | None:
    """Say how a stream of this call is gone on with; None: a break ends it."""
    on_break = trip.plan.way.stream.on_break
    if on_break == "continue":
        return lambda broken, error: _continued(trip, broken, error)
    if on_break == "restart" and trip.call.headers.get(WANTED) == "restart":
        return lambda broken, error: _restarted(trip, broken, error)
    return None


async def _continued(trip: Trip, broken: Opened, _error: UpstreamError) -> Opened | None:
    if not can_continue(broken.stream):
        return None

    def passage(candidate: Candidate, wire: Format) -> Passage:
        model = candidate.deployment.model
        return continuing_passage(trip.call, wire, model, trip.terms, broken.stream)

    after_chars = len(said(broken.stream))
    for candidate in _others(trip):
        if candidate.deployment.facts.prefill:
            following = await _opened(trip, candidate, passage, "continue")
            if following is not None:
                note = seam_note(trip.call.format, following.attempt.backend, after_chars)
                following.held = note + following.held
                return following
    return None


async def _restarted(trip: Trip, _broken: Opened, error: UpstreamError) -> Opened | None:
    def passage(candidate: Candidate, wire: Format) -> Passage:
        return open_passage(trip.call, wire, candidate.deployment.model, trip.terms)

    for candidate in _others(trip):
        following = await _opened(trip, candidate, passage, "restart")
        if following is not None:
            told = msgspec.json.encode({"type": "restart", "cause": error.cause})
            following.held = b"event: forebay.restart\ndata: " + told + b"\n\n" + following.held
            return following
    return None


def _others(trip: Trip) -> Iterator[Candidate]:
    """Give those that were not asked yet: the route's targets, then those of its fallbacks."""
    way, asked = trip.plan.way, {(attempt.backend, attempt.model) for attempt in trip.record.attempts}
    targets = (*way.targets, *(target for step in way.steps for target in step.targets))
    for candidate in choose(targets, way.strategy, trip.plan.demand.of(trip.call), Moment.now()).candidates:
        deployment = candidate.deployment
        if (deployment.site.backend.name, deployment.model) not in asked:
            yield candidate


async def _opened(trip: Trip, candidate: Candidate, passage: Opening, why: Try) -> Opened | None:
    """Begin a stream at a target; None: it cannot, or fails."""
    for wire in candidate.wires:
        if trip.left_s() <= 0 or not trip.afford(candidate) or not await trip.covered(candidate):
            return None
        attempt = trip.begin(candidate.deployment, why)
        try:
            outcome = await trip.open(passage(candidate, wire), candidate.deployment, attempt)
        except (Unsupported, BadRequest) as error:
            attempt.cause = error.code
        except UpstreamError:
            trip.repay(candidate, attempt)
            return None
        else:
            if outcome.lack is not None or outcome.opened is None:
                outcome.forgo(BadAnswer.code if outcome.lack is None else outcome.lack.code)
                return None
            return outcome.opened
        trip.repay(candidate, attempt)
    return None
