"""Which route a name means, and who may use it."""

from __future__ import annotations

import re
import time

import pytest

from gateway.routing.routes import Route, Routes, allows, is_glob


def found(names: list[str], model: str) -> str | None:
    route = Routes(Route(name, ()) for name in names).find(model)
    return route and route.name


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o-*"),
        ("gpt-5", "gpt-*"),
        ("claude", "*"),
        ("gpt-*", "gpt-*"),
        ("GPT-4o", "*"),
        ("", "*"),
        ("a/b\nc", "*"),
    ],
)
def test_exact_names_win_over_globs_and_long_globs_over_short_ones(model: str, name: str) -> None:
    assert found(["*", "gpt-*", "gpt-4o-*", "gpt-4o"], model) == name


def test_what_no_route_matches_has_none() -> None:
    assert found(["fast", "gpt-*"], "claude") is None
    assert found(["fast"], "fast ") is None
    assert found(["fast"], "faster") is None
    assert found([], "fast") is None


def test_of_globs_alike_the_first_by_name_wins_whatever_their_order() -> None:
    assert found(["b*", "?b"], "bb") == found(["?b", "b*"], "bb") == "?b"


def test_a_dot_is_a_dot() -> None:
    assert found(["gpt-4.1*"], "gpt-4x1") is None


def test_routes_are_listed_exact_ones_first() -> None:
    routes = Routes(Route(name, ()) for name in ["*", "fast", "gpt-*", "best"])
    assert [route.name for route in routes] == ["fast", "best", "gpt-*", "*"]


@pytest.mark.parametrize(
    ("name", "glob"), [("a*", True), ("a?", True), ("[ab]", True), ("a.b/c", False), ("a]", False)]
)
def test_what_a_glob_is(name: str, *, glob: bool) -> None:
    assert is_glob(name) is glob


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


def test_a_glob_made_to_be_slow_is_not() -> None:
    started_s = time.process_time()
    assert not allows((("*a" * 30 + "*b",),), "a" * 500)
    assert found(["*a" * 30 + "*b"], "a" * 500) is None
    assert time.process_time() - started_s < 1


def test_what_is_remembered_is_bounded() -> None:
    routes = Routes([Route("*", ())])
    limit = routes.find.cache_info().maxsize
    assert limit is not None
    for number in range(limit + 10):
        routes.find(f"m{number}")
    assert routes.find.cache_info().currsize == limit
    assert re.fullmatch(r"\d+", str(allows.cache_info().maxsize))
