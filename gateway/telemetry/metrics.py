"""Prometheus metrics: few instruments, labels bounded by the configuration, never by clients.

With several workers prometheus_client shares the values through files (`PROMETHEUS_MULTIPROC_DIR`, set
by the supervisor before a worker starts), so that any worker answers `/metrics` for all.

Cost: 4 us a call. Children are kept by their label values, because `labels()` locks and builds a key.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from msgspec.structs import astuple
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from gateway.errors import Denied
from gateway.exchange import SPENT, Record, Usage

CONTENT_TYPE = "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"
_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
_NO_ROUTE = "none"


class _Ending(NamedTuple):
    """The instruments of calls that ended alike."""

    calls: Counter
    duration: Histogram
    first_byte: Histogram


_KINDS = tuple((name, name.removesuffix("_tokens")) for name in SPENT)
"""The fields of Usage, in their order, and the kinds that they are counted as; units keep their names."""


class Metrics:
    """The instruments of one process; `shared` is the folder in which several workers share theirs."""

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        self._registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(name, text, ["route"], buckets=_SECONDS, registry=registry)

        self._calls = counter("forebay_calls_total", "Calls ended.", "route", "backend", "status", "ending")
        self._attempts = counter(
            "forebay_attempts_total", "Tries upstream; cause is empty for accepted ones.", "backend", "cause"
        )
        spent = "route", "backend", "kind", "origin"
        self._tokens = counter("forebay_tokens_total", "Tokens by kind and by who counted them.", *spent)
        self._units = counter(
            "forebay_units_total",
            "What is billed by other units than tokens: searches, characters, audio_s (seconds of sound).",
            *spent,
        )
        self._duration = histogram(
            "forebay_call_duration_seconds", "From the request's head to the answer's last byte."
        )
        self._first_byte = histogram(
            "forebay_first_byte_seconds",
            "From the request's head to the beginning of a streamed answer, or the whole of another.",
        )
        self._in_flight = Gauge(
            "forebay_calls_in_flight", "Calls running now.", multiprocess_mode="livesum", registry=registry
        )
        self._own_calls = counter(
            "forebay_own_calls_total",
            "Calls that the gateway made itself: copies for a target on trial, questions about tasks.",
            *("purpose", "route", "backend", "ending"),
        )
        reloads = "Edits of the configuration, by what became of them."
        self._reloads = counter("forebay_reloads_total", reloads, "result")
        changes = "Changes of circuit breakers, by the new state."
        self._breakers = counter("forebay_breaker_changes_total", changes, "backend", "state")
        refusals = "Calls that a limit turned away, or (measured) would have, by its name."
        self._refusals = counter("forebay_limit_refusals_total", refusals, "limit", "outcome")
        events = "Events that were told: budgets' levels, surges of keys."
        self._events = counter("forebay_events_total", events, "type")
        self._endings: dict[tuple[str, str, int, str], _Ending] = {}
        self._spent: dict[tuple[str, str, str], list[Counter | None]] = {}
        self._counters: dict[tuple[Counter, tuple[str, ...]], Counter] = {}

    def observe(self, record: Record, ended_s: float) -> None:
        """Count one ended call. The attempts of our own calls count, for they cost."""
        for attempt in record.attempts:
            self._child(self._attempts, attempt.backend, attempt.cause).inc()
            if (usage := attempt.usage) is not None:
                self._spend(record.route, attempt.backend, usage)
        if record.purpose != "call":
            labels = record.purpose, record.route, record.backend or _NO_ROUTE, record.ending
            self._child(self._own_calls, *labels).inc()
            return
        if isinstance(record.error, Denied):
            self._child(self._refusals, record.error.limit, "refused").inc()
        backend = record.backend or _NO_ROUTE
        key = (record.route, backend, record.status, record.ending)
        ending = self._endings.get(key) or self._open(key)
        ending.calls.inc()
        ending.duration.observe(ended_s - record.started_s)
        if record.first_byte_s is not None:
            ending.first_byte.observe(record.first_byte_s - record.started_s)

    def _spend(self, route: str, backend: str, usage: Usage) -> None:
        key = (route, backend, usage.origin)
        counters = self._spent.get(key)
        if counters is None:
            counters = self._spent[key] = [None] * len(_KINDS)
        for at, amount in enumerate(astuple(usage)[: len(_KINDS)]):
            if amount:
                counter = counters[at]
                if counter is None:  # what is never spent has no series
                    counter = counters[at] = self._open_kind(key, at)
                counter.inc(amount)

    def _open_kind(self, key: tuple[str, str, str], at: int) -> Counter:
        (route, backend, origin), (name, kind) = key, _KINDS[at]
        parent = self._units if name == kind else self._tokens
        return parent.labels(route, backend, kind, origin)

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

    def count_measured(self, limit: str) -> None:
        """Count a call that a limit which only measures would have turned away."""
        self._child(self._refusals, limit, "measured").inc()

    def count_event(self, kind: str) -> None:
        """Count an event that was told by webhook, or in the log."""
        self._child(self._events, kind).inc()

    def count_breaker(self, backend: str, state: str) -> None:
        """Count a change of one of a backend's circuit breakers."""
        self._child(self._breakers, backend, state).inc()

    def count_reload(self, result: str) -> None:
        """Count an edit of the configuration that was applied or refused."""
        self._child(self._reloads, result).inc()

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
