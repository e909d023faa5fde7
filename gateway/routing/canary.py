"""Whether a canary does worse than the targets it is to replace, and then no more calls for it.

Pure: whoever calls says the time (monotonic seconds). Must not know targets or deployments: it hears of
results by their side. Each worker judges by the calls that it has seen itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import exp, log
from typing import Final, Literal

from gateway.config.ways import CanarySpec, MarginSpec

Side = Literal["canary", "baseline"]

SLOT_S: Final = 60.0
"""Results are summed up by the minute."""
SPANS: Final = (10, 60)
"""How many minutes a judgement looks back over: the shortest that have enough calls of both sides, because
both have to have seen the same weather. Beyond an hour nothing is kept."""
_SHORTEST_S: Final = 0.001


class Tally:
    """Results of one side."""

    __slots__ = ("calls", "errors", "log_s")

    def __init__(self, calls: int = 0, errors: int = 0, log_s: float = 0.0) -> None:
        self.calls = calls
        self.errors = errors
        self.log_s = log_s
        """The sum of the logarithms of the latencies of those that went well."""

    def note(self, latency_s: float, *, ok: bool) -> None:
        """Count a result."""
        self.calls += 1
        if ok:
            self.log_s += log(max(latency_s, _SHORTEST_S))
        else:
            self.errors += 1

    @property
    def error_rate(self) -> float:
        """The part of the calls that failed, 0 to 1."""
        return self.errors / self.calls if self.calls else 0.0

    @property
    def latency_s(self) -> float | None:
        """The geometric mean: one answer of a minute among twenty of a second hardly moves it."""
        answers = self.calls - self.errors
        return exp(self.log_s / answers) if answers else None


class CanaryWatch:
    """Watches one canary and its baseline; once rolled back it stays so."""

    __slots__ = ("_margin", "_reason", "_slots")

    def __init__(self, margin: MarginSpec | None) -> None:
        self._margin = margin
        self._reason = ""
        self._slots: deque[tuple[int, dict[Side, Tally]]] = deque(maxlen=SPANS[-1])

    def note(self, side: Side, *, ok: bool, latency_s: float, now_s: float) -> str:
        """Hear of a result. Return why the canary is rolled back when this one decided it; else empty."""
        if self._margin is None or self._reason:
            return ""
        minute = int(now_s // SLOT_S)
        if not self._slots or self._slots[-1][0] < minute:
            self._slots.append((minute, {"canary": Tally(), "baseline": Tally()}))
        self._slots[-1][1][side].note(latency_s, ok=ok)
        if side == "canary":
            self._reason = self._judge(self._margin, self._slots[-1][0])
        return self._reason

    def rolled_back(self, _now_s: float, /) -> str:
        """Say why it gets no more calls; empty: it does."""
        return self._reason

    def _judge(self, margin: MarginSpec, minute: int) -> str:
        for span in SPANS:
            kept = [tallies for began, tallies in self._slots if began > minute - span]
            canary = _sum(tallies["canary"] for tallies in kept)
            baseline = _sum(tallies["baseline"] for tallies in kept)
            if min(canary.calls, baseline.calls) >= margin.min_calls:
                return _worse(canary, baseline, margin)
        return ""


class Canaries:
    """The watches of one configuration, made from those `before`: what has not changed is watched on.

    So an edit that is not taken in the end has changed nothing.
    """

    __slots__ = ("_before", "watches")

    def __init__(self, before: Canaries | None = None) -> None:
        self._before = {} if before is None else before.watches
        self.watches: dict[str, tuple[CanarySpec, CanaryWatch]] = {}

    def watch(self, key: str, spec: CanarySpec) -> CanaryWatch:
        """Return the watch of the canary at a place (its route and rule), as it is configured there."""
        for watches in (self.watches, self._before):
            if (found := watches.get(key)) is not None and found[0] == spec:
                break
        else:
            found = spec, CanaryWatch(spec.rollback)
        self.watches[key] = found
        return found[1]


def _sum(tallies: Iterable[Tally]) -> Tally:
    calls, errors, log_s = 0, 0, 0.0
    for tally in tallies:
        calls += tally.calls
        errors += tally.errors
        log_s += tally.log_s
    return Tally(calls, errors, log_s)


def _worse(canary: Tally, baseline: Tally, margin: MarginSpec) -> str:
    """Say in what the canary is worse by more than the margin; empty: in nothing."""
    if canary.error_rate > baseline.error_rate + margin.errors:
        return f"{_percent(canary.error_rate)} errors against {_percent(baseline.error_rate)}"
    canary_s, baseline_s = canary.latency_s, baseline.latency_s
    if canary_s is None or baseline_s is None or canary_s <= baseline_s * margin.latency:
        return ""
    return f"answers in {canary_s:.3g} s against {baseline_s:.3g} s"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
