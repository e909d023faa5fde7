"""Our spans as OpenTelemetry's."""

from __future__ import annotations

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from rig.programs.otlp import spans_of as received
from unit.telemetry.tracing.calls import ENDED_S, STARTED_S, TRACE, attempt, ended

from gateway.exchange import Trace
from gateway.telemetry.otlp import Receiver, resource_of
from gateway.telemetry.tracing.drafts import Draft
from gateway.telemetry.tracing.readable import readable
from gateway.telemetry.tracing.settings import TraceSettings
from gateway.telemetry.tracing.spans import Ended, spans_of

CLOCK_NS = 1_700_000_000_000_000_000


def test_what_is_sent_is_what_was_drafted() -> None:
    record = ended(attempt())
    drafts = spans_of(Ended(record, TRACE, ENDED_S, ENDED_S, "sampled"), TraceSettings())
    drafts[1].failure = "too late"
    resource = resource_of(Receiver(service_name="gate", resource={"deployment.environment.name": "prod"}))
    arrived = received(encode_spans([readable(one, TRACE, resource, CLOCK_NS) for one in drafts]))
    for draft, span in zip(drafts, arrived, strict=True):
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


def test_only_a_client_s_own_span_is_a_remote_parent() -> None:
    trace = Trace(TRACE.trace_id, TRACE.span_id, "1234567890abcdef")
    root = Draft("a", "server", trace.span_id, trace.parent_id, 1.0, 2.0, {})
    below = Draft("b", "internal", "00000000000000aa", trace.span_id, 1.0, 2.0, {})
    resource = resource_of(Receiver())
    parents = [readable(one, trace, resource, CLOCK_NS).parent for one in (root, below)]
    assert [parent.is_remote for parent in parents if parent is not None] == [True, False]
