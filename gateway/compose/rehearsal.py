"""Chart a configuration in a world that somebody says, to ask where calls would go: nothing is sent.

It must not know who asks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import NoReturn

import msgspec

from gateway.attempts.remembered import Remembered
from gateway.compose.charts import chart
from gateway.compose.lines import Line, speaker
from gateway.compose.reading import Config
from gateway.config.resolve import BackendSettings
from gateway.exchange import Request
from gateway.routing.canary import Canaries
from gateway.routing.health.health import BreakerSettings, Health
from gateway.routing.plans import Routing
from gateway.upstream.access import Access
from gateway.upstream.credentials import CredentialsInTurn
from gateway.upstream.scripted_transport import ScriptedTransport

Weather = Callable[[str, Health], None]
"""Told the name of a deployment (backend/model) and its health, makes it as it is to be."""


def rehearse(config: Config, weather: Weather = lambda _name, _health: None) -> Routing:
    """Compile the routes of a configuration over backends that cannot be reached."""
    lines = {name: _line(spec, config, weather) for name, spec in config.resolved.backends.items()}
    routing = chart(config, lines, Canaries(), Remembered())
    return msgspec.structs.replace(routing, explains=True)


def _line(spec: BackendSettings, config: Config, weather: Weather) -> Line:
    @lru_cache(None)
    def health(model: str) -> Health:
        settings = BreakerSettings(**msgspec.structs.asdict(spec.breaker))
        made = Health(settings)
        weather(f"{spec.name}/{model}", made)
        return made

    return Line(
        spec=spec,
        backend=speaker(spec, config.folder),
        transport=ScriptedTransport(_nothing),
        access=Access(CredentialsInTurn(spec.credentials, monotonic)),
        gate=None,
        health=health,
    )


def _nothing(_request: Request) -> NoReturn:
    raise AssertionError("a rehearsal sends nothing")
