"""Prometheus metrics: few instruments, labels bounded by the configuration, never by clients.

With several workers prometheus_client shares the values through files (`PROMETHEUS_MULTIPROC_DIR`, set
by the supervisor before a worker starts), so that any worker answers `/metrics` for all.

Cost: 4 us a call. Children are kept by their label values, because `labels()` locks and builds a key.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from gateway.exchange import Record, Usage

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_NO_ROUTE = "none"


class _Ending(NamedTuple):
    """The instruments of calls that ended alike."""

    calls: Counter
    duration: Histogram
    first_byte: Histogram


_TOKENS = tuple(
    (name, name.removesuffix("_tokens")) for name in Usage.__struct_fields__ if name.endswith("_tokens")
)
_UNITS = ("searches", "characters", "audio_s")


class Metrics:
    """The instruments of one process; `shared` is the folder in which several workers share theirs."""

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        self._registry = registry = CollectorRegistry()
        self._calls = Counter(
            "forebay_calls_total", "Calls ended.", ["route", "backend", "status", "ending"], registry=registry
        )
        self._attempts = Counter(
            "forebay_attempts_total",
            "Tries upstream; cause is empty for accepted ones.",
            ["backend", "cause"],
            registry=registry,
        )
        self._tokens = Counter(
            "forebay_tokens_total",
            "Tokens by kind and by who counted them.",
            ["route", "backend", "kind", "origin"],
            registry=registry,
        )
        self._units = Counter(
            "forebay_units_total",
            "What is billed by other units than tokens: searches, characters, audio_s (seconds of sound).",
            ["route", "backend", "kind", "origin"],
            registry=registry,
        )
        self._duration = Histogram(
            "forebay_call_duration_seconds",
            "From the request's head to the answer's last byte.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_byte = Histogram(
            "forebay_first_byte_seconds",
            "From the request's head to the beginning of a streamed answer, or the whole of another.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._in_flight = Gauge(
            "forebay_calls_in_flight", "Calls running now.", multiprocess_mode="livesum", registry=registry
        )
        self._endings: dict[tuple[str, str, int, str], _Ending] = {}
        self._counters: dict[tuple[Counter, tuple[str, ...]], Counter] = {}

    def observe(self, record: Record, ended_s: float) -> None:
        """Count one ended call."""
        backend = record.attempts[-1].backend if record.attempts else _NO_ROUTE
        key = (record.route, backend, record.status, record.ending)
        ending = self._endings.get(key) or self._open(key)
        ending.calls.inc()
        ending.duration.observe(ended_s - record.started_s)
        for attempt in record.attempts:
            self._child(self._attempts, attempt.backend, attempt.cause).inc()
        if record.first_byte_s is not None:
            ending.first_byte.observe(record.first_byte_s - record.started_s)
        if usage := record.usage:
            for name, kind in _TOKENS:
                if tokens := getattr(usage, name):
                    self._child(self._tokens, record.route, backend, kind, usage.origin).inc(tokens)
            for name in _UNITS:
                if units := getattr(usage, name):
                    self._child(self._units, record.route, backend, name, usage.origin).inc(units)

    def _open(self, key: tuple[str, str, int, str]) -> _Ending:
        route, backend, status, ending = key
        route = route or _NO_ROUTE
        calls = self._calls.labels(route, backend, str(status), ending)
        self._endings[key] = opened = _Ending(
            calls, self._duration.labels(route), self._first_byte.labels(route)
        )
        return opened

    def _child(self, parent: Counter, *labels: str) -> Counter:
        key = (parent, labels)
        child = self._counters.get(key)
        if child is None:
            child = self._counters[key] = parent.labels(*labels)
        return child

    def set_in_flight(self, calls: int) -> None:
        """Set the number of calls running in this process."""
        self._in_flight.set(calls)

    def render(self) -> bytes:
        """Write all metrics in Prometheus' text format, of all workers where there are several."""
        if self._shared is None:
            return generate_latest(self._registry)
        _forget_the_dead(self._shared)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's gap
        return generate_latest(registry)


def _forget_the_dead(folder: Path) -> None:
    """Drop the gauges of workers that have died; what they counted stays."""
    for file in folder.glob("gauge_live*_*.db"):
        pid = file.stem.rpartition("_")[2]
        if not Path("/proc", pid).exists():
            file.unlink(missing_ok=True)
