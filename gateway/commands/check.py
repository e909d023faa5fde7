"""`forebay check`: read the configuration as `serve` would, and say what is odd about it.

It opens nothing and has to be done in a second: it runs in commit hooks.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

from gateway.compose.reading import Config, load_config
from gateway.config.effect.routes import inherited, sends, upstream_model
from gateway.config.models import Models, load_models
from gateway.config.signals import WhenSpec
from gateway.config.ways import RouteSpec, StrategySpec, TargetSpec, WaySpec
from gateway.exchange import Price
from gateway.routing.sensitivity import compile_sensitivity

_NEED_PRICES = ("cheapest", "score")
_ANYTHING = WhenSpec()


def run(args: argparse.Namespace) -> int:
    """Run the command; 0: it can be served. Raises ConfigErrors."""
    config = load_config(args.config)
    resolved = config.resolved
    place = args.config / "routing.yaml"
    lines = [f"{place}: {len(resolved.backends)} backends, {len(resolved.routes)} routes"]
    if limits := config.limits.every:
        quotas = sum(rule.kind == "quota" for rule in limits)
        lines[0] += f", {quotas} quotas, {len(limits) - quotas} budgets"
    lines += [f"  {note}" for note in (*resolved.notes, *config.notes, *hints(config))]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def hints(config: Config) -> Iterator[str]:
    """Say what is allowed, and most likely not meant."""
    models = Models(config.resolved.models, load_models())
    for name, route in config.resolved.routes.items():
        for where, way in _ways(name, route):
            yield from _without_price(where, name, way, config)
            if not _may_continue(way, name, models):
                yield f"{where}: no stream is continued: `models` gives prefill to no other target"
            if way.hedge is not None and len(way.targets) == 1 and way.canary is None:
                yield f"{where}: hedge never holds: there is no second target"
        yield from _unreached(name, route)
    yield from _nowhere(config)


def _ways(name: str, route: RouteSpec) -> Iterator[tuple[str, WaySpec]]:
    if route.targets:
        yield f"route {name}", route
    for rule in route.rules:
        if sends(rule):
            yield f"rule {rule.name} of route {name}", inherited(rule, route)


def _without_price(where: str, route: str, way: WaySpec, config: Config) -> Iterator[str]:
    """Name the targets whose price decides something, and is not known; and those whose price is guessed."""
    for target in way.targets:
        price = _price(target, route, config)
        if price is not None and price.is_default:
            model = upstream_model(target, route)
            yield f"{where}: {target.backend} has no known price for {model}: `unknown` of prices.yaml counts"
    strategy = way.strategy
    kind = strategy.kind if isinstance(strategy, StrategySpec) else strategy
    if kind in _NEED_PRICES and not (isinstance(strategy, StrategySpec) and _ignores_cost(strategy)):
        what = (
            f"strategy {kind} ranks it as if it were dear"
            if kind == "cheapest"
            else "it is ranked as the dearest"
        )
    elif way.limits is not None and way.limits.max_cost_usd is not None:
        what = "max_cost_usd does not hold there"
    else:
        return
    for target in way.targets:
        model = upstream_model(target, route)  # without one the client chooses it: nobody knows
        if model and _price(target, route, config) is None:
            yield f"{where}: {target.backend} has no known price for {model}: {what}"


def _may_continue(way: WaySpec, route: str, models: Models) -> bool:
    """Tell whether a stream that is to be continued has a target that can; one the client names may."""
    if way.stream is None or way.stream.on_break != "continue":
        return True
    targets = (*way.targets, *(target for step in way.fallbacks or () for target in step.targets))
    named = [upstream_model(target, route) for target in targets]
    return len(targets) > 1 and any(not model or models.facts(model).prefill for model in named)


def _ignores_cost(strategy: StrategySpec) -> bool:
    return strategy.kind == "score" and not strategy.weights.cost


def _price(target: TargetSpec, route: str, config: Config) -> Price | None:
    """Return the price of a target; None: it is not known, or its model is chosen by the client."""
    model = upstream_model(target, route)
    spec = config.resolved.backends[target.backend]
    seller = "" if spec.self_hosted else spec.preset or spec.provider
    return config.prices.of(spec.name, seller, model) if model else None


def _unreached(name: str, route: RouteSpec) -> Iterator[str]:
    """Name the rules that hold only where an earlier one holds already."""
    for i, rule in enumerate(route.rules):
        for earlier in route.rules[:i]:
            if earlier.unless is None and _is_within(rule.when, earlier.when):
                yield (
                    f"rule {rule.name} of route {name} never holds: "
                    f"wherever it would, {earlier.name} before it does; put it first"
                )
                break


def _is_within(narrow: WhenSpec, wide: WhenSpec) -> bool:
    """Tell whether every condition of `wide` stands, the same, in `narrow`: what holds there holds here."""
    return all(
        getattr(narrow, field) == getattr(wide, field)
        for field in WhenSpec.__struct_fields__
        if getattr(wide, field) != getattr(_ANYTHING, field)
    )


def _nowhere(config: Config) -> Iterator[str]:
    """Name the written labels whose calls no backend may have: they all fail."""
    spec = config.resolved.sensitivity
    allowed = compile_sensitivity(spec)
    backends = config.resolved.backends.values()
    for name in spec.labels:
        label = frozenset({name})
        if all(allowed.forbids(label, one.region, self_hosted=one.self_hosted) for one in backends):
            yield f"sensitivity label {name}: no backend may have such calls, so that they all fail"
