"""Decide at a call's end whether it leaves spans, and why: pure, and cheap for those that leave none.

By then all is known that somebody will ask about, and nothing was made for it yet. Must not know spans.
Source: OpenTelemetry, "Sampling" (tail sampling), for the idea.
"""

from __future__ import annotations

from typing import Literal

from gateway.exchange import Record
from gateway.telemetry.tracing.settings import TraceSettings

Kept = Literal["", "sampled", "error", "fallback", "slow", "canary"]
"""Why a call leaves spans; empty: it leaves none."""

_FAILED = frozenset({"broken", "failed", "bug"})
_SERVER_ERRORS = 500


def kept_for(record: Record, ended_s: float, settings: TraceSettings) -> Kept:
    """Say why a call that has ended leaves spans. `ended_s` is of the monotonic clock."""
    trace = record.trace
    if trace is None:
        return ""
    if trace.sampled:
        return "sampled"
    if settings.errors and has_failed(record):
        return "error"
    if settings.fallbacks and has_gone_on(record):
        return "fallback"
    if settings.slower_than_s is not None and ended_s - record.started_s > settings.slower_than_s:
        return "slow"
    return "canary" if settings.canaries and settings.is_canary(record) else ""


def has_failed(record: Record) -> bool:
    """Tell whether it went wrong, and not by its client's fault."""
    return record.ending in _FAILED or record.status >= _SERVER_ERRORS


def has_gone_on(record: Record) -> bool:
    """Tell whether its first try was not what answered: others were made, or it was answered without any."""
    attempts = record.attempts
    if len(attempts) == 1 and not attempts[0].cause:
        return attempts[0].why == "fallback"
    return len(attempts) > 1 or record.ending == "finished"
