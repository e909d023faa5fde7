"""What of the routes is in effect: what rules inherit, and what is left without the inactive backends.

It knows neither how a route is compiled nor why a backend is inactive. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TypeVar

from msgspec.structs import replace

from gateway.config.located import Where
from gateway.config.signals import WhenSpec
from gateway.config.ways import FallbackSpec, LimitsSpec, RouteSpec, RuleSpec, TargetSpec, WaySpec

W = TypeVar("W", bound=WaySpec)

_GLOB = re.compile(r"[*?\[]")
_OF_TARGETS = ("canary", "shadow")
"""These stand beside certain targets: a rule with targets of its own does not inherit them."""


def is_pattern(name: str) -> bool:
    """Tell whether a route's name stands for many."""
    return _GLOB.search(name) is not None


def upstream_model(target: TargetSpec, route: str) -> str:
    """Name the model that `target` is asked for; empty: whatever the client asked for."""
    return target.model or ("" if is_pattern(route) else route)


def sends(rule: RuleSpec) -> bool:
    """Tell whether a rule says itself how calls are sent."""
    return any(_given(rule, name) for name in WaySpec.__struct_fields__)


def inherited(rule: RuleSpec, route: RouteSpec) -> WaySpec:
    """Give the way of a rule: its own fields, and the route's for those it leaves out.

    Limits are inherited one by one, so that a rule that sets one does not lift the others.
    """
    fields = {
        name: getattr(rule if _given(rule, name) else route, name) for name in WaySpec.__struct_fields__
    }
    if rule.targets:
        fields |= {name: getattr(rule, name) for name in _OF_TARGETS}
    if rule.limits is not None and route.limits is not None:
        fields["limits"] = _laid_over(rule.limits, route.limits)
    return WaySpec(**fields)


def _given(rule: RuleSpec, name: str) -> bool:
    value = getattr(rule, name)
    return bool(value) if name == "targets" else value is not None


def _laid_over(own: LimitsSpec, others: LimitsSpec) -> LimitsSpec:
    names = LimitsSpec.__struct_fields__
    own_or_others = ((getattr(own, name), getattr(others, name)) for name in names)
    return LimitsSpec(**{n: b if a is None else a for n, (a, b) in zip(names, own_or_others, strict=True)})


def targets_of(way: WaySpec) -> Iterator[tuple[Where, TargetSpec]]:
    """Give every target that a way names, with its place."""
    for i, target in enumerate(way.targets):
        yield ("targets", i), target
    for i, step in enumerate(way.fallbacks or ()):
        for j, target in enumerate(step.targets):
            yield ("fallbacks", i, "targets", j), target
    if way.canary is not None:
        yield ("canary", "target"), way.canary.target
    if way.shadow is not None:
        yield ("shadow", "target"), way.shadow.target


def ways_of(route: RouteSpec) -> Iterator[tuple[Where, WaySpec]]:
    """Give the route itself and its rules, as they are written, with their places."""
    yield (), route
    for i, rule in enumerate(route.rules):
        yield ("rules", i), rule


def conditions_of(route: RouteSpec) -> Iterator[tuple[Where, WhenSpec]]:
    """Give every condition of a route with its place."""
    for i, rule in enumerate(route.rules):
        yield ("rules", i, "when"), rule.when
        if rule.unless is not None:
            yield ("rules", i, "unless"), rule.unless
    for where, way in ways_of(route):
        for place, target in targets_of(way):
            if target.when is not None:
                yield (*where, *place, "when"), target.when


def headers_of(routes: Mapping[str, RouteSpec]) -> frozenset[str]:
    """Name the headers that conditions ask for, in lower case."""
    return frozenset(
        name.lower() for route in routes.values() for _, when in conditions_of(route) for name in when.headers
    )


def prune(routes: Mapping[str, RouteSpec], active: Collection[str]) -> tuple[dict[str, RouteSpec], list[str]]:
    """Leave out what only inactive backends could serve; gives the routes that are left, and notes."""
    notes: list[str] = []
    left = {name: _pruned(name, route, active, notes.append) for name, route in routes.items()}
    while gone := [name for name, route in left.items() if not _serves(route, routes[name])]:
        for name in gone:
            del left[name]
            notes.append(f"route {name} is off: none of its backends is active")
        left = {name: _without_uses(name, route, routes, left, notes.append) for name, route in left.items()}
    return left, notes


def _serves(route: RouteSpec, written: RouteSpec) -> bool:
    """Tell whether a route is of use; one that was written to turn all calls away is."""
    return bool(route.targets) or route == written or any(not rule.deny for rule in route.rules)


def _pruned(name: str, route: RouteSpec, active: Collection[str], note: Callable[[str], None]) -> RouteSpec:
    where = f"route {name}"
    way = _pruned_way(where, route, active, note)
    rules = list[RuleSpec]()
    for rule in route.rules:
        its = f"rule {rule.name} of {where}"
        left = _pruned_way(its, rule, active, note)
        if sends(rule) and not (left.targets if rule.targets else way.targets):
            note(f"{its} is off: none of its backends is active")
        else:
            rules.append(left)
    return replace(way, rules=tuple(rules))


def _pruned_way(where: str, way: W, active: Collection[str], note: Callable[[str], None]) -> W:
    changes: dict[str, object] = {"targets": _kept(way.targets, active)}
    if way.fallbacks is not None:
        changes["fallbacks"] = tuple(_steps(where, way.fallbacks, active, note))
    for name, beside in (("canary", way.canary), ("shadow", way.shadow)):
        if beside is not None and beside.target.backend not in active:
            changes[name] = None
            note(f"the {name} of {where} is off: backend {beside.target.backend} is")
    return replace(way, **changes)


def _steps(
    where: str, steps: tuple[FallbackSpec, ...], active: Collection[str], note: Callable[[str], None]
) -> Iterator[FallbackSpec]:
    for number, step in enumerate(steps, 1):
        left = replace(step, targets=_kept(step.targets, active))
        if left.targets or not step.targets:
            yield left
        else:
            note(f"fallback {number} of {where} is off: none of its backends is active")


def _kept(targets: tuple[TargetSpec, ...], active: Collection[str]) -> tuple[TargetSpec, ...]:
    return tuple(target for target in targets if target.backend in active)


def _without_uses(
    name: str,
    route: RouteSpec,
    written: Mapping[str, RouteSpec],
    left: Mapping[str, RouteSpec],
    note: Callable[[str], None],
) -> RouteSpec:
    """Leave out the rules that use a route that is off."""
    off = [rule for rule in route.rules if rule.use in written and rule.use not in left]
    for rule in off:
        note(f"rule {rule.name} of route {name} is off: route {rule.use} is")
    return replace(route, rules=tuple(rule for rule in route.rules if rule not in off)) if off else route
