"""What every store of the ledger does: over the embedded engine, and a server where CLICKHOUSE_URL names one.

Whatever dies at whatever moment, an entry is there once, in the ledger and in all rollups.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from rig.entries import an_entry
from rig.programs.lacking import lacking

from gateway.embedded.clickhouse import Engine
from gateway.errors import BadQuery, BadRows, ConfigError, GatewayFault, StoreDown
from gateway.ledger.entries import MEASURES, Entry, reversal_of
from gateway.stores.clickhouse import schema
from gateway.stores.clickhouse.client import ClickHouse
from gateway.stores.clickhouse.place import Place, place_of

NAMES = Entry.__struct_fields__
ROLLUPS = ("usage_minute", "usage_hour", "usage_day")
START_S = 30.0
_numbers = itertools.count(1)

Open = Callable[[], ClickHouse]


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An engine for all tests that do not kill it; gives its state directory."""
    with Running(tmp_path_factory.mktemp("clickhouse")) as folder:
        yield folder


class Running:
    """An engine on a folder."""

    def __init__(self, folder: Path) -> None:
        if importlib.util.find_spec("chdb") is None:
            lacking("the embedded ClickHouse: chdb-core is not installed")
        self.folder, self.engine = folder, Engine(folder)

    def __enter__(self) -> Path:
        self.engine.start()
        self.engine.wait_ready(START_S)
        return self.folder

    def __exit__(self, *_: object) -> None:
        self.engine.stop()


def place_by_environment(database: str) -> Place:
    url = urlsplit(os.environ["CLICKHOUSE_URL"])
    address = f"{url.scheme}://{url.hostname}:{url.port or 8123}"
    return Place(address, unquote(url.username or "default"), unquote(url.password or ""), database)


