"""The files of migrations: how they are read, and that they agree with the entries."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import ConfigError
from gateway.ledger.entries import MEASURES, Entry
from gateway.stores.clickhouse import schema
from gateway.stores.clickhouse.place import Place

PLACE = Place("http://127.0.0.1:8123")


class Session:
    """Remembers what is run, and answers what it is told to."""

    def __init__(self, *answer: tuple[Any, ...]) -> None:
        self.ran: list[str] = []
        self.answer = answer

    def run(self, sql: str, *, outside: bool = False, **parameters: str) -> None:
        self.ran.append(f"{sql} {parameters}" if parameters else sql)
        assert outside == sql.startswith("CREATE DATABASE")

    def ask(self, sql: str, **parameters: str) -> Sequence[Sequence[Any]]:
        return self.answer


def test_the_columns_of_the_ledger_are_the_fields_of_an_entry_in_the_same_order() -> None:
    columns = schema.columns("ledger")
    assert tuple(columns) == (*Entry.__struct_fields__, "booked")  # which the database fills in
    assert columns["cost"] == "Decimal(38, 15)"
    assert columns["time"] == "DateTime64(3, 'UTC')"
    assert columns["entry"] == "Enum8('charge' = 1, 'reversal' = 2, 'rebooking' = 3)"
    assert columns["tags"] == "Array(LowCardinality(String))"


@pytest.mark.parametrize("table", ["usage_minute", "usage_hour", "usage_day"])
def test_rollups_have_all_measures(table: str) -> None:
    assert set(MEASURES) <= schema.columns(table).keys()


def test_a_table_that_is_not_ours_has_no_columns() -> None:
    assert schema.columns("system.tables") == {}


def test_every_table_that_takes_rows_knows_tokens_and_is_on_disk_when_they_are_acknowledged() -> None:
    for _, _, steps in schema.migrations():
        for step in steps:
            if step.startswith("CREATE TABLE"):
                assert "non_replicated_deduplication_window = 10000" in step
                assert "fsync_after_insert = 1, fsync_part_directory = 1" in step


def test_files_are_read_in_order_and_split_where_lines_end_in_semicolons(tmp_path: Path) -> None:
    (tmp_path / "0002_second.sql").write_text("-- why; it is\nSELECT ';',\n  2;\n\n  -- more;\nSELECT 3")
    (tmp_path / "0001_first.sql").write_text("SELECT 1;\n")
    (tmp_path / "notes.sql").write_text("SELECT 0;")
    assert schema.migrations(tmp_path) == [
        (1, "0001_first", ["SELECT 1"]),
        (2, "0002_second", ["SELECT ';',\n  2", "SELECT 3"]),
    ]


def test_what_ran_is_not_run_again() -> None:
    fresh, done = Session(), Session(*((number,) for number, _, _ in schema.migrations()))
    schema.migrate(fresh, PLACE)
    schema.migrate(done, PLACE)
    assert fresh.ran[0] == "CREATE DATABASE IF NOT EXISTS `forebay`"
    assert fresh.ran[1].startswith("CREATE TABLE IF NOT EXISTS migrations")
    assert "INSERT INTO migrations" in fresh.ran[-1]
    assert "'name': '0001_ledger'" in "".join(fresh.ran)
    assert done.ran == fresh.ran[:2]


def test_a_newer_database_is_refused_before_anything_is_changed() -> None:
    session = Session((9001,))
    with pytest.raises(ConfigError, match="newer than this Forebay"):
        schema.migrate(session, PLACE)
    assert len(session.ran) == 2


def test_only_tables_that_forget_otherwise_are_altered() -> None:
    session = Session(
        (
            "ledger",
            "MergeTree PARTITION BY toYYYYMM(time) ORDER BY call TTL time + toIntervalDay(90) SETTINGS a = 1",
        ),
        ("usage_minute", "AggregatingMergeTree ORDER BY time TTL time + toIntervalDay(14)"),
        ("usage_hour", "AggregatingMergeTree ORDER BY time SETTINGS a = 1"),
        ("usage_day", "AggregatingMergeTree ORDER BY time TTL time + toIntervalDay(7)"),
    )
    days = {"ledger": 90, "usage_minute": 7, "usage_hour": 400, "usage_day": None}
    assert schema.apply_ttl(session, PLACE, days) == ["usage_minute", "usage_hour", "usage_day"]
    assert session.ran == [
        "ALTER TABLE usage_minute MODIFY TTL time + toIntervalDay(7)",
        "ALTER TABLE usage_hour MODIFY TTL time + toIntervalDay(400)",
        "ALTER TABLE usage_day REMOVE TTL",
    ]


def test_on_a_cluster_the_local_tables_forget() -> None:
    session = Session(
        ("ledger", "Distributed(main)"), ("ledger_local", "ReplicatedMergeTree() ORDER BY call")
    )
    place = Place("http://127.0.0.1:8123", cluster="main")
    assert schema.apply_ttl(session, place, {"ledger": 90}) == ["ledger"]
    assert session.ran == ["ALTER TABLE ledger_local ON CLUSTER `main` MODIFY TTL time + toIntervalDay(90)"]


def test_names_of_an_empty_answer() -> None:
    assert schema.names_in(b'["a","b\\n\\"c"]\n') == ("a", 'b\n"c')
    assert schema.names_in(b"") == ()
