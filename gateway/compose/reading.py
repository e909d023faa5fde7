"""Read a configuration: routing.yaml and policies/, checked in this environment. Opens nothing."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from gateway.compose.scenarios import Scenarios
from gateway.config.files import environment
from gateway.config.located import Located, load
from gateway.config.reliability import ModelSpec
from gateway.config.resolve import Resolved, load_presets, resolve
from gateway.config.routing import PresetSpec, RoutingSpec
from gateway.embedded.local_model import launch_file
from gateway.errors import ConfigError, ConfigErrors
from gateway.identity.keys import is_well_formed
from gateway.policy import budgets, prices, quotas, retention, slo, telemetry, tenants
from gateway.policy.budgets import AlertsSpec, Budgets, BudgetsSpec
from gateway.policy.limits.scopes import LimitSpec, means_nobody
from gateway.policy.prices import Prices, PricesSpec
from gateway.policy.quotas import QuotasSpec
from gateway.policy.retention import Retention, RetentionSpec
from gateway.policy.slo import SloSpec
from gateway.policy.telemetry import Telemetry, TelemetrySpec
from gateway.policy.tenants import Tenants, TenantsSpec
from gateway.quotas.rules import Rule, Rules
from gateway.slo.objectives import Objective
from gateway.texts.patterns import pattern_problem
from gateway.upstream.access import open_access

T = TypeVar("T")

_RECEIVER, _HEADERS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"
"""The variables that OpenTelemetry's own tools read."""

_POLICIES: Mapping[str, Any] = {
    "tenants": TenantsSpec,
    "prices": PricesSpec,
    "retention": RetentionSpec,
    "quotas": QuotasSpec,
    "budgets": BudgetsSpec,
    "telemetry": TelemetrySpec,
    "slo": SloSpec,
}
"""What policies/NAME.yaml may have, by name."""

SCHEMAS: Mapping[str, Any] = {
    "routing": RoutingSpec,
    **_POLICIES,
    "presets": dict[str, PresetSpec],
    "models": dict[str, ModelSpec],
    "scenarios": Scenarios,
}


class Config(msgspec.Struct, frozen=True):
    """A configuration that was read, checked and resolved."""

    folder: Path
    resolved: Resolved
    tenants: Tenants
    prices: Prices
    retention: Retention
    limits: Rules
    telemetry: Telemetry
    objectives: tuple[Objective, ...] = ()
    alerts: AlertsSpec | None = None
    """Where they go; None: only into the log."""
    notes: tuple[str, ...] = ()
    """What is without effect, in sentences; of routing.yaml: `resolved.notes`."""


class _Limits(msgspec.Struct, frozen=True):
    rules: Rules
    alerts: AlertsSpec | None
    written: Mapping[str, LimitSpec]


