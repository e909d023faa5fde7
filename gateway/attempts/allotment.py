"""How much time an attempt has: the backend's own limits, the route's, what is left of the call. Pure."""

from __future__ import annotations

from math import inf

from gateway.exchange import Timeouts
from gateway.routing.routes import Limits

NO_LIMITS = Limits()


def patience_s(limits: Limits, left_s: float, *, stream: bool) -> float:
    """Return how long an attempt may wait for its turn: no longer than for its answer."""
    if limits == NO_LIMITS:
        return left_s
    return min(left_s, limits.latency_s or inf, (limits.first_token_s or inf) if stream else inf)


def allotted(
    timeouts: Timeouts, limits: Limits, left_s: float, spent_s: float = 0.0, *, stream: bool
) -> Timeouts:
    """Lay a route's `limits` and the `left_s` of the whole call over a backend's `timeouts`.

    `spent_s` of the attempt's own time have passed already. A stream has kept `latency_s` once it has begun:
    what is being read is not torn off.
    """
    if limits == NO_LIMITS and left_s == inf:
        return timeouts
    latency_s = (limits.latency_s or inf) - spent_s
    first_token_s = min((limits.first_token_s or inf) - spent_s, latency_s, left_s) if stream else inf
    total_s = min(timeouts.total_s, left_s) if stream else min(timeouts.total_s, latency_s, left_s)
    return Timeouts(
        connect_s=timeouts.connect_s,
        first_byte_s=min(timeouts.first_byte_s, first_token_s, total_s),
        gap_s=min(timeouts.gap_s, limits.gap_s or inf),
        total_s=total_s,
        first_token_s=first_token_s,
    )
