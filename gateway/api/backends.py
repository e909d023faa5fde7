"""GET /v1/backends: how the deployments do that this worker's configuration knows; for admins.

Breakers, places and times are each worker's own: an answer is what the worker knows that was asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec
from litestar import Response, get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler

from gateway.api.callers import caller_of
from gateway.errors import Forbidden
from gateway.exchange import Moment
from gateway.routing.health.health import Health, Standing
from gateway.routing.matching.globs import compile_globs
from gateway.routing.routes import Route, Site
from gateway.routing.table import Routes
from gateway.runtime import Runtime


class Breaker(msgspec.Struct):
    """Whether calls are let through."""

    state: Literal["closed", "open", "half_open"]
    since: float | None
    """When it opened that was closed before; null: it is closed."""
    why: str
    tried_again: float | None
    """From then on one call may try; null: it is closed, or a call tries now."""
    calls: int
    """In its window, those that failed too."""
    failures: int


class Probe(msgspec.Struct):
    """How the probe of a backend goes."""

    ok: bool
    why: str


class Obstacle(msgspec.Struct):
    """What keeps calls away now, and until when; null: nobody knows."""

    reason: str
    cause: str
    until: float | None


class Gate(msgspec.Struct):
    """The places of a backend, which all its models share."""

    places: int
    inside: int
    waiting: int


class Deployment(msgspec.Struct):
    """One model at one backend. Times are Unix seconds; of what is not known, null."""

    backend: str
    model: str | None
    """Null: its callers choose the model, and none has yet."""
    provider: str
    preset: str
    region: str
    self_hosted: bool
    routes: list[str]
    """Those that may send calls there."""
    probe: Probe | None
    """Null: there is none."""
    gate: Gate | None
    """Null: there is no bound."""
    breaker: Breaker | None = None
    """Null: no model is known, as of all that follows."""
    obstacle: Obstacle | None = None
    in_flight: int = 0
    rests_until: float | None = None
    """It asked to be left alone, or our account there has nothing left."""
    rest_why: str = ""
    rate_used_up_until: float | None = None
    """Its answers say that a rate is used up; null: they do not, or say nothing of rates."""
    first_token_ms: float | None = None
    """Smoothed over about ten calls, as are the next two."""
    total_ms: float | None = None
    output_per_s: float | None = None
    first_token_p50_ms: float | None = None
    """Of the last 128 calls, as is the next."""
    first_token_p95_ms: float | None = None


class Backends(msgspec.Struct):
    """All deployments, by name."""

    worker: int
    """The process that tells this, one of several perhaps."""
    data: list[Deployment]
    object: str = "list"


def backend_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    """Build the handler of the list of deployments."""

    @get("/v1/backends", summary="Tell how all deployments do (for admins)", tags=["operations"])
    async def list_backends(request: Request[Any, Any, Any]) -> Response[Backends]:
        runtime = current()
        if not (await caller_of(request, runtime)).admin:
            raise Forbidden("only an admin's key sees the backends", code="admins_only")
        found = sorted(deployments(runtime.routing.routes), key=lambda one: (one.backend, one.model or ""))
        return Response(Backends(os.getpid(), found), headers={"cache-control": "no-store"})

    return [list_backends]


def deployments(routes: Routes) -> Iterator[Deployment]:
    """List what the routes name, and what callers have named where a route leaves the model to them."""
    named: dict[tuple[str, str], tuple[Site, list[Route]]] = {}
    open_to_all: dict[str, tuple[Site, list[Route]]] = {}
    for route in routes:
        for target in route.everywhere:
            site, backend = target.site, target.site.backend.name
            if target.model is None:
                leading = open_to_all.setdefault(backend, (site, []))[1]
            else:
                leading = named.setdefault((backend, target.model), (site, []))[1]
            if route not in leading:
                leading.append(route)
    now = Moment.now()
    for backend, (site, leading) in open_to_all.items():
        models = [model for model in site.about.healths() if (backend, model) not in named]
        named.update({(backend, model): (site, _taking(model, leading)) for model in models})
        if not models:
            yield _deployment(site, None, leading)
    for (_, model), (site, leading) in named.items():
        made = _deployment(site, model, leading)
        yield _with_health(made, site.deployment(model).health, now)


def _taking(model: str, routes: list[Route]) -> list[Route]:
    """Choose those whose patterns the model's name has; where none is, another route has led to them."""
    return [route for route in routes if compile_globs([route.name, *route.aliases])(model)] or routes


def _deployment(site: Site, model: str | None, routes: list[Route]) -> Deployment:
    about, gate = site.about, site.gate
    failure = None if about.probe is None else about.probe()
    return Deployment(
        backend=site.backend.name,
        model=model,
        provider=about.provider,
        preset=about.preset,
        region=site.region,
        self_hosted=site.self_hosted,
        routes=[route.name for route in routes],
        probe=None if failure is None else Probe(not failure, failure),
        gate=None if gate is None else Gate(gate.places, gate.inside, gate.waiting),
    )


def _with_health(made: Deployment, health: Health, now: Moment) -> Deployment:
    def unix(at_s: float | None) -> float | None:
        return None if at_s is None else round(now.unix_s + at_s - now.now_s, 3)

    told: Standing = health.standing(now.now_s)
    breaker, obstacle = told.breaker, told.obstacle
    made.breaker = Breaker(
        state=breaker.state,
        since=unix(breaker.since_s),
        why=breaker.why,
        tried_again=unix(breaker.tries_s),
        calls=breaker.calls,
        failures=breaker.failures,
    )
    if obstacle is not None:
        left_s = obstacle.retry_after_s
        until_s = None if left_s is None else now.now_s + left_s
        made.obstacle = Obstacle(obstacle.reason, obstacle.cause, unix(until_s))
    made.in_flight = told.in_flight
    made.rests_until, made.rest_why = unix(told.rests_until_s), told.rest_why
    made.rate_used_up_until = unix(told.spent_until_s)
    made.first_token_ms, made.total_ms = _ms(told.first_token_s), _ms(told.latency_s)
    made.output_per_s = None if told.tokens_per_s is None else round(told.tokens_per_s, 1)
    made.first_token_p50_ms, made.first_token_p95_ms = (
        _ms(told.first_token_p50_s),
        _ms(told.first_token_p95_s),
    )
    return made


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 3)
