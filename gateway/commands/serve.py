"""`forebay serve`: local engines, the listening socket, and one worker or a supervisor over several.

A worker that the supervisor starts runs this module too, with the socket's number in `--worker-fd`.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from hashlib import sha256
from pathlib import Path
from time import time

import uvloop

from gateway.admission.steering import operations
from gateway.api.app import build_app
from gateway.commands.quickstart import quickstart_key, welcome
from gateway.compose.gauges import follow_gauges
from gateway.compose.lines import keep
from gateway.compose.opening import Plant, Settings, key_store, open_runtime
from gateway.compose.quotas import check_sharing
from gateway.compose.reading import Config, load_config
from gateway.embedded.keeper import Keeper, Program
from gateway.embedded.local_model import LocalModel, launch_file
from gateway.errors import StoreDown
from gateway.reloading.reloader import Open, Reloader
from gateway.reloading.watch import Watched
from gateway.runtime import Runtime
from gateway.server.control import AlreadyRunning, open_control
from gateway.server.http import ServerSettings, Turns, listen
from gateway.server.http import serve as serve_http
from gateway.server.supervisor import supervise
from gateway.server.tuning import calm_the_collector, keep_freed_memory
from gateway.telemetry import logs

MODEL_START_S = 60.0
_SHARED_MEMORY = Path("/dev", "shm")
_PRICES_EVERY_S = 5.0
_FIXED_AT_START = (
    *("host", "port", "workers", "max_connections", "header_timeout_s", "keep_alive_s", "drain_s"),
    *("database_url", "redis_url", "watch"),
)
"""What of `server` a running process cannot change."""

log = logging.getLogger("forebay")


def serve(args: argparse.Namespace) -> int:
    """Serve until a signal; returns the exit code. Raises ConfigErrors, ConfigError."""
    watched = Watched(args.config)  # before they are read: what is written meanwhile is an edit
    config = load_config(args.config)
    server = config.resolved.server
    logs.set_up(server.log_level, sys.stderr)
    logs.take_over()
    if args.worker_fd is not None:
        return _worker(args, config, watched)
    args.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    _prepare_store(config, args.state)
    host, port = args.host or server.host, server.port if args.port is None else args.port
    with ExitStack() as stack:
        try:
            sock = stack.enter_context(listen(host, port))
        except OSError as error:
            sys.stderr.write(f"forebay: cannot listen on {host}:{port}: {error}\n")
            return 1
        launched = _start_engines(config, args.state, stack)
        for note in config.resolved.notes:
            log.debug("%s", note)
        if args.quickstart:
            _welcome(args, config, sock)
        workers = args.workers or server.workers
        check_sharing(config, workers)
        if config.resolved.ledger.enabled:
            _start_meter(args, stack)
        if workers == 1:
            return _run(config, sock, Settings(args.state, launched), watched)
        return _supervise(args, config, sock, launched)


def _prepare_store(config: Config, state_dir: Path) -> None:
    """Create or upgrade the tables. Raises ConfigError for a database of a newer Forebay.

    One that does not answer is tried again later: static keys and tokens work without it.
    """
    store = key_store(config, state_dir)
    try:
        store.migrate()
    except StoreDown as error:
        log.warning("%s; trying again", error)
    finally:
        store.close()


def _start_engines(config: Config, state_dir: Path, stack: ExitStack) -> dict[str, str]:
    """Start the local engines that active backends launch; returns their base URLs by launch name."""
    launched: dict[str, str] = {}
    for name in sorted({spec.launch for spec in config.resolved.backends.values() if spec.launch}):
        model = LocalModel(state_dir, launch_file(name))
        stack.callback(model.stop)
        model.start()
        log.info("starting the local model", extra={"launch": name, "log": str(model.log)})
        try:
            model.wait_ready(MODEL_START_S, _progress)
        except TimeoutError as error:
            log.warning("%s", error)
        launched[name] = model.base_url
    return launched


def _start_meter(args: argparse.Namespace, stack: ExitStack) -> None:
    """Start what fills the ledger: in a process of its own, so that its memory and its crashes stay there."""
    places = ["--config", str(args.config), "--state", str(args.state)]
    meter = Keeper(Program("the meter", [sys.executable, "-m", "gateway", "meter", *places]))
    stack.callback(meter.stop)
    meter.start()


def _progress(text: str) -> None:
    log.info("waiting for the local model", extra={"state": text})


def _welcome(args: argparse.Namespace, config: Config, sock: socket.socket) -> None:
    """Show a newcomer this machine's key, and how to call."""
    store = key_store(config, args.state)
    try:
        key = quickstart_key(store, config.tenants.tenants, args.state)
    finally:
        store.close()
    sys.stdout.write(welcome(_url(sock), key, config.resolved))
    sys.stdout.flush()


