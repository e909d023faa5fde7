"""Ask the ledger for statements. Blocking: callers on an event loop use a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gateway.exchange import Caller
from gateway.finops.sql import text_of
from gateway.finops.statement.bookings import Booking, Correction, bookings, corrections
from gateway.finops.statement.composing import Statement, Whose, compose
from gateway.finops.statement.months import Month, month_around, month_of
from gateway.protocols import UsageStore

_DAY_S = 86_400


class Statements:
    """`tenants` has their time zones; one that is not there, but in the ledger, has UTC.

    `raw_days` is for how long there are rows of single attempts; None: for ever. Of an older month there are
    the sums of hours and days, in which corrections are a part of what they correct.
    """

    def __init__(self, store: UsageStore, tenants: Mapping[str, Caller], raw_days: int | None = None) -> None:
        self._store = store
        self._tenants = tenants
        self._raw_days = raw_days

    def month(self, tenant: str, text: str, now_unix_s: float) -> Month:
        """Read `2026-11`, as the tenant's calendar has it; empty: its last whole month.

        Raises ValueError, also for a month that began at half an hour of UTC and has no rows any more.
        """
        caller = self._tenants.get(tenant)
        zone = "UTC" if caller is None else caller.timezone
        month = month_of(text, zone) if text else month_around(now_unix_s, zone, ago=1)
        if month.rollup == "ledger" and is_summed(month, self._raw_days, now_unix_s):
            raise ValueError(
                f"single attempts are kept for {self._raw_days} days (retention.yaml); of older ones "
                f"there are sums of hours, which do not tell a month of {zone}"
            )
        return month

    def of(self, tenant: str, month: Month, now_unix_s: float) -> Statement:
        """Return a tenant's statement. Raises StoreDown, BadQuery."""
        standing, corrected = booked(self._store, month, (tenant,), demo=True)
        summed = is_summed(month, self._raw_days, now_unix_s)
        return compose(Whose(tenant, "", month, now_unix_s, is_summed=summed), standing, corrected)


def is_summed(month: Month, raw_days: int | None, now_unix_s: float) -> bool:
    """Tell whether rows of a month may be forgotten already, and what is left are sums."""
    return raw_days is not None and month.since_s < now_unix_s - raw_days * _DAY_S


def booked(
    store: UsageStore, month: Month, tenants: Sequence[str], *, demo: bool
) -> tuple[list[Booking], list[Correction]]:
    """Return what stands of a month, and what was corrected of it or in it; no tenants: all of them.

    A correction that comes between the two moves an amount from one part to another; the sum stays right.
    """
    corrected = corrected_in(store, month, tenants, demo=demo)
    return standing_in(store, month, tenants, demo=demo), corrected


def standing_in(store: UsageStore, span: Month, tenants: Sequence[str], *, demo: bool) -> list[Booking]:
    """Return what stands of a span."""
    asked = {**_asked(span, tenants, demo=demo), "rollup": span.rollup}
    return bookings(store.query(text_of("statement"), asked))


def corrected_in(store: UsageStore, span: Month, tenants: Sequence[str], *, demo: bool) -> list[Correction]:
    """Return what was corrected of a span, or in it."""
    return corrections(store.query(text_of("statement_corrections"), _asked(span, tenants, demo=demo)))


def _asked(span: Month, tenants: Sequence[str], *, demo: bool) -> dict[str, Any]:
    return {"since": span.since_s, "until": span.until_s, "tenants": list(tenants), "demo": int(demo)}
