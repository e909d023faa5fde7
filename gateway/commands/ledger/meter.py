"""`forebay meter`: the process that moves what is in the spool into the ledger.

`serve` starts one; to empty a spool that was left behind it runs by itself. Only one works on a spool at a
time.
"""

from __future__ import annotations

import argparse
import fcntl
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread

import msgspec

from gateway.commands.ledger.watching import watch
from gateway.compose.ledger import open_engine, open_usage, prepare, spool_folder
from gateway.compose.logs import log_by
from gateway.compose.reading import Config, load_config
from gateway.errors import ConfigError, ConfigErrors
from gateway.finops.meter import STATE_FILE, Meter, MeterState
from gateway.ledger.reading import QUARANTINE, SpoolReader
from gateway.reloading.watch import Watched
from gateway.telemetry import logs

_LOCK_FILE = "meter.lock"
_LOOK_S = 1.0

log = logging.getLogger("forebay")


def run(args: argparse.Namespace) -> int:
    """Work until a signal; returns the exit code. Raises ConfigErrors, ConfigError."""
    watched = Watched(args.config)
    config = load_config(args.config)
    logs.set_up(config.resolved.server.log_level, sys.stderr)
    logs.take_over()
    log_by(config)
    folder = spool_folder(args.state)
    if args.quarantine:
        return _show_quarantine(folder)
    if not config.resolved.ledger.enabled:
        sys.stderr.write("forebay: there is no ledger: `ledger.enabled` is false in routing.yaml\n")
        return 1
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stop = _stop_on_signals()
    with _alone(folder, stop) as is_mine:
        if is_mine:
            _work(config, args.state, stop, watched)
    return 0


def _follow(folder: Path, watched: Watched, stop: Event) -> None:
    """Log as the newest good configuration says; all else of it takes a restart, or the gateway's word."""
    while not stop.wait(_LOOK_S):
        if watched.look() != watched.seen:
            watched.renew()
            with suppress(ConfigError, ConfigErrors):  # the gateway reports it
                log_by(load_config(folder))


def _work(config: Config, state_dir: Path, stop: Event, watched: Watched) -> None:
    folder = spool_folder(state_dir)
    with ExitStack() as stack:
        open_engine(config, state_dir, stack)
        store = open_usage(config, state_dir)
        stack.callback(store.close)
        watching = Thread(target=watch, args=(config, store, state_dir, stop), name="watching")
        watching.start()
        stack.callback(watching.join)
        if config.resolved.server.watch:
            levels = Thread(target=_follow, args=(config.folder, watched, stop), name="levels")
            levels.start()
            stack.callback(levels.join)
        ready = partial(prepare, config, state_dir)
        Meter(SpoolReader(folder), store, ready, partial(_write_state, folder)).run(stop)


@contextmanager
def _alone(folder: Path, stop: Event) -> Iterator[bool]:
    """Wait until nobody else works on the spool; False: told to stop before."""
    with (folder / _LOCK_FILE).open("wb") as file:
        is_told = False
        while not stop.is_set():
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not is_told:
                    log.warning("another process works on this spool; waiting for its end")
                is_told = True
                stop.wait(1.0)
            else:
                yield True
                return
        yield False


def _stop_on_signals() -> Event:
    """Have an event set by signals, from a thread: a handler that sets it may find the event's lock taken."""
    stop = Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: writer.fileno())  # it keeps the socket, too
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def wait() -> None:
        reader.recv(1)
        stop.set()

    Thread(target=wait, name="signals", daemon=True).start()
    return stop


def _write_state(folder: Path, state: MeterState) -> None:
    state.pid = os.getpid()
    new = folder / f"{STATE_FILE}.new"
    new.write_bytes(msgspec.json.encode(state))
    new.replace(folder / STATE_FILE)


def _show_quarantine(folder: Path) -> int:
    """List what was set aside; exit code 1 where there is any."""
    files = sorted((folder / QUARANTINE).glob("*"))
    for path in files:
        content = path.read_bytes()
        shown = content.decode() if path.suffix == ".refused" else f"{len(content)} bytes that are no entries"
        sys.stdout.write(f"{path}: {shown}\n")
    if not files:
        sys.stdout.write("nothing was set aside\n")
    return 1 if files else 0
