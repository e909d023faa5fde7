"""A span before anything is made of it: times of the monotonic clock, ids as hexadecimal."""

from __future__ import annotations

from typing import Literal

import msgspec

from gateway.telemetry.tracing.settings import Value

Kind = Literal["server", "client", "internal"]


class Draft(msgspec.Struct):
    """One span. `failure` None: nothing is said of how it went; else it failed, and this is what is told."""

    name: str
    kind: Kind
    span_id: str
    parent_id: str
    start_s: float
    end_s: float
    attributes: dict[str, Value]
    failure: str | None = None
