"""What was decided for a call: the way it goes, and who can take it. Pure."""

from __future__ import annotations

import msgspec

from gateway.errors import Cause, Forbidden, GatewayError, NoTarget, RateLimited, Unsupported
from gateway.protocols import CacheStore
from gateway.routing.choice import Choice, Demand
from gateway.routing.routes import Route, Way
from gateway.routing.sensitivity import Sensitivity
from gateway.routing.signals.readers import Readers
from gateway.routing.signals.signals import Signals
from gateway.routing.table import Routes

_SHOWN_REASONS = 5
_PASSING: frozenset[Cause] = frozenset({"overloaded", "rate_limited", "quota"})


class Routing(msgspec.Struct, frozen=True):
    """All that decides where calls go."""

    routes: Routes
    readers: Readers
    sensitivity: Sensitivity
    memory: CacheStore
    explains: bool = False
    """Every cost is reckoned, whether it decides something or not: somebody wants to see it."""


class Considered(msgspec.Struct, frozen=True):
    """What was looked at for a call, be it that nobody can take it."""

    route: Route
    signals: Signals
    rule: str = ""
    """The name of the rule that held; empty: none did."""
    choice: Choice = Choice(())


class Plan(msgspec.Struct, frozen=True):
    """Where one call goes: at least one candidate, or a fallback that may do without."""

    route: Route
    way: Way
    demand: Demand
    choice: Choice
    rule: str = ""
    """The name of the rule that held; empty: none did."""
    memory: CacheStore | None = None
    """Answers that were given before; None: the way has no use for them."""


def nobody(route: Route, choice: Choice) -> GatewayError:
    """Say that no target of `route` takes a call, why not, and when to ask again."""
    left_out = choice.left_out
    reasons = "; ".join(f"{left.name}: {left.reason}" for left in left_out[:_SHOWN_REASONS])
    if len(left_out) > _SHOWN_REASONS:
        reasons += f"; and {len(left_out) - _SHOWN_REASONS} more"
    message = f"no target of the route {route.name!r} can take this call: {reasons}"
    passing = [left for left in left_out if left.cause in _PASSING]
    if passing:
        known = [left.retry_after_s for left in passing if left.retry_after_s is not None]
        retry_after_s = min(known, default=None)
        if all(left.cause != "overloaded" for left in passing):
            return RateLimited(message, retry_after_s=retry_after_s)
        return NoTarget(message, retry_after_s=retry_after_s)
    if left_out and all(left.forbidden for left in left_out):
        return Forbidden(message, code="data_not_allowed")
    return Unsupported(message, param="model")
