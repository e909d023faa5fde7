"""What a worker runs with: the compiled configuration and the open resources, as one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gateway.flights import Flights
from gateway.identity.gate import Identity
from gateway.routing.routes import Routes
from gateway.stages.receive import Intake
from gateway.telemetry.books import Books
from gateway.telemetry.metrics import Metrics

PartState = tuple[bool, str]
"""Whether a part works, and a sentence about it."""


class Runtime(msgspec.Struct, frozen=True):
    """Compiled configuration and open resources of one worker."""

    routes: Routes
    identity: Identity
    intake: Intake
    books: Books
    metrics: Metrics
    flights: Flights
    parts: Mapping[str, Callable[[], PartState]]
    """What has to work for the gateway to be ready, by name."""
