"""Routes, targets and deployments as compiled from routing.yaml, and finding the route of a name.

Pure: no await, no clock, no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from functools import lru_cache

import msgspec

from gateway.exchange import Credential, Format, Request, Timeouts
from gateway.protocols import Backend, Transport

MATCH_CACHE_ENTRIES = 4096


class Deployment(msgspec.Struct, frozen=True, gc=False):
    """A backend with what it takes to send to it: the unit of health, price and pacing."""

    backend: Backend
    transport: Transport
    next_credential: Callable[[], Credential]
    """Raises UpstreamError while there is none."""
    sign: Callable[[Request], Request]
    """Adds to a request what has to be made at the moment of sending; raises UpstreamError."""
    timeouts: Timeouts
    answer_limit_bytes: int
    event_limit_bytes: int


class Target(msgspec.Struct, frozen=True, gc=False):
    """A deployment in a route; `model` is the upstream's name, None passes the requested one on."""

    deployment: Deployment
    model: str | None


class Route(msgspec.Struct, frozen=True, gc=False):
    """A public model name, or a glob over names, with its targets in the order to try."""

    name: str
    targets: tuple[Target, ...]
    description: str = ""
    names_itself: bool = False
    """Answers carry the route's name instead of the upstream's."""


class Course(msgspec.Struct, frozen=True, gc=False):
    """One way a call can go: a target, its name of the model, the wire format it gets the call in."""

    target: Target
    model: str
    wire: Format


class Plan(msgspec.Struct, frozen=True, gc=False):
    """Where one call goes: at least one course, in the order to try."""

    route: Route
    courses: tuple[Course, ...]


class Routes:
    """All routes of a configuration. Exact names win over globs, long globs over short ones."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[str, Route] = {}
        globs: list[Route] = []
        for route in routes:
            if is_glob(route.name):
                globs.append(route)
            else:
                self._exact[route.name] = route
        globs.sort(key=_specificity)
        self._globs = [(re.compile(translate(route.name)).match, route) for route in globs]
        self.find = lru_cache(MATCH_CACHE_ENTRIES)(self._find)

    def _find(self, model: str) -> Route | None:
        if route := self._exact.get(model):
            return route
        return next((route for matches, route in self._globs if matches(model)), None)

    def __iter__(self) -> Iterator[Route]:
        """Iterate over exact routes in the order of the file, then globs by specificity."""
        return iter([*self._exact.values(), *(route for _, route in self._globs)])


def is_glob(name: str) -> bool:
    """Tell whether a route's name is a pattern."""
    return any(sign in name for sign in "*?[")


def _specificity(route: Route) -> tuple[int, str]:
    return (-len(re.sub(r"[*?]|\[[^\]]*\]", "", route.name)), route.name)


@lru_cache(MATCH_CACHE_ENTRIES)
def allows(layers: Sequence[Sequence[str]], model: str) -> bool:
    """Tell whether every layer of globs (tenant, then key) lets `model` through."""
    return all(any(_matcher(glob)(model) for glob in layer) for layer in layers)


@lru_cache(MATCH_CACHE_ENTRIES)
def _matcher(glob: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(translate(glob)).match
