"""What holds for every share of calls, every glob, and whatever backends are active."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.config.effect.routes import inherited, prune, sends, targets_of, ways_of
from gateway.config.signals import ShareSpec
from gateway.config.ways import (
    CanarySpec,
    FallbackSpec,
    LimitsSpec,
    RouteSpec,
    RuleSpec,
    ShadowSpec,
    TargetSpec,
)
from gateway.exchange import Caller, Moment
from gateway.routing.rules import compile_share

NOW = Moment(0.0, 0.0, lambda: 0.5)
BACKENDS = ("a", "b", "c")
TARGETS = st.lists(st.builds(TargetSpec, backend=st.sampled_from(BACKENDS)), max_size=3).map(tuple)
WAYS = {
    "targets": TARGETS,
    "limits": st.none() | st.just(LimitsSpec(deadline_ms=1)),
    "fallbacks": st.none() | st.lists(st.builds(FallbackSpec, targets=TARGETS), max_size=2).map(tuple),
    "canary": st.none()
    | st.builds(
        CanarySpec,
        target=st.builds(TargetSpec, backend=st.sampled_from(BACKENDS)),
        share=st.just(ShareSpec(percent=1)),
    ),
    "shadow": st.none()
    | st.builds(
        ShadowSpec, target=st.builds(TargetSpec, backend=st.sampled_from(BACKENDS)), percent=st.just(1.0)
    ),
}
RULES = st.one_of(
    st.builds(RuleSpec, name=st.just("send"), **WAYS),
    st.builds(RuleSpec, name=st.just("use"), use=st.sampled_from(("r0", "r1", "r2"))),
    st.builds(RuleSpec, name=st.just("deny"), deny=st.just("no")),
)
ROUTES = st.lists(st.builds(RouteSpec, rules=st.lists(RULES, max_size=3).map(tuple), **WAYS), max_size=3).map(
    lambda routes: {f"r{number}": route for number, route in enumerate(routes)}
)


@given(st.text(), st.text(), st.floats(0, 100), st.floats(0, 100))
def test_whoever_is_in_a_share_is_in_every_larger_one(who: str, salt: str, one: float, other: float) -> None:
    call: Any = SimpleNamespace(caller=Caller("t", who))
    smaller, larger = (
        compile_share(ShareSpec(percent=percent), salt)(call, NOW) for percent in sorted((one, other))
    )
    assert larger or not smaller
    assert compile_share(ShareSpec(percent=100), salt)(call, NOW)
    assert not compile_share(ShareSpec(percent=0), salt)(call, NOW)


@given(ROUTES, st.sets(st.sampled_from(BACKENDS)))
def test_nothing_that_is_left_names_what_is_inactive(routes: dict[str, RouteSpec], active: set[str]) -> None:
    left, notes = prune(routes, active)
    for name, route in left.items():
        assert route.targets or route.rules or route == routes[name]
        for _, way in ways_of(route):
            assert all(target.backend in active for _, target in targets_of(way))
        for rule in route.rules:
            assert not rule.use or rule.use in left or rule.use not in routes
            assert not sends(rule) or inherited(rule, route).targets
    assert {f"route {name} is off: none of its backends is active" for name in routes.keys() - left} <= set(
        notes
    )


@given(ROUTES)
def test_nothing_is_left_out_while_every_backend_is_active(routes: dict[str, RouteSpec]) -> None:
    left, _ = prune(routes, BACKENDS)
    for name, route in left.items():
        assert route.targets == routes[name].targets
    whole = {name: route for name, route in routes.items() if route.targets}
    assert whole.keys() <= left.keys()
    assert prune(left, BACKENDS) == (left, [])
