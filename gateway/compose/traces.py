"""Say what is told of calls in traces: what the policy asks for, and what only routing knows of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.compose.reading import Config
from gateway.exchange import Record
from gateway.routing.decisions import summary_of
from gateway.routing.plans import Plan
from gateway.telemetry.otlp import Receiver
from gateway.telemetry.places import Place
from gateway.telemetry.tracing.settings import TraceSettings, Value


def trace_settings(
    config: Config, receiver: Receiver, places: Mapping[str, Place], redact: Callable[[str], str]
) -> TraceSettings:
    """Return what holds under a configuration."""
    asked = config.telemetry.spec
    return TraceSettings(
        receiver=receiver,
        errors=asked.traces.errors,
        fallbacks=asked.traces.fallbacks,
        canaries=asked.traces.canaries,
        slower_than_s=asked.traces.slower_than_s,
        most_waiting=asked.traces.most_waiting,
        content_tenants=frozenset(asked.content.tenants),
        content_chars=asked.content.most_chars,
        places=places,
        redact=redact,
        is_canary=is_canary,
        notes=lambda record: notes(record, redact),
    )


def is_canary(record: Record) -> bool:
    """Tell whether the answer is a canary's."""
    plan = record.plan
    if not isinstance(plan, Plan) or plan.way.canary is None:
        return False
    target = plan.way.canary.target
    return any(
        not attempt.cause
        and attempt.backend == target.site.backend.name
        and target.model in {None, attempt.model}
        for attempt in record.attempts
    )


def notes(record: Record, redact: Callable[[str], str]) -> dict[str, Value]:
    """Say what was decided for a call."""
    _, _, line = summary_of(record)
    return {"forebay.decision": redact(line)} if line else {}
