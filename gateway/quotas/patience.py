"""How long a tenant that goes on asking waits for its next refusal.

A refusal is cheap, a loop of them is not: it takes the time of other tenants' calls. Whoever stops when told
so is answered at once. Pure: the time is given to it, and others wait.
"""

from __future__ import annotations

import msgspec

_AT_ONCE = 20
"""Refusals within a second that are answered without delay."""
_STEP_S = 0.02
"""So much longer for each one beyond those: a loop of 10 connections is down to 35 refusals a second."""
_LONGEST_S = 1.0


class _Refusals(msgspec.Struct, gc=False):
    """Of one tenant, in the second that is now and in the one before."""

    second: int
    count: int = 0
    before: int = 0

    def note(self, now_s: float) -> int:
        """Count one more; return how many there were in the last second."""
        second = int(now_s)
        if second > self.second:
            self.before = self.count if second == self.second + 1 else 0
            self.second, self.count = second, 0
        self.count += 1
        # Those of the second before are taken to have come evenly: no times need to be kept.
        return self.count + int(self.before * max(0.0, self.second + 1 - now_s))


class Patience:
    """The tenants that were refused of late; those longest ago are forgotten."""

    REMEMBERED = 1024

    def __init__(self) -> None:
        self._tenants: dict[str, _Refusals] = {}

    def delay_s(self, tenant: str, now_s: float) -> float:
        """Note a refusal; return how long to wait before it is told. `now_s` is of the monotonic clock."""
        refusals = self._tenants.pop(tenant, None) or _Refusals(int(now_s))
        if len(self._tenants) >= self.REMEMBERED:
            del self._tenants[next(iter(self._tenants))]
        self._tenants[tenant] = refusals
        return min(max(refusals.note(now_s) - _AT_ONCE, 0) * _STEP_S, _LONGEST_S)
