"""Make of one call that has ended its tree of spans. Pure.

    chat fast                     server: all of the call
        receive                   who calls was found out, and the whole request was there
        plan
        admit
        chat gpt-4o-mini          client: one for each attempt
            queue                 until it was its turn at the backend
            connect
            first token           from then until the first content had come
            stream                the rest of it
        recall                    an answer was given that no upstream gave
        settle                    from the answer's end until all was counted

A part that did not happen has no span. Must not know OpenTelemetry's classes.
Source: OpenTelemetry semantic conventions, "GenAI spans"; "HTTP spans" for when a status is set.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.exchange import Attempt, Record, Trace, new_span_id
from gateway.telemetry.tracing.attributes import (
    failure_of,
    name_of,
    of_attempt,
    of_call,
    operation_of,
    span_name,
)
from gateway.telemetry.tracing.content import content_of
from gateway.telemetry.tracing.drafts import Draft, Kind
from gateway.telemetry.tracing.names import ERROR_TYPE
from gateway.telemetry.tracing.settings import TraceSettings
from gateway.telemetry.tracing.tail import has_failed

_BROKEN_OFF = frozenset({"interrupted", "client_gone"})
"""How attempts end that somebody did not want any more: nothing failed."""


class Ended:
    """A call that has ended, and when: times are of the monotonic clock."""

    __slots__ = ("ended_s", "kept", "record", "settled_s", "trace")

    def __init__(self, record: Record, trace: Trace, ended_s: float, settled_s: float, kept: str) -> None:
        self.record, self.trace, self.kept = record, trace, kept
        self.ended_s, self.settled_s = ended_s, settled_s


def spans_of(ended: Ended, settings: TraceSettings) -> list[Draft]:
    """Return the spans of a call, its own first, each before those below it."""
    record, trace = ended.record, ended.trace
    attributes = of_call(record, ended.kept, settings)
    failure = failure_of(record, settings) if has_failed(record) else None
    name = span_name(record, settings)
    kind: Kind = "server" if record.purpose == "call" else "internal"
    root = Draft(
        name, kind, trace.span_id, trace.parent_id, record.started_s, ended.ended_s, attributes, failure
    )
    drafts = [root, *_stages(ended, settings)]
    answered: Draft | None = None
    for number, attempt in enumerate(record.attempts, 1):
        own, *parts = _attempt_spans(ended, attempt, number, settings)
        drafts += (own, *parts)
        answered = own if not attempt.cause else answered
    if record.cache == "hit":
        drafts.append(_recall(ended))
    drafts.append(_part("settle", trace.span_id, ended.ended_s, ended.settled_s))
    if record.tenant in settings.content_tenants:
        (answered or root).attributes.update(content_of(record, settings))
    return drafts


def _part(name: str, parent_id: str, start_s: float, end_s: float) -> Draft:
    return Draft(name, "internal", new_span_id(), parent_id, start_s, max(start_s, end_s), {})


def _stages(ended: Ended, settings: TraceSettings) -> Iterator[Draft]:
    """Give what came before the attempts; the stage that ended the call says why."""
    record, start_s = ended.record, ended.record.started_s
    if record.purpose != "call":  # what the gateway asks for itself begins with an attempt
        return
    stages = (("receive", record.received_s), ("plan", record.planned_s), ("admit", record.admitted_s))
    for name, end_s in stages:
        part = _part(name, ended.trace.span_id, start_s, ended.ended_s if end_s is None else end_s)
        if end_s is None:
            if record.error is not None:
                part.failure = failure_of(record, settings)
                part.attributes[ERROR_TYPE] = record.error.code
            yield part
            return
        yield part
        start_s = end_s


def _attempt_spans(ended: Ended, attempt: Attempt, number: int, settings: TraceSettings) -> Iterator[Draft]:
    record, start_s = ended.record, attempt.started_s
    span_id = new_span_id() if attempt.trace is None else attempt.trace.span_id
    end_s = start_s + attempt.seconds if attempt.ended_s is None else attempt.ended_s
    own = Draft(
        f"{operation_of(record)} {name_of(attempt.model, settings)}",
        "client",
        span_id,
        ended.trace.span_id,
        start_s,
        end_s,
        of_attempt(record, attempt, number, settings),
    )
    if attempt.cause and attempt.cause not in _BROKEN_OFF:
        told = record.error is not None and record.error.code == attempt.cause
        own.failure = failure_of(record, settings) if told else attempt.cause
    yield own
    yield from _attempt_parts(attempt, span_id, end_s)


def _attempt_parts(attempt: Attempt, span_id: str, end_s: float) -> Iterator[Draft]:
    at_s = attempt.started_s
    for name, seconds in (("queue", attempt.queued_s), ("connect", attempt.connect_s)):
        if seconds > 0:
            yield _part(name, span_id, at_s, at_s + seconds)
            at_s += seconds
    if attempt.first_token_s is not None:
        first_s = attempt.started_s + attempt.first_token_s
        yield _part("first token", span_id, min(at_s, first_s), first_s)
        yield _part("stream", span_id, first_s, end_s)


def _recall(ended: Ended) -> Draft:
    """Tell of the earlier answer that was given, after the last of the upstreams had failed."""
    record = ended.record
    ends = [attempt.started_s + attempt.seconds for attempt in record.attempts]
    start_s = max(ends, default=record.admitted_s or record.started_s)
    found_s = ended.ended_s if record.first_byte_s is None else record.first_byte_s
    return _part("recall", ended.trace.span_id, start_s, found_s)
