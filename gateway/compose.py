"""The composition root: from files to a Runtime. The only file that names concrete parts.

A new provider, transport or store is one module and one line here.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from backends.anthropic import Anthropic
from backends.azure import Azure
from backends.bedrock import Bedrock
from backends.cohere import Cohere
from backends.gemini import Gemini
from backends.host import Host
from backends.mistral import Mistral
from backends.ollama import Ollama
from backends.openai_compatible import OpenAICompatible
from backends.scripted import Scripted, ScriptSpec
from backends.vertex import Vertex
from backends.vertex_anthropic import VertexAnthropic
from gateway.config.files import environment
from gateway.config.located import Located, load
from gateway.config.providers import Provider
from gateway.config.resolve import BackendSettings, Resolved, RouteSettings, load_presets, resolve
from gateway.config.routing import PresetSpec, RoutingSpec
from gateway.embedded.local_model import launch_file, probe
from gateway.embedded.tokenizer import token_counter
from gateway.errors import ConfigError, ConfigErrors, StoreDown
from gateway.flights import Flights
from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.identity.tokens import TokenVerifier
from gateway.policy import tenants
from gateway.policy.tenants import Tenants, TenantsSpec
from gateway.protocols import Backend, Transport
from gateway.routing.routes import Deployment, Route, Routes, Target
from gateway.runtime import Runtime
from gateway.stages.receive import Intake
from gateway.stores.keys_sql import SqlKeyStore
from gateway.telemetry.books import Books
from gateway.telemetry.logs import AccessLog
from gateway.telemetry.metrics import Metrics
from gateway.upstream.access import open_access
from gateway.upstream.aiohttp_transport import AiohttpTransport
from gateway.upstream.httpx_transport import HttpxTransport
from gateway.upstream.scripted_transport import ScriptedTransport

T = TypeVar("T")

SCHEMAS: Mapping[str, Any] = {
    "routing": RoutingSpec,
    "tenants": TenantsSpec,
    "presets": dict[str, PresetSpec],
}
_TRANSPORTS: Mapping[str, Callable[[int, float], Transport]] = {
    "aiohttp": AiohttpTransport,
    "httpx": HttpxTransport,
}
_PROVIDERS: Mapping[Provider, Callable[[BackendSettings, Host], Backend]] = {
    "openai_compatible": lambda spec, host: OpenAICompatible(spec.name, host),
    "azure": lambda spec, host: Azure(spec.name, host, spec.api_version),
    "anthropic": lambda spec, host: Anthropic(spec.name, host),
    "gemini": lambda spec, host: Gemini(spec.name, host),
    "vertex": lambda spec, host: Vertex(spec.name, host),
    "vertex_anthropic": lambda spec, host: VertexAnthropic(spec.name, host),
    "bedrock": lambda spec, host: Bedrock(spec.name, host),
    "cohere": lambda spec, host: Cohere(spec.name, host),
    "mistral": lambda spec, host: Mistral(spec.name, host),
    "ollama": lambda spec, host: Ollama(spec.name, host),
}
_IN_FLIGHT_EVERY_S = 1.0
_MIGRATE_AGAIN_S = 2.0


class Config(msgspec.Struct, frozen=True):
    """A configuration that was read, checked and resolved."""

    folder: Path
    resolved: Resolved
    tenants: Tenants


def load_config(folder: Path) -> Config:
    """Read routing.yaml and policies/*.yaml below `folder`; raises ConfigErrors with all that is wrong."""
    env, errors = environment(), list[ConfigError]()

    def attempt(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigErrors as found:
            errors.extend(found.errors)
            return None

    routing, policies = folder / "routing.yaml", folder / "policies"
    resolved = attempt(lambda: _resolve(load(routing, RoutingSpec, env), env))
    compiled = attempt(lambda: tenants.compile(load(policies / "tenants.yaml", TenantsSpec, env)))
    if resolved is None or compiled is None:
        raise ConfigErrors(errors)
    return Config(folder, resolved, compiled)


def _resolve(routing: Located[RoutingSpec], env: Mapping[str, str]) -> Resolved:
    resolved = resolve(routing, load_presets(), env)
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


class Settings(msgspec.Struct, frozen=True):
    """What a process is told beside its configuration."""

    state_dir: Path
    launched: Mapping[str, str] = {}
    """Base URLs of local engines that were started, by the name of their launch file."""
    shared_metrics: Path | None = None
    """Where several workers share their metrics; None: this process is the only one."""


def key_store(config: Config, state_dir: Path) -> SqlKeyStore:
    """Open the store of keys: PostgreSQL where the configuration says so, else SQLite."""
    return SqlKeyStore(config.resolved.server.database_url or f"sqlite:///{state_dir / 'forebay.db'}")


async def open_runtime(config: Config, settings: Settings, stack: AsyncExitStack) -> Runtime:
    """Open everything a worker needs; `stack` closes it again. Raises ConfigErrors."""
    server = config.resolved.server
    backends = {
        name: _deployment(_place(spec, settings), config, stack)
        for name, spec in config.resolved.backends.items()
    }
    store = key_store(config, settings.state_dir)
    stack.callback(store.close)
    directory = KeyDirectory(config.tenants.keys, config.tenants.tenants, store)
    issuers = config.tenants.issuers
    tokens = TokenVerifier(issuers, config.tenants.tenants) if issuers else None
    metrics = Metrics(settings.shared_metrics)
    books = Books(metrics, AccessLog(sys.stderr), token_counter(settings.state_dir))
    stack.push_async_callback(books.close)
    flights = Flights()
    parts: dict[str, Callable[[], tuple[bool, str]]] = {"server": flights.state, "keys": directory.state}
    if tokens is not None:
        parts["tokens"] = tokens.state
    for name, url in settings.launched.items():
        parts[f"local model {name}"] = partial(probe, url)
    _keep(stack, _follow_keys(store, directory))
    if tokens is not None:
        _keep(stack, tokens.follow())
    _keep(stack, _follow_flights(flights, metrics))
    return Runtime(
        routes=Routes(_route(route, backends) for route in config.resolved.routes.values()),
        identity=Identity(directory, tokens),
        intake=Intake(server.max_body_bytes, server.body_timeout_s),
        books=books,
        metrics=metrics,
        flights=flights,
        parts=parts,
    )


def _place(spec: BackendSettings, settings: Settings) -> BackendSettings:
    """Put in the address of an engine that this machine started."""
    if not spec.launch:
        return spec
    return msgspec.structs.replace(spec, base_url=settings.launched[spec.launch] + "/v1")


def _deployment(spec: BackendSettings, config: Config, stack: AsyncExitStack) -> Deployment:
    backend, transport = _open_backend(spec, config.folder)
    stack.push_async_callback(transport.close)
    server = config.resolved.server
    access = open_access(spec, environment())
    if access.follow is not None:
        _keep(stack, access.follow())
    return Deployment(
        backend,
        transport,
        access.next_credential,
        access.sign,
        spec.timeouts,
        server.max_answer_bytes,
        server.max_event_bytes,
    )


def _open_backend(spec: BackendSettings, folder: Path) -> tuple[Backend, Transport]:
    if spec.provider == "scripted":
        backend = Scripted(spec.name, load(folder / spec.script, ScriptSpec, environment()).value)
        return backend, ScriptedTransport(backend.play)
    transport = _TRANSPORTS[spec.transport](spec.max_connections, spec.timeouts.connect_s)
    host = Host(
        spec.base_url,
        spec.formats,
        spec.headers,
        ask_usage=spec.stream_usage == "ask",
        output_limit=spec.output_limit,
    )
    return _PROVIDERS[spec.provider](spec, host), transport


def _route(spec: RouteSettings, deployments: Mapping[str, Deployment]) -> Route:
    targets = tuple(Target(deployments[target.backend], target.model) for target in spec.targets)
    return Route(spec.name, targets, spec.description, names_itself=spec.answer_model == "route")


def _keep(stack: AsyncExitStack, work: Coroutine[None, None, None]) -> None:
    """Run `work` beside the calls until the runtime closes."""
    task = asyncio.create_task(work)

    async def end() -> None:
        task.cancel()
        await asyncio.wait([task])

    stack.push_async_callback(end)


async def _follow_keys(store: SqlKeyStore, directory: KeyDirectory) -> None:
    while True:
        try:
            await asyncio.to_thread(store.migrate)
        except StoreDown as error:
            logging.getLogger("forebay").warning("%s; trying again", error)
            await asyncio.sleep(_MIGRATE_AGAIN_S)
        else:
            await directory.follow()


async def _follow_flights(flights: Flights, metrics: Metrics) -> None:
    while True:
        metrics.set_in_flight(len(flights))
        await asyncio.sleep(_IN_FLIGHT_EVERY_S)
