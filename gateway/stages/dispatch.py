"""Send a call to its targets in order until one accepts it.

A whole answer is read and checked, of a stream the first bytes are awaited, before a target counts as
having accepted: until then nothing went to the client and the next target can still be tried. After
that there is no retry.

Must not know wire formats or HTTP clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from time import monotonic, time

import msgspec

from gateway.errors import Broken, Failed, GatewayError, Unsupported, UpstreamError
from gateway.exchange import Attempt, Call, Headers, Record, Usage
from gateway.formats.chat.transcript import text_of
from gateway.formats.errors.redaction import redact
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.seam import AnswerStream, Passage, Terms
from gateway.protocols import Answer
from gateway.routing.routes import Course, Plan, Target

ERROR_LIMIT_BYTES = 1024 * 1024
_EVENT_BEGINS = frozenset({b"d", b"e", b"i", b"r", b":"})
"""First bytes of data:, event:, id:, retry: and comments: some hosts label an event stream as JSON."""

_STREAM_TYPES = (
    b"text/event-stream",
    b"application/vnd.amazon.eventstream",
    b"application/x-ndjson",
)


class Opened(msgspec.Struct, frozen=True, gc=False):
    """A streamed answer that has begun with `first`, and what makes the client's bytes of it."""

    answer: Answer
    first: bytes
    stream: AnswerStream


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """An accepted answer: the client's whole `body`, or (`opened`) a stream that has begun."""

    target: Target
    passage: Passage
    status: int
    headers: Headers
    dropped: tuple[str, ...] = ()
    """The client's fields that were left out on the way."""
    body: bytes = b""
    usage: Usage | None = None
    opened: Opened | None = None


async def dispatch(call: Call, plan: Plan, record: Record) -> Outcome:
    """Return the first accepted answer. Raises the last target's UpstreamError.

    Raises Unsupported when no target's format can express the call.
    """
    terms = Terms(record.call_id, int(time()), call.envelope.model if plan.route.names_itself else None)
    record.transcript = str  # from here on something may be generated, so far it is empty
    failure: GatewayError | None = None
    failed_at: Target | None = None
    for course in plan.courses:
        if course.target is failed_at:  # what has failed is not asked again in another format
            continue
        try:
            return await _noted_attempt(call, course, terms, record)
        except Unsupported as error:
            failure = failure or error
        except UpstreamError as error:
            failure, failed_at = error, course.target
            if error.retry == "never":
                break
    raise failure or AssertionError("a plan has at least one course")


async def _noted_attempt(call: Call, course: Course, terms: Terms, record: Record) -> Outcome:
    started_s = monotonic()
    try:
        outcome = await _attempt(call, course, terms)
    except (asyncio.CancelledError, Unsupported, UpstreamError) as error:
        _note(record, course, started_s, error.code if isinstance(error, GatewayError) else "interrupted")
        raise
    _note(record, course, started_s, "")
    record.first_byte_s = monotonic()
    record.usage = outcome.usage
    record.dropped = outcome.dropped
    if course.wire != call.format:
        record.translated_to = course.wire
    if outcome.opened is None:
        record.transcript = partial(text_of, outcome.body)
    return outcome


def _note(record: Record, course: Course, started_s: float, cause: str) -> None:
    backend = course.target.deployment.backend.name
    record.attempts.append(Attempt(backend, course.model, monotonic() - started_s, cause))


async def _attempt(call: Call, course: Course, terms: Terms) -> Outcome:
    passage = open_passage(call, course.wire, course.model, terms)
    deployment = course.target.deployment
    credential = deployment.next_credential()
    request = deployment.backend.prepare(passage.call, course.model, credential)
    dropped = passage.dropped
    if request.dropped:
        dropped = tuple(dict.fromkeys((*dropped, *request.dropped)))
    answer = await deployment.transport.send(deployment.sign(request), deployment.timeouts)
    kept = False
    try:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            body = redact(await _read_error(answer), credential.secret)
            raise deployment.backend.classify(answer.status, answer.headers, body)
        first = await answer.next_piece()
        if (open_stream := _streamed(answer, first, passage)) is not None:
            if not first:
                raise Failed("the upstream's stream is empty", code="upstream_empty")
            opened = Opened(answer, first, open_stream(deployment.event_limit_bytes))
            kept = True
            return Outcome(course.target, passage, answer.status, answer.headers, dropped, opened=opened)
        body = first + await answer.read(deployment.answer_limit_bytes) if first else b""
        shown, usage = passage.read(body)
        return Outcome(course.target, passage, answer.status, answer.headers, dropped, shown, usage)
    except Broken as error:  # nothing went to the client yet: another target may do better
        raise Failed(error.message, code="upstream_answer_cut", detail=error.detail) from error
    finally:
        if not kept:
            answer.close()


async def _read_error(answer: Answer) -> bytes:
    """Read an error's body. Its status says enough where the body is huge or cut."""
    try:
        return await answer.read(ERROR_LIMIT_BYTES)
    except UpstreamError:
        return b""


def _streamed(answer: Answer, first: bytes, passage: Passage) -> Callable[[int], AnswerStream] | None:
    """Tell how to pass the answer on when it is a stream; None: it is to be read whole."""
    if passage.stream is None:
        return None
    looks_like_it = passage.call.envelope.stream and first[:1] in _EVENT_BEGINS
    return passage.stream if passage.unframed or looks_like_it or _is_stream(answer.headers) else None


def _is_stream(headers: Headers) -> bool:
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.lower().startswith(_STREAM_TYPES)
    return False
