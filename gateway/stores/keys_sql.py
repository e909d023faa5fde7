"""Keys in SQL: SQLite for one host, PostgreSQL for several.

It must not know who asks or what a key looks like. It is synchronous: callers on an event loop use a
thread. A change takes the next number of a counter whose row stays locked until the change commits, so
numbers become visible in their order and a reader that remembers the newest one never misses a change
that was still under way when it read (https://www.postgresql.org/docs/18/transaction-iso.html).
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc

from gateway.errors import ConfigError, StoreDown
from gateway.protocols import KeyRecord
from gateway.stores import StoredKey
from gateway.stores.migrations import migrate

_TIMEOUT_S: Final = 5
"""How long a statement, or the wait for a lock, may take."""

_POSTGRESQL: Final[dict[str, Any]] = {
    "connect_timeout": 3,
    # Without it a peer that vanished holds a poll for a quarter of an hour.
    "tcp_user_timeout": _TIMEOUT_S * 1000,
    # Prepared statements break behind poolers that lend a connection per transaction.
    "prepare_threshold": None,
}

_METADATA = sa.MetaData()
_KEYS = sa.Table(
    "keys",
    _METADATA,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("tenant", sa.String(255)),
    sa.Column("digest", sa.LargeBinary(32)),
    sa.Column("routes", sa.JSON),
    sa.Column("name", sa.String(255)),
    sa.Column("created", sa.BigInteger),
    sa.Column("expires", sa.BigInteger),
    sa.Column("revoked_at", sa.BigInteger),
    sa.Column("revision", sa.BigInteger),
    sa.Column("team", sa.String(128)),
    sa.Column("admin", sa.Boolean),
)
_COUNTER = sa.Table("key_revision", _METADATA, sa.Column("newest", sa.BigInteger))


class SqlKeyStore:
    """A `KeyStore` and `KeyLedger` at an SQLAlchemy URL: `sqlite:///keys.db`, `postgresql://host/db`.

    Opens nothing until it is used. Raises ConfigError when the URL cannot be understood or its driver is
    not installed, StoreDown from every method when the database does not answer; neither error holds the
    URL, which may carry a password.
    """

    def __init__(self, url: str) -> None:
        self._engine = _engine(url)
        self._write = self._engine.execution_options(forebay_write=True)

    def migrate(self) -> None:
        """Create or upgrade the tables. Safe in several processes at once; fast when nothing is to do.

        Raises ConfigError when the tables were made by a newer Forebay.
        """
        if self._engine.dialect.name == "sqlite":
            with _store_down():
                self._prepare_file()
        with self._transaction(self._write) as connection:
            migrate(connection)

    def add(self, record: KeyRecord) -> None:
        """Store a new key; raises ValueError when its id or its digest is taken."""
        now_unix_s = time.time()
        key = StoredKey.of(record, now_unix_s)
        row = {
            "id": key.id,
            "tenant": key.tenant,
            "digest": key.digest,
            "routes": list(key.routes),
            "name": key.name,
            "created": key.created_unix_s,
            "expires": key.expires_unix_s,
            "revoked_at": int(now_unix_s) if key.revoked else None,
            "team": key.team,
            "admin": key.admin,
        }
        try:
            with self._transaction(self._write) as connection:
                connection.execute(_KEYS.insert().values(row | {"revision": _next_revision(connection)}))
        except exc.IntegrityError:
            raise ValueError(f"a key with the id {key.id!r} or its digest is already there") from None

    def expire(self, key_id: str, at_unix_s: int) -> bool:
        """Let a key end at `at_unix_s`, or earlier where it already would; False: no such id."""
        earlier = sa.case((_KEYS.c.expires < at_unix_s, _KEYS.c.expires), else_=at_unix_s)
        return self._change(key_id, {"expires": earlier})

    def revoke(self, key_id: str) -> bool:
        """Revoke a key at once and for good; False: no such id."""
        return self._change(key_id, {"revoked_at": sa.func.coalesce(_KEYS.c.revoked_at, int(time.time()))})

    def list(self, tenant: str | None = None) -> Sequence[StoredKey]:
        """All keys, of one tenant or of all, oldest first; revoked ones included."""
        query = sa.select(_KEYS).order_by(_KEYS.c.created, _KEYS.c.id)
        if tenant is not None:
            query = query.where(_KEYS.c.tenant == tenant)
        with self._transaction(self._engine) as connection:
            return [_key(row) for row in connection.execute(query)]

    def changed_since(self, revision: int) -> tuple[int, Sequence[StoredKey]]:
        """The newest revision, and the keys changed after `revision` (0: all of them).

        The counter is read first: a change that commits between the two reads is then given now and
        once more next time, never lost.
        """
        with self._transaction(self._engine) as connection:
            newest = connection.execute(sa.select(_COUNTER.c.newest)).scalar_one()
            if newest == revision:
                return newest, []
            query = sa.select(_KEYS).where(_KEYS.c.revision > revision).order_by(_KEYS.c.revision)
            return newest, [_key(row) for row in connection.execute(query)]

    def close(self) -> None:
        """Release connections; a later call opens new ones."""
        self._engine.dispose()

    def _change(self, key_id: str, values: dict[str, Any]) -> bool:
        with self._transaction(self._write) as connection:
            numbered = values | {"revision": _next_revision(connection)}
            change = _KEYS.update().where(_KEYS.c.id == key_id).values(numbered)
            return connection.execute(change).rowcount > 0

    def _prepare_file(self) -> None:
        """Make the file, its owner's only; let readers and a writer work side by side (kept in the file).

        What SQLite puts beside it has the same mode. One that is there stays as open as it was made. SQLite
        does not wait for a lock while it changes how it writes, so who loses the race tries again.
        """
        url = self._engine.url
        if url.database and "uri" not in url.query:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            _make_private(url.database)
        deadline_s = time.monotonic() + _TIMEOUT_S
        while True:
            connection = self._engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA journal_mode=WAL")
            except sqlite3.OperationalError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.01)
            else:
                return
            finally:
                connection.close()

    @contextmanager
    def _transaction(self, engine: sa.Engine) -> Iterator[sa.Connection]:
        with _store_down(), engine.begin() as connection:
            yield connection


def _make_private(path: str) -> None:
    """Make a file that only its owner may read.

    One that is there is not even opened: to close it again would let go of all locks that SQLite holds on it
    in this process (https://www.sqlite.org/howtocorrupt.html).
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


@contextmanager
def _store_down() -> Iterator[None]:
    """Turn a driver's error into StoreDown. Its text is left out: drivers write hosts and users there."""
    try:
        yield
    except exc.IntegrityError:
        raise
    except (exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
        cause = getattr(error, "orig", None) or error
        code = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None)
        kind = f"{type(cause).__name__}, {code}" if code else type(cause).__name__
        raise StoreDown(f"the key store does not answer ({kind})") from None


def _engine(url: str) -> sa.Engine:
    try:
        parsed = sa.make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database not in {None, "", ":memory:"}:
            return _sqlite(parsed)
        if parsed.get_backend_name() in {"postgres", "postgresql"}:
            return _postgresql(parsed.set(drivername="postgresql+psycopg"))
    except (exc.ArgumentError, ValueError):
        pass
    except ImportError:
        hint = "install it with: pip install 'forebay[postgres]'"
        raise ConfigError("the key database", 0, "", "the driver for PostgreSQL is missing", hint) from None
    hint = "use sqlite:///path/to/file.db or postgresql://user:password@host/database"
    raise ConfigError("the key database", 0, "", "its URL names no database that keys can live in", hint)


def _sqlite(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(url, connect_args={"timeout": _TIMEOUT_S}, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def leave_transactions_to_us(raw: sqlite3.Connection, _record: object) -> None:
        raw.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        # A transaction that reads before it writes cannot wait for another writer: SQLITE_BUSY_SNAPSHOT.
        writes = connection.get_execution_options().get("forebay_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgresql(url: sa.URL) -> sa.Engine:
    options: dict[str, Any] = {"pool_size": 2, "pool_timeout": _TIMEOUT_S, "pool_pre_ping": True}
    engine = sa.create_engine(url, connect_args=_POSTGRESQL, hide_parameters=True, **options)

    @event.listens_for(engine, "connect")
    def limit_statements(raw: Any, _record: object) -> None:
        raw.execute(f"SET statement_timeout = '{_TIMEOUT_S}s'")
        raw.commit()

    return engine


def _next_revision(connection: sa.Connection) -> int:
    """Take the next number; others who change keys wait here until this transaction ends."""
    step = _COUNTER.update().values(newest=_COUNTER.c.newest + 1).returning(_COUNTER.c.newest)
    newest: int = connection.execute(step).scalar_one()
    return newest


def _key(row: sa.Row[Any]) -> StoredKey:
    return StoredKey(
        row.id,
        row.tenant,
        bytes(row.digest),
        tuple(row.routes),
        name=row.name,
        created_unix_s=row.created,
        expires_unix_s=row.expires,
        revoked=row.revoked_at is not None,
        team=row.team,
        admin=row.admin,
    )
