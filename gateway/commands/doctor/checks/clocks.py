"""Compare this machine's clock with those of the places that were asked. Pure.

A budget's day, a token's end and a signature's age all go by it. One reading that is off may be the other's
fault; where most of them are off the same way, it is ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

from gateway.commands.doctor.finding import Clock, Finding, fail, ok, skipped, warn

_NAME: Final = "clocks"
_ODD_S: Final = 2.0
"""Counters of a second's rate are off by more than their window."""
_WRONG_S: Final = 60.0
"""Tokens and signatures are refused for it, sooner or later."""
_OURS: Final = "Set it: timedatectl set-ntp true (in a container: on its host)"


def judge_clocks(clocks: Sequence[Clock]) -> list[Finding]:
    """Say whose clock is off; nothing that was asked told a time: it is not known."""
    if not clocks:
        return [skipped(_NAME, "nobody that was asked told the time")]
    off = [clock for clock in clocks if _off_s(clock) > _ODD_S]
    if not off:
        names = ", ".join(clock.whose for clock in clocks)
        return [ok(_NAME, f"this machine's clock goes with that of {names}")]
    if len(off) == len(clocks) or len(off) * 2 > len(clocks):
        return [_of_ours(off)]
    return [_of_theirs(clock) for clock in off]


def _of_ours(off: Sequence[Clock]) -> Finding:
    ahead_s = median(clock.ahead_s for clock in off)
    names = ", ".join(clock.whose for clock in off)
    seen = f"this machine's clock is {_by(-ahead_s)} that of {names}"
    return (fail if abs(ahead_s) > _WRONG_S else warn)(_NAME, seen, _OURS)


def _of_theirs(clock: Clock) -> Finding:
    seen = f"the clock of {clock.whose} is {_by(clock.ahead_s)} ours, and others are not"
    return warn(_NAME, seen, f"Set the clock of {clock.whose}.")


def _off_s(clock: Clock) -> float:
    """Return by how much it is off at least."""
    return abs(clock.ahead_s) - clock.give_or_take_s


def _by(ahead_s: float) -> str:
    return f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'}"