def _url(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _worker(args: argparse.Namespace, config: Config, watched: Watched) -> int:
    """Serve on the socket that the supervisor has passed on."""
    sock = socket.socket(fileno=args.worker_fd)
    launched = dict(item.split("=", 1) for item in args.launched)
    workers = args.workers or config.resolved.server.workers
    settings = Settings(args.state, launched, _metrics_folder(args), workers)
    return _run(config, sock, settings, watched)


def _metrics_folder(args: argparse.Namespace) -> Path:
    """Where several workers share their metrics, through memory maps that a full disk must not tear away.

    So it is in memory where there is a place for that; it is of one run alone, wherever it is.
    """
    state: Path = args.state.resolve()
    if not os.access(_SHARED_MEMORY, os.W_OK):
        return state / "metrics"
    return _SHARED_MEMORY / f"forebay-{os.getuid()}-{sha256(bytes(state)).hexdigest()[:16]}"


def _run(config: Config, sock: socket.socket, settings: Settings, watched: Watched) -> int:
    """Serve in this process until a signal ends it."""
    keep_freed_memory()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    server = config.resolved.server
    limits = ServerSettings(
        server.max_connections, server.header_timeout_s, server.keep_alive_s, server.drain_s
    )

    async def run() -> int:
        async with AsyncExitStack() as stack:
            plant = Plant(config, settings, stack)
            reloader = Reloader(_opener(config, plant), watched)
            await reloader.start()
            stack.push_async_callback(reloader.close)
            _reload_on_demand(reloader, stack, watch=server.watch)
            follow_gauges(plant, reloader.current, reloader.running, stack)
            keep(stack, _follow_prices(reloader, plant))
            plant.watch_parts(reloader.current)
            if not server.redis_url:  # else commands ask Redis
                await _open_control(reloader, plant, stack)
            app = build_app(reloader.current)
            calm_the_collector()
            turns = Turns(lambda: _ready(sock), reloader.drain, reloader.interrupt_all)
            return await serve_http(app, limits, sock, turns)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


def _ready(sock: socket.socket) -> None:
    log.info("ready", extra={"url": _url(sock)})


async def _open_control(reloader: Reloader, plant: Plant, stack: AsyncExitStack) -> None:
    """Let commands ask this process for its counters: nobody else has them."""
    asked = operations(lambda: reloader.current().entrance.rules, plant.quotas)
    try:
        control = await open_control(plant.settings.state_dir, asked)
    except (AlreadyRunning, OSError) as error:
        log.warning("commands cannot ask this gateway for its limits: %s", error)
    else:
        stack.push_async_callback(control.close)


def _opener(first: Config, plant: Plant) -> Open:
    """Say how a configuration is read and opened; the first one was read already."""
    waiting = [first]

    async def open_next(stack: AsyncExitStack) -> Runtime:
        config = waiting.pop() if waiting else await asyncio.to_thread(load_config, first.folder)
        before, now = first.resolved.server, config.resolved.server
        for field in _FIXED_AT_START:
            if getattr(before, field) != getattr(now, field):
                log.warning("server.%s changes with the next start", field)
        return await open_runtime(config, plant, stack)

    return open_next


def _reload_on_demand(reloader: Reloader, stack: AsyncExitStack, *, watch: bool) -> None:
    """Reload on SIGHUP and, where `watch`, whenever the files change."""
    loop, running = asyncio.get_running_loop(), set[asyncio.Task[None]]()

    def reload() -> None:
        task = loop.create_task(reloader.reload())
        running.add(task)
        task.add_done_callback(running.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    if watch:
        keep(stack, reloader.follow())


async def _follow_prices(reloader: Reloader, plant: Plant) -> None:
    """Open the configuration anew when a price begins or ends: each call has the one of its time."""
    seen_s = time()
    while True:
        await asyncio.sleep(_PRICES_EVERY_S)
        now_s, change_s = time(), plant.prices.changes_after(seen_s)
        seen_s = now_s
        if change_s is not None and change_s <= now_s:
            await reloader.reload()


def _supervise(
    args: argparse.Namespace, config: Config, sock: socket.socket, launched: Mapping[str, str]
) -> int:
    """Keep several workers running on one socket."""
    folder = _metrics_folder(args)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    server = config.resolved.server
    workers = args.workers or server.workers

    def argv(_: int) -> list[str]:
        places = ["--config", str(args.config), "--state", str(args.state), f"--workers={workers}"]
        engines = [f"--launched={name}={url}" for name, url in launched.items()]
        return [sys.executable, "-m", "gateway", "serve", f"--worker-fd={sock.fileno()}", *places, *engines]

    try:
        return supervise(argv, workers, sock, server.drain_s)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
