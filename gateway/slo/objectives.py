"""What was promised of calls: of which, how good a call has to be, and how many have to be. Pure.

Must not know who counts, nor over what time. What is nobody's promise does not count: calls that clients
were turned away with for their own doing, and what the gateway asks for itself.
Source: Google, The Site Reliability Workbook, chapters 2 and 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from functools import lru_cache
from typing import Literal

import msgspec

from gateway.errors import ClientError, Refused, Rejected, UnknownModel
from gateway.exchange import Record

Kind = Literal["availability", "first_token", "duration", "cost"]
"""What is looked at: that the call was answered, how soon it began, how long it took, what it cost."""
Severity = Literal["page", "ticket"]
"""page: somebody gets up for it; ticket: it is looked at in working hours."""

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_OURS = (Refused, UnknownModel)
"""Rejections that are about our credential or our routing, and not about what the client asked."""


class Alert(msgspec.Struct, frozen=True):
    """Somebody hears when errors come `burn` times as fast as the promise allows, over both windows.

    The long window says that it matters, the short one that it goes on. Both are whole minutes.
    """

    burn: float
    long_s: int
    short_s: int
    severity: Severity


ALERTS = (
    Alert(14.4, _HOUR_S, 5 * _MINUTE_S, "page"),
    Alert(6.0, 6 * _HOUR_S, 30 * _MINUTE_S, "page"),
    Alert(3.0, _DAY_S, 2 * _HOUR_S, "ticket"),
    Alert(1.0, 3 * _DAY_S, 6 * _HOUR_S, "ticket"),
)
"""2 % of a month's budget in an hour, 5 % in six, 10 % in a day, or in three: table 5-8 of the workbook."""


class Objective(msgspec.Struct, frozen=True):
    """A promise about some calls: of `days`, the share `target` is good."""

    name: str
    kind: Kind
    target: float
    """Between 0 and 1, both excluded."""
    routes: tuple[str, ...] = ()
    """Globs; empty: all."""
    classes: tuple[str, ...] = ()
    """Of tenants; empty: all."""
    within_s: float = 0.0
    """Of first_token and duration."""
    at_most_nanousd: int = 0
    """Of cost."""
    days: int = 30
    alerts: tuple[Alert, ...] = ALERTS
    min_calls: int = 0
    """An alert begins with so many calls in its long window, at least."""
    min_bad: int = 3
    """And with so many bad ones: a single one at night is no outage."""

    @property
    def may_fail(self) -> float:
        """The share of calls that need not be good."""
        return round(1.0 - self.target, 12)

    def covers(self, route: str, class_: str) -> bool:
        """Tell whether it is about calls of a route (empty: they had none) by tenants of a class."""
        if self.classes and class_ not in self.classes:
            return False
        return not self.routes or (route != "" and _matches(self.routes, route))

    def judge(self, record: Record, ended_s: float) -> bool | None:
        """Tell whether an ended call that it covers was good; None: it does not count for this promise."""
        if record.purpose != "call":
            return None
        return _JUDGES[self.kind](self, record, ended_s)


@lru_cache(1024)
def _matches(globs: tuple[str, ...], route: str) -> bool:
    return any(re.match(translate(glob), route) for glob in globs)


def span_text(seconds: int) -> str:
    """Write a window as Prometheus does: 5m, 6h, 3d."""
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h")):
        if seconds % unit_s == 0:
            return f"{seconds // unit_s}{unit}"
    return f"{seconds // _MINUTE_S}m"


def _is_available(_: Objective, record: Record, __: float) -> bool | None:
    ending = record.ending
    if ending == "finished":
        return True
    if ending == "client_gone":  # before its answer began, nobody knows what would have come
        return True if record.first_byte_s is not None else None
    error = record.error
    if isinstance(error, ClientError) or (isinstance(error, Rejected) and not isinstance(error, _OURS)):
        return None
    return False


def _began_in_time(objective: Objective, record: Record, ended_s: float) -> bool | None:
    if not record.stream:
        return None
    began_s = record.started_s if record.received_s is None else record.received_s
    if record.first_byte_s is not None:
        return record.first_byte_s - began_s <= objective.within_s
    return _waited(objective, record, ended_s - began_s)


def _ended_in_time(objective: Objective, record: Record, ended_s: float) -> bool | None:
    took_s = ended_s - (record.started_s if record.received_s is None else record.received_s)
    if record.ending == "finished":
        return took_s <= objective.within_s
    return _waited(objective, record, took_s)


def _waited(objective: Objective, record: Record, waited_s: float) -> bool | None:
    """Judge a call without what it waited for: too long where its client left later than was promised."""
    return False if record.ending == "client_gone" and waited_s > objective.within_s else None


def _is_cheap(objective: Objective, record: Record, _: float) -> bool | None:
    if record.ending != "finished":
        return None
    cost_nanousd: int | None = None
    for attempt in record.attempts:
        if (usage := attempt.usage) is not None:
            if attempt.price is None:
                return None
            cost_nanousd = (cost_nanousd or 0) + attempt.price.of(usage)
    return None if cost_nanousd is None else cost_nanousd <= objective.at_most_nanousd


_JUDGES: Mapping[Kind, Callable[[Objective, Record, float], bool | None]] = {
    "availability": _is_available,
    "first_token": _began_in_time,
    "duration": _ended_in_time,
    "cost": _is_cheap,
}
