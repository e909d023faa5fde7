"""Turn our spans into those of OpenTelemetry's SDK.

They are made whole, with their ids and times: a Tracer would draw ids of its own, and takes twice as long.
The SDK is imported here: whoever has no receiver never imports this module.
"""

from __future__ import annotations

from importlib.metadata import version

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState
from opentelemetry.trace.status import Status, StatusCode

from gateway.exchange import Trace
from gateway.telemetry.tracing.drafts import Draft
from gateway.telemetry.tracing.names import SCHEMA_URL

_KINDS = {"server": SpanKind.SERVER, "client": SpanKind.CLIENT, "internal": SpanKind.INTERNAL}
_UNSET = Status(StatusCode.UNSET)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_NS = 1_000_000_000
_SCOPE = InstrumentationScope("forebay", version("forebay"), SCHEMA_URL)


def readable(draft: Draft, trace: Trace, resource: Resource, clock_ns: int) -> ReadableSpan:
    """Make one span; `clock_ns` is what the time of day is ahead of the monotonic clock.

    The trace's state is a client's text: whoever calls has taken out of it what nobody may read.
    """
    trace_id = int(trace.trace_id, 16)
    state = TraceState.from_header([trace.state]) if trace.state else None
    parent = None
    if draft.parent_id:
        is_remote = draft.parent_id == trace.parent_id
        parent = SpanContext(trace_id, int(draft.parent_id, 16), is_remote, _SAMPLED, state)
    return ReadableSpan(
        draft.name,
        SpanContext(
            trace_id, int(draft.span_id, 16), is_remote=False, trace_flags=_SAMPLED, trace_state=state
        ),
        parent,
        resource,
        draft.attributes,
        kind=_KINDS[draft.kind],
        status=_UNSET if draft.failure is None else Status(StatusCode.ERROR, draft.failure),
        start_time=int(draft.start_s * _NS) + clock_ns,
        end_time=int(draft.end_s * _NS) + clock_ns,
        instrumentation_scope=_SCOPE,
    )
