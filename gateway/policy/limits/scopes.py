"""Which calls a limit is for, and who has counters of its own.

Must not know what is counted. Globs are those of fnmatch, and case counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fnmatch import translate
from typing import Annotated

from msgspec import Meta, field

from gateway.config.checks.problems import Problem, repeated, within
from gateway.config.effect.routes import is_pattern
from gateway.config.located import did_you_mean, quoted
from gateway.config.signals import Globs
from gateway.config.spec import Spec
from gateway.config.ways import RouteSpec
from gateway.exchange import Caller
from gateway.quotas.rules import Dimension, Fail, Scope

Routes = Mapping[str, RouteSpec]
RuleName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Some = Annotated[Globs, Meta(min_length=1)]
WhileDown = Annotated[
    Fail,
    Meta(
        description="While the store of counters does not answer: open lets calls pass, closed none, "
        "local as many as this worker's share of the limit."
    ),
]

_WITHIN_A_TENANT: frozenset[Dimension] = frozenset({"team", "key", "user"})
"""Names that tenants choose for themselves: two of them may choose the same."""


class ForSpec(Spec, frozen=True, kw_only=True):
    """Globs: each that is given must match, by any of its list. What a call does not have matches none."""

    tenant: Annotated[Some, Meta(description="The id of the tenant.")] = ()
    tags: Annotated[Some, Meta(description="The tenant's tags (policies/tenants.yaml).")] = ()
    team: Annotated[Some, Meta(description="The team of the key.")] = ()
    key: Annotated[Some, Meta(description="The id of the key.")] = ()
    user: Annotated[Some, Meta(description="The user that the request names.")] = ()
    route: Annotated[Some, Meta(description="The route that takes the call.")] = ()
    model: Annotated[Some, Meta(description="The requested name.")] = ()


class LimitSpec(Spec, frozen=True, kw_only=True):
    """What every limit has."""

    calls: Annotated[ForSpec, Meta(description="Which calls. Default: all.")] = field(
        default=ForSpec(), name="for"
    )
    per: Annotated[
        tuple[Dimension, ...],
        Meta(
            description="Each combination of these has a counter of its own (teams, keys and users always "
            "within their tenant). Default: one counter for all."
        ),
    ] = ()
    shadow: Annotated[bool, Meta(description="Measures and reports, and lets everything pass.")] = False
    fail: WhileDown = "local"


def holds_for(spec: ForSpec) -> Callable[[Scope], bool]:
    """Compile what tells whether a limit is for a call."""
    given = [(name, _matcher(globs)) for name in ForSpec.__struct_fields__ if (globs := getattr(spec, name))]
    tags = next((fits for name, fits in given if name == "tags"), None)
    others = [(name, fits) for name, fits in given if name != "tags"]

    def holds(scope: Scope) -> bool:
        for name, fits in others:
            if not fits(getattr(scope, name)):
                return False
        return tags is None or any(map(tags, scope.tags))

    return holds


def counted_per(spec: LimitSpec) -> tuple[Dimension, ...]:
    """Return by what a limit keeps its counters apart."""
    if "tenant" not in spec.per and not _WITHIN_A_TENANT.isdisjoint(spec.per):
        return ("tenant", *spec.per)
    return spec.per


def means_nobody(spec: ForSpec, tenants: Mapping[str, Caller]) -> bool:
    """Tell whether no tenant is meant: such a limit never holds."""
    by_tenant = holds_for(ForSpec(tenant=spec.tenant, tags=spec.tags))
    return not any(by_tenant(Scope(name, tags=tenant.tags)) for name, tenant in tenants.items())


def scope_problems(spec: LimitSpec, routes: Routes | None) -> Iterator[Problem]:
    """Check whom a limit names; None: the routes are not known."""
    yield from repeated(("per",), spec.per)
    if routes is not None:
        yield from within(("for",), _unknown_routes(spec.calls, routes))


def _unknown_routes(spec: ForSpec, routes: Routes) -> Iterator[Problem]:
    for i, name in enumerate(spec.route):
        if not is_pattern(name) and name not in routes:
            yield ("route", i), f"there is no route {quoted(name)}", did_you_mean(name, routes)
    names = {name: None for own, route in routes.items() for name in (own, *route.aliases)}
    takes = _matcher(tuple(names))
    for i, name in enumerate(spec.model):
        if not is_pattern(name) and not takes(name):
            yield ("model", i), f"no route takes calls for {quoted(name)}", did_you_mean(name, names)


def _matcher(globs: Globs) -> Callable[[str], bool]:
    """Compile globs, of which one has to match; an empty text is the lack of one."""
    plain = frozenset(glob for glob in globs if not is_pattern(glob))
    patterns = [translate(glob) for glob in globs if is_pattern(glob)]
    if not patterns:
        return plain.__contains__
    match = re.compile("|".join(patterns)).match
    return lambda text: text in plain or (text != "" and match(text) is not None)
