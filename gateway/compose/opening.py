"""Open a configuration: the resources of a worker, and of them what outlives an edit."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec

from gateway.admission.desk import Desk
from gateway.admission.entrance import Entrance
from gateway.admission.notes import notes
from gateway.admission.watch import Watch
from gateway.api.calls import WANTED
from gateway.attempts.classifying import Classifier, Ways
from gateway.attempts.remembered import Remembered
from gateway.attempts.shadowing import Shadows
from gateway.compose.charts import chart, deciding_headers, routes_about_tasks
from gateway.compose.lines import Lines, keep
from gateway.compose.quotas import check_sharing, open_redis
from gateway.compose.reading import Config
from gateway.config.resolve import BackendSettings
from gateway.embedded.local_model import probe
from gateway.embedded.tokenizer import token_counter
from gateway.errors import ConfigError, ConfigErrors, StoreDown
from gateway.exchange import Moment
from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.identity.strangers import Strangers
from gateway.identity.tokens import TokenVerifier
from gateway.quotas.estimates import Estimates
from gateway.quotas.patience import Patience
from gateway.routing.canary import Canaries
from gateway.routing.decisions import line_of
from gateway.routing.health.sharing import Alone, Share
from gateway.routing.plans import Routing
from gateway.runtime import Runtime
from gateway.server.flights import Flights
from gateway.stages.plan import make_plan
from gateway.stages.receive import Intake
from gateway.stages.settle import settle
from gateway.stores.breakers_redis import SharedBreakers
from gateway.stores.keys_sql import SqlKeyStore
from gateway.stores.quotas_memory import MemoryQuotas
from gateway.telemetry.books import Books
from gateway.telemetry.decisions import DecisionLog
from gateway.telemetry.logs import AccessLog
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.webhooks import Webhooks, new_event

_MIGRATE_AGAIN_S = 2.0

log = logging.getLogger("forebay")


class Settings(msgspec.Struct, frozen=True):
    """What a process is told beside its configuration."""

    state_dir: Path
    launched: Mapping[str, str] = {}
    """Base URLs of local engines that were started, by the name of their launch file."""
    shared_metrics: Path | None = None
    """Where several workers share their metrics; None: this process is the only one."""
    workers: int = 1
    """So many share what a limit has while Redis does not answer."""


def key_store(config: Config, state_dir: Path) -> SqlKeyStore:
    """Open the store of keys: PostgreSQL where the configuration says so, else SQLite."""
    return SqlKeyStore(config.resolved.server.database_url or f"sqlite:///{state_dir / 'forebay.db'}")


class Plant:
    """What a worker opens once: its books, its stores, and what is known of its upstreams.

    What of the configuration is fixed here takes a restart to change (`fixed_at_start`).
    """

    def __init__(self, config: Config, settings: Settings, stack: AsyncExitStack) -> None:
        self.settings = settings
        self.metrics = Metrics(settings.shared_metrics)
        self._stack = stack
        self._told_by = ("", "")
        self.webhooks = Webhooks("", "")
        self.redis = open_redis(config)
        self.quotas = MemoryQuotas() if self.redis is None else self.redis
        stack.push_async_callback(self.quotas.close)
        watch = Watch(self.quotas, self._announce, self.metrics.count_measured)
        stack.push_async_callback(watch.close)
        self.desk = Desk(self.quotas, watch, workers=settings.workers, is_remote=self.redis is not None)
        if self.redis is not None:
            self.redis.on_return = self.desk.known
        stack.push_async_callback(self.desk.close)
        keep(stack, self.desk.follow())
        self.watch, self.estimates, self.patience = watch, Estimates(), Patience()
        self.decisions = DecisionLog(settings.state_dir / "decisions")
        self.books = Books(
            self.metrics, AccessLog(sys.stderr), token_counter(settings.state_dir), self.decisions
        )
        stack.push_async_callback(self.books.close)
        self.store = key_store(config, settings.state_dir)
        stack.callback(self.store.close)
        keep(stack, _migrate(self.store))
        self.shared = _shared_breakers(config, stack)
        self.lines = Lines(_alone if self.shared is None else self.shared.share, self._tell)
        self.memory = Remembered()
        self.canaries = Canaries()
        self.directory: KeyDirectory | None = None
        self.strangers = Strangers()

    def tell_by(self, config: Config) -> None:
        """Tell events by its webhook from now on; what waits goes out by the former one."""
        alerts = config.alerts
        told_by = ("", "") if alerts is None else (alerts.url, alerts.secret)
        if told_by != self._told_by:
            self._told_by, self.webhooks = told_by, Webhooks(*told_by)
            keep(self._stack, self.webhooks.follow())

    def _announce(self, kind: str, data: Mapping[str, Any]) -> None:
        self.metrics.count_event(kind)
        self.webhooks.send(new_event(kind, data))

    def _tell(self, deployment: str, state: str) -> None:
        """Report that a circuit breaker opened or closed."""
        level = logging.WARNING if state == "open" else logging.INFO
        log.log(level, "circuit breaker", extra={"deployment": deployment, "state": state})
        self.metrics.count_breaker(deployment.partition("/")[0], state)


async def open_runtime(config: Config, plant: Plant, stack: AsyncExitStack) -> Runtime:
    """Open what a configuration needs beside the plant; `stack` closes it again. Raises ConfigErrors."""
    server, settings = config.resolved.server, plant.settings
    check_sharing(config, settings.workers)
    lines = {
        name: plant.lines.take(_place(spec, config, settings), config.folder, stack)
        for name, spec in config.resolved.backends.items()
    }
    shadows = Shadows(partial(settle, books=plant.books))
    stack.push_async_callback(shadows.close)
    canaries = Canaries(plant.canaries)
    routing = chart(config, lines, canaries, plant.memory)
    known = config.tenants
    if plant.directory is None:
        directory = KeyDirectory(known.keys, known.tenants, plant.store)
    else:
        directory = plant.directory.revised(known.keys, known.tenants)
    tokens = TokenVerifier(known.issuers, known.tenants) if known.issuers else None
    plant.tell_by(config)
    flights = Flights()
    parts: dict[str, Callable[[], tuple[bool, str]]] = {"server": flights.state, "keys": directory.state}
    keep(stack, directory.follow())
    if tokens is not None:
        parts["tokens"] = tokens.state
        keep(stack, tokens.follow())
    for name, url in settings.launched.items():
        parts[f"local model {name}"] = partial(probe, url)
    # The first price takes a fifth of a second, which no call should wait for.
    await asyncio.to_thread(config.prices.of, "", "openai", "gpt-5")
    if plant.shared is not None:
        parts["circuit breakers"] = partial(_optional, plant.shared.state)
    if plant.redis is not None:
        needed = any(rule.fail == "closed" and not rule.is_soft for rule in config.limits.every)
        parts["limits"] = plant.redis.state if needed else partial(_optional, plant.redis.state)
        if plant.directory is None:  # at the start: a new Redis first gathers what other workers know
            await plant.redis.ready()
    plant.directory, plant.canaries = directory, canaries
    plant.decisions.line = line_of(server.decisions)
    return Runtime(
        routing=routing,
        identity=Identity(directory, tokens, plant.strangers.revised(server.trusted_proxies)),
        intake=Intake(server.max_body_bytes, server.body_timeout_s),
        entrance=_entrance(config, plant),
        books=plant.books,
        metrics=plant.metrics,
        flights=flights,
        shadows=shadows,
        classifier=_classifier(config, routing, plant),
        headers=_wanted(config),
        parts=parts,
    )


def _optional(state: Callable[[], tuple[bool, str]]) -> tuple[bool, str]:
    """Tell the state of a part without which calls are served all the same."""
    return True, state()[1]


def _entrance(config: Config, plant: Plant) -> Entrance:
    patience = plant.patience if config.resolved.server.slow_refusals else None
    return Entrance(config.limits, plant.desk, plant.estimates, notes, patience)


def _wanted(config: Config) -> dict[bytes, str]:
    """Name the headers that decide something."""
    wanted = WANTED | {name.encode(): name for name in deciding_headers(config)}
    if config.resolved.server.trusted_proxies:
        wanted[b"x-forwarded-for"] = "x-forwarded-for"
    return wanted


def _classifier(config: Config, routing: Routing, plant: Plant) -> Classifier | None:
    spec, tasks = config.resolved.classifier, config.resolved.tasks
    if spec is None:
        return None
    ways = Ways(
        routing, lambda call: make_plan(call, routing, Moment.now()), partial(settle, books=plant.books)
    )
    kinds = {name: task.description for name, task in tasks.items()}
    return Classifier(spec, kinds, routes_about_tasks(config), ways)


def _place(spec: BackendSettings, config: Config, settings: Settings) -> BackendSettings:
    """Put in the address of an engine that this machine started."""
    if not spec.launch:
        return spec
    if spec.launch not in settings.launched:
        path = str(config.folder / "routing.yaml")
        message = f"backend {spec.name}: a local engine is started with the gateway only"
        raise ConfigErrors([ConfigError(path, 0, "", message, "restart it")])
    return msgspec.structs.replace(spec, base_url=settings.launched[spec.launch] + "/v1")


def _alone(_deployment: str) -> Share:
    """Share with nobody."""
    return Alone()


def _shared_breakers(config: Config, stack: AsyncExitStack) -> SharedBreakers | None:
    """Share what the breakers know with other workers, where there is a Redis for it."""
    url = config.resolved.server.redis_url
    if not url:
        return None
    shared = SharedBreakers(url, monotonic)
    keep(stack, shared.follow())
    return shared


async def _migrate(store: SqlKeyStore) -> None:
    """Bring the store's tables up to date, whenever it first answers."""
    while True:
        try:
            await asyncio.to_thread(store.migrate)
        except StoreDown as error:
            log.warning("%s; trying again", error)
            await asyncio.sleep(_MIGRATE_AGAIN_S)
        else:
            return
