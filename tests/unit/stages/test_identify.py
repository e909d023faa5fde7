"""Who calls, said at once where it is known."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import QuotaExceeded, Unauthenticated
from gateway.exchange import Caller
from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.identity.keys import digest_of, mint_key
from gateway.identity.strangers import Strangers
from gateway.stages.identify import identify
from gateway.stores import StoredKey

SECRET = mint_key()
KEY = StoredKey("key_1", "acme", digest_of(SECRET), ("fast",), name="", created_unix_s=0)


def caller_of(headers: dict[str, str]) -> Any:
    identity = Identity(KeyDirectory([KEY], {"acme": Caller("acme", "", (("*",),))}, None))
    return asyncio.run(identify(headers, identity))


def test_a_known_key_is_its_caller() -> None:
    assert caller_of({"authorization": f"Bearer {SECRET}"}) == Caller("acme", "key_1", (("*",), ("fast",)))


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": ""}, {"authorization": "Bearer x"}, {"authorization": f"Basic {SECRET}"}],
)
def test_everybody_else_gets_one_refusal(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        caller_of(headers)
    assert "missing or invalid credentials" in refusal.value.message


@pytest.mark.parametrize(
    ("peer", "forwarded", "refused"),
    [
        (("10.0.0.1", 4711), "192.0.2.7", True),
        (("10.0.0.2", 4712), "198.51.100.1, 192.0.2.7", True),
        (("10.0.0.1", 4711), "192.0.2.8", False),
        (("192.0.2.7", 4711), "", True),
        (None, "192.0.2.7", False),
    ],
)
def test_too_many_failures_are_those_of_the_client_behind_the_proxies(
    peer: Any, forwarded: str, refused: bool
) -> None:
    directory = KeyDirectory([KEY], {"acme": Caller("acme", "", (("*",),))}, None)
    identity = Identity(directory, strangers=Strangers(["10.0.0.0/8"]))
    unknown = {"authorization": "Bearer made-up", "x-forwarded-for": "192.0.2.7"}

    async def scene() -> None:
        for _ in range(20):
            with pytest.raises(Unauthenticated):
                await identify(unknown, identity, ("10.0.0.1", 4711))
        with pytest.raises(QuotaExceeded if refused else Unauthenticated):
            await identify(unknown | {"x-forwarded-for": forwarded}, identity, peer)
        known = unknown | {"authorization": f"Bearer {SECRET}"}
        assert (await identify(known, identity, ("10.0.0.1", 4711))).tenant == "acme"

    asyncio.run(scene())
