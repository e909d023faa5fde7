"""Let a planned call in, as far as the limits on its caller go."""

from __future__ import annotations

from collections.abc import Awaitable

from gateway.admission.entrance import Entrance
from gateway.exchange import Call, Record
from gateway.routing.plans import Plan


def admit(plan: Plan, record: Record, entrance: Entrance) -> Awaitable[Call]:
    """Take what the call may use; the record has the lease. Gives another call where a limit changes it.

    Raises QuotaExceeded, BudgetExceeded, BadRequest, StoreDown.
    """
    return entrance.admit(plan, record)
