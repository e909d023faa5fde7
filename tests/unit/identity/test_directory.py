"""Which secrets stand for which callers, with a store that changes, fails and comes back."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence

import msgspec
import pytest

from gateway.errors import StoreDown
from gateway.exchange import Caller
from gateway.identity.directory import KeyDirectory
from gateway.identity.keys import digest_of, mint_key
from gateway.stores import StoredKey
from gateway.stores.keys_memory import MemoryKeyStore

TENANTS = {"acme": Caller("acme", "", (("fast", "gpt-*"),))}
SECRET = mint_key()


class FlakyStore(MemoryKeyStore):
    """A store that can be down; counts how often it was asked."""

    down = False
    asked = 0

    def changed_since(self, revision: int) -> tuple[int, Sequence[StoredKey]]:
        self.asked += 1
        if self.down:
            raise StoreDown("the key store does not answer")
        return super().changed_since(revision)


def key(secret: str = SECRET, key_id: str = "key_1", **fields: object) -> StoredKey:
    record = StoredKey(key_id, "acme", digest_of(secret), ("gpt-*",), name="", created_unix_s=0)
    return msgspec.structs.replace(record, **fields)


def directory(*static: StoredKey, store: MemoryKeyStore | None = None) -> KeyDirectory:
    return KeyDirectory(static, TENANTS, store)


def test_a_static_key_stands_for_its_caller_with_both_layers_of_routes() -> None:
    assert directory(key()).identify(SECRET, 0) == Caller("acme", "key_1", (("fast", "gpt-*"), ("gpt-*",)))


def test_a_key_stands_for_all_that_its_tenant_is() -> None:
    acme = Caller("acme", "", (("*",),), tags=("gold",), features=("x",), priority="batch", share=3.0)
    known = KeyDirectory([key()], {"acme": acme}, None)
    found = known.identify(SECRET, 0)
    assert found == msgspec.structs.replace(acme, key="key_1", routes=(("*",), ("gpt-*",)))
    assert known.identify(SECRET, 0) is found


def test_only_an_admins_key_stands_for_an_admin() -> None:
    acme = Caller("acme", "", (("*",),))
    for admin in (True, False):
        found = KeyDirectory([key(admin=admin)], {"acme": acme}, None).identify(SECRET, 0)
        assert found is not None
        assert (found.admin, found.tenant) == (admin, "acme")


def test_a_key_stands_for_a_call_of_its_team() -> None:
    acme = Caller("acme", "", (("*",),), timezone="Europe/Berlin")
    found = KeyDirectory([key(team="search")], {"acme": acme}, None).identify(SECRET, 0)
    assert found is not None
    assert (found.team, found.timezone) == ("search", "Europe/Berlin")


def test_an_operators_own_secret_of_any_form_works() -> None:
    found = directory(key("correct horse battery staple ü")).identify("correct horse battery staple ü", 0)
    assert found is not None


@pytest.mark.parametrize(
    "secret",
    ["", "wrong", mint_key(), SECRET[:-1], SECRET + " ", "\udc80"],
    ids=["empty", "a word", "another key", "cut short", "with a space", "not text"],
)
def test_an_unknown_secret_stands_for_nobody(secret: str) -> None:
    assert directory(key()).identify(secret, 0) is None


def test_two_digests_that_begin_alike_are_told_apart() -> None:
    alike = digest_of(SECRET)[:8] + b"x" * 24
    known = directory(key(key_id="key_2", digest=alike), key())
    caller = known.identify(SECRET, 0)
    assert caller is not None
    assert caller.key == "key_1"
    assert directory(key(digest=alike)).identify(SECRET, 0) is None


def test_a_key_ends_at_its_second() -> None:
    known = directory(key(expires_unix_s=100))
    assert known.identify(SECRET, 99.9) is not None
    assert known.identify(SECRET, 100.0) is None


@pytest.mark.parametrize("fields", [{"revoked": True}, {"tenant": "gone"}])
def test_a_revoked_key_or_one_of_an_unknown_tenant_is_refused(fields: dict[str, object]) -> None:
    assert directory(key(**fields)).identify(SECRET, 0) is None


def test_a_secret_that_is_there_twice_is_refused_when_either_is_revoked() -> None:
    for pair in ((key(), key(key_id="key_2", revoked=True)), (key(revoked=True), key(key_id="key_2"))):
        assert directory(*pair).identify(SECRET, 0) is None


def test_a_refresh_brings_new_and_revoked_keys() -> None:
    store = MemoryKeyStore()
    known = directory(store=store)
    known.refresh()
    assert known.identify(SECRET, 0) is None
    store.add(key())
    known.refresh()
    assert known.identify(SECRET, 0) is not None
    store.revoke("key_1")
    known.refresh()
    assert known.identify(SECRET, 0) is None


def test_a_store_that_was_set_back_forgets_what_it_no_longer_has() -> None:
    store, static = MemoryKeyStore(), mint_key()
    store.add(key())
    store.add(key(mint_key(), "key_2"))
    known = directory(key(static, "static"), store=store)
    known.refresh()
    known._store = MemoryKeyStore()
    known.refresh()
    assert known.identify(SECRET, 0) is None
    assert known.identify(static, 0) is not None


def test_a_store_that_is_down_keeps_the_known_keys_and_is_never_a_refusal() -> None:
    store = FlakyStore()
    store.add(key())
    known = directory(store=store)
    asyncio.run(known.refresh_in_thread())
    store.down = True
    asyncio.run(known.refresh_in_thread())
    assert known.identify(SECRET, 0) is not None
    with pytest.raises(StoreDown):
        known.identify(mint_key(), 0)


def test_before_the_first_reading_an_unknown_key_is_not_refused() -> None:
    known = directory(key(), store=MemoryKeyStore())
    assert known.identify(SECRET, 0) is not None
    with pytest.raises(StoreDown):
        known.identify(mint_key(), 0)


def test_what_cannot_be_a_stored_key_is_refused_even_while_the_store_is_down() -> None:
    known = directory(key(revoked=True), store=MemoryKeyStore())
    assert known.identify("sk-of-some-other-service", 0) is None
    assert known.identify(SECRET, 0) is None


def test_a_key_that_was_just_made_is_found_without_waiting_for_the_next_interval() -> None:
    store = FlakyStore()
    known = directory(store=store)

    async def use_at_once() -> Caller | None:
        await known.refresh_in_thread()
        store.add(key())
        found = await asyncio.gather(*(known.search(SECRET, 0) for _ in range(50)))
        assert len(set(map(str, found))) == 1
        return found[0]

    assert asyncio.run(use_at_once()) is not None
    assert store.asked == 2


def test_no_search_bothers_the_store_for_what_cannot_be_in_it() -> None:
    store = FlakyStore()
    known = directory(key(revoked=True), store=store)
    for secret in ("nonsense", SECRET, SECRET[:-1]):
        assert asyncio.run(known.search(secret, 0)) is None
    assert store.asked == 0


def test_no_search_waits_for_a_store_that_is_known_to_be_down() -> None:
    store = FlakyStore()
    store.down = True
    known = directory(store=store)
    asyncio.run(known.refresh_in_thread())
    with pytest.raises(StoreDown):
        asyncio.run(known.search(SECRET, 0))
    assert store.asked == 1


def test_following_survives_the_store_and_logs_each_change_of_state_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    store = FlakyStore()
    store.add(key())
    known = directory(store=store)

    async def follow() -> list[bool]:
        following = asyncio.create_task(known.follow(interval_s=0.001))
        states = []
        for down in (False, True, False):
            store.down, asked = down, store.asked
            async with asyncio.timeout(30):
                while store.asked < asked + 5:
                    await asyncio.sleep(0.001)
            states.append(known.state()[0])
        following.cancel()
        return states

    assert asyncio.run(follow()) == [True, False, True]
    assert caplog.messages == [
        "the key store does not answer; the 1 keys known so far stay in use",
        "the key store answers again",
    ]


def test_the_state_says_what_is_known_and_since_when_it_may_be_old() -> None:
    store = FlakyStore()
    assert directory(key()).state() == (True, "1 keys in policies/tenants.yaml, no key store")
    known = directory(key(), store=store)
    assert known.state() == (False, "1 keys in policies/tenants.yaml, 0 in the store, which was not read yet")
    known.refresh()
    assert known.state() == (True, "1 keys in policies/tenants.yaml, 0 in the store")
    store.down = True
    asyncio.run(known.refresh_in_thread())
    ok, text = known.state()
    assert not ok
    assert "as last known; the store has not answered since 20" in text


def test_keys_that_nobody_refreshes_are_not_called_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    known = directory(store=MemoryKeyStore())
    known.refresh()
    now_s = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now_s + 60)
    assert known.state() == (False, "0 keys in policies/tenants.yaml, 0 in the store, read 60 s ago")


def test_a_new_configuration_starts_with_what_is_known_of_the_store() -> None:
    store, added = FlakyStore(), mint_key()
    store.add(key())
    old = directory(store=store)
    old.refresh()
    store.down = True
    new = old.revised([key(added, "static")], {"acme": Caller("acme", "", (("slow",),))})
    caller = new.identify(SECRET, 0)
    assert caller is not None
    assert caller.routes == (("slow",), ("gpt-*",))
    assert new.identify(added, 0) is not None
    assert old.identify(added, 0) is None
    assert old.revised([], {}).identify(SECRET, 0) is None


class Moment(dict[str, Caller]):
    """Tenants that let something happen while a directory looks its nth key's tenant up."""

    def __init__(self, at: int, happens: Callable[[], object]) -> None:
        super().__init__(TENANTS)
        self.left = at
        self.happens = happens

    def get(self, *named: str) -> Caller | None:
        self.left -= 1
        if self.left == 0:
            other = threading.Thread(target=self.happens)
            other.start()
            other.join(1)
        return super().get(*named)


