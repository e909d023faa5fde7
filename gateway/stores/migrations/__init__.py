"""The SQL schema's history, and the way from any point of it to the newest.

It must not know what the tables are for. A schema that is already the newest costs one query: Alembic
is imported only when something is to do. Source: https://alembic.sqlalchemy.org/en/latest/cookbook.html
("Sharing a Connection across one or more programmatic migration commands"), 2026-11.
"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from gateway.errors import ConfigError

HEAD = "0003"
"""The newest revision in `versions/`; written here so that the check needs no Alembic."""

VERSION_TABLE = "forebay_schema"
"""Not Alembic's default name: the database may be shared with another user of Alembic."""

_POSTGRESQL_LOCK = 0x466F7265626179
"""The advisory lock that one migrating worker holds: "Forebay" in ASCII."""


def migrate(connection: sa.Connection) -> None:
    """Bring the schema to `HEAD` inside the open transaction of `connection`.

    The transaction must hold SQLite's write lock already (BEGIN IMMEDIATE); on PostgreSQL an advisory
    lock is taken here, so that workers that start together wait for the first one.
    Raises ConfigError when the schema is newer than this code.
    """
    if current(connection) == HEAD:
        return
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT set_config('statement_timeout', '60s', true)"))
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _POSTGRESQL_LOCK})
    found = current(connection)
    if found != HEAD:
        _upgrade(connection, found)


def current(connection: sa.Connection) -> str | None:
    """Read the schema's revision; None for an empty database."""
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    version = sa.table(VERSION_TABLE, sa.column("version_num", sa.String))
    return connection.scalar(sa.select(version.c.version_num))


def _upgrade(connection: sa.Connection, found: str | None) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    # Alembic reads its options with ConfigParser, to which a percent sign is syntax.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        if found is not None:
            ScriptDirectory.from_config(config).get_revision(found)
    except CommandError:
        hint = "start the Forebay that wrote it, or restore the database from before its upgrade"
        message = f"its schema {found!r} is newer than this Forebay, which knows up to {HEAD!r}"
        raise ConfigError("the key database", 0, "", message, hint) from None
    command.upgrade(config, "head")
