"""What a worker runs with: the compiled configuration and the open resources, as one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

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
from gateway.server.standings import Standings
from gateway.stages.receive import Intake
from gateway.telemetry.alarms import Trouble
from gateway.telemetry.books import Books
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tracing.head import Head

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
    head: Head
    """Places calls in traces."""
    clean: Callable[[str], str]
    """Takes secrets and personal data out of what is told of a call."""
    classifier: Classifier | None
    """None: only rules tell the tasks of calls."""
    headers: Mapping[bytes, str]
    """The headers of a request that decide something, by their lower-case names on the wire."""
    parts: Mapping[str, Callable[[], PartState]]
    """What the gateway consists of, by name."""
    optional: Collection[str] = frozenset()
    """The parts without which calls are served all the same: the others have to work for it to be ready."""
    troubles: Callable[[], Iterable[Trouble]] = tuple
    """What is wrong now that somebody has to hear of."""
    standings: Standings = msgspec.field(default_factory=Standings)
    """Since when the parts stand as they do."""
