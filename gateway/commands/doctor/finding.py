"""What a check says: how something stands, what was seen, and what to do about it.

Must not know what is checked, nor how findings are shown.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import msgspec

State = Literal["ok", "warn", "fail", "skipped"]
Kind = Literal[
    "configuration", "backends", "redis", "ledger", "database", "receiver", "machine", "gateway", "clocks"
]
KINDS: tuple[Kind, ...] = (
    *("configuration", "backends", "redis", "ledger", "database", "receiver", "machine", "gateway"),
    "clocks",
)


class Finding(msgspec.Struct, frozen=True):
    """One line of the table. `todo` is a sentence with the command or the YAML; empty: nothing is to do."""

    name: str
    state: State
    seen: str
    todo: str = ""


class Clock(msgspec.Struct, frozen=True):
    """How another clock stands against ours, as far as an answer of it tells."""

    whose: str
    ahead_s: float
    """Of ours; negative: behind it."""
    give_or_take_s: float


Told = Finding | Clock


class Check(msgspec.Struct, frozen=True):
    """Something to look at; `work` waits for as long as it needs, and is given up after a while."""

    kind: Kind
    name: str
    work: Callable[[], Awaitable[Sequence[Told]]]
    asks: bool = True
    """It asks somebody over the network."""


def ok(name: str, seen: str) -> Finding:
    """All is well."""
    return Finding(name, "ok", seen)


def warn(name: str, seen: str, todo: str) -> Finding:
    """It works, and may soon not."""
    return Finding(name, "warn", seen, todo)


def fail(name: str, seen: str, todo: str) -> Finding:
    """It does not work."""
    return Finding(name, "fail", seen, todo)


def skipped(name: str, why: str, todo: str = "") -> Finding:
    """Nobody looked, or looking could not tell."""
    return Finding(name, "skipped", why, todo)
