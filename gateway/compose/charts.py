"""Chart where calls go: from a configuration and its open backends to what the plan stage decides by.

Opens nothing, so that a configuration can be asked where a call would go without sending it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.compose.lines import Line
from gateway.compose.reading import Config
from gateway.config.models import Models, load_models
from gateway.config.signals import WhenSpec
from gateway.formats.http.dialect import KEY_HEADERS
from gateway.protocols import CacheStore
from gateway.routing.canary import Canaries
from gateway.routing.compiled import Making, compile_routes
from gateway.routing.plans import Routing
from gateway.routing.routes import Deployment, Site
from gateway.routing.sensitivity import compile_sensitivity
from gateway.routing.signals.readers import compile_readers
from gateway.routing.signals.signals import CONVERSATION_HEADER, USER_HEADER

OWN_HEADERS = (
    "x-forebay-priority",
    "x-forebay-user",
    "x-forebay-conversation",
    "x-forebay-stream",
    "x-forebay-decision",
    "x-forebay-task",
)
"""What clients may say to the gateway itself."""

_NOT_KEPT = frozenset(
    ("authorization", "proxy-authorization", "cookie", USER_HEADER, CONVERSATION_HEADER, *KEY_HEADERS)
)
"""Headers whose values no decision is kept with, though a rule may look at them."""

_MODELS_KEPT = 1024
"""Deployments of one backend: where clients choose the model's name, they could choose any number."""


def chart(config: Config, lines: Mapping[str, Line], canaries: Canaries, memory: CacheStore) -> Routing:
    """Compile the routes over the lines to their backends, by name."""
    resolved = config.resolved
    models = Models(resolved.models, load_models())
    sites = {name: _site(line, config, models) for name, line in lines.items()}
    return Routing(
        routes=compile_routes(resolved.routes, Making(sites, canaries)),
        readers=replace(
            compile_readers(resolved.tasks, resolved.sensitivity),
            headers=tuple(sorted(_told(config) - _NOT_KEPT)),
            reads_metadata=any(when.metadata for when in _conditions(resolved.routes)),
        ),
        sensitivity=compile_sensitivity(resolved.sensitivity),
        memory=memory,
    )


def _site(line: Line, config: Config, models: Models) -> Site:
    spec, server = line.spec, config.resolved.server
    seller = "" if spec.self_hosted else spec.preset or spec.provider

    @lru_cache(_MODELS_KEPT)
    def deployment(model: str) -> Deployment:
        price = config.prices.of(spec.name, seller, model)
        return Deployment(site, model, line.health(model), models.facts(model), price)

    site = Site(
        backend=line.backend,
        transport=line.transport,
        credentials=line.access.credentials,
        sign=line.access.sign,
        timeouts=spec.timeouts,
        answer_limit_bytes=server.max_answer_bytes,
        event_limit_bytes=server.max_event_bytes,
        deployment=deployment,
        gate=line.gate,
        region=spec.region,
        output_limit=spec.output_limit,
        self_hosted=spec.self_hosted,
        about=line.about,
    )
    return site


def deciding_headers(config: Config) -> frozenset[str]:
    """Name the headers that rules look at, in lower case, and those that speak to the gateway itself."""
    return _told(config) | frozenset(OWN_HEADERS)


def _told(config: Config) -> frozenset[str]:
    """Name the headers that the configuration looks at."""
    resolved = config.resolved
    named = {name.lower() for when in _conditions(resolved.routes) for name in when.headers}
    return frozenset({*named, resolved.sensitivity.header.lower()})


def routes_about_tasks(config: Config) -> frozenset[str]:
    """Name the routes with conditions on the task of a call."""
    routes = config.resolved.routes
    return frozenset(name for name, route in routes.items() if any(when.task for when in _conditions(route)))


def _conditions(spec: Any) -> Iterator[WhenSpec]:
    """Find all conditions that stand somewhere in Specs."""
    if isinstance(spec, WhenSpec):
        yield spec
    elif isinstance(spec, msgspec.Struct):
        for name in spec.__struct_fields__:
            yield from _conditions(getattr(spec, name))
    elif isinstance(spec, dict):
        for inner in spec.values():
            yield from _conditions(inner)
    elif isinstance(spec, tuple):
        for inner in spec:
            yield from _conditions(inner)
