"""What is told of calls in traces, and to whom: one value, handed over whole with each configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gateway.exchange import Record
from gateway.telemetry.otlp import Receiver
from gateway.telemetry.places import Place

Value = str | bool | int | float | tuple[str, ...]
"""What an attribute of a span may be."""


def _no_notes(_record: Record) -> Mapping[str, Value]:
    return {}


def _no_canary(_record: Record) -> bool:
    return False


class TraceSettings(msgspec.Struct, frozen=True):
    """Which calls leave spans, what stands in them, and who gets them."""

    receiver: Receiver = Receiver()
    errors: bool = True
    fallbacks: bool = True
    canaries: bool = True
    slower_than_s: float | None = None
    most_waiting: int = 2048
    """So many calls wait for a receiver that is down; then the oldest are lost."""
    content_tenants: frozenset[str] = frozenset()
    """Whose prompts and answers stand in spans."""
    content_chars: int = 8192
    """Of a call's prompt, and of its answer."""
    places: Mapping[str, Place] = {}
    """By the names of backends."""
    redact: Callable[[str], str] = str
    is_canary: Callable[[Record], bool] = _no_canary
    """Whether a canary answered. Asked on the event loop: it has to be cheap."""
    notes: Callable[[Record], Mapping[str, Value]] = _no_notes
    """What routing has to say of a call, as attributes. Asked in a thread."""
