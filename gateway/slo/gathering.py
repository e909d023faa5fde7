"""Add up what several workers have counted, each for itself and ever upwards. Pure: time is told.

A worker is known by an id that it has once: one that starts again is another one, and begins at 0. So what
was seen of each is all that is needed, and nobody is counted twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from gateway.slo.burning import Counts, Past, Saved, Standing, standing_of
from gateway.slo.objectives import Objective

Tallies = Mapping[str, Counts]
"""What one worker has counted since it began, by objective."""
_NOTHING = Counts()


class Kept(msgspec.Struct, frozen=True):
    """What outlives a process: histories by objective, what was seen of whom, what was told, how long."""

    at_unix_s: float
    pasts: Mapping[str, tuple[Saved, Saved]]
    seen: Mapping[str, Mapping[str, Counts]]
    told: Mapping[str, float]
    lasts: Mapping[str, float] = {}


class Gathered:
    """The counts of all workers of a host. What was told is kept with them, for whoever tells of alarms."""

    def __init__(self) -> None:
        self.told: dict[str, float] = {}
        """Since when which alarm is on."""
        self.lasts: dict[str, float] = {}
        """Until when it is, at least."""
        self.delivered: dict[str, float] = {}
        """`told`, as receivers know it. Only this is kept: what they do not know yet is told again."""
        self._pasts: dict[str, Past] = {}
        self._seen: dict[str, dict[str, Counts]] = {}

    def take(self, worker: str, tallies: Tallies, unix_s: float) -> None:
        """Count what a worker has counted since it was last heard of; what it said before adds nothing."""
        seen = self._seen.setdefault(worker, {})
        for name, counts in tallies.items():
            before = seen.get(name, _NOTHING)
            now = Counts(max(counts.good, before.good), max(counts.bad, before.bad))
            if now != before:
                fresh = Counts(now.good - before.good, now.bad - before.bad)
                self._pasts.setdefault(name, Past()).add(fresh, unix_s)
                seen[name] = now

    def forget(self, worker: str) -> None:
        """Forget of a worker what was seen of it; what it counted stays. Only when it can tell no more."""
        self._seen.pop(worker, None)

    @property
    def workers(self) -> set[str]:
        """Those of whom is known what was seen."""
        return set(self._seen)

    def standings(self, objectives: Sequence[Objective], unix_s: float) -> list[Standing]:
        """Say how each objective stands."""
        return [standing_of(one, self._pasts.setdefault(one.name, Past()), unix_s) for one in objectives]

    def kept(self, unix_s: float) -> Kept:
        """Return all that is to be kept."""
        pasts = {name: (past.minutes.saved(), past.hours.saved()) for name, past in self._pasts.items()}
        seen = {name: dict(seen) for name, seen in self._seen.items()}
        return Kept(unix_s, pasts, seen, dict(self.delivered), dict(self.lasts))

    @classmethod
    def of(cls, kept: Kept) -> Gathered:
        """Make it of what was kept. Raises ValueError where that is damaged."""
        made = cls()
        for name, (minutes, hours) in kept.pasts.items():
            past = made._pasts[name] = Past()
            past.minutes.restore(minutes)
            past.hours.restore(hours)
        made._seen = {worker: dict(seen) for worker, seen in kept.seen.items()}
        made.told, made.delivered, made.lasts = dict(kept.told), dict(kept.told), dict(kept.lasts)
        return made
