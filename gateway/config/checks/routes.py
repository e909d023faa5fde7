"""Check routes: their names, their rules, and where each target, rule and step leads.

It must not know how a route is compiled, nor which backends are active.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gateway.config.checks.conditions import Known, condition_problems, known
from gateway.config.checks.problems import Problem, within
from gateway.config.checks.ways import way_problems
from gateway.config.effect.routes import conditions_of, inherited, is_pattern, sends, targets_of, ways_of
from gateway.config.located import Where, did_you_mean, quoted
from gateway.config.routing import BackendSpec, RoutingSpec
from gateway.config.signals import WhenSpec
from gateway.config.ways import RouteSpec, RuleSpec, WaySpec

_ANYTHING = WhenSpec()


def route_problems(spec: RoutingSpec) -> Iterator[Problem]:
    """Check all routes, and what names one."""
    if not spec.routes:
        yield ("routes",), "there is no route", "name at least one model"
    names = known(spec)
    for name, route in spec.routes.items():
        where: Where = ("routes", name)
        yield from within(where, _target_problems(route, spec.backends))
        yield from within(where, _rule_problems(route))
        yield from within(where, _condition_problems(route, names))
        yield from within(where, _way_problems(name, route))
        yield from within(where, _use_problems(name, spec.routes))
    yield from _alias_problems(spec.routes)
    if spec.classifier is not None:
        yield from within(("classifier", "route"), route_name_problems(spec.classifier.route, spec.routes))


def _target_problems(route: RouteSpec, backends: Mapping[str, BackendSpec]) -> Iterator[Problem]:
    for where, way in ways_of(route):
        for place, target in targets_of(way):
            if target.backend not in backends:
                hint = did_you_mean(target.backend, backends)
                yield (*where, *place), f"there is no backend {quoted(target.backend)}", hint


def _condition_problems(route: RouteSpec, names: Known) -> Iterator[Problem]:
    for where, when in conditions_of(route):
        yield from within(where, condition_problems(when, names))


def _way_problems(name: str, route: RouteSpec) -> Iterator[Problem]:
    yield from way_problems(route, route, name)
    if not route.targets and not route.rules:
        yield (), "nothing says where its calls go", "give targets, or rules"
    elif not (route.targets or any(map(sends, route.rules))):
        for field in sorted(set(WaySpec.__struct_fields__) - {"targets"}):
            if getattr(route, field) is not None:
                yield (field,), "it has no effect: no call of the route is sent", "give targets, or remove it"
    for i, rule in enumerate(route.rules):
        if sends(rule):
            where: Where = ("rules", i)
            effective = inherited(rule, route)
            yield from within(where, way_problems(rule, effective, name))
            if not effective.targets:
                yield where, "neither it nor its route has targets", "give targets to one of them"


def _rule_problems(route: RouteSpec) -> Iterator[Problem]:
    lines: dict[str, int] = {}
    caught_by = ""
    for i, rule in enumerate(route.rules):
        where: Where = ("rules", i)
        if rule.name in lines:
            message = f"rule {lines[rule.name] + 1} of the route has the name {quoted(rule.name)} too"
            yield (*where, "name"), message, "each needs its own"
        lines.setdefault(rule.name, i)
        if caught_by:
            message = f"it is never reached: {quoted(caught_by)} before it has no conditions"
            yield where, message, "put it before that"
        elif rule.when == _ANYTHING and rule.unless is None:
            caught_by = rule.name
        if rule.unless == _ANYTHING:
            yield (*where, "unless"), "it has no conditions: the rule never holds", "give some, or remove it"
        yield from within(where, _outcome_problems(rule))


def _outcome_problems(rule: RuleSpec) -> Iterator[Problem]:
    given = [name for name in ("use", "deny") if getattr(rule, name)]
    given += ["a way of its own (targets, limits, ...)"] * sends(rule)
    if len(given) != 1:
        told = f"it has {' and '.join(given)}" if given else "nothing says what it does"
        yield (), told, "give one of use, deny, and targets, limits or other fields of a route"


def route_name_problems(name: str, routes: Mapping[str, RouteSpec]) -> Iterator[Problem]:
    """Check a name that has to be a route's own."""
    if name not in routes:
        owner = next((own for own, route in routes.items() if name in route.aliases), None)
        hint = (
            did_you_mean(name, routes)
            if owner is None
            else f"it is another name of {quoted(owner)}: use that"
        )
        yield (), f"there is no route {quoted(name)}", hint
    elif is_pattern(name):
        yield (), f"{quoted(name)} is a pattern", "name a route that is none"


def _use_problems(name: str, routes: Mapping[str, RouteSpec]) -> Iterator[Problem]:
    for i, rule in enumerate(routes[name].rules):
        where: Where = ("rules", i, "use")
        if rule.use:
            yield from within(where, route_name_problems(rule.use, routes))
            if (way := _way_back(rule.use, name, routes)) is not None:
                yield where, f"routes use each other: {' > '.join((name, *way))}", "break the circle"


def _way_back(start: str, goal: str, routes: Mapping[str, RouteSpec]) -> tuple[str, ...] | None:
    """Find how `use` leads from one route to another; None: it does not."""
    ways: list[tuple[str, ...]] = [(start,)]
    seen = {start}
    for way in ways:
        if way[-1] == goal:
            return way
        route = routes.get(way[-1])
        further = {rule.use: None for rule in route.rules if rule.use} if route is not None else {}
        ways += [(*way, use) for use in further if use not in seen]
        seen |= further.keys()
    return None


def _alias_problems(routes: Mapping[str, RouteSpec]) -> Iterator[Problem]:
    owners: dict[str, str] = {}
    for name, route in routes.items():
        for i, alias in enumerate(route.aliases):
            where: Where = ("routes", name, "aliases", i)
            if alias in routes:
                whose = "its route" if alias == name else "another route"
                yield where, f"{quoted(alias)} is the name of {whose}", "remove it"
            elif alias in owners:
                yield where, f"route {owners[alias]} has the alias {quoted(alias)} too", "remove one of them"
            owners.setdefault(alias, name)
