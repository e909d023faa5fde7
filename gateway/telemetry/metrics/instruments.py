"""The numbers of one process, for all who have something to count.

Labels are bounded by the configuration, never by clients; with several workers any of them tells those of
all. Only the thread of the event loop may count: cells have no locks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import nan
from pathlib import Path

import msgspec

from gateway.exchange import Record
from gateway.telemetry.metrics import families
from gateway.telemetry.metrics.attempts import AttemptCounts
from gateway.telemetry.metrics.calls import CallCounts
from gateway.telemetry.metrics.cells import Cells, Histogram
from gateway.telemetry.metrics.families import Family
from gateway.telemetry.metrics.gathering import Numbers, bury, gathered, own
from gateway.telemetry.metrics.names import Names
from gateway.telemetry.metrics.rendering import render
from gateway.telemetry.places import Place

_CAUSES = 128
"""So many codes of errors are labels: ours are some 60, and an upstream's may be among them."""


class MetricsSettings(msgspec.Struct, frozen=True):
    """What is counted of calls, and which names may be labels."""

    enabled: bool = True
    """False: nothing is counted of calls."""
    models: frozenset[str] = frozenset()
    """The upstream models that the configuration names; of others some are labels, the rest is "other"."""
    places: Mapping[str, Place] = {}
    """By the names of backends."""
    clean: Callable[[str], str] = str
    """Takes secrets and personal data out of a text."""


class Metrics:
    """See the module; `shared` is the folder in which several workers share theirs."""

    def __init__(self, shared: Path | None = None) -> None:
        if shared is not None:
            bury(shared)
        self._shared = shared
        self._cells = cells = Cells(shared)
        self._models, causes = Names(), Names(most=_CAUSES)
        self._calls, self._attempts = CallCounts(cells, causes), AttemptCounts(cells, self._models, causes)
        self._enabled = True
        self._shown: dict[str, frozenset[tuple[str, ...]]] = {}
        """The series of gauges that there were last."""
        self._lag = Histogram(cells, families.LOOP_LAG_SECONDS)
        self._reserved = {
            metric: Histogram(cells, families.RESERVED, (metric,)) for metric in ("tokens", "usd")
        }
        self.set(families.GENERATION, 1)
        self.set(families.RELOAD_OK, 1)
        for result in ("applied", "refused"):  # a rate of what has no first value misses the first
            self.count(families.RELOADS, result, by=0)

    def revise(self, settings: MetricsSettings) -> None:
        """Go by these from now on. What was counted stays."""
        self._enabled = settings.enabled
        self._models.clean = settings.clean
        self._models.learn(settings.models)
        self._attempts.revise(settings.places)

    def observe(self, record: Record, ended_s: float) -> None:
        """Count one ended call. The attempts of our own calls count, for they cost."""
        if self._enabled:
            self._attempts.count(record)
            self._calls.count(record, ended_s)

    def count(self, family: Family, *labels: str, by: float = 1.0) -> None:
        """Count something else."""
        self._cells.numbers[self._cells.place(family, labels)] += by

    def set(self, family: Family, value: float, *labels: str) -> None:
        """Say how much there is of something now, or in all where somebody else counts it."""
        self._cells.numbers[self._cells.place(family, labels)] = value

    def set_all(self, family: Family, values: Mapping[tuple[str, ...], float]) -> None:
        """Say how much there is of all that a gauge measures; of what is not among these there is none."""
        for labels in self._shown.get(family.name, frozenset()) - values.keys():
            self.set(family, nan, *labels)
        self._shown[family.name] = frozenset(values)
        for labels, value in values.items():
            self.set(family, value, *labels)

    def count_measured(self, limit: str) -> None:
        """Count a call that a limit which only measures would have turned away."""
        self.count(families.REFUSALS, limit, "measured")

    def count_judged(self, objective: str, outcome: str, calls: int = 1) -> None:
        """Count calls that a promise is about, "good" or "bad"; with 0 there is its series, and no more."""
        self.count(families.SLO_CALLS, objective, outcome, by=calls)

    def count_event(self, kind: str) -> None:
        """Count an event that was told by webhook, or in the log."""
        self.count(families.EVENTS, kind)

    def count_breaker(self, backend: str, state: str) -> None:
        """Count a change of one of a backend's circuit breakers."""
        self.count(families.BREAKER_CHANGES, backend, state)

    def count_reload(self, result: str) -> None:
        """Count an edit of the configuration that was applied or refused."""
        self.count(families.RELOADS, result)
        self.set(families.RELOAD_OK, result == "applied")
        if result == "applied":
            self.count(families.GENERATION)

    def count_lag(self, late_s: float) -> None:
        """Count how late the event loop was."""
        self._lag.observe(late_s)

    def compare(self, metric: str, reserved: int, used: int) -> None:
        """Count how what a call has used, "tokens" or "usd", compares to what was reserved for it."""
        if self._enabled and reserved and used:
            self._reserved[metric].observe(used / reserved)

    def set_in_flight(self, calls: int) -> None:
        """Set the number of calls running in this process."""
        self.set(families.IN_FLIGHT, calls)

    def own(self) -> Numbers:
        """Return the numbers of this process alone. From any thread."""
        return own(self._cells)

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format, of all workers where there are several.

        From any thread.
        """
        return render(self.own() if self._shared is None else gathered(self._shared))
