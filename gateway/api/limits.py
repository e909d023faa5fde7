"""GET /v1/usage/limits: the limits on the key that asks, and what is left of them.

Whatever is asked for, only the caller's own: its tenant, team and key are those of its credential. A limit
that it shares with others shows what all of them took.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from litestar import get
from litestar.connection import Request
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from gateway.admission.standing import Bound, Standing, bounds, standing
from gateway.api.callers import caller_of
from gateway.errors import UnknownRoute
from gateway.exchange import Caller
from gateway.quotas.rules import Scope
from gateway.routing.routes import Route
from gateway.routing.table import Routes, allows
from gateway.runtime import Runtime

_LONGEST = 256
"""Of a name, in characters."""

_RouteName = Annotated[str, QueryParameter(max_length=_LONGEST, description="Also the limits on this route.")]
_ModelName = Annotated[
    str, QueryParameter(max_length=_LONGEST, description="Also those on this model, and on its route.")
]
_UserName = Annotated[str, QueryParameter(max_length=_LONGEST, description="Also those on this user.")]


class Limits(msgspec.Struct):
    """The limits, in the order of the files; `bounds` are on the size of each call."""

    data: list[Standing]
    bounds: list[Bound]
    object: str = "list"


def limit_handlers(current: Callable[[], Runtime]) -> list[HTTPRouteHandler]:
    """Build the handler of the list of limits."""

    @get("/v1/usage/limits", summary="List the limits on this key, and what is left", tags=["usage"])
    async def list_limits(
        request: Request[Any, Any, Any],
        route: _RouteName = "",
        model: _ModelName = "",
        user: _UserName = "",
    ) -> Limits:
        runtime = current()
        caller = await caller_of(request, runtime)
        scope = Scope(
            tenant=caller.tenant,
            team=caller.team,
            key=caller.key,
            user=user,
            route=_route(runtime.routing.routes, caller, route, model),
            model=model,
            tags=caller.tags,
            timezone=caller.timezone,
        )
        entrance = runtime.entrance
        standings = await standing(entrance.rules, scope, entrance.desk.store)
        return Limits(standings, bounds(entrance.rules, scope))

    return [list_limits]


def _route(routes: Routes, caller: Caller, route: str, model: str) -> str:
    """Return the route that is meant, else the model's. Raises UnknownRoute for what may not be used."""
    found: Route | None = None
    if model:
        found = routes.find(model) if allows(caller.routes, model) else None
        if found is None:
            raise _unknown("model", model)
    if route and not any(route == one.name and allows(caller.routes, name) for name, one in routes.names()):
        raise _unknown("route", route)
    return route or (found.name if found is not None else "")


def _unknown(what: str, name: str) -> UnknownRoute:
    return UnknownRoute(
        f"there is no {what} {name[:100]!r}; GET /v1/models lists those that exist", param=what
    )
