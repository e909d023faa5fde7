"""A newcomer's key and first command."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from gateway.commands.quickstart import FILE, quickstart_key, welcome
from gateway.config.resolve import Resolved
from gateway.identity.keys import digest_of, is_well_formed, mint_key
from gateway.stores import StoredKey
from gateway.stores.keys_sql import SqlKeyStore

TENANTS = {"acme": ("*",), "default": ("*",)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlKeyStore]:
    opened = SqlKeyStore(f"sqlite:///{tmp_path / 'keys.db'}")
    yield opened
    opened.close()


def test_the_first_start_makes_a_key_that_only_its_owner_can_read(store: SqlKeyStore, tmp_path: Path) -> None:
    key = quickstart_key(store, TENANTS, tmp_path)
    assert is_well_formed(key)
    assert (tmp_path / FILE).read_text() == key + "\n"
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    (stored,) = store.list()
    assert (stored.tenant, stored.digest, stored.routes) == ("default", digest_of(key), ("*",))
    assert stored.admin


def test_the_next_start_shows_the_same_key(store: SqlKeyStore, tmp_path: Path) -> None:
    assert quickstart_key(store, TENANTS, tmp_path) == quickstart_key(store, TENANTS, tmp_path)
    assert len(store.list()) == 1


def test_a_key_that_no_longer_works_is_replaced(store: SqlKeyStore, tmp_path: Path) -> None:
    first = quickstart_key(store, TENANTS, tmp_path)
    store.revoke(store.list()[0].id)
    second = quickstart_key(store, TENANTS, tmp_path)
    assert second != first
    (tmp_path / FILE).write_text("not a key of ours\n")
    assert quickstart_key(store, TENANTS, tmp_path) not in {first, second}


def test_a_key_from_before_there_were_admins_works_on_and_a_new_one_is_shown(
    store: SqlKeyStore, tmp_path: Path
) -> None:
    store.migrate()
    before = mint_key()
    store.add(StoredKey("key_1", "default", digest_of(before), ("*",), name="", created_unix_s=1))
    (tmp_path / FILE).write_text(f"{before}\n")
    after = quickstart_key(store, TENANTS, tmp_path)
    assert after != before
    assert quickstart_key(store, TENANTS, tmp_path) == after
    assert [(stored.admin, stored.revoked) for stored in store.list()] == [(False, False), (True, False)]


def test_without_a_default_tenant_the_first_one_pays(store: SqlKeyStore, tmp_path: Path) -> None:
    quickstart_key(store, {"beta": ("*",), "acme": ("*",)}, tmp_path)
    assert store.list()[0].tenant == "beta"


def resolved(*routes: str) -> Resolved:
    return cast("Resolved", SimpleNamespace(routes=dict.fromkeys(routes)))


def test_the_welcome_has_a_command_that_works_as_it_stands() -> None:
    text = " ".join(welcome("http://127.0.0.1:8080", "fb-key", resolved("fast", "gpt-*")).split())
    assert "curl http://127.0.0.1:8080/v1/chat/completions" in text
    assert '"Authorization: Bearer fb-key"' in text
    assert '{"model": "fast", "temperature": 0, "messages": [ {"role": "system"' in text
    assert "fast, gpt-*" in text


def test_a_glob_is_no_model_to_try() -> None:
    assert '{"model": "fast"' in welcome("http://h", "k", resolved("any/*", "fast"))
