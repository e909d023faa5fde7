"""Who calls, said at once where it is known."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import Unauthenticated
from gateway.exchange import Caller
from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.identity.keys import digest_of, mint_key
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
