"""What is measured: the name, kind, labels and buckets of every metric, as data.

Labels take their values from the configuration, from our own words, or from names that are bounded
(`names.py`). No label is a tenant, a key, a user or a call. It must not know who counts, nor who asks.

Sources: OpenTelemetry's semantic conventions for generative AI (names, units, advised buckets), and its
"Prometheus and OpenMetrics Compatibility" for how such names are written for Prometheus.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]
OverWorkers = Literal["sum", "max", "min"]

_IN_NAMES = {"s": "_seconds", "By": "_bytes", "1": "_ratio"}
"""What stands in a name for Prometheus for its unit; receivers of OTLP that keep metrics as it does add it
where it is missing, for "1" to gauges. So "1" is for ratios, not for numbers of things: of those the unit
stands in braces, and in no name.
"""

OTHER = "other"
"""The label of what goes beyond a bound."""

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
_WAITS_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LAGS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_RATIOS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 5.0)

# As the conventions advise them.
_TOKENS = tuple(4.0**power for power in range(14))
_OPERATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25),
    *(0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
_EACH_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)

_MODEL = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.response.model",
    "server.address",
)


class Family(msgspec.Struct, frozen=True, eq=False):
    """A metric and all its series. Of these there are at most `most`; what comes later is counted together.

    `buckets` are the upper bounds of a histogram, without the last, infinite one. `over_workers` says what
    several workers' gauges make together: their sum, or the highest or lowest of those that are alive.
    """

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    over_workers: OverWorkers = "sum"
    convention: str = ""
    """Its name by the conventions; empty: it is our own. Its labels have dots, to Prometheus underscores."""
    unit: str = ""
    """As OTLP has it; empty: it is a number of things, or yes or no."""

    @property
    def told_as(self) -> str:
        """Its name over OTLP: receivers that keep it as Prometheus does make `name` of it, unit and kind."""
        return self.convention or self.name.removesuffix("_total")

    @property
    def most(self) -> int:
        """How many series it may have in one process."""
        return 1 if not self.labels else 512 if self.buckets else 4096

    @property
    def cells(self) -> int:
        """How many numbers one series is: of a histogram the sum, and what fell into each bucket."""
        return len(self.buckets) + 2 if self.buckets else 1


def _counter(name: str, text: str, *labels: str, unit: str = "") -> Family:
    return Family(f"forebay_{_with(name, unit)}_total", "counter", text, labels, unit=unit)


def _gauge(name: str, text: str, *labels: str, over: OverWorkers = "sum", unit: str = "") -> Family:
    return Family(f"forebay_{_with(name, unit)}", "gauge", text, labels, over_workers=over, unit=unit)


def _histogram(name: str, text: str, buckets: tuple[float, ...], *labels: str, unit: str) -> Family:
    return Family(f"forebay_{_with(name, unit)}", "histogram", text, labels, buckets, unit=unit)


def _agreed(convention: str, text: str, buckets: tuple[float, ...], unit: str, *labels: str) -> Family:
    name = _with(convention.replace(".", "_"), unit)
    return Family(name, "histogram", text, (*_MODEL, *labels), buckets, convention=convention, unit=unit)


def _with(name: str, unit: str) -> str:
    return name + _IN_NAMES.get(unit, "")


# Calls.
CALLS = _counter("calls", "Calls ended.", "tenant_class", "route", "backend", "status", "ending", "cause")
CALL_SECONDS = _histogram(
    "call_duration", "From the request's head to the answer's last byte.", _SECONDS, "route", unit="s"
)
FIRST_BYTE_SECONDS = _histogram(
    "first_byte",
    "From the request's head to the beginning of a streamed answer, or the whole of another.",
    _SECONDS,
    "route",
    unit="s",
)
OWN_CALLS = _counter(
    "own_calls",
    "Calls that the gateway made itself: copies for a target on trial, questions about tasks.",
    *("purpose", "route", "backend", "ending"),
)
SUBSTITUTES = _counter(
    "substitute_answers",
    "Answers that no upstream gave: an earlier one, or words that were written for the case.",
    *("route", "kind"),
)
REFUSALS = _counter(
    "limit_refusals",
    "Calls that a limit turned away, or (measured) would have, by its name.",
    *("limit", "outcome"),
)
SLO_CALLS = _counter(
    "slo_calls", "Calls that a promise of slo.yaml is about, by whether they kept it.", "objective", "outcome"
)
RESERVED = _histogram(
    "reservation_used",
    "Of what was reserved for a call, the part that it used: above 1 it used more.",
    _RATIOS,
    "metric",
    unit="1",
)

# Attempts.
ATTEMPTS = _counter(
    "attempts", "Tries upstream; cause is empty for accepted ones.", "backend", "cause", "why"
)
FALLBACKS = _counter(
    "fallbacks",
    "Tries after a failed one, by why they were made and what had failed.",
    "route",
    "why",
    "cause",
)
HEDGES = _counter("hedges", "Tries beside a slow one, by whose answer the client got.", "route", "result")
QUEUE_SECONDS = _histogram(
    "queue_wait", "How long attempts waited for a place at the backend.", _WAITS_S, "backend", unit="s"
)
TOKENS = _counter(
    "tokens",
    "Tokens by kind and by who counted them.",
    *("route", "backend", "kind", "origin"),
    unit="{token}",
)
UNITS = _counter(
    "units",
    "What is billed by other units than tokens: searches, characters, audio_s (seconds of sound).",
    *("route", "backend", "kind", "origin"),
)
COST_USD = _counter(
    "cost_usd",
    "What attempts cost, in US dollars; a float, the ledger is exact.",
    "route",
    "backend",
    unit="{USD}",
)
CACHE_USD = _counter(
    "cache_savings_usd",
    "What the providers' caches of prompts have saved by tries, or (lost) cost them, in US dollars.",
    *("route", "backend", "result"),
    unit="{USD}",
)

# By OpenTelemetry's conventions, of each attempt.
TOKEN_USAGE = _agreed(
    "gen_ai.client.token.usage",
    "Number of input and output tokens used.",
    _TOKENS,
    "{token}",
    "gen_ai.token.type",
)
OPERATION_SECONDS = _agreed(
    "gen_ai.client.operation.duration", "GenAI operation duration.", _OPERATION_S, "s", "error.type"
)
FIRST_TOKEN_SECONDS = _agreed(
    "gen_ai.server.time_to_first_token",
    "Time to the first token of streams that went well.",
    _FIRST_TOKEN_S,
    "s",
)
EACH_TOKEN_SECONDS = _agreed(
    "gen_ai.server.time_per_output_token",
    "Time per output token after the first, of streams that went well.",
    _EACH_TOKEN_S,
    "s",
)

# This process, and what it works with.
IN_FLIGHT = _gauge("calls_in_flight", "Calls running now.")
QUEUE_DEPTH = _gauge("queue_depth", "Calls that wait for a place at a backend.", "backend")
BREAKERS = _gauge(
    "breakers", "Deployments by the state of their circuit breaker, of each worker.", "backend", "state"
)
BACKEND_UP = _gauge(
    "backend_up",
    "0 where each worker finds that its probe fails or none of its breakers is closed.",
    "backend",
    over="max",
)
BREAKER_CHANGES = _counter(
    "breaker_changes", "Changes of circuit breakers, by the new state.", "backend", "state"
)
CONNECTIONS = _gauge(
    "upstream_connections", "Connections to backends that are used now, and idle ones.", "backend", "state"
)
LOOP_LAG_SECONDS = _histogram(
    "event_loop_lag", "How late the event loop woke a task that sleeps 50 ms.", _LAGS_S, unit="s"
)
PART_OK = _gauge("part_ok", "1 where a part of /readyz works, in all workers.", "part", over="min")
RELOADS = _counter("reloads", "Edits of the configuration, by what became of them.", "result")
GENERATION = _gauge(
    "config_generation", "How many configurations a worker has served, the one at its start too.", over="max"
)
RELOAD_OK = _gauge("config_reload_ok", "1 where the newest edit serves, in all workers.", over="min")
EVENTS = _counter("events", "Events that were told by webhook or in the log.", "type")
SPANS = _counter("spans", "Spans, by what became of them on their way to the receiver.", "result")

# The way into the ledger.
LEDGER_LOST = _counter("ledger_lost", "Entries of the ledger that found no room on the disk.")
LEDGER_LAG_SECONDS = _gauge(
    "ledger_lag", "How old the oldest entry is that the ledger has not taken.", over="max", unit="s"
)
SPOOL_BYTES = _gauge(
    "spool", "What waits for the ledger, and was set aside, on this disk.", over="max", unit="By"
)
METER_OK = _gauge("meter_ok", "1 where the meter lately said that it takes entries.", over="min")
METER_ROWS = _gauge("meter_inserted_rows", "Rows inserted since the meter began.", over="max")
METER_SET_ASIDE = _gauge(
    "meter_set_aside_rows", "Rows set aside since the meter began: the ledger refuses them.", over="max"
)

FAMILIES: dict[str, Family] = {one.name: one for one in list(globals().values()) if isinstance(one, Family)}
"""By name, in the order in which they are told."""
