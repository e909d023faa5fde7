"""Our spans as OTLP has them, read by the protocol's definitions."""

from __future__ import annotations

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rig.programs.otlp import GotSpan
from rig.programs.otlp import spans_of as received
from unit.telemetry.tracing.calls import ENDED_S, STARTED_S, TRACE, attempt, ended

from gateway.exchange import Trace
from gateway.telemetry.otlp import Receiver
from gateway.telemetry.tracing.drafts import Draft
from gateway.telemetry.tracing.settings import TraceSettings, Value
from gateway.telemetry.tracing.spans import Ended, spans_of
from gateway.telemetry.tracing.wire import head_of, request_of, spans_of_call

CLOCK_NS = 1_700_000_000_000_000_000


def test_what_is_sent_is_what_was_drafted() -> None:
    record = ended(attempt())
    drafts = spans_of(Ended(record, TRACE, ENDED_S, ENDED_S, "sampled"), TraceSettings())
    drafts[1].failure = "too late"
    head = head_of(Receiver(service_name="gate", resource={"deployment.environment.name": "prod"}))
    call = spans_of_call(drafts, TRACE, CLOCK_NS)
    arrived = read(request_of(head, [call, call, call]))
    assert arrived[: len(drafts)] == arrived[len(drafts) : 2 * len(drafts)] == arrived[2 * len(drafts) :]
    for draft, span in zip(drafts, arrived, strict=False):
        assert (span.name, span.kind, span.trace_id) == (draft.name, draft.kind, TRACE.trace_id)
        assert (span.span_id, span.parent_id, span.state) == (draft.span_id, draft.parent_id, "vendor=1")
        assert span.attributes == {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in draft.attributes.items()
        }
    assert arrived[0].start_ns == CLOCK_NS + int(STARTED_S * 1e9)
    assert arrived[0].end_ns == CLOCK_NS + int(ENDED_S * 1e9)
    assert [(span.status, span.message) for span in arrived[:2]] == [("unset", ""), ("error", "too late")]
    assert arrived[0].resource["service.name"] == "gate"
    assert arrived[0].resource["deployment.environment.name"] == "prod"


def test_values_that_are_equal_and_not_the_same_keep_their_types() -> None:
    values: list[Value] = [True, 1, 1.0, False, 0, 0.0, "", "1", "x" * 100_000, ("1",), ()]
    drafts = [
        Draft("a", "internal", "00000000000000aa", "", 1.0, 2.0, {"same": value})
        for value in (*values, *values)
    ]
    arrived = [span.attributes["same"] for span in read(request_of(b"", [spans_of_call(drafts, TRACE, 0)]))]
    told = [list(value) if isinstance(value, tuple) else value for value in (*values, *values)]
    assert [(type(value), value) for value in arrived] == [(type(value), value) for value in told]


def test_a_batch_may_be_of_any_length() -> None:
    head = head_of(Receiver())
    assert read(request_of(head, [])) == []
    call = spans_of_call([Draft("n" * 100, "internal", "00000000000000aa", "", 1.0, 2.0, {})], TRACE, 0)
    for calls in (1, 2, 200, 20_000):
        assert len(read(request_of(head, [call] * calls))) == calls


def test_only_a_client_s_own_span_is_a_remote_parent() -> None:
    trace = Trace(TRACE.trace_id, TRACE.span_id, "1234567890abcdef")
    root = Draft("a", "server", trace.span_id, trace.parent_id, 1.0, 2.0, {})
    below = Draft("b", "internal", "00000000000000aa", trace.span_id, 1.0, 2.0, {})
    wire = request_of(head_of(Receiver()), [spans_of_call([root, below], trace, CLOCK_NS)])
    (sent,) = ExportTraceServiceRequest.FromString(wire).resource_spans
    assert [span.flags for span in sent.scope_spans[0].spans] == [0x301, 0x101]


def read(wire: bytes) -> list[GotSpan]:
    return received(ExportTraceServiceRequest.FromString(wire))
