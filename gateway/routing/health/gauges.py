"""What is measured of a deployment: a sliding window of failures, smoothed times, percentiles.

Pure, and reads no clock. Must not know what is done about the numbers. Written at every call, so each
write is a few operations on plain attributes; what costs more is done when somebody asks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

_BUCKETS: Final = 10
_RECENT: Final = 128
_FEWEST_FOR_PERCENTILE: Final = 10
_WEIGHT_OF_NEW: Final = 0.2
"""About the last ten values decide: quick to see a change, slow enough not to follow a single call."""


class Window:
    """How many of the calls lately failed, in ten buckets of a tenth of the window each."""

    __slots__ = ("_bucket_s", "_past", "calls", "ends_s", "failures")

    def __init__(self, length_s: float) -> None:
        self._bucket_s = length_s / _BUCKETS
        self.clear()

    def clear(self) -> None:
        """Forget all."""
        self.calls = 0
        """In the bucket that is being filled; `whole` has those of the window."""
        self.failures = 0
        self.ends_s = float("-inf")
        """From then on `turn` is needed before the next write."""
        self._past: deque[tuple[int, int]] = deque(maxlen=_BUCKETS - 1)

    def turn(self, now_s: float) -> None:
        """Begin the bucket of `now_s`, and forget those that have left the window."""
        behind_s = now_s - self.ends_s
        if behind_s >= self._bucket_s * _BUCKETS:
            self.clear()
            self.ends_s = now_s + self._bucket_s
            return
        while self.ends_s <= now_s:
            self._past.append((self.calls, self.failures))
            self.calls = self.failures = 0
            self.ends_s += self._bucket_s

    def whole(self) -> tuple[int, int]:
        """Return calls and failures of the window."""
        calls, failures = self.calls, self.failures
        for past_calls, past_failures in self._past:
            calls += past_calls
            failures += past_failures
        return calls, failures

    def rate(self) -> float:
        """Return the part of the calls that failed, 0 to 1."""
        calls, failures = self.whole()
        return failures / calls if calls else 0.0


class Gauges:
    """How fast and how sure a deployment is, and how busy."""

    in_flight: int = 0
    first_token_s: float | None = None
    """Smoothed; None: no answer yet."""
    latency_s: float | None = None
    """Smoothed, of whole answers."""
    tokens_per_s: float | None = None
    """Smoothed, of one answer while it is generated."""
    error_rate: float = 0.0
    """Of the calls in the window, 0 to 1."""

    def __init__(self) -> None:
        self.times: deque[float] = deque(maxlen=_RECENT)
        """Seconds until the first token (of a whole answer: all), of the last calls."""

    def percentile_s(self, percent: float) -> float | None:
        """Of the times to the first token (or whole answer) lately; None: too few are known."""
        return percentile(self.times, percent)


def smoothed(known: float | None, new: float) -> float:
    """Move a smoothed value towards a new one."""
    return new if known is None else known + _WEIGHT_OF_NEW * (new - known)


def percentile(values: Iterable[float], percent: float) -> float | None:
    """Return the smallest of the values that so many percent do not exceed; None: they are too few."""
    ranked = sorted(values)
    if len(ranked) < _FEWEST_FOR_PERCENTILE:
        return None
    rank = -(-len(ranked) * percent // 100)  # rounded up
    return ranked[min(max(int(rank), 1), len(ranked)) - 1]
