"""How the database of keys stands, for whoever checks a deployment. It only reads: no table, no file is made.

Must not know what is good or bad about it. Source: sqlite.org, "Uniform Resource Identifiers", mode=ro.
"""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
import sqlalchemy as sa
from sqlalchemy import exc

from gateway.errors import StoreDown
from gateway.stores.migrations import HEAD, current

_CONNECT_S: Final = 3
_VALID: Final = sa.text(
    "SELECT count(*) FROM keys WHERE revoked_at IS NULL AND (expires IS NULL OR expires > :now)"
)


class KeysFacts(msgspec.Struct, frozen=True):
    """`revision` is the schema's; None: the database is there, and empty. `keys`: those that are valid."""

    revision: str | None
    newest: str = HEAD
    keys: int | None = None
    """None: the schema is another one than ours."""


def look_at_keys(url: str) -> KeysFacts:
    """Ask the database at an SQLAlchemy URL. Raises StoreDown, without the URL; FileNotFoundError."""
    try:
        engine = _engine(sa.make_url(url))
    except (exc.ArgumentError, ImportError) as error:
        raise StoreDown(f"the database of keys cannot be opened ({type(error).__name__})") from None
    try:
        with engine.connect() as connection:
            revision = current(connection)
            return KeysFacts(revision, keys=_keys(connection) if revision == HEAD else None)
    except (exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise StoreDown(f"the database of keys does not answer ({type(cause).__name__})") from None
    finally:
        engine.dispose()


def _keys(connection: sa.Connection) -> int:
    found: int = connection.execute(_VALID, {"now": int(time.time())}).scalar_one()
    return found


def _engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        options: dict[str, Any] = {"connect_timeout": _CONNECT_S}
        psycopg = url.set(drivername="postgresql+psycopg")
        return sa.create_engine(psycopg, connect_args=options, hide_parameters=True)
    path = Path(url.database or "").absolute()
    if not path.is_file():
        raise FileNotFoundError(str(path))
    place = f"file:{quote(str(path))}?mode=ro"
    return sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(place, uri=True), hide_parameters=True
    )