class _Reading:
    """Reads one thing after the other, and collects what is wrong with all of them."""

    def __init__(self) -> None:
        self.errors: list[ConfigError] = []

    def attempt(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigErrors as found:
            self.errors.extend(found.errors)
            return None


def load_config(
    folder: Path, routing: Path | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Read routing.yaml and policies/*.yaml below `folder`; raises ConfigErrors with all that is wrong.

    `routing` stands in for its routing.yaml, `environ` for the environment of this process.
    """
    env, reading = environment() if environ is None else environ, _Reading()
    place, policies = routing or folder / "routing.yaml", folder / "policies"
    written = reading.attempt(lambda: load(place, RoutingSpec, env))
    resolved = None if written is None else reading.attempt(lambda: _resolve(written, env))
    known = reading.attempt(lambda: tenants.compile(load(policies / "tenants.yaml", TenantsSpec, env)))
    kept = reading.attempt(
        lambda: retention.compile(_optional(policies / "retention.yaml", RetentionSpec, env))
    )
    priced = reading.attempt(lambda: prices.compile(_optional(policies / "prices.yaml", PricesSpec, env)))
    limits = _read_limits(policies, written, env, reading)
    told = reading.attempt(
        lambda: telemetry.compile(
            _optional(policies / "telemetry.yaml", TelemetrySpec, env),
            env.get(_RECEIVER, ""),
            env.get(_HEADERS, ""),
        )
    )
    promised = reading.attempt(
        lambda: slo.compile(_optional(policies / "slo.yaml", SloSpec, env), _routes_of(written))
    )
    reading.errors.extend(_misnamed(policies))
    if (
        reading.errors
        or resolved is None
        or known is None
        or priced is None
        or kept is None
        or told is None
        or promised is None
    ):
        raise ConfigErrors(reading.errors)
    classes = {one.class_ for one in known.tenants.values()}
    notes = (*_idle_limits(limits, resolved, known), *slo.idle(promised, resolved.routes, classes))
    rules = Rules([_possible(rule, resolved) for rule in limits.rules.every])
    return Config(folder, resolved, known, priced, kept, rules, told, promised, limits.alerts, notes)


def with_all_keys() -> Mapping[str, str]:
    """Give the environment as it would be with the keys of all presets: so that all backends are active."""
    keys = {preset.key: "-" for preset in load_presets().values() if preset.key}
    return keys | {name: value for name, value in environment().items() if value}


def as_a_client() -> Mapping[str, str]:
    """Give the environment without keys of Forebay's own.

    Whoever asks the gateway has one in the variable of the SDK; commands that send nothing go without.
    """
    return {name: value for name, value in environment().items() if not is_well_formed(value)}


def _misnamed(policies: Path) -> Iterator[ConfigError]:
    """Tell of files that look like policies and that nobody would read: what they say would not hold.

    Hidden ones are of editors, and of Kubernetes.
    """
    try:
        entries = sorted(policies.iterdir())
    except OSError:  # whoever reads the files in it says what is wrong
        return
    for path in entries:
        if path.name.startswith(".") or path.suffix.lower() not in {".yaml", ".yml"} or path.is_dir():
            continue
        if path.suffix == ".yaml" and path.stem in _POLICIES:
            continue
        near = difflib.get_close_matches(path.stem.lower(), _POLICIES, 1)  # not of ".yaml", which all have
        known = ", ".join(f"{name}.yaml" for name in near or _POLICIES)
        hint = f"did you mean {known}?" if near else f"known: {known}"
        shown = str(path).encode(errors="replace").decode()  # a name need not be text
        yield ConfigError(shown, 0, "", "no policy has this name", hint)


def _routes_of(written: Located[RoutingSpec] | None) -> Mapping[str, Any] | None:
    return None if written is None else written.value.routes


def _optional(path: Path, of: type[T], env: Mapping[str, str]) -> Located[T] | None:
    return load(path, of, env) if path.exists() else None


def _read_limits(
    policies: Path, routing: Located[RoutingSpec] | None, env: Mapping[str, str], reading: _Reading
) -> _Limits:
    """Read quotas.yaml and budgets.yaml, and check them against each other and the routes."""
    routes = None if routing is None else routing.value.routes
    quota_file = reading.attempt(lambda: _optional(policies / "quotas.yaml", QuotasSpec, env))
    budget_file = reading.attempt(lambda: _optional(policies / "budgets.yaml", BudgetsSpec, env))
    by_quota = {} if quota_file is None else quota_file.value.quotas
    by_budget = {} if budget_file is None else budget_file.value.budgets
    rules = reading.attempt(lambda: quotas.compile(quota_file, routes)) or ()
    money = reading.attempt(lambda: budgets.compile(budget_file, routes, by_quota.keys())) or Budgets()
    return _Limits(Rules((*rules, *money.rules)), money.alerts, {**by_quota, **by_budget})


def _idle_limits(limits: _Limits, resolved: Resolved, known: Tenants) -> Iterator[str]:
    """Say which limits hold for nobody, or not as they are written."""
    for rule in limits.rules.every:
        where = f"{rule.kind} {rule.name}"
        if means_nobody(limits.written[rule.name].calls, known.tenants):
            yield f"{where} never holds: policies/tenants.yaml has no tenant of that name or tag"
        if rule.downgrade and rule.downgrade not in resolved.routes:
            yield f"{where} cannot downgrade: route {rule.downgrade} is off"


def _possible(rule: Rule, resolved: Resolved) -> Rule:
    """Let a budget only warn where the route that it would take instead is off."""
    if not rule.downgrade or rule.downgrade in resolved.routes:
        return rule
    return msgspec.structs.replace(rule, over="warn", downgrade="")


def _resolve(routing: Located[RoutingSpec], env: Mapping[str, str]) -> Resolved:
    resolved = resolve(routing, load_presets(), env, pattern_problem)
    folder = Path(routing.path).parent
    errors: list[ConfigError] = []
    for name, spec in resolved.backends.items():
        if spec.script and not (folder / spec.script).is_file():
            errors.append(routing.error(("backends", name, "script"), f"there is no file {spec.script}"))
        if spec.launch and not launch_file(spec.launch).is_file():
            errors.append(routing.error(("backends", name, "launch"), f"there is no engine {spec.launch!r}"))
        try:
            open_access(spec, env)  # asks nobody: it tells what can never work
        except ConfigError as error:
            errors.append(routing.error(("backends", name, "auth"), error.message, error.hint))
        except ValueError as error:
            errors.append(routing.error(("backends", name, "auth"), str(error)))
    if errors:
        raise ConfigErrors(errors)
    return resolved
