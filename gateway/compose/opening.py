"""Open a configuration: the resources of a worker, and of them what outlives an edit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from secrets import token_bytes
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
from gateway.compose.ledger import MeterWatch, open_ledger, open_recovery, open_usage
from gateway.compose.lines import Lines, keep
from gateway.compose.parts import Asked, Parts, watch_parts
from gateway.compose.quotas import check_sharing, open_redis
from gateway.compose.reading import Config
from gateway.compose.telemetry import Instruments
from gateway.config.resolve import BackendSettings
from gateway.embedded.local_model import probe
from gateway.embedded.tokenizer import token_counter
from gateway.errors import ConfigError, ConfigErrors, StoreDown
from gateway.exchange import Moment
from gateway.finops.budgets.spent import without_users
from gateway.finops.budgets.telling import Budgets
from gateway.finops.questions import Questions
from gateway.finops.statement.asking import Statements
from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.identity.secret import kept_secret
from gateway.identity.sessions import Sessions
from gateway.identity.strangers import Strangers
from gateway.identity.tokens import TokenVerifier
from gateway.quotas.estimates import Estimates
from gateway.quotas.patience import Patience
from gateway.quotas.rules import Rules
from gateway.routing.canary import Canaries
from gateway.routing.health.sharing import Alone, Share
from gateway.routing.plans import Routing
from gateway.runtime import Runtime
from gateway.server.flights import Flights
from gateway.server.standings import Standings
from gateway.stages.plan import make_plan
from gateway.stages.receive import Intake
from gateway.stages.settle import settle
from gateway.stores.breakers_redis import SharedBreakers
from gateway.stores.keys_sql import SqlKeyStore
from gateway.stores.quotas_memory import MemoryQuotas
from gateway.telemetry.alarms import Alarms, Board
from gateway.telemetry.books import Books
from gateway.telemetry.events import RUNBOOKS
from gateway.telemetry.webhooks import Webhooks, new_event
from gateway.texts.trees import clean_tree

_MIGRATE_AGAIN_S = 2.0
_RECOVERS_S = 20.0
"""So long the first call waits until it is known what was spent before; then limits do what `fail` says."""

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
        self.told = Instruments(settings.state_dir, settings.shared_metrics, stack)
        self.metrics = self.told.metrics
        keep(stack, self.told.objectives.follow(self._post))
        self._stack = stack
        self._told_by = ("", "")
        self.webhooks = Webhooks("", "")
        self._runbooks = RUNBOOKS
        self.standings = Standings()
        self.redis = open_redis(config)
        self.quotas = MemoryQuotas() if self.redis is None else self.redis
        stack.push_async_callback(self.quotas.close)
        claim = None if self.redis is None else self.redis.claim
        self._alarms = Alarms(Board(settings.state_dir / "alarms"), self._post, claim)
        watch = Watch(self.quotas, self._announce, self.metrics.count_measured)
        stack.push_async_callback(watch.close)
        self.usage = open_usage(config, settings.state_dir)
        stack.callback(self.usage.close)
        self.recovery = open_recovery(config, settings.state_dir, self.usage, self.quotas, settings.workers)
        counters = self.quotas if self.recovery is None else self.recovery.store
        self.desk = Desk(counters, watch, workers=settings.workers, is_remote=self.redis is not None)
        if self.redis is not None:
            self.redis.on_return = self.desk.known
        stack.push_async_callback(self.desk.close)
        keep(stack, self.desk.follow())
        if self.recovery is not None:
            keep(stack, self.recovery.follow(_told_of(config), config.tenants.tenants))
        self.watch, self.estimates, self.patience = watch, Estimates(), Patience()
        self.ledger, self.meter = open_ledger(config, settings.state_dir), MeterWatch(settings.state_dir)
        if self.ledger is not None:
            stack.callback(self.ledger.spool.close)
            keep(stack, self.meter.follow())
        self.books = Books(
            token_counter(settings.state_dir),
            self.told.sinks,
            None if self.ledger is None else self.ledger.book,
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
        self.prices = config.prices
        """Those in force."""
        self.sessions = _sessions(settings.state_dir)

    def tell_by(self, config: Config) -> None:
        """Tell events by its webhook from now on; what waits goes out by the former one."""
        alerts, self._runbooks = config.alerts, config.telemetry.spec.runbooks_url
        told_by = ("", "") if alerts is None else (alerts.url, alerts.secret)
        if told_by != self._told_by:
            self._told_by, self.webhooks = told_by, Webhooks(*told_by)
            keep(self._stack, self.webhooks.follow())

    def watch_parts(self, current: Callable[[], Runtime]) -> None:
        """See from now on how the parts stand of what serves, and tell what begins and what is over."""
        keep(self._stack, watch_parts(current, self._alarms))

    def _announce(self, kind: str, data: Mapping[str, Any]) -> None:
        self._post(kind, data)

    def _post(self, kind: str, data: Mapping[str, Any]) -> asyncio.Future[bool] | None:
        """Tell an event; what it gives is True when the receiver has it."""
        self.metrics.count_event(kind)
        told = clean_tree(dict(data), self.told.redactor.clean)  # clients choose names of models
        return self.webhooks.send(new_event(kind, told, self._runbooks))

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
    known, is_first = config.tenants, plant.directory is None
    directory = plant.directory = _directory(config, plant)
    tokens = TokenVerifier(known.issuers, known.tenants) if known.issuers else None
    plant.tell_by(config)
    flights = Flights()
    parts = Parts(server=flights.state, keys=directory.state)
    keep(stack, directory.follow())
    if tokens is not None:
        parts.add("tokens", tokens.state)
        keep(stack, tokens.follow())
    await _follow_engines(settings.launched, parts, stack)
    # The first price takes a fifth of a second, which no call should wait for.
    await asyncio.to_thread(config.prices.of, "", "openai", "gpt-5")
    await _open_stores(config, plant, parts, is_first=is_first)
    parts.add_backends({name: line.about for name, line in lines.items()})
    if config.telemetry.endpoint:
        parts.add("traces", plant.told.traces.state, needed=False)
    plant.canaries, plant.prices = canaries, config.prices
    plant.told.revise(config)
    return Runtime(
        routing=routing,
        identity=Identity(directory, tokens, plant.strangers.revised(server.trusted_proxies), plant.sessions),
        intake=Intake(server.max_body_bytes, server.body_timeout_s, _room(config, plant)),
        entrance=_entrance(config, plant),
        books=plant.books,
        metrics=plant.metrics,
        flights=flights,
        shadows=shadows,
        questions=Questions(plant.usage, lambda: config.prices.baseline, config.retention.days["ledger"]),
        statements=Statements(plant.usage, config.tenants.tenants, config.retention.days["ledger"]),
        budgets=Budgets(plant.usage, plant.desk.store, _told_of(config), config.tenants.tenants),
        head=plant.told.head,
        clean=plant.told.redactor.clean,
        classifier=_classifier(config, routing, plant),
        headers=_wanted(config),
        parts=parts.states,
        optional=parts.optional,
        troubles=parts.troubles,
        standings=plant.standings,
    )


async def _follow_engines(launched: Mapping[str, str], parts: Parts, stack: AsyncExitStack) -> None:
    """Ask engines that this machine started how they do, now and beside the calls."""
    for name, url in launched.items():
        asked = Asked(partial(probe, url))
        await asked.look()
        keep(stack, asked.follow())
        parts.add(f"local model {name}", asked.state)


async def _open_stores(config: Config, plant: Plant, parts: Parts, *, is_first: bool) -> None:
    """Tell how the stores do that workers share; at the start, wait for what they know."""
    if plant.shared is not None:
        parts.add("circuit breakers", plant.shared.state, needed=False)
    if plant.redis is not None:
        parts.add("limits", plant.redis.state, needed=_is_strict(config))
        if is_first:  # a new Redis first gathers what other workers know
            await plant.redis.ready()
    await _know_what_was_spent(config, plant, parts, is_first=is_first)
    if plant.ledger is not None:
        parts.add_ledger(plant.ledger, plant.meter, config.resolved.ledger.spool_limit_bytes)


def _directory(config: Config, plant: Plant) -> KeyDirectory:
    """Make the directory of keys, with what the former one knows."""
    known = config.tenants
    if plant.directory is None:
        return KeyDirectory(known.keys, known.tenants, plant.store)
    return plant.directory.revised(known.keys, known.tenants)


def _sessions(state_dir: Path) -> Sessions:
    """Take sessions of all workers; where their secret cannot be kept, of this one, until it ends."""
    try:
        return Sessions(kept_secret(state_dir / "sessions.secret"))
    except OSError as error:
        log.warning("logins at the dashboard end with this process: %s", error)
        return Sessions(token_bytes())


def _room(config: Config, plant: Plant) -> Callable[[], bool] | None:
    """Say what tells whether there is room for what calls cost; None: they are served without."""
    if plant.ledger is None or config.resolved.ledger.when_full == "serve":
        return None
    spool = plant.ledger.spool
    return lambda: spool.has_room


def _told_of(config: Config) -> Rules:
    """Return the limits of which the ledger knows what was spent: of users, where it names them."""
    return config.limits if config.retention.users == "keep" else without_users(config.limits)


async def _know_what_was_spent(config: Config, plant: Plant, parts: Parts, *, is_first: bool) -> None:
    """Wait at the start, a while, for budgets to be rebuilt."""
    if plant.recovery is None:
        return
    parts.add("budgets", plant.recovery.state, needed=_is_strict(config))
    if is_first:
        await plant.recovery.ready(_RECOVERS_S)


def _is_strict(config: Config) -> bool:
    """Tell whether some calls are turned away while it is not known what was taken of a limit."""
    return any(rule.fail == "closed" and not rule.is_soft for rule in config.limits.every)


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
