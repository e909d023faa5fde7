"""How the database of keys is looked at: what it tells, and that looking leaves nothing behind."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.errors import StoreDown
from gateway.stores import StoredKey
from gateway.stores.keys_schema import KeysFacts, look_at_keys
from gateway.stores.keys_sql import SqlKeyStore
from gateway.stores.migrations import HEAD


def key(number: int, expires_unix_s: int | None = None) -> StoredKey:
    return StoredKey(
        f"key_{number}",
        "acme",
        bytes([number]) * 32,
        ("*",),
        name="",
        created_unix_s=1,
        expires_unix_s=expires_unix_s,
    )


def test_valid_keys_are_counted_and_others_are_not(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keys #1.db'}"
    store = SqlKeyStore(url)
    store.migrate()
    for each in (key(1), key(2), key(3, expires_unix_s=1)):
        store.add(each)
    store.revoke("key_2")
    store.close()
    before = (tmp_path / "keys #1.db").read_bytes()
    assert look_at_keys(url) == KeysFacts(HEAD, HEAD, 1)
    assert (tmp_path / "keys #1.db").read_bytes() == before


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        look_at_keys(f"sqlite:///{tmp_path / 'none.db'}")
    assert not list(tmp_path.iterdir())


def test_an_empty_database_has_no_revision(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "empty.db")) as raw:
        raw.execute("CREATE TABLE other (x)")
    assert look_at_keys(f"sqlite:///{tmp_path / 'empty.db'}") == KeysFacts(None, HEAD, None)


def test_a_file_that_is_no_database_and_a_server_that_is_gone_are_down(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("not a database, and long enough to be told from an empty one\n" * 20)
    with pytest.raises(StoreDown, match=r"does not answer \(DatabaseError\)"):
        look_at_keys(f"sqlite:///{tmp_path / 'text.db'}")
    with pytest.raises(StoreDown) as down:
        look_at_keys("postgresql://forebay:planted@127.0.0.1:9/keys")
    assert "planted" not in str(down.value)
