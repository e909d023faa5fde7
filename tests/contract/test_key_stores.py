"""What every store of keys promises, in memory, in SQLite and in a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from gateway.errors import ConfigError, StoreDown
from gateway.exchange import Caller
from gateway.identity.directory import KeyDirectory
from gateway.identity.keys import digest_of, mint_key
from gateway.stores import StoredKey, keys_sql, migrations
from gateway.stores.keys_memory import MemoryKeyStore
from gateway.stores.keys_sql import SqlKeyStore

OpenStore = Callable[[], MemoryKeyStore | SqlKeyStore]
OpenSql = Callable[[str], SqlKeyStore]
Spawn = Callable[..., subprocess.Popen[str]]

ADD_KEYS = """
import sys
from gateway.identity.keys import digest_of
from gateway.stores import StoredKey
from gateway.stores.keys_sql import SqlKeyStore
url, worker, count = sys.argv[1:]
store = SqlKeyStore(url)
for n in range(int(count)):
    name = f"key_{worker}_{n}"
    store.add(StoredKey(name, "acme", digest_of(name), ("*",), name="", created_unix_s=1))
"""
REVOKE = """
import sys
from gateway.stores.keys_sql import SqlKeyStore
assert SqlKeyStore(sys.argv[1]).revoke(sys.argv[2])
"""
MIGRATE = """
import sys
from gateway.stores.keys_sql import SqlKeyStore
print("ready", flush=True)
sys.stdin.readline()
SqlKeyStore(sys.argv[1]).migrate()
"""


def key(key_id: str, **fields: object) -> StoredKey:
    record = StoredKey(key_id, "acme", digest_of(key_id), ("fast", "gpt-*"), name="", created_unix_s=100)
    return msgspec.structs.replace(record, **fields)


@pytest.fixture
def store(open_store: OpenStore) -> MemoryKeyStore | SqlKeyStore:
    return open_store()


def test_a_stored_key_comes_back_whole(store: SqlKeyStore) -> None:
    added = key("key_1", name="für Ünal", team="search", admin=True, expires_unix_s=5_000_000_000)
    store.add(added)
    assert store.list() == [added]
    assert store.changed_since(0)[1] == [added]


def test_a_record_without_a_name_can_be_stored(store: SqlKeyStore) -> None:
    record = SimpleNamespace(
        id="key_1",
        tenant="acme",
        team="search",
        admin=True,
        digest=b"d" * 32,
        routes=(),
        expires_unix_s=None,
        revoked=True,
    )
    store.add(record)
    [found] = store.list()
    assert (found.id, found.name, found.team, found.admin) == ("key_1", "", "search", True)
    assert (found.routes, found.revoked) == ((), True)
    assert abs(found.created_unix_s - time.time()) < 60


@pytest.mark.parametrize("second", [key("key_1", digest=b"e" * 32), key("key_2", digest=key("key_1").digest)])
def test_a_taken_id_or_digest_is_refused_and_changes_nothing(store: SqlKeyStore, second: StoredKey) -> None:
    store.add(key("key_1"))
    with pytest.raises(ValueError, match="already there"):
        store.add(second)
    assert store.list() == [key("key_1")]
    store.add(key("key_3"))
    assert len(store.list()) == 2


def test_a_revocation_is_final(store: SqlKeyStore) -> None:
    store.add(key("key_1"))
    assert store.revoke("key_1")
    assert store.revoke("key_1")
    assert [found.revoked for found in store.list()] == [True]


def test_an_unknown_id_is_neither_revoked_nor_expired(store: SqlKeyStore) -> None:
    store.add(key("key_1"))
    assert not store.revoke("key_2")
    assert not store.expire("key_2", 5)
    assert store.list() == [key("key_1")]


def test_an_end_can_be_brought_forward_but_not_put_off(store: SqlKeyStore) -> None:
    store.add(key("key_1"))
    ends = []
    for at_unix_s in (2_000, 3_000, 1_000):
        assert store.expire("key_1", at_unix_s)
        ends.append(store.list()[0].expires_unix_s)
    assert ends == [2_000, 2_000, 1_000]


def test_keys_are_listed_oldest_first_and_by_tenant(store: SqlKeyStore) -> None:
    store.add(key("key_b", created_unix_s=300))
    store.add(key("key_a", created_unix_s=200, tenant="beta"))
    store.add(key("key_c", created_unix_s=100))
    assert [found.id for found in store.list()] == ["key_c", "key_a", "key_b"]
    assert [found.id for found in store.list("acme")] == ["key_c", "key_b"]
    assert list(store.list("nobody")) == []


def test_each_change_is_given_once_to_who_remembers_the_revision(store: SqlKeyStore) -> None:
    seen: list[list[str]] = []
    revision = 0
    for change in (
        lambda: [store.add(key("key_1")), store.add(key("key_2"))],
        lambda: None,
        lambda: store.revoke("key_1"),
        lambda: store.expire("key_2", 7),
    ):
        change()
        revision, changed = store.changed_since(revision)
        seen.append([found.id for found in changed])
    assert seen == [["key_1", "key_2"], [], ["key_1"], ["key_2"]]
    assert len(store.changed_since(0)[1]) == 2


def test_one_handle_sees_at_once_what_another_changed(open_store: OpenStore) -> None:
    one, other = open_store(), open_store()
    one.add(key("key_1"))
    assert [found.id for found in other.list()] == ["key_1"]
    other.revoke("key_1")
    assert one.changed_since(1)[1][0].revoked


def test_no_change_is_missed_while_threads_write(open_store: OpenStore) -> None:
    def add(worker: int) -> None:
        store = open_store()
        for number in range(20):
            store.add(key(f"key_{worker}_{number}"))

    threads = [threading.Thread(target=add, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    assert len(followed(open_store(), 60)) == 60
    for thread in threads:
        thread.join()


def test_no_change_is_missed_while_processes_write(
    database_url: str, spawn: Spawn, open_sql: OpenSql
) -> None:
    store = open_sql(database_url)
    store.migrate()
    writers = [spawn(ADD_KEYS, database_url, str(worker), "40") for worker in range(2)]
    seen = followed(store, 80)
    outputs = [writer.communicate(timeout=60)[0] for writer in writers]
    assert outputs == ["", ""]
    assert len(seen) == 80


def followed(store: MemoryKeyStore | SqlKeyStore, expected: int) -> set[str]:
    """Poll as a directory does, until `expected` keys were seen or time is up."""
    seen: set[str] = set()
    revision, deadline_s = 0, time.monotonic() + 60
    while len(seen) < expected and time.monotonic() < deadline_s:
        newest, changed = store.changed_since(revision)
        assert newest >= revision
        revision = newest
        seen |= {found.id for found in changed}
    return seen


def test_a_change_that_commits_late_is_not_jumped_over(postgres: Any, open_sql: OpenSql) -> None:
    url = postgres.new_database()
    store = open_sql(url)
    store.migrate()
    with postgres.connect(url.partition("@/")[2].partition("?")[0]) as slow:
        with slow.transaction():
            slow.execute("UPDATE key_revision SET newest = newest + 1")
            slow.execute(
                "INSERT INTO keys (id, tenant, digest, routes, name, created, revision) "
                "VALUES ('key_slow', 'acme', 'slow', '[]', '', 1, 1)"
            )
            fast = threading.Thread(target=store.add, args=(key("key_fast"),))
            fast.start()
            until(lambda: waits_for_a_lock(postgres))
            before, none_yet = store.changed_since(0)
        fast.join()
    after, both = store.changed_since(before)
    assert (before, list(none_yet), after) == (0, [], 2)
    assert [found.id for found in both] == ["key_slow", "key_fast"]


def waits_for_a_lock(postgres: Any) -> bool:
    with postgres.connect() as connection:
        return bool(connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchall())


def until(done: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not done():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def test_migrating_twice_keeps_the_keys(database_url: str, open_sql: OpenSql) -> None:
    store = open_sql(database_url)
    store.migrate()
    store.add(key("key_1"))
    store.migrate()
    assert store.list() == [key("key_1")]


def test_four_processes_migrate_at_once(database_url: str, spawn: Spawn, open_sql: OpenSql) -> None:
    workers = [spawn(MIGRATE, database_url) for _ in range(4)]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * 4
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    outputs = [worker.communicate(timeout=60)[0] for worker in workers]
    assert outputs == [""] * 4
    store = open_sql(database_url)
    store.add(key("key_1"))
    assert store.changed_since(0)[0] == 1


def test_a_schema_at_head_needs_no_alembic(database_url: str, spawn: Spawn) -> None:
    report = "; print(sorted(name for name in sys.modules if name == 'alembic'))"
    outputs = [spawn(MIGRATE.strip() + report, database_url).communicate("\n", timeout=60)[0] for _ in "12"]
    assert outputs == ["ready\n['alembic']\n", "ready\n[]\n"]


def test_the_head_in_the_code_is_the_newest_migration() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert scripts.get_heads() == [migrations.HEAD]


def test_the_migrations_make_the_tables_that_the_store_uses(database_url: str, open_sql: OpenSql) -> None:
    open_sql(database_url).migrate()
    engine = sa.create_engine(database_url)
    with engine.connect() as connection:
        made = sa.inspect(connection)
        for table in keys_sql._METADATA.sorted_tables:
            assert [column["name"] for column in made.get_columns(table.name)] == table.columns.keys()
    engine.dispose()


def test_keys_from_before_there_were_teams_are_of_none(database_url: str, open_sql: OpenSql) -> None:
    store = open_sql(database_url)
    store.migrate()
    store.add(key("key_1", team="search"))
    downgrade(database_url, "0001")
    store.migrate()
    assert store.list() == [key("key_1")]
    store.add(key("key_2", team="search"))
    assert [found.team for found in store.list()] == ["", "search"]


def test_no_key_from_before_there_were_admins_is_one(database_url: str, open_sql: OpenSql) -> None:
    store = open_sql(database_url)
    store.migrate()
    store.add(key("key_1", admin=True))
    downgrade(database_url, "0002")
    store.migrate()
    assert store.list() == [key("key_1")]
    store.add(key("key_2", admin=True))
    assert [found.admin for found in store.list()] == [False, True]


def test_a_change_of_a_key_keeps_its_rights(store: SqlKeyStore) -> None:
    store.add(key("key_1", admin=True, team="search"))
    store.expire("key_1", 5_000)
    store.revoke("key_1")
    assert [(found.admin, found.team) for found in store.changed_since(0)[1]] == [(True, "search")]


def downgrade(database_url: str, revision: str) -> None:
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.downgrade(config, revision)
    engine.dispose()


def test_a_newer_schema_is_a_clear_refusal(database_url: str, open_sql: OpenSql) -> None:
    open_sql(database_url).migrate()
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE forebay_schema SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(ConfigError, match="'9999' is newer than this Forebay, which knows up to"):
        open_sql(database_url).migrate()


@pytest.mark.parametrize(
    "url",
    ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://u:hush@h/x", "postgresql://u:hush@h:port/x"],
)
def test_a_url_of_no_database_is_refused_without_repeating_it(url: str, open_sql: OpenSql) -> None:
    with pytest.raises(ConfigError, match="names no database that keys can live in") as refused:
        open_sql(url)
    assert "hush" not in said(refused.value)


def test_a_missing_driver_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'forebay\[postgres\]'"):
        SqlKeyStore("postgresql://u:hush@h/x")


OPERATIONS: list[Callable[[SqlKeyStore], object]] = [
    lambda store: store.migrate(),
    lambda store: store.add(key("key_1")),
    lambda store: store.revoke("key_1"),
    lambda store: store.expire("key_1", 5),
    lambda store: store.list(),
    lambda store: store.changed_since(0),
]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hush@127.0.0.1:1/there",
        "postgres://user:hush@/there?host=/nowhere/hush",
        "sqlite:////proc/nowhere/hush.db",
    ],
)
def test_a_database_that_is_not_there_is_store_down_without_secrets(
    url: str, operation: Callable[[SqlKeyStore], object], open_sql: OpenSql
) -> None:
    with pytest.raises(StoreDown) as down:
        operation(open_sql(url))
    assert "hush" not in said(down.value)
    assert "127.0.0.1" not in said(down.value)


def said(error: Exception) -> str:
    return "".join(traceback.format_exception(error)) + repr(error)


def test_a_damaged_file_is_store_down(tmp_path: Path, open_sql: OpenSql) -> None:
    (tmp_path / "keys.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(StoreDown, match="SQLITE_NOTADB"):
        open_sql(f"sqlite:///{tmp_path}/keys.db").migrate()


@pytest.mark.parametrize("query", ["", "?timeout=3"])
def test_a_new_database_file_is_its_owners_only(query: str, tmp_path: Path, open_sql: OpenSql) -> None:
    before = os.umask(0o022)
    try:
        store = open_sql(f"sqlite:///{tmp_path}/keys.db{query}")
        store.migrate()
        store.add(key("key_1"))
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["keys.db", "keys.db-wal", "keys.db-shm"], "0o600")


def test_a_database_file_that_is_there_stays_as_open_as_it_was_made(
    tmp_path: Path, open_sql: OpenSql
) -> None:
    path = tmp_path / "keys.db"
    path.touch()
    path.chmod(0o640)
    open_sql(f"sqlite:///{path}").migrate()
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_store_without_tables_is_store_down(database_url: str, tmp_path: Path, open_sql: OpenSql) -> None:
    (tmp_path / "100% new folder").mkdir()
    with pytest.raises(StoreDown):
        open_sql(database_url).list()


def test_a_store_that_comes_back_is_used_again(postgres: Any, open_sql: OpenSql) -> None:
    store = open_sql(postgres.new_database())
    store.migrate()
    store.add(key("key_1"))
    postgres.stop()
    try:
        with pytest.raises(StoreDown) as down:
            store.list()
        assert str(postgres.folder) not in said(down.value)
    finally:
        postgres.start()
    assert store.list() == [key("key_1")]


def test_a_restart_of_the_database_that_nobody_noticed_costs_no_error(
    postgres: Any, open_sql: OpenSql
) -> None:
    store = open_sql(postgres.new_database())
    store.migrate()
    postgres.stop()
    postgres.start()
    assert list(store.list()) == []


def test_a_revoked_key_stops_working_in_every_worker_within_two_seconds(
    database_url: str, spawn: Spawn, open_sql: OpenSql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is two looks, one a second, of which one may have begun before: a busy machine delays them."""
    digest = digest_of(mint_key())
    store = open_sql(database_url)
    store.migrate()
    store.add(key("key_1", digest=digest))
    stores = [open_sql(database_url) for _ in range(2)]
    workers = [KeyDirectory((), {"acme": Caller("acme", "", (("*",),))}, one) for one in stores]
    looks: list[SqlKeyStore] = []

    def looked(revision: int, one: SqlKeyStore) -> object:
        looks.append(one)
        return SqlKeyStore.changed_since(one, revision)

    for one in stores:
        monkeypatch.setattr(one, "changed_since", partial(looked, one=one))

    async def revoke_elsewhere() -> None:
        following = [asyncio.create_task(worker.follow(interval_s=1.0)) for worker in workers]
        await reached(lambda: all(worker.find(digest, 0) for worker in workers))
        revoking = spawn(REVOKE, database_url, "key_1")
        await asyncio.to_thread(revoking.wait, 60)
        looks.clear()
        revoked_s = time.monotonic()
        await reached(
            lambda: (
                all(looks.count(one) > 2 for one in stores)
                or not any(worker.find(digest, 0) for worker in workers)
            )
        )
        assert not any(worker.find(digest, 0) for worker in workers)
        assert time.monotonic() - revoked_s < 10
        for task in following:
            task.cancel()

    asyncio.run(revoke_elsewhere())


async def reached(state: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not state():
            await asyncio.sleep(0.01)
