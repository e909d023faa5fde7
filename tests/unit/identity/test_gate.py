"""From the header's value to a caller, or to a refusal that is the same for every reason."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import Any

import pytest

from gateway.errors import QuotaExceeded, StoreDown, Unauthenticated
from gateway.exchange import Caller
from gateway.identity import Identity, KeyDirectory
from gateway.identity.keys import digest_of, mint_key
from gateway.identity.strangers import Origin
from gateway.stores import StoredKey
from gateway.stores.keys_memory import MemoryKeyStore

SECRET, REVOKED, EXPIRED, UNKNOWN = (mint_key() for _ in range(4))
ACME = Caller("acme", "", (("*",),))
ANN = Caller("acme", "sub:ann")


def key(secret: str, **fields: Any) -> StoredKey:
    return StoredKey(secret[:9], "acme", digest_of(secret), ("*",), name="", created_unix_s=0, **fields)


class OneToken:
    """Stands in for the verifier: knows `a.b.c`, and after that its digest."""

    def __init__(self) -> None:
        self.verified: set[bytes] = set()

    def find(self, digest: bytes, _now_unix_s: float) -> Caller | None:
        return ANN if digest in self.verified else None

    async def identify(self, token: str, _now_unix_s: float) -> Caller | None:
        if token == "down.down.down":
            raise StoreDown("the signing keys could not be fetched")
        if token != "a.b.c":
            return None
        self.verified.add(digest_of(token))
        return ANN


@pytest.fixture
def identity() -> Identity:
    static = [key(SECRET), key(REVOKED, revoked=True), key(EXPIRED, expires_unix_s=50)]
    return Identity(KeyDirectory(static, {"acme": ACME}, None), OneToken())


def identify(identity: Identity, authorization: str | None) -> Caller:
    return asyncio.run(identity.identify(authorization, 100.0))


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER ", "Bearer   "])
def test_a_key_is_taken_whatever_the_case_of_the_scheme(identity: Identity, scheme: str) -> None:
    caller = identify(identity, scheme + SECRET)
    assert caller.tenant == "acme"
    assert identity.lookup(scheme + SECRET, 100.0) is caller


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        SECRET,
        f"Basic {SECRET}",
        f"Bearer{SECRET}",
        f"Bearer {REVOKED}",
        f"Bearer {EXPIRED}",
        f"Bearer {UNKNOWN}",
        f"Bearer {SECRET}x",
        "Bearer x.y.z",
        "Bearer \udc80",
        "Bearer " + "x" * 100_000,
    ],
    ids=lambda shown: re.sub("fb-[0-9A-Za-z]+", "key", str(shown))[:20],  # keys are made anew each time
)
def test_every_refusal_says_the_same(identity: Identity, authorization: str | None) -> None:
    assert identity.lookup(authorization, 100.0) is None
    with pytest.raises(Unauthenticated) as refused:
        identify(identity, authorization)
    assert refused.value.message == (
        "missing or invalid credentials; "
        "send 'Authorization: Bearer <key>', or the key as x-api-key or x-goog-api-key"
    )
    assert refused.value.status == 401


def test_a_token_is_looked_up_after_it_was_verified_once(identity: Identity) -> None:
    assert identity.lookup("Bearer a.b.c", 100.0) is None
    assert identify(identity, "Bearer a.b.c") is ANN
    assert identity.lookup("Bearer a.b.c", 100.0) is ANN


def test_an_operators_key_may_look_like_a_token() -> None:
    only = Identity(KeyDirectory([key("x.y.z")], {"acme": ACME}, None), OneToken())
    assert identify(only, "Bearer x.y.z").key == "x.y.z"


def test_what_is_down_is_not_a_refusal(identity: Identity) -> None:
    with pytest.raises(StoreDown):
        identify(identity, "Bearer down.down.down")


def test_a_key_made_just_now_works_at_once() -> None:
    store, fresh = MemoryKeyStore(), mint_key()
    known = Identity(KeyDirectory([], {"acme": ACME}, store))
    with pytest.raises(Unauthenticated):
        identify(known, f"Bearer {fresh}")
    store.add(key(fresh))
    assert identify(known, f"Bearer {fresh}").key == fresh[:9]


class CountingStore(MemoryKeyStore):
    """Counts how often it is asked what is new."""

    asked = 0

    def changed_since(self, revision: int) -> tuple[int, Any]:
        self.asked += 1
        return super().changed_since(revision)


def test_an_address_with_too_many_failures_is_refused_before_the_store_is_asked() -> None:
    store = CountingStore()
    known = Identity(KeyDirectory([key(SECRET)], {"acme": ACME}, store))
    origin = Origin("192.0.2.7")

    async def scene() -> None:
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await known.identify("Bearer made-up", 100.0, origin)
        asked = store.asked
        with pytest.raises(QuotaExceeded) as refused:
            await known.identify(f"Bearer {mint_key()}", 100.0, origin)
        assert (refused.value.code, store.asked) == ("too_many_failures", asked)
        assert (await known.identify(f"Bearer {SECRET}", 100.0, origin)).tenant == "acme"
        with pytest.raises(Unauthenticated):
            await known.identify("Bearer made-up", 100.0, Origin("192.0.2.8"))

    asyncio.run(scene())


def test_who_shows_nothing_has_not_failed(identity: Identity) -> None:
    for authorization in (*[None, "Basic x", "Bearer " + "x" * 100_000] * 20, f"Bearer {UNKNOWN}"):
        with pytest.raises(Unauthenticated):
            asyncio.run(identity.identify(authorization, 100.0, Origin("192.0.2.7")))


def test_what_is_down_is_no_failure_of_the_address(identity: Identity) -> None:
    for _ in range(30):
        with pytest.raises(StoreDown):
            asyncio.run(identity.identify("Bearer down.down.down", 100.0, Origin("192.0.2.7")))
    assert asyncio.run(identity.identify("Bearer a.b.c", 100.0, Origin("192.0.2.7"))) is ANN


def test_without_issuers_neither_jwt_nor_httpx_is_imported() -> None:
    source = """
import sys
from gateway.identity import Identity, KeyDirectory, TokenVerifier
Identity(KeyDirectory([], {}, None)); TokenVerifier([], {})
print(sorted({"jwt", "httpx", "sqlalchemy", "cryptography"} & set(sys.modules)))
"""
    assert subprocess.run([sys.executable, "-c", source], capture_output=True, text=True).stdout == "[]\n"
