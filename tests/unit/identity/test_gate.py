"""From the header's value to a caller, or to a refusal that is the same for every reason."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from gateway.errors import QuotaExceeded, StoreDown, Unauthenticated
from gateway.exchange import Caller
from gateway.identity import Identity, KeyDirectory
from gateway.identity.keys import digest_of, mint_key
from gateway.identity.sessions import Sessions
from gateway.identity.strangers import Origin, Strangers
from gateway.stores import StoredKey
from gateway.stores.keys_memory import MemoryKeyStore

SECRET, REVOKED, EXPIRED, UNKNOWN = (mint_key() for _ in range(4))
ACME = Caller("acme", "", (("*",),))
ANN = Caller("acme", "sub:ann")
NOWHERE = Origin()


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


# Sessions


def log_in(identity: Identity, secret: str, now_unix_s: float = 100.0, origin: Origin = NOWHERE) -> str:
    return asyncio.run(identity.log_in(secret, now_unix_s, origin))


def resume(identity: Identity, session: str, now_unix_s: float = 100.0) -> Caller:
    return asyncio.run(identity.resume(session, now_unix_s))


def test_a_session_stands_for_its_key(identity: Identity) -> None:
    caller = resume(identity, log_in(identity, SECRET))
    assert caller == identity.lookup(f"Bearer {SECRET}", 100.0)


SHOWN = ["", REVOKED, EXPIRED, UNKNOWN, SECRET + "x", "a.b.c", "x" * 20_000, "\udc80"]


@pytest.mark.parametrize("shown", SHOWN, ids=range(len(SHOWN)))
def test_nothing_but_a_live_key_begins_a_session(identity: Identity, shown: str) -> None:
    with pytest.raises(Unauthenticated, match="no valid key"):
        log_in(identity, shown)


def test_guesses_at_the_login_are_counted_as_all_others(identity: Identity) -> None:
    here, there = Origin("192.0.2.1"), Origin("192.0.2.2")
    for _ in range(20):
        with pytest.raises(Unauthenticated):
            log_in(identity, mint_key(), origin=here)
    with pytest.raises(QuotaExceeded):
        log_in(identity, mint_key(), origin=here)
    with pytest.raises(QuotaExceeded):
        asyncio.run(identity.identify(f"Bearer {mint_key()}", 100.0, here))
    assert log_in(identity, SECRET, origin=here)
    with pytest.raises(Unauthenticated):
        log_in(identity, UNKNOWN, origin=there)


def test_a_session_ends_with_its_time_and_with_its_key() -> None:
    store = MemoryKeyStore()
    store.add(key(SECRET))
    store.add(key(EXPIRED, expires_unix_s=5000))
    directory = KeyDirectory((), {"acme": ACME}, store)
    directory.refresh()
    identity = Identity(directory)
    revoked, expiring = log_in(identity, SECRET), log_in(identity, EXPIRED)
    assert resume(identity, expiring, 4999).key == EXPIRED[:9]
    assert resume(identity, revoked, 100 + 12 * 3600 - 1).key == SECRET[:9]
    for session, now_unix_s in ((expiring, 5000), (revoked, 100 + 12 * 3600)):
        with pytest.raises(Unauthenticated, match="log in again") as ended:
            resume(identity, session, now_unix_s)
        assert ended.value.code == "session_ended"
    store.revoke(SECRET[:9])
    directory.refresh()
    with pytest.raises(Unauthenticated):
        resume(identity, revoked)


def test_a_key_of_the_same_id_does_not_take_over_a_session() -> None:
    sessions = Sessions(b"s" * 32)
    before = Identity(KeyDirectory([key(SECRET)], {"acme": ACME}, None), sessions=sessions)
    renewed = msgspec.structs.replace(key(SECRET), digest=digest_of(UNKNOWN))
    after = Identity(KeyDirectory([renewed], {"acme": ACME}, None), sessions=sessions)
    session = log_in(before, SECRET)
    with pytest.raises(Unauthenticated):
        resume(after, session)


def test_another_worker_knows_a_session_of_a_key_that_was_made_just_now() -> None:
    sessions, store = Sessions(b"s" * 32), MemoryKeyStore()
    one, other = (Identity(KeyDirectory((), {"acme": ACME}, store), sessions=sessions) for _ in range(2))
    store.add(key(SECRET))
    assert resume(other, log_in(one, SECRET)).tenant == "acme"


def test_a_forged_session_does_not_make_the_store_work() -> None:
    asked: list[int] = []

    class Watched(MemoryKeyStore):
        def changed_since(self, revision: int) -> Any:
            asked.append(revision)
            return super().changed_since(revision)

    identity = Identity(KeyDirectory((), {"acme": ACME}, Watched()))
    foreign = Sessions(b"t" * 32).begin("key_1", digest_of(SECRET), 100.0)
    for session in ("", "nonsense", foreign):
        with pytest.raises(Unauthenticated):
            resume(identity, session)
    assert asked == []


def test_where_only_the_silent_store_knows_a_sessions_key_that_is_no_refusal() -> None:
    class Down(MemoryKeyStore):
        def changed_since(self, _revision: int) -> Any:
            raise StoreDown("no answer")

    sessions = Sessions(b"s" * 32)
    identity = Identity(KeyDirectory((), {"acme": ACME}, Down()), sessions=sessions)
    with pytest.raises(StoreDown):
        resume(identity, sessions.begin("key_1", digest_of(SECRET), 100.0))


@pytest.mark.parametrize(
    ("peer", "trusted"), [("10.0.0.7", True), ("192.0.2.1", False), ("", False), ("x", False)]
)
def test_only_our_own_proxies_are_trusted(peer: str, *, trusted: bool) -> None:
    identity = Identity(KeyDirectory((), {}, None), strangers=Strangers(["10.0.0.0/8"]))
    assert identity.trusts(peer) is trusted
