"""The tables of one server as statements for a cluster. No cluster is here: the texts are what is tested."""

from __future__ import annotations

import re

from gateway.stores.clickhouse import clusters, schema

TABLE = """CREATE TABLE usage_day
(
    time DateTime('UTC'),
    cost SimpleAggregateFunction(sum, Decimal(38, 15))
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(time)
ORDER BY (time)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1"""

VIEW = """CREATE MATERIALIZED VIEW usage_day_feed TO usage_day AS
SELECT sum(ledger.cost) AS cost
FROM ledger
GROUP BY time"""


def test_on_a_single_server_statements_become_repeatable_and_nothing_else() -> None:
    (table,) = clusters.spread(TABLE, "", "forebay")
    assert table == TABLE.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS")
    assert clusters.spread(table, "", "forebay") == [table]
    (view,) = clusters.spread(VIEW, "", "forebay")
    assert view == VIEW.replace("VIEW usage", "VIEW IF NOT EXISTS usage")
    assert clusters.spread("ALTER TABLE ledger ADD COLUMN x Int8", "", "f") == [
        "ALTER TABLE ledger ADD COLUMN x Int8"
    ]
    assert clusters.on("") == ""


def test_on_a_cluster_a_table_is_replicated_on_each_shard_and_distributed_in_front() -> None:
    local, front = clusters.spread(TABLE, "main", "forebay")
    assert (
        local
        == """CREATE TABLE IF NOT EXISTS usage_day_local ON CLUSTER `main`
(
    time DateTime('UTC'),
    cost SimpleAggregateFunction(sum, Decimal(38, 15))
)
ENGINE = ReplicatedAggregatingMergeTree()
PARTITION BY toYear(time)
ORDER BY (time)
SETTINGS replicated_deduplication_window = 10000, \
replicated_deduplication_window_seconds = 604800, fsync_after_insert = 1"""
    )
    assert (
        front
        == """CREATE TABLE IF NOT EXISTS usage_day ON CLUSTER `main` AS usage_day_local
ENGINE = Distributed(`main`, `forebay`, usage_day_local, rand())"""
    )


def test_engines_keep_their_arguments_and_rows_are_spread_by_what_identifies_them() -> None:
    table = "CREATE TABLE prices (version String)\nENGINE = ReplacingMergeTree(seen)\nORDER BY version"
    local, front = clusters.spread(table, "main", "o`dd")
    assert "ENGINE = ReplicatedReplacingMergeTree(seen)\n" in local
    assert front.endswith("Distributed(`main`, `o\\`dd`, prices_local, sipHash64(version))")


def test_views_read_and_fill_what_lies_on_the_same_server() -> None:
    (view,) = clusters.spread(VIEW, "main", "forebay")
    assert (
        view
        == """CREATE MATERIALIZED VIEW IF NOT EXISTS usage_day_feed ON CLUSTER `main` TO usage_day_local AS
SELECT sum(ledger.cost) AS cost
FROM ledger_local AS ledger
GROUP BY time"""
    )


def test_columns_are_changed_in_both_and_all_else_where_the_rows_are() -> None:
    assert clusters.spread("ALTER TABLE ledger ADD COLUMN IF NOT EXISTS x Int8", "main", "f") == [
        "ALTER TABLE ledger_local ON CLUSTER `main` ADD COLUMN IF NOT EXISTS x Int8",
        "ALTER TABLE ledger ON CLUSTER `main` ADD COLUMN IF NOT EXISTS x Int8",
    ]
    assert clusters.spread("ALTER TABLE ledger MODIFY SETTING fsync_after_insert = 1", "main", "f") == [
        "ALTER TABLE ledger_local ON CLUSTER `main` MODIFY SETTING fsync_after_insert = 1"
    ]
    assert clusters.spread("DROP VIEW IF EXISTS usage_day_feed", "main", "f") == [
        "DROP VIEW IF EXISTS usage_day_feed ON CLUSTER `main`"
    ]
    assert clusters.spread("DROP TABLE IF EXISTS usage_day", "main", "f") == [
        "DROP TABLE IF EXISTS usage_day_local ON CLUSTER `main`",
        "DROP TABLE IF EXISTS usage_day ON CLUSTER `main`",
    ]


def test_all_migrations_become_statements_for_a_cluster() -> None:
    steps = [step for _, _, steps in schema.migrations() for step in steps]
    spread = [one for step in steps for one in clusters.spread(step, "main", "forebay")]
    assert all("ON CLUSTER `main`" in one for one in spread)
    assert all("IF NOT EXISTS" in one for one in spread if one.startswith("CREATE"))
    engines = set(re.findall(r"ENGINE = (\w+)", "\n".join(spread)))
    assert engines == {
        "Distributed",
        "ReplicatedMergeTree",
        "ReplicatedReplacingMergeTree",
        "ReplicatedAggregatingMergeTree",
    }
    assert not re.search(r"\bnon_replicated", "\n".join(spread))
    assert not re.search(r"FROM ledger\b(?!_local)", "\n".join(spread))
