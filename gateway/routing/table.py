"""Find the route that a model's name means, and say who may use the name. Pure.

It must not know what a route does. Look-ups are remembered, as many as `MATCH_CACHE_ENTRIES`: names come
from clients, who can make up any number of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from gateway.routing.matching.globs import Matches, compile_globs, is_glob, width
from gateway.routing.routes import Route

MATCH_CACHE_ENTRIES = 4096


class Routes:
    """All routes of a configuration. Exact names and aliases win over globs, narrow globs over wide ones."""

    def __init__(self, routes: Iterable[Route]) -> None:
        named = [(name, route) for route in routes for name in (route.name, *route.aliases)]
        self._exact = {name: route for name, route in reversed(named) if not is_glob(name)}
        globs = sorted(
            ((name, route) for name, route in named if is_glob(name)), key=lambda own: width(own[0])
        )
        self._globs = [(compile_globs([name]), route) for name, route in globs]
        self._names = (*((name, route) for name, route in named if not is_glob(name)), *globs)
        self.find = lru_cache(MATCH_CACHE_ENTRIES)(self._find)

    def _find(self, model: str) -> Route | None:
        if route := self._exact.get(model):
            return route
        return next((route for matches, route in self._globs if matches(model)), None)

    def names(self) -> Iterator[tuple[str, Route]]:
        """Give each name that can be asked for with its route, a route's aliases after it; globs last."""
        return iter(self._names)

    def __iter__(self) -> Iterator[Route]:
        """Iterate over exact routes in the order of the file, then globs from narrow to wide."""
        return (route for name, route in self._names if name == route.name)


@lru_cache(MATCH_CACHE_ENTRIES)
def allows(layers: Sequence[Sequence[str]], model: str) -> bool:
    """Tell whether every layer of globs (tenant, then key) lets `model` through."""
    return all(_matcher(layer)(model) for layer in layers)


@lru_cache(MATCH_CACHE_ENTRIES)
def _matcher(layer: Sequence[str]) -> Matches:
    return compile_globs(layer)
