"""The tables of the ledger: versioned files of SQL, run in order, once each.

`migrations/NNNN_name.sql` are plain ClickHouse, for one server; for a cluster, `clusters` rewrites them. What
ran is in the table `migrations`. ClickHouse has no transactions over DDL, so each statement is one that may
be repeated (IF NOT EXISTS): of two processes that migrate at the same time, both succeed; of one that was
killed, the next goes on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import ConfigError
from gateway.stores.clickhouse import clusters
from gateway.stores.clickhouse.place import Place

FOLDER = Path(__file__).with_name("migrations")

_NUMBERED = re.compile(r"(\d{4})_\w+\.sql")
_CREATED = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)\s*\((.*?)\n\)\s*ENGINE", re.DOTALL)
_COLUMN = re.compile(r"\s*`?(\w+)`? (.+?)(?: (?:CODEC|DEFAULT|COMMENT)\b.*)?")
_ADDED = re.compile(
    r"ALTER TABLE (\w+)\s+ADD COLUMN (?:IF NOT EXISTS )?(\w+) (.+?)(?: AFTER \w+| DEFAULT .*)?$"
)
_MIGRATIONS = """CREATE TABLE IF NOT EXISTS migrations
(
    version UInt32,
    name String,
    time DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree
ORDER BY version
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"""
_TTL_COLUMNS = {"ledger": "time", "usage_minute": "time", "usage_hour": "time", "usage_day": "time"}


class Session(Protocol):
    """Where statements are run."""

    def run(self, sql: str, *, outside: bool = False, **parameters: str) -> None:
        """Run a statement; `outside` of any database."""

    def ask(self, sql: str, **parameters: str) -> Sequence[Sequence[Any]]:
        """Return the rows of a question."""


def migrations(folder: Path = FOLDER) -> Sequence[tuple[int, str, Sequence[str]]]:
    """Read the files: number, name and statements of each, in order."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        numbered = _NUMBERED.fullmatch(path.name)
        if numbered:
            found.append((int(numbered[1]), path.stem, statements(path.read_text(encoding="utf-8"))))
    return found


def statements(text: str) -> Sequence[str]:
    """Split a file at the semicolons that end a line; comments of whole lines are left out."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("--")]
    return [one.strip() for one in "\n".join([*lines, ""]).split(";\n") if one.strip()]


@cache
def columns(table: str) -> Mapping[str, str]:
    """Return the types of a table's columns, by its migrations; empty: there is no such table."""
    types: dict[str, str] = {}
    for _, _, steps in migrations():
        for step in steps:
            created = _CREATED.match(step)
            if created and created[1] == table:
                for line in created[2].splitlines():
                    column = _COLUMN.fullmatch(line.rstrip(","))
                    if column and column[1] not in {"INDEX", "PROJECTION", "CONSTRAINT"}:
                        types[column[1]] = column[2]
            added = _ADDED.match(step)
            if added and added[1] == table:
                types[added[2]] = added[3]
    return types


def names_in(raw: bytes) -> tuple[str, ...]:
    """Read the names of columns from the first line of a JSONCompactEachRowWithNames."""
    return tuple(json.loads(raw.split(b"\n", 1)[0] or b"[]"))


def migrate(session: Session, place: Place) -> None:
    """Bring the database of `place` up to date; raises ConfigError where it is of a newer Forebay."""
    on = clusters.on(place.cluster)
    session.run(f"CREATE DATABASE IF NOT EXISTS {clusters.name(place.database)}{on}", outside=True)
    for step in clusters.spread(_MIGRATIONS, place.cluster, place.database):
        session.run(step)
    ran = {int(row[0]) for row in session.ask("SELECT DISTINCT version FROM migrations")}
    known = migrations()
    newer = max(ran, default=0) - max((number for number, _, _ in known), default=0)
    if newer > 0:
        message = f"the ledger's tables are {newer} version(s) newer than this Forebay"
        raise ConfigError(
            "ClickHouse", 0, f"database {place.database}", message, "upgrade it, or name another"
        )
    for number, name, steps in known:
        if number in ran:
            continue
        for step in steps:
            for one in clusters.spread(step, place.cluster, place.database):
                session.run(one)
        session.run(
            "INSERT INTO migrations (version, name) SELECT {version:UInt32}, {name:String}",
            version=str(number),
            name=name,
        )


def apply_ttl(session: Session, place: Place, days: Mapping[str, int | None]) -> Sequence[str]:
    """Alter the tables whose rows shall be kept for other times than now; returns their names."""
    altered = []
    found = session.ask(
        "SELECT name, engine_full FROM system.tables WHERE database = {database:String}",
        database=place.database,
    )
    engines = {str(name): str(engine) for name, engine in found}
    for table, kept in days.items():
        local = clusters.local(table) if place.cluster else table
        wanted = "" if kept is None else f"{_TTL_COLUMNS[table]} + toIntervalDay({kept})"
        if ttl_of(engines.get(local, "")) == wanted:
            continue
        change = f"MODIFY TTL {wanted}" if wanted else "REMOVE TTL"
        session.run(f"ALTER TABLE {local}{clusters.on(place.cluster)} {change}")
        altered.append(table)
    return altered


def ttl_of(engine: str) -> str:
    """Read the TTL from an engine as ClickHouse tells it; empty: none."""
    found = re.search(r"\bTTL (.+?)(?: SETTINGS\b.*)?$", engine)
    return found[1].removeprefix("toDateTime(").strip() if found else ""