@pytest.fixture(params=["embedded", *(["server"] if os.environ.get("CLICKHOUSE_URL") else [])])
def open_usage(request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens one more client of a database of the test's own, with the tables in it."""
    database = f"ledger_{os.getpid()}_{next(_numbers)}"
    if request.param == "server":
        place = place_by_environment(database)
    else:
        found = place_of(request.getfixturevalue("engine"))
        place = Place(found.url, found.user, found.password, database)
    opened: list[ClickHouse] = []

    def one_more() -> ClickHouse:
        opened.append(ClickHouse(lambda: place))
        return opened[-1]

    one_more().migrate()
    yield one_more
    for store in opened:
        store.close()


@pytest.fixture
def usage(open_usage: Open) -> ClickHouse:
    return open_usage()


def enter(store: ClickHouse, entries: list[Entry], token: str) -> None:
    store.insert("ledger", NAMES, [tuple(getattr(one, name) for name in NAMES) for one in entries], token)


def entries_of(count: int, seed: int, batch: str = "") -> list[Entry]:
    """Entries of calls as they come, with attempts that failed, and some that were taken back."""
    chance, found = random.Random(seed), []
    for number in range(count):
        cost_input, cost_output = chance.randrange(10**15), chance.randrange(10**17)
        found.append(
            an_entry(
                time=1_795_000_000_000 + chance.randrange(5 * 86_400_000),
                call=f"call_{batch}_{number}",
                tenant=chance.choice(["acme", "Žižkov & Söhne 株式会社", "o'hara\\"]),
                key=f"key_{chance.randrange(5)}",
                user=chance.choice(["", "ann", "bob 🦊"]),
                conversation=f"chat {chance.randrange(20)}",
                route=chance.choice(["fast", "smart"]),
                model=chance.choice(["gpt-4o", "claude"]),
                backend=chance.choice(["openai", "anthropic"]),
                calls=chance.randrange(2),
                ending=chance.choice(["finished", "failed"]),
                input_tokens=chance.randrange(10**6),
                output_tokens=chance.randrange(10**4),
                cost_input=cost_input,
                cost_output=cost_output,
                cost=cost_input + cost_output,
                saved=chance.randrange(-(10**15), 10**15),
                total_ms=chance.choice([None, chance.random() * 1000]),
                tags=tuple(chance.sample(["gold", "eu", "x'y"], chance.randrange(3))),
            )
        )
    return found + [reversal_of(one) for one in chance.sample(found, count // 10)]


def sums(store: ClickHouse, table: str, by: str) -> list[tuple[object, ...]]:
    of = ", ".join(f"sum({name})" for name in MEASURES)
    sql = "SELECT BY AS part, OF FROM TABLE GROUP BY part ORDER BY part"
    rows = store.query(sql.replace("BY AS", f"{by} AS").replace("OF", of).replace("TABLE", table), {}).rows
    return [tuple(row) for row in rows]


def assert_rollups_equal_the_ledger(store: ClickHouse) -> None:
    for table, start in zip(ROLLUPS, ("Minute", "Hour", "Day"), strict=True):
        for by in ("tenant", "(key, route, model, backend, ending)"):
            assert sums(store, table, by) == sums(store, "ledger", by)
        assert sums(store, table, "time") == sums(store, "ledger", f"toStartOf{start}(time)")


def exactly(femto_usd: int) -> Decimal:
    sign, digits = "-" * (femto_usd < 0), f"{abs(femto_usd):016d}"
    return Decimal(f"{sign}{digits[:-15]}.{digits[-15:]}")


def dollars(entries: list[Entry]) -> Decimal:
    return exactly(sum(one.cost for one in entries))


def test_what_is_entered_is_found_field_by_field(usage: ClickHouse) -> None:
    one = an_entry(
        user="Žofie 🦊\t\n'\"\\",
        tags=("gold", "e'u"),
        stream=True,
        cost=123_456_789_012_345_678,
        saved=-1,
        total_ms=12.5,
        time=1_795_000_000_123,
        decision="x" * 10_000,
    )
    enter(usage, [one], "1")
    found = usage.query("SELECT * EXCEPT (booked) FROM ledger", {})
    assert found.names == NAMES
    values = dict(zip(NAMES, found.rows[0], strict=True))
    assert values["time"] == datetime.fromtimestamp(1_795_000_000, UTC).replace(microsecond=123_000)
    assert values["cost"] == Decimal("123.456789012345678")
    assert values["saved"] == Decimal("-0.000000000000001")
    assert (values["user"], values["tags"], values["stream"]) == (one.user, ["gold", "e'u"], True)
    assert (values["total_ms"], values["queue_ms"], values["decision"]) == (12.5, None, one.decision)


def test_amounts_of_any_size_are_exact(usage: ClickHouse) -> None:
    amounts = [0, 1, -1, 10**15, -(10**15), 2**63 - 1, -(2**63), 2**63, 10**30 + 7, -(10**30) - 7]
    enter(usage, [an_entry(cost=amount, call=str(n)) for n, amount in enumerate(amounts)], "1")
    enter(usage, [an_entry(cost=amount, call=f"a{n}") for n, amount in enumerate(amounts[:7])], "2")
    found = usage.query("SELECT cost FROM ledger WHERE call NOT LIKE 'a%' ORDER BY toInt32(call)", {}).rows
    assert [row[0] for row in found] == [exactly(amount) for amount in amounts]
    total = usage.query("SELECT sum(cost) FROM usage_day", {}).rows[0][0]
    assert total == exactly(sum(amounts) + sum(amounts[:7]))


def test_of_several_inserts_with_one_token_one_counts(usage: ClickHouse, open_usage: Open) -> None:
    entries = entries_of(200, 1)
    for _ in range(3):
        enter(usage, entries, "same")
    enter(open_usage(), entries, "same")
    assert usage.query("SELECT count(), sum(cost) FROM ledger", {}).rows[0] == (220, dollars(entries))
    assert_rollups_equal_the_ledger(usage)
    enter(usage, entries, "another")
    assert usage.query("SELECT sum(cost) FROM usage_hour", {}).rows[0][0] == 2 * dollars(entries)


def test_a_batch_over_more_than_a_hundred_days_is_one_batch(usage: ClickHouse) -> None:
    days = [an_entry(time=1_700_000_000_000 + day * 86_400_000, call=str(day)) for day in range(105)]
    for _ in range(2):
        enter(usage, days, "long")
    assert usage.query("SELECT sum(calls), uniqExact(time) FROM usage_day", {}).rows[0] == (105, 105)
    assert_rollups_equal_the_ledger(usage)


def test_rollups_equal_the_ledger_by_each_dimension(usage: ClickHouse) -> None:
    for number in range(5):
        enter(usage, entries_of(300, number, str(number)), f"batch {number}")
    assert_rollups_equal_the_ledger(usage)
    users = "SELECT uniqCombinedMerge(12)(users) FROM usage_day"
    assert usage.query(users, {}).rows[0][0] == 2


def test_parameters_are_data_whatever_stands_in_them(usage: ClickHouse) -> None:
    evil = [
        "' OR 1 = 1 --",
        "\\' OR 1=1",
        "{x:String}",
        "%s %(x)s",
        "$1",
        "a\nb\tc\\N",
        "",
        "🦊",
        "x" * 9_000,
        "\\N",
    ]
    enter(usage, [an_entry(tenant=one, call=str(n)) for n, one in enumerate(evil)], "1")
    for number, one in enumerate(evil):
        found = usage.query("SELECT call FROM ledger WHERE tenant = {x:String}", {"x": one, "unused": "%s"})
        assert [row[0] for row in found.rows] == [str(number)]
    many = usage.query("SELECT count() FROM ledger WHERE has({x:Array(String)}, tenant)", {"x": evil})
    assert many.rows[0][0] == len(evil)
    assert usage.query("SELECT '100 %s {}' AS x", {"y": 1}).rows == [("100 %s {}",)]
    with pytest.raises(BadQuery, match="no value for x"):
        usage.query("SELECT {x:String}", {"y": 1})


@pytest.mark.parametrize(
    "sql",
    [
        "SELEC 1",
        "SELECT nothing FROM ledger",
        "SELECT 1 FROM nowhere",
        "SELECT {x:UInt8}",
        "INSERT INTO ledger (call) VALUES ('x')",
        "DROP TABLE ledger",
        "ALTER TABLE ledger DELETE WHERE 1",
        "SELECT number FROM numbers(1000001)",
    ],
)
def test_what_is_no_question_is_refused(usage: ClickHouse, sql: str) -> None:
    with pytest.raises(BadQuery):
        usage.query(sql, {"x": "eight"})
    assert usage.query("SELECT count() FROM ledger", {}).rows == [(0,)]


def test_an_answer_without_rows_has_its_columns(usage: ClickHouse) -> None:
    found = usage.query('SELECT call, sum(cost) AS "what, it\n costs" FROM ledger GROUP BY call', {})
    assert (found.names, list(found.rows)) == (("call", "what, it\n costs"), [])


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (("call", "nothing"), ("x", 1)),
        (("call", "status"), ("x",)),
        (("call", "entry"), ("x", "bogus")),
        (("call", "calls"), ("x", 128)),
        (("call", "status"), ("x", -1)),
        (("call", "cost"), ("x", 10**38)),
        (("call", "cost"), ("x", 0.5)),
        (("call", "cost"), ("x", "5")),
        (("call", "tenant"), ("x", None)),
        (("call", "tenant"), ("x", "\ud800")),
        (("call", "time"), ("x", -1)),
        (("call", "time"), ("x", 2**62)),
        (("call", "total_ms"), ("x", "slow")),
        (("call", "tags"), ("x", 5)),
    ],
)
def test_rows_that_can_never_be_taken_are_told_from_a_store_that_is_down(
    usage: ClickHouse, names: tuple[str, ...], row: tuple[object, ...]
) -> None:
    good = tuple(0 if name != "call" else "good" for name in names)
    with pytest.raises(BadRows):
        usage.insert("ledger", names, [good, row], "bad")
    assert usage.query("SELECT count() FROM ledger", {}).rows == [(0,)]


def test_a_table_that_is_not_there_yet_is_waited_for() -> None:
    with pytest.raises(BadRows):
        ClickHouse(lambda: Place("http://127.0.0.1:9")).insert("nowhere", ("x",), [(1,)], "1")


def test_before_the_tables_are_made_rows_wait(open_usage: Open) -> None:
    made = open_usage()
    made.query("SELECT 1", {})
    place = made._place
    early = ClickHouse(lambda: Place(place.url, place.user, place.password, f"{place.database}_early"))
    with closing(early):
        with pytest.raises(StoreDown):
            enter(early, [an_entry()], "1")
        with pytest.raises(StoreDown):
            early.query("SELECT 1 FROM ledger", {})
        early.migrate()
        enter(early, [an_entry()], "1")
        assert early.query("SELECT count() FROM usage_day", {}).rows == [(1,)]


def test_a_store_that_does_not_answer_is_down_and_its_password_stays_ours() -> None:
    store = ClickHouse(lambda: Place("http://127.0.0.1:9", "forebay", "hush-hush"))
    for ask in (
        store.migrate,
        lambda: store.query("SELECT 1", {}),
        lambda: store.insert("prices", ("version",), [("1",)], "1"),
        lambda: list(store.export("SELECT 1", {}, "CSV")),
    ):
        with pytest.raises(StoreDown) as raised:
            ask()
        assert "hush" not in f"{raised.value!r} {raised.value.detail}"
    assert "hush" not in repr(Place("http://127.0.0.1:9", "forebay", "hush-hush"))


def test_a_wrong_password_is_told(open_usage: Open) -> None:
    right = open_usage()
    right.query("SELECT 1", {})
    wrong = ClickHouse(lambda: Place(right._place.url, "forebay", "guessed", right._place.database))
    with closing(wrong), pytest.raises(StoreDown, match="wrong user or password"):
        wrong.query("SELECT 1", {})


def test_exports_come_piece_by_piece_in_formats_of_clickhouse(usage: ClickHouse) -> None:
    enter(usage, entries_of(100, 3), "1")
    csv = b"".join(usage.export("SELECT call, cost FROM ledger ORDER BY call LIMIT 2", {}, "CSVWithNames"))
    assert csv.startswith(b'"call","cost"\n"call__0",')
    assert csv.count(b"\n") == 3
    assert b"".join(usage.export("SELECT call FROM ledger", {}, "Parquet")).startswith(b"PAR1")
    empty = b"".join(usage.export("SELECT call FROM ledger WHERE 0", {}, "CSVWithNames"))
    assert empty == b'"call"\n'
    many = usage.export("SELECT number AS n FROM numbers({n:UInt32})", {"n": 1_000_000}, "CSVWithNames")
    lengths, lines = [], 0
    for piece in many:
        lengths.append(len(piece))
        lines += piece.count(b"\n")
    assert lines == 1_000_001
    assert max(lengths) <= 1 << 20
    with pytest.raises(BadQuery):
        b"".join(usage.export("SELECT throwIf(number = 900000) FROM numbers(1000000)", {}, "CSV"))
    with pytest.raises(BadQuery):
        usage.export("SELECT 1", {}, "CSV SETTINGS readonly = 0")


def test_a_long_question_and_an_insert_do_not_wait_for_each_other(usage: ClickHouse) -> None:
    begun, slow = threading.Event(), "SELECT sleepEachRow(0.5) FROM numbers(4) SETTINGS max_block_size = 1"

    def ask() -> None:
        begun.set()
        usage.query(slow, {})

    asking = threading.Thread(target=ask)
    asking.start()
    begun.wait()
    for number in range(3):
        enter(usage, entries_of(10, number), str(number))
    assert asking.is_alive()
    asking.join()


def test_migrating_twice_and_at_once_changes_nothing(open_usage: Open) -> None:
    store, failed = open_usage(), []
    enter(store, entries_of(10, 1), "1")
    before = store.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()", {}
    )
    others = [open_usage() for _ in range(2)]

    def migrate(one: ClickHouse) -> None:
        try:
            for _ in range(3):
                one.migrate()
        except (GatewayFault, ConfigError) as error:
            failed.append(error)

    threads = [threading.Thread(target=migrate, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    after = store.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase()", {}
    )
    assert sorted(after.rows) == sorted(before.rows)
    assert store.query("SELECT count() FROM ledger", {}).rows == [(11,)]


def test_new_tables_are_made_by_two_at_once(open_usage: Open) -> None:
    known = open_usage()
    known.query("SELECT 1", {})
    place = Place(known._place.url, known._place.user, known._place.password, known._place.database + "_two")
    stores = [ClickHouse(lambda: place) for _ in range(3)]
    failed: list[Exception] = []

    def migrate(one: ClickHouse) -> None:
        try:
            one.migrate()
        except (GatewayFault, ConfigError) as error:
            failed.append(error)

    threads = [threading.Thread(target=migrate, args=(one,)) for one in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    enter(stores[0], entries_of(50, 1), "1")
    assert_rollups_equal_the_ledger(stores[1])
    for store in stores:
        store.close()


def test_tables_of_a_newer_forebay_are_left_alone(usage: ClickHouse) -> None:
    usage.query("SELECT 1", {})
    newest = max(number for number, _, _ in schema.migrations())
    usage._client.command("INSERT INTO migrations (version) VALUES ({n:UInt32})", {"n": newest + 2})
    with pytest.raises(ConfigError, match=r"2 version\(s\) newer"):
        usage.migrate()


def test_rows_are_forgotten_after_the_days_that_are_asked_for(usage: ClickHouse) -> None:
    now_ms, day_ms = time.time_ns() // 1_000_000, 86_400_000
    old, new = an_entry(time=now_ms - 50 * day_ms, call="old"), an_entry(time=now_ms, call="new")
    enter(usage, [old, new], "1")
    days = {"ledger": 100, "usage_minute": 14, "usage_hour": 400, "usage_day": None}
    assert usage.apply_ttl(days) == ["ledger", "usage_minute", "usage_hour"]
    assert usage.apply_ttl(days) == []
    assert usage.apply_ttl(days | {"usage_hour": None, "ledger": 40}) == ["ledger", "usage_hour"]
    for table in ("ledger", "usage_minute", "usage_hour", "usage_day"):
        usage._client.command(f"OPTIMIZE TABLE {table} FINAL")
    assert usage.query("SELECT call FROM ledger", {}).rows == [("new",)]
    for table, left in (("usage_minute", 1), ("usage_hour", 2), ("usage_day", 2)):
        assert usage.query("SELECT sum(calls) FROM {t:Identifier}", {"t": table}).rows == [(left,)]


def pid_of(folder: Path) -> int:
    import json

    return int(json.loads((folder / "clickhouse/endpoint.json").read_bytes())["pid"])


def until(done: Callable[[], object]) -> None:
    """Try again and again while the store is down."""
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            done()
        except StoreDown:
            assert time.monotonic() < deadline_s, "ClickHouse does not come back"
            time.sleep(0.01)
        else:
            return


def test_a_batch_sent_again_after_the_engine_was_killed_counts_once(tmp_path: Path) -> None:
    with Running(tmp_path) as folder, closing(ClickHouse(lambda: place_of(folder))) as store:
        store.migrate()
        entries = entries_of(300, 7)
        enter(store, entries, "batch")
        os.kill(pid_of(folder), signal.SIGKILL)
        until(lambda: enter(store, entries, "batch"))
        assert store.query("SELECT sum(cost) FROM ledger", {}).rows[0][0] == dollars(entries)
        assert_rollups_equal_the_ledger(store)


@pytest.mark.parametrize("table", ["ledger", *ROLLUPS])
def test_a_batch_that_an_engine_had_taken_down_but_not_in_is_taken_in(tmp_path: Path, table: str) -> None:
    """Its token is in the log of one table, as the last thing that was written there; its rows are not."""
    entries = [entries_of(50, seed, str(seed)) for seed in range(3)]
    with Running(tmp_path) as folder, closing(ClickHouse(lambda: place_of(folder))) as store:
        store.migrate()
        for number, batch in enumerate(entries):
            enter(store, batch, f"batch {number}")
    found = (tmp_path / "clickhouse" / "data" / "data").glob(f"*/{table}/*_*_*_*")
    newest = max(int(part.name.split("_")[1]) for part in found)
    parts = (tmp_path / "clickhouse" / "data" / "data").glob(f"*/{table}/*_{newest}_{newest}_*")
    for part in parts:
        shutil.rmtree(part)
    with Running(tmp_path) as folder, closing(ClickHouse(lambda: place_of(folder))) as store:
        for number, batch in enumerate(entries):
            enter(store, batch, f"batch {number}")
        whole = [one for batch in entries for one in batch]
        told = store.query("SELECT count(), sum(cost) FROM ledger", {}).rows[0]
        assert told == (len(whole), dollars(whole))
        assert_rollups_equal_the_ledger(store)
    assert "inserts had not ended" in (tmp_path / "clickhouse" / "log").read_text()


def test_killed_in_the_middle_of_inserts_nothing_is_lost_nor_counted_twice(tmp_path: Path) -> None:
    chance, over, entered = random.Random(11), threading.Event(), []
    with Running(tmp_path) as folder, closing(ClickHouse(lambda: place_of(folder))) as store:
        store.migrate()

        def write() -> None:
            for number in itertools.count():
                batch = entries_of(200, number, str(number))
                until(lambda batch=batch, number=number: enter(store, batch, f"batch {number}"))
                entered.extend(batch)
                if over.is_set():
                    return

        writing = threading.Thread(target=write)
        writing.start()
        killed = 0
        while killed < 6:
            over.wait(0.2 + chance.random() * 0.5)
            try:
                os.kill(pid_of(folder), signal.SIGKILL)
                killed += 1
            except (OSError, ValueError):  # it is dead already
                continue
        over.set()
        writing.join()
        found = store.query("SELECT count(), uniqExact(call), sum(cost) FROM ledger", {}).rows[0]
        assert found == (len(entered), len({one.call for one in entered}), dollars(entered))
        assert_rollups_equal_the_ledger(store)
