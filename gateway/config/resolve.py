"""Make a decoded routing.yaml ready to use: check it across fields, choose what is active, fill in defaults.

Pure: files and the environment come in as values. It does not know what a provider does with its
settings, nor how a route chooses among its targets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

import msgspec

from gateway.config.checks.backends import backend_problems
from gateway.config.checks.conditions import invalid_pattern, sensitivity_problems, task_problems
from gateway.config.checks.problems import within
from gateway.config.checks.routes import route_problems
from gateway.config.checks.server import server_problems
from gateway.config.effect.backends import active_backends, all_credentials, provider_of, unusable_key
from gateway.config.effect.routes import prune
from gateway.config.located import Located, load
from gateway.config.providers import FACTS, Facts, Provider
from gateway.config.reliability import BreakerSpec, ConcurrencySpec, ModelSpec, ProbeSpec
from gateway.config.routing import (
    AuthSpec,
    BackendSpec,
    LedgerSpec,
    OutputLimit,
    PresetSpec,
    RoutingSpec,
    ServerSpec,
    StreamUsage,
    TimeoutsSpec,
    TransportName,
)
from gateway.config.signals import ClassifierSpec, SensitivitySpec, TaskSpec
from gateway.config.ways import RouteSpec
from gateway.errors import ConfigError, ConfigErrors
from gateway.exchange import Credential, Format, Timeouts

BREAKER = BreakerSpec(consecutive=5, error_rate=0.5, min_calls=10, window_s=30, cool_down_s=10, jitter=0.2)
"""What holds where nothing is written."""

PatternProblem = Callable[[str], str]
"""What is wrong with a regular expression; empty: nothing."""


class BackendSettings(msgspec.Struct, frozen=True):
    """An active backend. `base_url` has no final slash and is empty for a script.

    `credentials` has at least one entry; its secret is empty where no key is needed.
    """

    name: str
    provider: Provider
    preset: str
    base_url: str
    credentials: tuple[Credential, ...]
    formats: tuple[Format, ...]
    """The preferred first."""
    stream_usage: StreamUsage
    output_limit: OutputLimit
    headers: Mapping[str, str]
    """Lower-case names."""
    timeouts: Timeouts
    max_connections: int
    transport: TransportName
    launch: str
    api_version: str
    script: str
    auth: AuthSpec | None = None
    region: str = ""
    self_hosted: bool = False
    breaker: BreakerSpec = BREAKER
    """Every field is filled, but `slow_ms` where slowness is no failure."""
    probe: ProbeSpec | None = None
    concurrency: ConcurrencySpec | None = None

    def __repr__(self) -> str:
        """Name the backend; headers may hold secrets."""
        return f"BackendSettings({self.name!r})"


class Resolved(msgspec.Struct, frozen=True):
    """What routing.yaml means in this environment; `notes` says in sentences what was left out."""

    server: ServerSpec
    backends: dict[str, BackendSettings]
    routes: dict[str, RouteSpec]
    """As written, without what only inactive backends could serve."""
    notes: list[str]
    models: dict[str, ModelSpec] = {}
    tasks: dict[str, TaskSpec] = {}
    classifier: ClassifierSpec | None = None
    sensitivity: SensitivitySpec = SensitivitySpec()
    ledger: LedgerSpec = LedgerSpec()


def load_presets() -> dict[str, PresetSpec]:
    """Read the presets that ship with the `backends` package."""
    with resources.as_file(resources.files("backends") / "presets.yaml") as path:
        return load(path, dict[str, PresetSpec], {}).value


def resolve(
    routing: Located[RoutingSpec],
    presets: Mapping[str, PresetSpec],
    env: Mapping[str, str],
    pattern_problem: PatternProblem = invalid_pattern,
) -> Resolved:
    """Turn Specs into settings; raises ConfigErrors with all that is wrong, in line order.

    Backends that are not enabled are left out, then the targets that name them, then the rules and steps
    that have no target left, then the routes that have neither target nor rule left.
    """
    spec = routing.value
    _raise_any(validate(routing, presets, pattern_problem))
    keys, errors = all_credentials(routing, presets, env)
    active, notes = active_backends(spec, presets, keys)
    errors += [error for name in active if (error := unusable_key(routing, presets, name, keys))]
    _raise_any(errors)
    backends = {name: _settings(name, spec, presets, keys[name]) for name in active}
    routes, left_out = prune(spec.routes, backends)
    if not routes:
        hint = "set the key of a provider, or enable a backend always"
        raise ConfigErrors([routing.error(("routes",), "no route has an active backend", hint)])
    classifier = spec.classifier
    if classifier is not None and classifier.route not in routes:
        left_out.append(f"the classifier is off: route {classifier.route} is")
        classifier = None
    return Resolved(
        server=spec.server,
        backends=backends,
        routes=routes,
        notes=[*notes, *left_out],
        models=spec.models,
        tasks=spec.tasks,
        classifier=classifier,
        sensitivity=spec.sensitivity,
        ledger=_ledger(spec.ledger, env),
    )


def validate(
    routing: Located[RoutingSpec],
    presets: Mapping[str, PresetSpec],
    pattern_problem: PatternProblem = invalid_pattern,
) -> list[ConfigError]:
    """Check fields against each other, whatever the environment is; in line order."""
    spec = routing.value
    problems = [
        problem
        for name, backend in spec.backends.items()
        for problem in within(("backends", name), backend_problems(backend, presets))
    ]
    problems += within(("server",), server_problems(spec.server))
    problems += route_problems(spec)
    problems += task_problems(spec, pattern_problem)
    problems += sensitivity_problems(spec, pattern_problem)
    return sorted((routing.error(*problem) for problem in problems), key=lambda error: error.line)


def _ledger(spec: LedgerSpec, env: Mapping[str, str]) -> LedgerSpec:
    return msgspec.structs.replace(spec, clickhouse_url=spec.clickhouse_url or env.get("CLICKHOUSE_URL", ""))


def _raise_any(errors: list[ConfigError]) -> None:
    if errors:
        raise ConfigErrors(sorted(errors, key=lambda error: error.line))


def _settings(
    name: str, routing: RoutingSpec, presets: Mapping[str, PresetSpec], keys: tuple[Credential, ...]
) -> BackendSettings:
    spec = routing.backends[name]
    preset = presets.get(spec.preset)
    provider = provider_of(spec, presets)
    return BackendSettings(
        name=name,
        provider=provider,
        preset=spec.preset,
        base_url=_place(spec, preset, FACTS[provider]),
        credentials=keys or (Credential(f"{name}#1", ""),),
        formats=spec.formats or (preset.formats if preset else FACTS[provider].formats),
        stream_usage=spec.stream_usage or (preset.stream_usage if preset else "ask"),
        output_limit=spec.output_limit or (preset.output_limit if preset else FACTS[provider].output_limit),
        headers={header.lower(): value for header, value in spec.headers.items()},
        timeouts=Timeouts(**_layers(routing.timeouts, spec.timeouts)),
        max_connections=spec.max_connections,
        transport=spec.transport,
        launch=spec.launch,
        api_version=spec.api_version,
        script=spec.script,
        auth=spec.auth,
        region=spec.region,
        self_hosted=spec.self_hosted,
        breaker=BreakerSpec(**_layers(BREAKER, routing.breaker, spec.breaker)),
        probe=_probe(spec, provider),
        concurrency=spec.concurrency,
    )


def _probe(spec: BackendSpec, provider: Provider) -> ProbeSpec | None:
    own = ProbeSpec() if spec.self_hosted and provider != "scripted" else None
    return spec.probe or own


def _place(spec: BackendSpec, preset: PresetSpec | None, facts: Facts) -> str:
    given = spec.base_url or (preset.base_url if preset else "")
    made = facts.place.format(region=spec.region, project=spec.project)
    # Google's "global" location has no prefix.
    return (given or made.replace("//global-", "//")).rstrip("/")


def _layers(*layers: TimeoutsSpec | BreakerSpec) -> dict[str, Any]:
    """Lay the later over the earlier, field by field; what none of them gives is left out."""
    return {
        name: value
        for layer in layers
        for name, value in msgspec.structs.asdict(layer).items()
        if value is not None
    }
