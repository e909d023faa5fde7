"""Which route a name means, and who may use it."""

from __future__ import annotations

import re

import pytest

from gateway.routing.routes import Route
from gateway.routing.table import Routes, allows


def found(names: list[str], model: str) -> str | None:
    route = Routes(Route(name, None) for name in names).find(model)
    return route and route.name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o-*"),
        ("gpt-3", "gpt-[34]"),
        ("gpt-6", "gpt-?"),
        ("gpt-5.1", "gpt-*"),
        ("claude", "*"),
        ("gpt-*", "gpt-?"),
        ("GPT-4o", "*"),
        ("", "*"),
        ("a/b\nc", "*"),
    ],
)
def test_exact_names_win_over_globs_and_narrow_globs_over_wide_ones(model: str, name: str) -> None:
    assert found(["*", "gpt-*", "gpt-?", "gpt-[34]", "gpt-4o-*", "gpt-4o"], model) == name


def test_what_no_route_matches_has_none() -> None:
    assert found(["fast", "gpt-*"], "claude") is None
    assert found(["fast"], "fast ") is None
    assert found(["fast"], "faster") is None
    assert found([], "fast") is None


def test_of_globs_alike_the_first_by_name_wins_whatever_their_order() -> None:
    assert found(["b*", "a*b"], "ab") == found(["a*b", "b*"], "ab") == "a*b"
    assert found(["*ab", "ab*"], "ab") == found(["ab*", "*ab"], "ab") == "*ab"


def test_an_alias_is_another_name_and_wins_over_globs_like_one() -> None:
    routes = Routes(
        [Route("fast", None, aliases=("quick", "f-[12]")), Route("qu*", None), Route("f-*", None)]
    )
    asked = {model: routes.find(model) for model in ("fast", "quick", "quicker", "f-2", "f-3")}
    assert {model: route and route.name for model, route in asked.items()} == {
        "fast": "fast",
        "quick": "fast",
        "quicker": "qu*",
        "f-2": "fast",
        "f-3": "f-*",
    }


def test_routes_are_listed_exact_ones_first() -> None:
    routes = Routes(Route(name, None) for name in ["*", "fast", "gpt-*", "best"])
    assert [route.name for route in routes] == ["fast", "best", "gpt-*", "*"]


def test_names_are_listed_with_the_aliases_after_each_route() -> None:
    routes = Routes(
        [
            Route("any/*", None, aliases=("any", "every/*")),
            Route("fast", None, aliases=("quick",)),
            Route("best", None),
        ]
    )
    assert [(name, route.name) for name, route in routes.names()] == [
        ("any", "any/*"),
        ("fast", "fast"),
        ("quick", "fast"),
        ("best", "best"),
        ("every/*", "any/*"),
        ("any/*", "any/*"),
    ]
    assert [route.name for route in routes] == ["fast", "best", "any/*"]


@pytest.mark.parametrize(
    ("layers", "may"),
    [
        ((), True),
        ((("*",),), True),
        (((),), False),
        ((("fast",),), True),
        ((("fast",), ("*",)), True),
        ((("*",), ("best",)), False),
        ((("best", "f*"), ("?ast",)), True),
        ((("*",), ()), False),
        ((("FAST",),), False),
    ],
)
def test_a_name_has_to_match_in_every_layer(layers: tuple[tuple[str, ...], ...], *, may: bool) -> None:
    assert allows(layers, "fast") is may


def test_what_is_remembered_is_bounded() -> None:
    routes = Routes([Route("*", None)])
    limit = routes.find.cache_info().maxsize
    assert limit is not None
    for number in range(limit + 10):
        routes.find(f"m{number}")
    assert routes.find.cache_info().currsize == limit
    assert re.fullmatch(r"\d+", str(allows.cache_info().maxsize))
