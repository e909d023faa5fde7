"""Make one attempt: send a call to a deployment, and accept its answer or say why not.

A whole answer is read and checked; of a stream the first content is awaited, and more where the route
holds some back. Until then nothing went to the client, and another target can still be tried.

Must not know wire formats, HTTP clients, or what is tried next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from math import inf
from time import monotonic

import msgspec

from gateway.attempts.allotment import allotted, patience_s
from gateway.attempts.holding import hold
from gateway.attempts.outcome import Opened, Outcome, heed, heed_stream
from gateway.errors import (
    BadAnswer,
    Broken,
    Busy,
    Cause,
    Empty,
    GatewayError,
    Overloaded,
    Refused,
    TimedOut,
    UpstreamError,
)
from gateway.exchange import Attempt, Credential, Headers, Priority, Request, Timeouts, Trace
from gateway.formats.chat.transcript import text_of
from gateway.formats.framing.sse import begins_as_events
from gateway.formats.passage.seam import AnswerStream, Passage
from gateway.protocols import Answer
from gateway.routing.health.health import Visit
from gateway.routing.routes import Deployment, Limits, StreamTerms
from gateway.texts.credentials import redact

ERROR_LIMIT_BYTES = 1024 * 1024
_SAID_S = 0.25
"""So long a silence is the end of an upstream that has said all, and does not close the line."""
_UNTOLD_S = 2.0
"""The same of one that did not tell its usage: it may yet, and else that can only be counted."""
_SERVER_ERRORS = 500
_STREAM_TYPES = (
    b"text/event-stream",
    b"application/vnd.amazon.eventstream",
    b"application/x-ndjson",
)


class Errand(msgspec.Struct):
    """What one attempt is to do, and where it writes down how it went."""

    passage: Passage
    deployment: Deployment
    limits: Limits
    deadline_s: float
    """When the whole call has to be answered, of the monotonic clock."""
    holding: StreamTerms
    attempt: Attempt
    priority: Priority
    noted: Callable[[Attempt, UpstreamError | None], None]
    """Told once, when the attempt is over."""
    silent: bool
    """The client is not told of an error that the stream carries: another one may go on."""

    def allot(self) -> Timeouts:
        """Say what it has left of its time. Raises TimedOut where that is nothing."""
        now_s = monotonic()
        left_s, spent_s = self.deadline_s - now_s, now_s - self.attempt.started_s
        stream = self.passage.call.envelope.stream
        timeouts = allotted(self.deployment.site.timeouts, self.limits, left_s, spent_s, stream=stream)
        if timeouts.first_byte_s > 0:
            return timeouts
        raise TimedOut("its time was over before the request could be sent")


async def open_attempt(errand: Errand) -> Outcome:
    """Return the accepted answer, and write down how long that took; raises UpstreamError."""
    attempt, site, leave = errand.attempt, errand.deployment.site, None
    try:
        give_back = None if site.gate is None else await _turn(errand)
        timeouts, leave = _begun(errand, give_back)
        credential = site.credentials.next()
        try:
            outcome = await _send(credential, errand, timeouts, leave)
        except Refused as refused:
            outcome = await _send_again(credential, refused, errand, leave)
    except BaseException as error:
        _note_failure(error, attempt, leave)
        raise
    finally:
        attempt.seconds = monotonic() - attempt.started_s
    if outcome.opened is None:
        leave(outcome.lack)
    elif outcome.lack is not None:
        outcome.opened.close(outcome.lack)
    return outcome


def _note_failure(error: BaseException, attempt: Attempt, leave: _Leaving | None) -> None:
    """Write down what has ended an attempt. Only an error of the upstream says something of it."""
    if isinstance(error, GatewayError):
        attempt.cause = error.code
    elif isinstance(error, asyncio.CancelledError):
        attempt.cause = attempt.cause or "interrupted"
    if leave is not None:
        if isinstance(error, UpstreamError):
            leave(error)
        else:
            leave.abandon()


async def _turn(errand: Errand) -> Callable[[], None] | None:
    """Wait for a place at the backend; returns what gives it back. Raises Busy."""
    gate, call = errand.deployment.site.gate, errand.passage.call
    if gate is None:
        return None
    wait_s = patience_s(errand.limits, errand.deadline_s - monotonic(), stream=call.envelope.stream)
    came_s = monotonic()
    try:
        return await gate.enter(call.caller, errand.priority, wait_s)
    finally:
        errand.attempt.queued_s = monotonic() - came_s


def _begun(errand: Errand, give_back: Callable[[], None] | None) -> tuple[Timeouts, _Leaving]:
    """Begin the visit, if there is time and nobody else is trying; say what ends it."""
    try:
        return errand.allot(), _Leaving(errand, _visit(errand.deployment), give_back)
    except UpstreamError:
        if give_back is not None:
            give_back()
        raise


def _visit(deployment: Deployment) -> Visit:
    visit = deployment.health.enter(monotonic())
    if visit is None:
        raise Busy(f"{deployment.name} is being tried by another call", code="backend_resting")
    return visit


class _Leaving:
    """Ends an attempt: its visit, its place at the backend, its entry in the books. The first time counts."""

    __slots__ = ("_errand", "_give_back", "_visit")

    def __init__(self, errand: Errand, visit: Visit, give_back: Callable[[], None] | None) -> None:
        self._errand: Errand | None = errand
        self._visit = visit
        self._give_back = give_back

    def begun(self) -> None:
        """Its first content came."""
        now_s = monotonic()
        if self._errand is not None:
            attempt = self._errand.attempt
            attempt.first_token_s = now_s - attempt.started_s
        self._visit.answered(now_s)

    def __call__(self, error: UpstreamError | None) -> None:
        """It is over, well or with an error of the upstream."""
        errand = self._taken()
        if errand is None:
            return
        usage = errand.attempt.usage
        cause: Cause | None = None if error is None else error.cause
        self._visit.ended(monotonic(), cause, usage.output_tokens if usage else 0)
        errand.noted(errand.attempt, error)

    def abandon(self) -> None:
        """We gave it up, or the client did: that says nothing of the deployment."""
        errand = self._taken()
        if errand is not None:
            self._visit.abandoned()

    def _taken(self) -> Errand | None:
        errand, self._errand = self._errand, None
        if errand is not None and self._give_back is not None:
            self._give_back()
        return errand


async def _send_again(credential: Credential, refused: Refused, errand: Errand, leave: _Leaving) -> Outcome:
    """Send with one credential after the other, as long as they are refused as this one was.

    One that is refused by name is left out at once. A 403 may be about the model: it counts against a
    credential only once another one was accepted.
    """
    credentials = errand.deployment.site.credentials
    suspects = dict[str, tuple[Credential, Refused]]()
    while True:
        if not refused.by_name:
            suspects[credential.name] = credential, refused
        elif not credentials.eject(credential):
            raise refused
        timeouts = errand.allot()  # the refused ones have taken some of it
        credential = credentials.next()
        if credential.name in suspects:
            raise suspects[credential.name][1]
        try:
            outcome = await _send(credential, errand, timeouts, leave)
        except Refused as error:
            refused = error
        else:
            for suspect, _ in suspects.values():
                credentials.eject(suspect)
            return outcome


async def _send(credential: Credential, errand: Errand, timeouts: Timeouts, leave: _Leaving) -> Outcome:
    site, passage, attempt = errand.deployment.site, errand.passage, errand.attempt
    request = site.backend.prepare(passage.call, errand.deployment.model, credential)
    signed = _told(site.sign(request), attempt.trace)
    answer = await site.transport.send(signed, timeouts, attempt)
    attempt.connect_s += answer.connect_s
    outcome = None
    try:
        refused = answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= _SERVER_ERRORS
        errand.deployment.health.told(answer.headers, monotonic(), refused=refused)
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
            attempt.transcript = None
            raise await _refusal(answer, errand, credential)
        outcome = await _accept(answer, errand, leave)
    except Broken as error:  # nothing went to the client yet: another target may do better
        raise BadAnswer(error.message, code="upstream_answer_cut", detail=error.detail) from error
    except UpstreamError as error:
        error.message = redact(error.message.encode(), credential.secret).decode(errors="replace")
        raise
    finally:
        if outcome is None or outcome.opened is None:
            answer.close()
    if request.dropped:
        outcome.dropped = tuple(dict.fromkeys((*passage.dropped, *request.dropped)))
    return outcome


def _told(request: Request, trace: Trace | None) -> Request:
    """Tell an upstream of ours which span it works for."""
    if trace is None:
        return request
    return msgspec.structs.replace(request, headers={**request.headers, **trace.headers()})


async def _refusal(answer: Answer, errand: Errand, credential: Credential) -> UpstreamError:
    site, health = errand.deployment.site, errand.deployment.health
    if answer.status < HTTPStatus.BAD_REQUEST:
        return BadAnswer(f"the upstream answered with a redirection ({answer.status})")
    try:
        body = redact(await answer.read(ERROR_LIMIT_BYTES), credential.secret)
    except UpstreamError:  # its status says enough where the body is huge or cut
        body = b""
    error = site.backend.classify(answer.status, answer.headers, body)
    if isinstance(error, Refused):
        error.by_name = answer.status == HTTPStatus.UNAUTHORIZED
    if isinstance(error, Overloaded) and error.retry_after_s:
        health.rest(error.retry_after_s, monotonic())
    return error


async def _accept(answer: Answer, errand: Errand, leave: _Leaving) -> Outcome:
    passage, site, attempt = errand.passage, errand.deployment.site, errand.attempt
    first = await answer.next_piece()
    outcome = Outcome(answer.status, answer.headers, passage.content_type, site.backend.name, passage.dropped)
    outcome.attempt, sent = attempt, passage.call
    outcome.translated_to = sent.format if sent.translated else ""
    if (begin := _streamed(answer, first, passage)) is not None:
        if not first:
            raise BadAnswer("the upstream's stream is empty", code="upstream_empty")
        stream = begin(site.event_limit_bytes)
        outcome.opened = opened = Opened(answer, stream, attempt, leave, silent=errand.silent)
        await _begin(opened, first, errand.holding)
        outcome.lack = None if opened.stream.begun else _empty()
        return outcome
    body = await answer.read(site.answer_limit_bytes, first) if first else b""
    whole = passage.read(body)
    heed(attempt, whole)
    if whole.refusal is not None and not whole.body:
        raise whole.refusal
    outcome.body, outcome.usage = whole.body, whole.usage
    outcome.lack = _empty() if whole.empty else whole.refusal
    outcome.content_type = whole.content_type or outcome.content_type
    attempt.transcript = partial(text_of, whole.body)
    return outcome


def _empty() -> Empty:
    return Empty("the upstream's answer says nothing")


async def _begin(opened: Opened, first: bytes, holding: StreamTerms) -> None:
    """Read a stream until its first content has come, and what is to be held back of it.

    One that ends well without any is read to its end. Raises the error that it carries, or what broke it.
    """
    stream, held = opened.stream, [opened.stream.feed(first)]
    try:
        while not (stream.begun or opened.ended):
            _raise_fault(stream)
            # Not every host closes the line after it has said that this was all.
            held.append(opened.take(b"" if stream.done else await opened.answer.next_piece()))
        if stream.begun:
            opened.answer.begun(partial(_enough_s, stream))
            opened.leave.begun()
            if holding.hold_tokens:
                await hold(opened, held, holding)
        if not stream.done:
            _raise_fault(stream)  # it came beside the first content: the client has seen neither
        if opened.ended and not (stream.finished or stream.done):
            raise BadAnswer("the upstream's stream ended before it was whole")
        if stream.skipped and not (stream.begun or stream.finished):
            raise BadAnswer("nothing in the upstream's stream could be read")
    except (UpstreamError, asyncio.CancelledError):
        heed_stream(opened.attempt, stream)
        raise
    opened.held = b"".join(held)


def _enough_s(stream: AnswerStream) -> float:
    """Say for how long an upstream has to be silent before its stream is taken for whole."""
    if stream.done or stream.fault is not None:
        return _SAID_S
    if not stream.finished:
        return inf
    return _SAID_S if stream.usage is not None else _UNTOLD_S


def _raise_fault(stream: AnswerStream) -> None:
    if (fault := stream.fault) is not None:
        raise fault


def _streamed(answer: Answer, first: bytes, passage: Passage) -> Callable[[int], AnswerStream] | None:
    """Tell how to pass the answer on when it is a stream; None: it is to be read whole."""
    if passage.stream is None:
        return None
    looks_like_it = passage.call.envelope.stream and begins_as_events(first)
    return passage.stream if passage.unframed or looks_like_it or _is_stream(answer.headers) else None


def _is_stream(headers: Headers) -> bool:
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.lower().startswith(_STREAM_TYPES)
    return False
