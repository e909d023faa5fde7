"""Check one way of sending calls: a route's own, or a rule's with what it inherits.

A field that has no effect where it stands is an error: whoever wrote it expected one. It must not know
rules or names of other routes. Places are relative to the way.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.config.checks.problems import Problem, repeated, within
from gateway.config.effect.routes import upstream_model
from gateway.config.located import Where
from gateway.config.ways import (
    CanarySpec,
    FallbackSpec,
    HedgeSpec,
    RetrySpec,
    StrategyKind,
    StrategySpec,
    StreamSpec,
    TargetSpec,
    WaySpec,
    WeightsSpec,
)

_OF_KIND: dict[str, tuple[StrategyKind, ...]] = {
    "by": ("sticky",),
    "prefix_chars": ("sticky",),
    "explore": ("fastest", "score"),
    "weights": ("score",),
}
"""The fields of a strategy that only some kinds have."""

_WEIGHING = ("weighted", "sticky")
_STEPS = ("targets", "shorten", "cached", "answer")

Strategy = StrategyKind | StrategySpec | None


def way_problems(written: WaySpec, effective: WaySpec, route: str) -> Iterator[Problem]:
    """Check the fields that are `written`, beside those that are in effect with them."""
    yield from strategy_problems(written.strategy)
    yield from _weight_problems(written.targets, effective.strategy)
    if written.retry is not None:
        yield from within(("retry",), _retry_problems(written.retry))
    yield from _step_problems(written.fallbacks or ())
    if written.hedge is not None:
        yield from within(("hedge",), _hedge_problems(written.hedge))
    if written.stream is not None:
        yield from within(("stream",), _stream_problems(written.stream))
    if written.canary is not None:
        yield from within(("canary", "target"), _canary_problems(written.canary, effective, route))


def strategy_problems(strategy: Strategy) -> Iterator[Problem]:
    """Find fields that this kind of strategy does not have, and weights that weigh nothing."""
    if not isinstance(strategy, StrategySpec):
        return
    plain = StrategySpec(kind=strategy.kind)
    for name, kinds in _OF_KIND.items():
        if getattr(strategy, name) != getattr(plain, name) and strategy.kind not in kinds:
            hint = f"it is for {' and '.join(kinds)}: remove it"
            yield ("strategy", name), f"it has no effect on {strategy.kind}", hint
    if strategy.kind == "sticky" and strategy.by != "prefix" and strategy.prefix_chars != plain.prefix_chars:
        yield ("strategy", "prefix_chars"), f"it has no effect by {strategy.by}", "write `by: prefix`"
    if strategy.kind == "score" and strategy.weights == WeightsSpec(cost=0, latency=0, errors=0):
        yield ("strategy", "weights"), "all weights are 0", "raise one of them"


def _weight_problems(targets: tuple[TargetSpec, ...], strategy: Strategy) -> Iterator[Problem]:
    kind = strategy.kind if isinstance(strategy, StrategySpec) else strategy
    if kind in _WEIGHING:
        if targets and not any(target.weight for target in targets):
            yield ("targets",), "all weights are 0", "raise one of them"
        return
    for i, target in enumerate(targets):
        if target.weight != 1:
            message = f"a weight has no effect on {kind or 'priority'}"
            yield ("targets", i, "weight"), message, f"it is for {' and '.join(_WEIGHING)}"


def _retry_problems(retry: RetrySpec) -> Iterator[Problem]:
    if retry.backoff_ms > retry.max_backoff_ms:
        message = f"{retry.backoff_ms} is more than max_backoff_ms {retry.max_backoff_ms}"
        yield ("backoff_ms",), message, "pauses only grow"


def _step_problems(steps: tuple[FallbackSpec, ...]) -> Iterator[Problem]:
    ended = False
    for i, step in enumerate(steps):
        where: Where = ("fallbacks", i)
        yield from within(where, repeated(("on",), step.on))
        given = [name for name in _STEPS if getattr(step, name)]
        if len(given) != 1:
            told = "nothing says what to do" if not given else f"it has {' and '.join(given)}"
            yield where, told, f"give one of {', '.join(_STEPS)}"
        if step.targets:
            yield from within(where, strategy_problems(step.strategy))
            yield from within(where, _weight_problems(step.targets, step.strategy))
        elif step.strategy is not None:
            yield (*where, "strategy"), "it has no effect without targets", "remove it"
        if ended and not step.on:
            yield where, "it is never reached: a step before it answers every time", "put it before that"
        ended = ended or bool(step.answer and not step.on)


def _hedge_problems(hedge: HedgeSpec) -> Iterator[Problem]:
    if (hedge.after_ms is None) is (hedge.after_percentile is None):
        told = "it has two delays" if hedge.after_ms is not None else "nothing says after which delay"
        yield (), told, "give one of after_ms and after_percentile"


def _stream_problems(stream: StreamSpec) -> Iterator[Problem]:
    if stream.hold_ms and not stream.hold_tokens:
        yield ("hold_ms",), "it has no effect without hold_tokens", "say how many to hold back at most"


def _canary_problems(canary: CanarySpec, effective: WaySpec, route: str) -> Iterator[Problem]:
    new = (canary.target.backend, upstream_model(canary.target, route))
    for i, target in enumerate(effective.targets):
        if (target.backend, upstream_model(target, route)) == new:
            yield (), f"it is the same as target {i + 1}", "name the new deployment"
