"""Compile routes: from Specs, with what rules inherit put in, to what a call is planned by.

It must not know files, the environment, or how a target is chosen. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache

import msgspec

from gateway.config.effect.routes import inherited, sends, upstream_model
from gateway.config.ways import (
    CanarySpec,
    FallbackSpec,
    HedgeSpec,
    LimitsSpec,
    RetrySpec,
    RouteSpec,
    RuleSpec,
    ShadowSpec,
    StrategySpec,
    StreamSpec,
    TargetSpec,
    WaySpec,
)
from gateway.routing.budgets import Allowance
from gateway.routing.canary import Canaries
from gateway.routing.routes import (
    Canary,
    Hedge,
    Limits,
    Retry,
    Route,
    Rule,
    Shadow,
    Shorten,
    Site,
    Step,
    StreamTerms,
    Target,
    Way,
)
from gateway.routing.rules import compile_share, compile_when
from gateway.routing.strategies import compile_strategy
from gateway.routing.table import Routes

_NANOUSD = 1_000_000_000
_TENANTS = 1024
"""Of whom one route keeps the share of hedged calls."""


class Making(msgspec.Struct, frozen=True):
    """What routes are made with beside their Specs."""

    sites: Mapping[str, Site]
    """By the name of their backend."""
    canaries: Canaries
    """Their watches, by where they stand: `route`, or `route/rule` where a rule has its own."""


def compile_routes(routes: Mapping[str, RouteSpec], making: Making) -> Routes:
    """Compile the routes of a configuration that was checked, and is without inactive backends."""
    return Routes(_RouteMaker(name, spec, making).route() for name, spec in routes.items())


class _RouteMaker:
    """Makes one route. What its ways have in common is made once: allowances, and the inherited canary."""

    def __init__(self, name: str, spec: RouteSpec, making: Making) -> None:
        self._name, self._spec, self._making = name, spec, making
        self._retries = lru_cache(None)(_allowance)
        self._hedges = lru_cache(None)(_allowances)

    def route(self) -> Route:
        spec = self._spec
        return Route(
            name=self._name,
            way=self._way(spec, self._name) if spec.targets else None,
            rules=tuple(map(self._rule, spec.rules)),
            aliases=spec.aliases,
            description=spec.description,
            names_itself=spec.answer_model == "route",
        )

    def _rule(self, spec: RuleSpec) -> Rule:
        place = f"{self._name}/{spec.name}"
        return Rule(
            name=spec.name,
            holds=compile_when(spec.when, place, spec.unless),
            way=self._way(inherited(spec, self._spec), place) if sends(spec) else None,
            use=spec.use,
            deny=spec.deny,
        )

    def _way(self, spec: WaySpec, place: str) -> Way:
        stream = spec.stream or StreamSpec()
        return Way(
            targets=tuple(map(self._target, spec.targets)),
            # One salt for all ways: whoever sticks to a target does so whichever rule holds.
            strategy=compile_strategy(spec.strategy, self._name),
            limits=compile_limits(spec.limits or LimitsSpec()),
            retry=self._retry(spec.retry or RetrySpec()),
            steps=tuple(map(self._step, spec.fallbacks or ())),
            hedge=None if spec.hedge is None else self._hedge(spec.hedge),
            stream=StreamTerms(stream.on_break, stream.hold_tokens, stream.hold_ms / 1000),
            canary=None if spec.canary is None else self._canary(spec.canary, place),
            shadow=None if spec.shadow is None else self._shadow(spec.shadow),
            reckons=_reckons(spec),
        )

    def _target(self, spec: TargetSpec) -> Target:
        place = f"{self._name}/{spec.backend}/{spec.model}"
        return Target(
            site=self._making.sites[spec.backend],
            model=upstream_model(spec, self._name) or None,
            priority=spec.priority,
            weight=spec.weight,
            when=None if spec.when is None else compile_when(spec.when, place),
        )

    def _retry(self, spec: RetrySpec) -> Retry:
        return Retry(
            attempts=spec.attempts,
            backoff_s=spec.backoff_ms / 1000,
            max_backoff_s=spec.max_backoff_ms / 1000,
            max_retry_after_s=spec.max_retry_after_ms / 1000,
            allowance=self._retries(spec.budget_percent),
        )

    def _step(self, spec: FallbackSpec) -> Step:
        shorten = spec.shorten
        return Step(
            on=frozenset(spec.on),
            targets=tuple(map(self._target, spec.targets)),
            strategy=compile_strategy(spec.strategy, self._name) if spec.targets else None,
            shorten=None if shorten is None else Shorten(shorten.keep_turns, shorten.to_percent / 100),
            cached_s=None if spec.cached is None else spec.cached.max_age_s,
            answer=spec.answer,
        )

    def _hedge(self, spec: HedgeSpec) -> Hedge:
        after_s = None if spec.after_ms is None else spec.after_ms / 1000
        return Hedge(after_s, spec.after_percentile, self._hedges(spec.max_percent))

    def _canary(self, spec: CanarySpec, place: str) -> Canary:
        if spec is self._spec.canary:
            place = self._name
        return Canary(
            target=self._target(spec.target),
            takes=compile_share(spec.share, f"{place}/canary"),
            watch=self._making.canaries.watch(place, spec),
        )

    def _shadow(self, spec: ShadowSpec) -> Shadow:
        return Shadow(self._target(spec.target), spec.percent / 100, spec.compare)


def _reckons(spec: WaySpec) -> bool:
    """Tell whether a limit or a strategy asks what a call costs."""
    asked = [spec.strategy, *(step.strategy for step in spec.fallbacks or ())]
    kinds = {one.kind if isinstance(one, StrategySpec) else one for one in asked}
    limited = spec.limits is not None and spec.limits.max_cost_usd is not None
    return limited or not kinds.isdisjoint({"cheapest", "score"})


def compile_limits(spec: LimitsSpec) -> Limits:
    """Turn milliseconds into seconds, and dollars into nano-USD as they were written."""
    return Limits(
        first_token_s=_seconds(spec.max_first_token_ms),
        latency_s=_seconds(spec.max_latency_ms),
        gap_s=_seconds(spec.max_gap_ms),
        cost_nanousd=None if spec.max_cost_usd is None else _nanousd(spec.max_cost_usd),
        deadline_s=_seconds(spec.deadline_ms),
    )


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _nanousd(usd: float) -> int:
    # The shortest text that reads as this number is the one that was written: 0.07 is exact.
    return int((Decimal(str(usd)) * _NANOUSD).to_integral_value(ROUND_CEILING))


def _allowance(percent: float) -> Allowance:
    return Allowance(percent / 100)


def _allowances(percent: float) -> Callable[[str], Allowance]:
    """Give each tenant its own; one that was away for long begins anew."""
    return lru_cache(_TENANTS)(lambda _tenant: _allowance(percent))
