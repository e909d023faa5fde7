"""Say where a call goes, and how. Pure: the same call and the same routes give the same plan."""

from __future__ import annotations

from gateway.errors import Forbidden, UnknownRoute, Unsupported
from gateway.exchange import Call
from gateway.formats.passage.wires import wires_for
from gateway.routing.routes import Course, Plan, Routes, allows


def make_plan(call: Call, routes: Routes) -> Plan:
    """Find the route of the requested model and those of its targets that can take the call.

    Each gets it relayed where it speaks the call's format, else translated into one that it speaks.
    Raises UnknownRoute, Forbidden when tenant or key may not use the name, Unsupported when no target of
    the route takes this kind of call.
    """
    model = call.envelope.model
    route = routes.find(model)
    if route is None:
        raise UnknownRoute(
            f"no route serves the model {_shown(model)!r}; GET /v1/models lists those that exist",
            param="model",
        )
    if not allows(call.caller.routes, model):
        raise Forbidden(f"this key may not use the model {_shown(model)!r}", param="model")
    courses = list[Course]()
    for target in route.targets:
        upstream_model = target.model or model
        spoken = target.deployment.backend.speaks(upstream_model)
        courses += [Course(target, upstream_model, wire) for wire in wires_for(call.format, spoken)]
    if not courses:
        raise Unsupported(f"no target of the route {route.name!r} takes {call.format} calls", param="model")
    return Plan(route, tuple(courses))


def _shown(model: str) -> str:
    return model if len(model) <= 100 else model[:100] + "..."
