"""Open the ledger for a command: the server that is configured, or the engine in the state directory."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep, time
from typing import BinaryIO

import msgspec

from gateway.compose.ledger import open_engine, open_usage
from gateway.compose.reading import Config, as_a_client, load_config
from gateway.errors import StoreDown
from gateway.protocols import UsageStore

PATIENCE_S = 20.0
"""An engine that has to be started first takes a second or two."""
_AGAIN_S = 0.1


class Books(msgspec.Struct, frozen=True):
    """What a command works with."""

    store: UsageStore
    config: Config
    now_unix_s: float


@contextmanager
def opened_books(folder: Path, state_dir: Path) -> Iterator[Books]:
    """Open the ledger; an engine of our own is started, or another process' one is used.

    Raises ConfigErrors, ConfigError, StoreDown.
    """
    config = load_config(folder, environ=as_a_client())
    with ExitStack() as stack:
        open_engine(config, state_dir, stack)
        store = open_usage(config, state_dir)
        stack.callback(store.close)
        _migrate(store, config)
        yield Books(store, config, time())


@contextmanager
def opened_out(path: Path | None) -> Iterator[BinaryIO]:
    """Open where the answer goes; a file appears whole, or not at all."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("wb") as file:
            yield file
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _migrate(store: UsageStore, config: Config) -> None:
    """Bring the tables up to date; waits for an engine of our own to come up."""
    waits = config.resolved.ledger.enabled and not config.resolved.ledger.clickhouse_url
    give_up_s = monotonic() + (PATIENCE_S if waits else 0.0)
    while True:
        try:
            store.migrate()
        except StoreDown:
            if monotonic() > give_up_s:
                raise
            sleep(_AGAIN_S)
        else:
            return
