"""Send a call to its targets in order until one accepts it.

A whole answer is read and checked, of a stream the first bytes are awaited, before a target counts as
having accepted: until then nothing went to the client and the next target can still be tried. After
that there is no retry.

Must not know wire formats or HTTP clients.
"""

from __future__ import annotations

import asyncio
from functools import partial
from http import HTTPStatus
from time import monotonic

import msgspec

from gateway.errors import Broken, Failed, UpstreamError
from gateway.exchange import Attempt, Call, Headers, Record, Usage
from gateway.formats.chat.response import decode_answer
from gateway.formats.chat.transcript import text_of
from gateway.formats.redaction import redact
from gateway.protocols import Answer
from gateway.routing.routes import Plan, Target

ERROR_LIMIT_BYTES = 1024 * 1024
_EVENT_BEGINS = frozenset({b"d", b"e", b"i", b"r", b":"})
"""First bytes of data:, event:, id:, retry: and comments: some hosts label an event stream as JSON."""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """An accepted answer: whole (`answer` None), or an open stream that begins with `body`."""

    target: Target
    status: int
    headers: Headers
    body: bytes
    usage: Usage | None = None
    answer: Answer | None = None


async def dispatch(call: Call, plan: Plan, record: Record) -> Outcome:
    """Return the first accepted answer. Raises the last target's UpstreamError."""
    last = len(plan.targets) - 1
    record.transcript = str  # from here on something may be generated, so far it is empty
    for number, target in enumerate(plan.targets):
        started_s = monotonic()
        backend, model = target.deployment.backend.name, target.model or call.envelope.model
        try:
            outcome = await _attempt(call, target)
        except asyncio.CancelledError:
            record.attempts.append(Attempt(backend, model, monotonic() - started_s, "interrupted"))
            raise
        except UpstreamError as error:
            record.attempts.append(Attempt(backend, model, monotonic() - started_s, error.code))
            if error.retry == "never" or number == last:
                raise
        else:
            record.attempts.append(Attempt(backend, model, monotonic() - started_s))
            record.first_byte_s = monotonic()
            record.usage = outcome.usage
            if outcome.answer is None:
                record.transcript = partial(text_of, outcome.body)
            return outcome
    raise AssertionError("a plan has at least one target")


async def _attempt(call: Call, target: Target) -> Outcome:
    deployment = target.deployment
    credential = deployment.next_credential()
    request = deployment.backend.prepare(call, target.model or call.envelope.model, credential)
    answer = await deployment.transport.send(request, deployment.timeouts)
    kept = False
    try:
        if answer.status >= HTTPStatus.BAD_REQUEST:
            body = redact(await _read_error(answer), credential.secret)
            raise deployment.backend.classify(answer.status, answer.headers, body)
        first = await answer.next_piece()
        if _is_stream(answer.headers) or (call.envelope.stream and first[:1] in _EVENT_BEGINS):
            if not first:
                raise Failed("the upstream's stream is empty", code="upstream_empty")
            kept = True
            return Outcome(target, answer.status, answer.headers, first, answer=answer)
        body = first + await answer.read(deployment.answer_limit_bytes) if first else b""
        return Outcome(target, answer.status, answer.headers, body, decode_answer(body))
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


def _is_stream(headers: Headers) -> bool:
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.lower().startswith(b"text/event-stream")
    return False
