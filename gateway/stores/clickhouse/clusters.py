"""The tables of one server, rewritten for a cluster: replicated on each shard, and distributed in front.

`ledger` becomes `ledger_local` on every server, and `ledger` a Distributed table over them, so that whoever
asks or inserts knows no difference. Views read and fill the local tables: a row's rollups lie where the row
does. Pure: the texts are tested, there is no cluster in the tests.

Sources: clickhouse.com/docs, "Distributed DDL queries", "Distributed table engine", "Data replication".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_WEEK_S = 604_800
_TABLE = re.compile(r"CREATE TABLE (IF NOT EXISTS )?(\w+)\b")
_VIEW = re.compile(r"CREATE MATERIALIZED VIEW (IF NOT EXISTS )?(\w+) TO (\w+) AS\b")
_ALTER = re.compile(r"(ALTER TABLE|DROP TABLE|DROP VIEW|OPTIMIZE TABLE)( IF EXISTS)? (\w+)\b")
_ENGINE = re.compile(r"ENGINE = (\w*MergeTree)(?:\((.*?)\))?(?=\s|$)")
_WINDOW = re.compile(r"\bnon_replicated_deduplication_window = (\d+)")
_FROM = re.compile(r"\b(FROM|JOIN) (\w+)\b")
_SHARDS = {"ledger": "sipHash64(call)", "prices": "sipHash64(version)"}
"""By what rows are spread; of others, at random."""


def name(text: str) -> str:
    """Quote a name."""
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"


def on(cluster: str) -> str:
    """Return what a statement needs to run on all servers of a cluster; nothing for a single server."""
    return f" ON CLUSTER {name(cluster)}" if cluster else ""


def local(table: str) -> str:
    """Return what the part of a table that lies on one server is called."""
    return f"{table}_local"


def spread(statement: str, cluster: str, database: str) -> Sequence[str]:
    """Return what stands for a statement: itself on a single server, on a cluster one or two others.

    All of them may be repeated.
    """
    if not cluster:
        return [_repeatable(statement)]
    if found := _TABLE.match(statement):
        return _tables(statement, found[2], cluster, database)
    if found := _VIEW.match(statement):
        head = f"CREATE MATERIALIZED VIEW IF NOT EXISTS {found[2]}{on(cluster)} TO {local(found[3])} AS"
        body = _FROM.sub(
            lambda place: f"{place[1]} {local(place[2])} AS {place[2]}", statement[found.end() :]
        )
        return [head + body]
    if found := _ALTER.match(statement):
        return _altered(statement, found, cluster)
    return [statement]


def _repeatable(statement: str) -> str:
    statement = _TABLE.sub(r"CREATE TABLE IF NOT EXISTS \2", statement, count=1)
    return _VIEW.sub(r"CREATE MATERIALIZED VIEW IF NOT EXISTS \2 TO \3 AS", statement, count=1)


def _tables(statement: str, table: str, cluster: str, database: str) -> Sequence[str]:
    replicated = _ENGINE.sub(
        lambda engine: f"ENGINE = Replicated{engine[1]}({engine[2] or ''})", statement, count=1
    )
    # By number alone, not by time as well: a batch may be sent again after a long outage.
    replicated = _WINDOW.sub(
        rf"replicated_deduplication_window = \1, replicated_deduplication_window_seconds = {_WEEK_S}",
        replicated,
    )
    own = f"CREATE TABLE IF NOT EXISTS {local(table)}{on(cluster)}"
    key = _SHARDS.get(table, "rand()")
    front = (
        f"CREATE TABLE IF NOT EXISTS {table}{on(cluster)} AS {local(table)}\n"
        f"ENGINE = Distributed({name(cluster)}, {name(database)}, {local(table)}, {key})"
    )
    return [_TABLE.sub(own, replicated, count=1), front]


def _altered(statement: str, found: re.Match[str], cluster: str) -> Sequence[str]:
    """Change the local tables; the columns of the distributed ones, too."""
    words, condition, table = found[1], found[2] or "", found[3]
    rest = statement[found.end() :]
    if words == "DROP VIEW":
        return [f"{words}{condition} {table}{on(cluster)}{rest}"]
    changed = [f"{words}{condition} {local(table)}{on(cluster)}{rest}"]
    if words == "DROP TABLE" or re.match(r"\s+(ADD|DROP|RENAME|MODIFY|COMMENT) COLUMN\b", rest):
        changed.append(f"{words}{condition} {table}{on(cluster)}{rest}")
    return changed
