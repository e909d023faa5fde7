"""What was spent of limits, from the ledger: added up counter by counter, as calls were charged.

A scope is built as `gateway.admission.entrance` does, of the columns that an entry has; a tenant's tags and
time zone are those of the configuration. Blocking: callers on an event loop use a thread.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import NamedTuple

import msgspec

from gateway.admission.lease import PLACES, Amounts, amounts_of
from gateway.errors import BadQuery, StoreDown
from gateway.exchange import Caller
from gateway.finops.sql import text_of
from gateway.protocols import UsageStore
from gateway.quotas.counting import Meter
from gateway.quotas.rules import NANOUSD, Held, Rules, Scope

MOST = 1 << 50
"""Of one counter; what a store counts in is exact up to eight times that."""

_HOUR_MS = 3_600_000
_UNKNOWN_TABLE = "code 60,"


class Asked(NamedTuple):
    """Of whom and of when: calls that began from the first of the `edges` until `until_ms` (Unix)."""

    edges: Sequence[int]
    until_ms: int
    tenants: tuple[str, ...] = ()
    """Empty: all."""


class Sum(NamedTuple):
    """What the calls of a scope have used that began between one edge and the next."""

    scope: Scope
    began_ms: int
    amounts: Amounts


class Spent(msgspec.Struct):
    """What was taken of one counter: all of it, and of a window by its slots."""

    held: Held
    amount: int = 0
    slots: dict[int, int] = {}


def is_rebuilt(meter: Meter) -> bool:
    """Tell whether what was taken comes back: of calendar periods, and of windows of an hour and more."""
    return meter.kind == "period" or (meter.kind == "window" and meter.span_ms >= _HOUR_MS)


def without_users(rules: Rules) -> Rules:
    """Leave out the rules about users: for a ledger that does not have them as they were named."""
    return Rules([rule for rule in rules.every if not (rule.names_users or "user" in rule.per)])


def zones_of(rules: Rules, tenants: Mapping[str, Caller]) -> set[str]:
    """Name the time zones in which periods may begin."""
    return (
        {"UTC"}
        | {one.timezone for one in tenants.values()}
        | {rule.timezone or "UTC" for rule in rules.every}
    )


def edges_of(rules: Rules, zones: Collection[str], now_ms: int) -> list[int]:
    """Say when the running periods and the steps of windows began, ascending; none: nothing comes back."""
    edges = set[int]()
    for rule in rules.every:
        for line in rule.lines:
            if not is_rebuilt(line.meter):
                continue
            if line.period is not None:
                named = (rule.timezone,) if rule.timezone else zones
                edges.update(line.period.around(now_ms, zone)[0] for zone in named)
            else:
                step_ms = step_of(line.meter)
                oldest = (now_ms - line.meter.span_ms) // step_ms
                edges.update(slot * step_ms for slot in range(oldest, now_ms // step_ms + 1))
    return sorted(edges)


def step_of(meter: Meter) -> int:
    """Return the length of a window's steps."""
    return -(-meter.span_ms // meter.steps)


def read_sums(
    store: UsageStore, asked: Asked, tenants: Mapping[str, Caller], *, users: bool
) -> Iterator[Sum]:
    """Ask the ledger. Raises StoreDown, also where it has no tables yet."""
    parameters = {
        "since": asked.edges[0],
        "until": asked.until_ms,
        "edges": list(asked.edges),
        "tenants": list(asked.tenants),
        "users": int(users),
    }
    with _told_apart():
        for line in _lines(store.export(text_of("spent_since"), parameters, "JSONCompactEachRow")):
            yield _sum_of(json.loads(line), tenants)


def require_tables(store: UsageStore) -> None:
    """Raise StoreDown where the ledger does not answer, or has no tables yet."""
    with _told_apart():
        store.query("SELECT 1 FROM ledger LIMIT 1", {})


@contextmanager
def _told_apart() -> Iterator[None]:
    """Tell tables that are not there yet from questions that are wrong."""
    try:
        yield
    except BadQuery as error:
        if _UNKNOWN_TABLE in error.message:
            raise StoreDown("the ledger is not set up yet", detail=error.detail) from error
        raise


def add_up(rules: Rules, sums: Iterator[Sum], now_ms: int) -> dict[str, Spent]:
    """Add up by the key of the counter that was charged."""
    found: dict[str, Spent] = {}
    for scope, began_ms, amounts in sums:
        for held in rules.of(scope):
            amount = amounts[PLACES[held.line.metric]]
            if amount and is_rebuilt(held.line.meter):
                _add(found, held, began_ms, amount, now_ms)
    return {key: one for key, one in found.items() if one.amount > 0}


def _add(found: dict[str, Spent], held: Held, began_ms: int, amount: int, now_ms: int) -> None:
    meter, period = held.line.meter, held.line.period
    if period is not None:
        if began_ms < period.around(now_ms, held.timezone)[0]:
            return
    elif began_ms // step_of(meter) < (now_ms - meter.span_ms) // step_of(meter):
        return
    key = held.counter(now_ms).key
    spent = found.get(key)
    if spent is None:
        spent = found[key] = Spent(held)
    spent.amount += amount
    if period is None:
        slot = began_ms // step_of(meter)
        spent.slots[slot] = spent.slots.get(slot, 0) + amount


def _sum_of(row: Sequence[object], tenants: Mapping[str, Caller]) -> Sum:
    tenant, team, key, user, route, model, tags, began, requests, asked, said, usd = row
    payer = tenants.get(str(tenant))
    scope = Scope(
        tenant=str(tenant),
        team=str(team),
        key=str(key),
        user=str(user),
        route=str(route),
        model=str(model),
        tags=payer.tags if payer is not None else _texts(tags),
        timezone=payer.timezone if payer is not None else "UTC",
    )
    nanousd = int(Decimal(str(usd)) * NANOUSD)
    amounts = amounts_of(int(str(asked)), int(str(said)), nanousd)
    return Sum(scope, int(str(began)), amounts._replace(requests=int(str(requests))))


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from whole
    if rest:
        yield rest
