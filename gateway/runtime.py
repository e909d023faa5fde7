"""What a worker runs with: the compiled configuration and the open resources, as one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from gateway.admission.entrance import Entrance
from gateway.attempts.classifying import Classifier
from gateway.attempts.shadowing import Shadows
from gateway.finops.budgets.telling import Budgets
from gateway.finops.questions import Questions
from gateway.finops.statement.asking import Statements
from gateway.identity.gate import Identity
from gateway.routing.plans import Routing
from gateway.server.flights import Flights
from gateway.stages.receive import Intake
from gateway.telemetry.books import Books
from gateway.telemetry.metrics import Metrics

PartState = tuple[bool, str]
"""Whether a part works, and a sentence about it."""


class Runtime(msgspec.Struct, frozen=True):
    """One configuration, compiled, and what is open for it. A call keeps the one it began with."""

    routing: Routing
    identity: Identity
    intake: Intake
    entrance: Entrance
    books: Books
    metrics: Metrics
    flights: Flights
    """The calls that began under this configuration."""
    shadows: Shadows
    questions: Questions
    """What the ledger is asked."""
    budgets: Budgets
    statements: Statements
    classifier: Classifier | None
    """None: only rules tell the tasks of calls."""
    headers: Mapping[bytes, str]
    """The headers of a request that decide something, by their lower-case names on the wire."""
    parts: Mapping[str, Callable[[], PartState]]
    """What has to work for the gateway to be ready, by name."""
