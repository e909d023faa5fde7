"""Say where a call goes, and how. Pure: the same call, routes, state and chance give the same plan."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.errors import Forbidden, GatewayError, UnknownRoute
from gateway.exchange import Call, Moment
from gateway.routing.choice import Choice, Demand, choose
from gateway.routing.plans import Considered, Plan, Routing, nobody
from gateway.routing.routes import Route, Rule, Way
from gateway.routing.signals.signals import Signals
from gateway.routing.table import allows

_MOST_TURNS = 16
"""By so many routes a call may be sent on; configurations that go in circles are refused."""


def make_plan(call: Call | Signals, routing: Routing, moment: Moment) -> Plan:
    """Find the route of the requested model, the rule that holds, and who can take the call.

    Of a call that was made before, its recorded signals are enough.

    Raises UnknownRoute; Forbidden when tenant or key may not use the name, a rule denies the call, or its
    data may go nowhere; and what `nobody` says when no target can take it and no fallback may do without.
    """
    signals = call if isinstance(call, Signals) else Signals(call, routing.readers)
    model = signals.model
    route = routing.routes.find(model)
    if route is None:
        raise UnknownRoute(
            f"no route serves the model {_shown(model)!r}; GET /v1/models lists those that exist",
            param="model",
        )
    if not allows(signals.caller.routes, model):
        raise Forbidden(f"this key may not use the model {_shown(model)!r}", param="model")
    route, rule = _follow(route, signals, routing, moment)
    way = rule.way if rule is not None and rule.way is not None else route.way
    name = "" if rule is None else rule.name
    if way is None:
        turned = UnknownRoute(f"no rule of the route {route.name!r} holds for this call", param="model")
        raise _explained(turned, Considered(route, signals))
    demand = Demand(signals, way.limits, routing.sensitivity, way.reckons or routing.explains)
    choice = _choose(way, demand, moment)
    if not (choice.candidates or way.steps):
        raise _explained(nobody(route, choice), Considered(route, signals, name, choice))
    memory = routing.memory if way.steps and way.remembers else None
    return Plan(route, way, demand, choice, name, memory)


def _follow(route: Route, signals: Signals, routing: Routing, moment: Moment) -> tuple[Route, Rule | None]:
    """Go from rule to route to rule, until one says how."""
    for _ in range(_MOST_TURNS):
        rule = _first(route.rules, signals, moment)
        if rule is None or not (rule.use or rule.deny):
            return route, rule
        if rule.deny:
            denied = Forbidden(rule.deny, code="denied_by_rule")
            raise _explained(denied, Considered(route, signals, rule.name))
        route = routing.routes.find(rule.use) or route
    raise AssertionError("the configuration sends calls in circles")


def _first(rules: Sequence[Rule], signals: Signals, moment: Moment) -> Rule | None:
    for rule in rules:
        if rule.holds(signals, moment):
            return rule
    return None


def _choose(way: Way, demand: Demand, moment: Moment) -> Choice:
    choice = choose(way.targets, way.strategy, demand, moment)
    canary = way.canary
    if canary is None or not canary.takes(demand.signals, moment) or canary.watch.rolled_back(moment.now_s):
        return choice
    first = choose((canary.target,), way.strategy, demand, moment)
    return Choice((*first.candidates, *choice.candidates), (*first.left_out, *choice.left_out))


def _explained(error: GatewayError, considered: Considered) -> GatewayError:
    """Let the error say to the books what it follows from."""
    error.considered = considered
    return error


def _shown(model: str) -> str:
    return model if len(model) <= 100 else model[:100] + "..."
