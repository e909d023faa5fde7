"""Where a ClickHouse is: a server's, a cluster's, or that of the engine that runs on this machine.

The embedded engine writes its place into a file of the state directory when it answers; this module only
reads it, and knows nothing of who started the engine.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from gateway.errors import StoreDown

ENDPOINT = "clickhouse/endpoint.json"


class Place(msgspec.Struct, frozen=True):
    """An HTTP interface of ClickHouse, and what the ledger's database is called there."""

    url: str
    user: str = "default"
    password: str = ""
    database: str = "forebay"
    cluster: str = ""
    """The name of a cluster on which the tables are made; empty: one server alone."""

    def __repr__(self) -> str:
        """Show all but the password."""
        return f"Place(url={self.url!r}, user={self.user!r}, database={self.database!r})"


class _Endpoint(msgspec.Struct, frozen=True):
    url: str
    user: str
    password: str
    database: str
    pid: int


def place_of(state_dir: Path) -> Place:
    """Return where the engine of a state directory answers; raises StoreDown while it does not."""
    path = state_dir / ENDPOINT
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Endpoint)
    except FileNotFoundError:
        raise StoreDown("the embedded ClickHouse is not running") from None
    except (OSError, msgspec.MsgspecError) as error:
        raise StoreDown("the embedded ClickHouse cannot be found", detail=f"{path}: {error}") from error
    if not _lives(found.pid):
        raise StoreDown("the embedded ClickHouse has ended")
    return Place(found.url, found.user, found.password, found.database)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
