"""What is told by webhook: the kinds of events, how urgent each is, which page of the runbooks explains it.

Must not know how events are sent, nor who finds out that there is something to tell. Pure.
"""

from __future__ import annotations

from asyncio import Future
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec

Announce = Callable[[str, Mapping[str, Any]], Future[bool] | None]
"""Takes the kind of an event, and what it tells; on the event loop. Gives True when the receiver has it.

None: it is told, as far as anybody will know.
"""
Severity = Literal["page", "ticket", "info"]
"""page: somebody is to look at it now; ticket: in working hours; info: nobody has to."""

OVER: Final = "_over"
"""The type of an event that says that another is over: the same with this behind it."""
RUNBOOKS: Final = "docs/runbooks"
"""Where the pages are when nobody says otherwise."""


class Kind(msgspec.Struct, frozen=True):
    """What there is to know of all events of a kind. Times in seconds, for what stands for a while."""

    severity: Severity
    page: str
    """Of the runbooks, without its suffix."""
    after_s: float = 0.0
    """It has to stand for so long before it is told."""
    quiet_s: float = 0.0
    """It has to be away for so long before it is told to be over: one that flaps is told once."""
    of_host: bool = False
    """It is a host's own: each tells it of itself. Else hosts see the same, and one tells it for all."""


KINDS: Final[Mapping[str, Kind]] = {
    "backend_down": Kind("page", "backend-down", quiet_s=30.0),
    "breaker_open": Kind("ticket", "breaker-open", quiet_s=60.0),
    "budget": Kind("ticket", "budget"),
    "config_reload_failed": Kind("ticket", "config-reload-failed", quiet_s=5.0, of_host=True),
    "ledger_lag": Kind("ticket", "ledger-lag", after_s=60.0, quiet_s=60.0, of_host=True),
    "quota": Kind("ticket", "budget"),
    "slo_burn": Kind("page", "slo-burn"),
    "spend_anomaly": Kind("ticket", "spend-anomaly"),
    "surge": Kind("ticket", "spend-anomaly"),
}


_OTHER: Final = Kind("ticket", "README")


class Words(msgspec.Struct, frozen=True):
    """What is said of an event beside its data."""

    severity: Severity
    summary: str
    runbook: str
    """The address of its page."""


def words_of(type_: str, data: Mapping[str, Any], runbooks: str = RUNBOOKS) -> Words:
    """Say it in words. Where the data has a `severity` or a `summary`, these are taken."""
    name = type_.removesuffix(OVER)
    kind = KINDS.get(name, _OTHER)
    severity: Severity = "info" if type_ != name else data.get("severity", kind.severity)
    summary = data.get("summary") or _SUMMARIES.get(name, _nothing)(data) or name.replace("_", " ")
    if type_ != name:
        summary = f"over: {summary}"
    return Words(severity, summary, f"{runbooks.rstrip('/')}/{kind.page}.md")


def _nothing(_data: Mapping[str, Any]) -> str:
    return ""


def _limit(data: Mapping[str, Any]) -> str:
    of = ", ".join(f"{name} {value}" for name, value in data.get("per", {}).items())
    whose = f" of {of}" if of else ""
    taken = f"US$ {data['spent_usd']}" if "spent_usd" in data else f"{data.get('taken', '?')}"
    return f"{data.get('rule')}{whose} has reached {data.get('level')} % ({taken} of {data.get('text')})"


def _burn(data: Mapping[str, Any]) -> str:
    return f"calls miss {data['objective']}" if "objective" in data else ""


def _surge(data: Mapping[str, Any]) -> str:
    return f"key {data.get('key')} of {data.get('tenant')} calls much more often than usual"


def _anomaly(data: Mapping[str, Any]) -> str:
    who = data.get("tenant") or data.get("scope")
    return (
        f"{who} spent US$ {data.get('cost_usd')} in the hour from {data.get('hour')}, "
        f"usually {data.get('low_usd')} to {data.get('high_usd')}"
    )


_SUMMARIES: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "budget": _limit,
    "quota": _limit,
    "surge": _surge,
    "slo_burn": _burn,
    "spend_anomaly": _anomaly,
}