def two_stored_keys() -> MemoryKeyStore:
    store = MemoryKeyStore()
    store.add(key())
    store.add(key(mint_key(), "key_2"))
    return store


@pytest.mark.parametrize("at", [1, 2, 3], ids=["static key", "first stored key", "second stored key"])
def test_a_revocation_that_comes_while_a_configuration_is_taken_over_is_not_lost(at: int) -> None:
    store = two_stored_keys()
    old = directory(store=store)
    old.refresh()
    moment = Moment(at, old.refresh)
    store.revoke("key_1")
    new = old.revised([key(mint_key(), "static")], moment)
    new.refresh()
    assert moment.left <= 0
    assert old.identify(SECRET, 0) is None
    assert new.identify(SECRET, 0) is None


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_configuration_that_is_taken_over_amid_a_refresh_loses_no_revocation(at: int) -> None:
    store, made = two_stored_keys(), list[KeyDirectory]()
    moment = Moment(0, lambda: made.append(old.revised([], TENANTS)))
    old = KeyDirectory([], moment, store)
    old.refresh()
    for key_id in ("key_2", "key_1"):
        store.revoke(key_id)
    store.add(key(mint_key(), "key_3"))
    moment.left = at
    old.refresh()
    [new] = made
    new.refresh()
    assert new.identify(SECRET, 0) is None
    assert new.state()[1] == old.state()[1]


def test_a_configuration_that_is_taken_over_while_the_store_is_set_back_has_no_key_of_before() -> None:
    store, restored = two_stored_keys(), MemoryKeyStore()
    old = directory(store=store)
    old.refresh()
    restored.add(key(mint_key(), "key_3"))

    def set_back() -> None:
        old._store = restored
        old.refresh()

    new = old.revised([key(mint_key(), "static")], Moment(2, set_back))
    new._store = restored
    new.refresh()
    assert new.identify(SECRET, 0) is None
    assert new.state()[1].endswith("1 in the store")
