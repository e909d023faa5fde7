"""Which calls a limit is for, and who shares its counters."""

from __future__ import annotations

import pytest
from msgspec.structs import asdict

from gateway.config.ways import RouteSpec
from gateway.exchange import Caller
from gateway.policy.limits.scopes import (
    ForSpec,
    LimitSpec,
    counted_per,
    holds_for,
    means_nobody,
    scope_problems,
)
from gateway.quotas.rules import Dimension, Scope

CALL = Scope(
    tenant="acme",
    team="search",
    key="key_1",
    user="ann",
    route="fast",
    model="gpt-5",
    tags=("gold", "eu"),
)
ROUTES = {"fast": RouteSpec(aliases=("quick",)), "gpt-*": RouteSpec()}


def test_a_limit_that_names_nothing_is_for_every_call() -> None:
    assert holds_for(ForSpec())(CALL)
    assert holds_for(ForSpec())(Scope(""))


@pytest.mark.parametrize("name", ForSpec.__struct_fields__)
@pytest.mark.parametrize("globs", [("other", "{}"), ("{}*",), ("[!x]*",)])
def test_of_a_list_one_match_is_enough(name: str, globs: tuple[str, ...]) -> None:
    value = "eu" if name == "tags" else str(asdict(CALL)[name])
    written = tuple(glob.format(value) for glob in globs)
    assert holds_for(ForSpec(**{name: written}))(CALL)
    assert not holds_for(ForSpec(**{name: (f"{value}-", value[:-1], value.upper())}))(CALL)


def test_all_that_is_given_must_match() -> None:
    assert holds_for(ForSpec(tenant=("acme",), tags=("gold",), model=("gpt-*",)))(CALL)
    assert not holds_for(ForSpec(tenant=("acme",), tags=("gold",), model=("claude-*",)))(CALL)
    assert not holds_for(ForSpec(tenant=("acme",), tags=("silver",)))(CALL)


@pytest.mark.parametrize("name", ["team", "key", "user", "tags"])
def test_a_call_matches_no_glob_of_what_it_does_not_have(name: str) -> None:
    assert not holds_for(ForSpec(**{name: ("*",)}))(Scope("acme"))


@pytest.mark.parametrize(
    ("written", "counted"),
    [
        ((), ()),
        (("route",), ("route",)),
        (("tenant", "user"), ("tenant", "user")),
        (("user",), ("tenant", "user")),
        (("route", "team"), ("tenant", "route", "team")),
        (("key", "tenant"), ("key", "tenant")),
    ],
)
def test_two_tenants_never_share_a_counter_by_choosing_the_same_name(
    written: tuple[Dimension, ...], counted: tuple[Dimension, ...]
) -> None:
    assert counted_per(LimitSpec(per=written)) == counted


def test_a_limit_for_tenants_or_tags_that_nobody_has_means_nobody() -> None:
    tenants = {"acme": Caller("acme", "", tags=("gold",)), "beta": Caller("beta", "")}
    assert not means_nobody(ForSpec(), tenants)
    assert not means_nobody(ForSpec(tenant=("b*",), team=("search",)), tenants)
    assert means_nobody(ForSpec(tenant=("acne",)), tenants)
    assert means_nobody(ForSpec(tenant=("beta",), tags=("gold",)), tenants)


@pytest.mark.parametrize(
    ("spec", "problems"),
    [
        (LimitSpec(calls=ForSpec(route=("fast", "gpt-*", "o*"), model=("gpt-7", "quick", "x*"))), []),
        (
            LimitSpec(calls=ForSpec(route=("quick",))),
            [(("for", "route", 0), 'there is no route "quick"', "known: fast, gpt-*")],
        ),
        (
            LimitSpec(calls=ForSpec(model=("gpt-5", "fats"))),
            [(("for", "model", 1), 'no route takes calls for "fats"', 'did you mean "fast"?')],
        ),
        (
            LimitSpec(per=("tenant", "tenant")),
            [(("per", 1), "tenant is here twice", "remove one of them")],
        ),
    ],
)
def test_names_that_nothing_has_are_found(spec: LimitSpec, problems: list[object]) -> None:
    assert list(scope_problems(spec, ROUTES)) == problems


def test_where_the_routes_are_not_known_their_names_are_not_checked() -> None:
    assert list(scope_problems(LimitSpec(calls=ForSpec(route=("nowhere",))), None)) == []
