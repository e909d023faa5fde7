"""What rules inherit, and what is left of routes without the inactive backends."""

import pytest

from gateway.config.effect.routes import headers_of, inherited, prune, sends, targets_of, upstream_model
from gateway.config.signals import ShareSpec, WhenSpec
from gateway.config.ways import (
    CachedSpec,
    CanarySpec,
    FallbackSpec,
    HedgeSpec,
    LimitsSpec,
    RetrySpec,
    RouteSpec,
    RuleSpec,
    ShadowSpec,
    TargetSpec,
)

ON, OFF = TargetSpec(backend="on"), TargetSpec(backend="off")
CANARY_OFF = CanarySpec(target=OFF, share=ShareSpec(percent=1))


def pruned(**routes):
    return prune(routes, {"on"})


def rule(name="x", **fields):
    return RuleSpec(name=name, **fields)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, False),
        ({"when": WhenSpec(stream=True), "unless": WhenSpec()}, False),
        ({"use": "r"}, False),
        ({"deny": "no"}, False),
        ({"targets": (ON,)}, True),
        ({"strategy": "cheapest"}, True),
        ({"limits": LimitsSpec()}, True),
        ({"retry": RetrySpec()}, True),
        ({"fallbacks": ()}, True),
        ({"hedge": HedgeSpec(after_ms=1)}, True),
    ],
)
def test_a_rule_sends_calls_when_it_has_any_field_of_a_way(fields, expected):
    assert sends(rule(**fields)) is expected


def test_what_a_rule_leaves_out_is_the_routes():
    route = RouteSpec(
        targets=(ON,),
        strategy="cheapest",
        retry=RetrySpec(attempts=3),
        fallbacks=(FallbackSpec(answer="a"),),
        limits=LimitsSpec(deadline_ms=9, max_cost_usd=1),
    )
    got = inherited(rule(retry=RetrySpec(attempts=0), fallbacks=(), limits=LimitsSpec(max_cost_usd=2)), route)
    assert (got.targets, got.strategy, got.fallbacks) == ((ON,), "cheapest", ())
    assert got.retry == RetrySpec(attempts=0)
    assert got.limits == LimitsSpec(deadline_ms=9, max_cost_usd=2)


def test_canary_and_shadow_belong_to_the_targets_they_stand_beside():
    route = RouteSpec(targets=(ON,), canary=CANARY_OFF, shadow=ShadowSpec(target=OFF, percent=1))
    kept = inherited(rule(retry=RetrySpec()), route)
    assert (kept.canary, kept.shadow) == (route.canary, route.shadow)
    own = inherited(rule(targets=(OFF,)), route)
    assert (own.canary, own.shadow) == (None, None)


@pytest.mark.parametrize(
    ("model", "route", "asked"), [("m", "r", "m"), ("", "r", "r"), ("", "r*", ""), ("m", "[r]", "m")]
)
def test_a_target_asks_for_its_model_else_for_its_routes_name_unless_that_is_a_pattern(model, route, asked):
    assert upstream_model(TargetSpec(backend="on", model=model), route) == asked


def test_every_target_has_its_place():
    way = RouteSpec(
        targets=(ON,),
        fallbacks=(FallbackSpec(answer="a"), FallbackSpec(targets=(ON, OFF))),
        canary=CANARY_OFF,
        shadow=ShadowSpec(target=ON, percent=1),
    )
    assert [where for where, _ in targets_of(way)] == [
        ("targets", 0),
        ("fallbacks", 1, "targets", 0),
        ("fallbacks", 1, "targets", 1),
        ("canary", "target"),
        ("shadow", "target"),
    ]


def test_the_headers_that_conditions_ask_for_are_named_in_lower_case():
    asks = [WhenSpec(headers={name: "*"}) for name in ("X-A", "x-b", "X-C", "x-d")]
    route = RouteSpec(
        targets=(TargetSpec(backend="on", when=asks[0]),),
        rules=(
            rule(
                when=asks[1],
                unless=asks[2],
                fallbacks=(FallbackSpec(targets=(TargetSpec(backend="on", when=asks[3]),)),),
            ),
        ),
    )
    assert headers_of({"r": route}) == {"x-a", "x-b", "x-c", "x-d"}


def test_what_is_active_stays_as_it_is_without_a_note():
    routes = {"r": RouteSpec(targets=(ON,), rules=(rule(deny="no"), rule("y", targets=(ON,))))}
    assert prune(routes, {"on"}) == (routes, [])


def test_targets_steps_canary_and_shadow_of_inactive_backends_are_left_out():
    got, notes = pruned(
        r=RouteSpec(
            targets=(OFF, ON),
            fallbacks=(
                FallbackSpec(targets=(OFF,)),
                FallbackSpec(targets=(OFF, ON)),
                FallbackSpec(cached=CachedSpec()),
            ),
            canary=CANARY_OFF,
            shadow=ShadowSpec(target=OFF, percent=1),
        )
    )
    assert got["r"] == RouteSpec(
        targets=(ON,), fallbacks=(FallbackSpec(targets=(ON,)), FallbackSpec(cached=CachedSpec()))
    )
    assert notes == [
        "fallback 1 of route r is off: none of its backends is active",
        "the canary of route r is off: backend off is",
        "the shadow of route r is off: backend off is",
    ]


def test_a_rule_that_loses_its_targets_is_left_out_and_the_route_goes_on():
    got, notes = pruned(
        r=RouteSpec(targets=(ON,), rules=(rule(targets=(OFF,)), rule("y", retry=RetrySpec())))
    )
    assert [one.name for one in got["r"].rules] == ["y"]
    assert notes == ["rule x of route r is off: none of its backends is active"]


def test_a_rule_that_lives_on_the_routes_targets_goes_with_them():
    got, notes = pruned(
        r=RouteSpec(targets=(OFF,), rules=(rule(retry=RetrySpec()), rule("y", targets=(ON,))))
    )
    assert [one.name for one in got["r"].rules] == ["y"]
    assert got["r"].targets == ()
    assert notes == ["rule x of route r is off: none of its backends is active"]


def test_a_route_with_neither_targets_nor_rules_is_off_and_so_are_the_rules_that_use_it():
    got, notes = pruned(
        a=RouteSpec(targets=(ON,), rules=(rule(use="b"), rule("y", deny="no"))),
        b=RouteSpec(rules=(rule(use="c"),)),
        c=RouteSpec(targets=(OFF,)),
    )
    assert got == {"a": RouteSpec(targets=(ON,), rules=(rule("y", deny="no"),))}
    assert notes == [
        "route c is off: none of its backends is active",
        "rule x of route b is off: route c is",
        "route b is off: none of its backends is active",
        "rule x of route a is off: route b is",
    ]


def test_a_route_that_only_turns_calls_away_stays_if_it_was_written_so():
    got, _ = pruned(
        retired=RouteSpec(rules=(rule(deny="Gone."),)),
        empty=RouteSpec(targets=(OFF,), rules=(rule(deny="Not you."),)),
    )
    assert list(got) == ["retired"]
