"""Read a configuration: routing.yaml and policies/, checked in this environment. Opens nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
from gateway.policy import prices, tenants
from gateway.policy.prices import Prices, PricesSpec
from gateway.policy.tenants import Tenants, TenantsSpec
from gateway.routing.signals.patterns import pattern_problem
from gateway.upstream.access import open_access

T = TypeVar("T")

SCHEMAS: Mapping[str, Any] = {
    "routing": RoutingSpec,
    "tenants": TenantsSpec,
    "prices": PricesSpec,
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


def load_config(
    folder: Path, routing: Path | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """Read routing.yaml and policies/*.yaml below `folder`; raises ConfigErrors with all that is wrong.

    `routing` stands in for its routing.yaml, `environ` for the environment of this process.
    """
    env, errors = environment() if environ is None else environ, list[ConfigError]()

    def attempt(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigErrors as found:
            errors.extend(found.errors)
            return None

    place, policies = routing or folder / "routing.yaml", folder / "policies"
    resolved = attempt(lambda: _resolve(load(place, RoutingSpec, env), env))
    known = attempt(lambda: tenants.compile(load(policies / "tenants.yaml", TenantsSpec, env)))
    priced = attempt(lambda: prices.compile(_optional(policies / "prices.yaml", PricesSpec, env)))
    if resolved is None or known is None or priced is None:
        raise ConfigErrors(errors)
    return Config(folder, resolved, known, priced)


def with_all_keys() -> Mapping[str, str]:
    """Give the environment as it would be with the keys of all presets: so that all backends are active."""
    keys = {preset.key: "-" for preset in load_presets().values() if preset.key}
    return keys | {name: value for name, value in environment().items() if value}


def _optional(path: Path, of: type[T], env: Mapping[str, str]) -> Located[T] | None:
    return load(path, of, env) if path.exists() else None


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
