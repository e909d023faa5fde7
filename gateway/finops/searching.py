"""What calls are searched for, and where a page of them ends. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.finops.terms import LONGEST_VALUE, Query, one, values

_LISTS: Mapping[str, str] = {
    "user": "users",
    "conversation": "conversations",
    "ending": "endings",
    "error": "errors",
    "waste": "wastes",
    "call": "calls",
}
"""Filters and the parameters of calls.sql."""
SEARCHES = (*_LISTS, "status", "min_cost_usd", "min_ms", "before")
"""The parameters that only the search takes."""

_CURSOR = re.compile(rf"([0-9]{{1,15}})-([ -~]{{1,{LONGEST_VALUE}}})")
_STATUS = re.compile(r"[0-9]{1,3}")
_LAST_MS = 10**15
_DEAREST = Decimal(10) ** 12
_LONGEST_MS = 10.0**12


class Search(msgspec.Struct, frozen=True):
    """What a call has to be like, beside the terms; lists that are empty ask for nothing."""

    lists: Mapping[str, tuple[str, ...]] = {}
    statuses: tuple[int, ...] = ()
    min_cost: Decimal = Decimal(0)
    min_ms: float = 0.0
    before_ms: int = _LAST_MS
    before_call: str = ""

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the SQL."""
        given: dict[str, Any] = {name: list(self.lists.get(name, ())) for name in _LISTS.values()}
        return given | {
            "statuses": list(self.statuses),
            "min_cost": f"{self.min_cost:f}",
            "min_ms": self.min_ms,
            "before_ms": self.before_ms,
            "before_call": self.before_call,
        }


def read_search(query: Query) -> Search:
    """Check the parameters; raises BadRequest."""
    statuses = values(query, "status")
    if not all(map(_STATUS.fullmatch, statuses)):
        raise BadRequest("`status` is an HTTP status", param="status")
    before_ms, before_call = _read_cursor(one(query, "before"))
    return Search(
        lists={listed: values(query, name) for name, listed in _LISTS.items()},
        statuses=tuple(map(int, statuses)),
        min_cost=_amount(query, "min_cost_usd", _DEAREST),
        min_ms=float(_amount(query, "min_ms", Decimal(_LONGEST_MS))),
        before_ms=before_ms,
        before_call=before_call,
    )


def cursor_of(time_s: float, call: str) -> str:
    """Return what `before` has to be to go on after this call."""
    return f"{round(time_s * 1000)}-{call}"


def _read_cursor(text: str) -> tuple[int, str]:
    if not text:
        return _LAST_MS, ""
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise BadRequest("`before` is what an answer said in `next`", param="before")
    return int(found[1]), found[2]


def _amount(query: Query, name: str, most: Decimal) -> Decimal:
    given = one(query, name)
    try:
        amount = Decimal(given) if given else Decimal(0)
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or not 0 <= amount <= most:
        raise BadRequest(f"`{name}` is a number, 0 or more", param=name)
    return round(amount, 15)
