"""Open what tells of calls: metrics, log lines, decisions, spans; and set it anew with each configuration."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway.compose.logs import log_by
from gateway.compose.reading import Config
from gateway.compose.traces import trace_settings
from gateway.config.resolve import BackendSettings
from gateway.config.ways import TargetSpec
from gateway.exchange import Record
from gateway.routing.decisions import line_of
from gateway.telemetry.access_log import AccessLog
from gateway.telemetry.decisions import DecisionLog
from gateway.telemetry.metrics import Metrics, MetricsSettings
from gateway.telemetry.objectives import Tally
from gateway.telemetry.otlp import Receiver
from gateway.telemetry.places import Place, provider_name
from gateway.telemetry.push import Push
from gateway.telemetry.tracing.export import Traces
from gateway.telemetry.tracing.head import Head
from gateway.texts.redactor import Redactor

_GATEWAYS = {"http": 80, "https": 443}

Sink = Callable[[Record, float], None]
"""Takes a call that has ended, and when that was, of the monotonic clock; never waits."""


class Instruments:
    """Of one process; `shared_metrics` is where several workers share theirs."""

    def __init__(self, state_dir: Path, shared_metrics: Path | None, stack: AsyncExitStack) -> None:
        self.metrics = Metrics(shared_metrics)
        self.push = Push(self.metrics.own)
        stack.callback(self.push.close)
        self.access_log = AccessLog(sys.stderr)
        stack.callback(self.access_log.close)
        self.decisions = DecisionLog(state_dir / "decisions")
        stack.callback(self.decisions.close)
        self.traces = Traces()
        stack.callback(self.traces.close)
        self.objectives = Tally(state_dir / "slo", self.metrics.count_judged)
        self.redactor = Redactor()
        self.head = Head()

    @property
    def sinks(self) -> Sequence[Sink]:
        """Who hears of ended calls, in order."""
        return (
            self.metrics.observe,
            self.access_log.enter,
            self.decisions.write,
            self.traces.write,
            self.objectives.note,
        )

    def revise(self, config: Config) -> None:
        """Go by a configuration from now on."""
        asked, telemetry = config.telemetry.spec, config.telemetry
        self.redactor = log_by(config)
        self.head = Head(bool(telemetry.endpoint), asked.traces.sample, asked.traces.parents == "follow")
        self.access_log.clean = self.redactor.clean
        self.decisions.line = line_of(config.resolved.server.decisions, self.redactor.clean)
        places = {name: _place(spec) for name, spec in config.resolved.backends.items()}
        self.traces.revise(trace_settings(config, receiver_of(config), places, self.redactor.clean))
        models = frozenset(_models(config.resolved.routes))
        self.metrics.revise(MetricsSettings(asked.metrics.enabled, models, places, self.redactor.clean))
        sends = asked.metrics.otlp and telemetry.endpoint
        self.push.revise(receiver_of(config) if sends else None, asked.metrics.every_s)
        self.objectives.revise(config.objectives)


def receiver_of(config: Config) -> Receiver:
    """Say where traces and metrics go."""
    asked = config.telemetry.spec
    return Receiver(
        config.telemetry.endpoint,
        asked.otlp.protocol,
        asked.otlp.headers,
        asked.otlp.timeout_s,
        asked.service_name,
        asked.otlp.resource,
    )


def _place(spec: BackendSettings) -> Place:
    url = urlsplit(spec.base_url)
    return Place(
        provider_name(spec.preset or spec.provider),
        url.hostname or "",
        url.port or _GATEWAYS.get(url.scheme, 0),
        spec.self_hosted,
    )


def _models(spec: Any) -> Iterator[str]:
    """Find the upstream models of all targets that stand somewhere in Specs."""
    if isinstance(spec, TargetSpec) and spec.model:
        yield spec.model
    elif isinstance(spec, msgspec.Struct):
        for name in spec.__struct_fields__:
            yield from _models(getattr(spec, name))
    elif isinstance(spec, (dict, tuple)):
        for inner in spec.values() if isinstance(spec, dict) else spec:
            yield from _models(inner)
