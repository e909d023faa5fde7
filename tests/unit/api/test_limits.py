"""GET /v1/usage/limits: a key's own limits, however it asks."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from unit.admission.rules import RULES, USD, Store
from unit.stand_ins import route, routing, target

from gateway.api.app import build_app
from gateway.errors import StoreDown
from gateway.exchange import Caller
from gateway.identity.directory import KeyDirectory
from gateway.identity.gate import Identity
from gateway.identity.keys import digest_of, mint_key
from gateway.quotas.rules import Scope
from gateway.stores import StoredKey

OWN, NARROW = mint_key(), mint_key()
KEYS = [
    StoredKey("own", "acme", digest_of(OWN), ("*",), name="", created_unix_s=0, team="blue"),
    StoredKey("narrow", "acme", digest_of(NARROW), ("fast",), name="", created_unix_s=0),
]
CALLERS = {"acme": Caller("acme", "", (("*",),), ("free",))}
pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated inferred style")


@pytest.fixture
def store() -> Store:
    return Store()


def ask(store: Store, path: str = "", *, key: str | None = OWN, rules: Any = RULES) -> httpx.Response:
    asked = target("b")
    runtime: Any = SimpleNamespace(
        clean=str,
        identity=Identity(KeyDirectory(KEYS, CALLERS, None)),
        routing=routing(route("gpt", asked, aliases=("gpt-4",)), route("fast", asked), route("any/*", asked)),
        entrance=SimpleNamespace(rules=rules, desk=SimpleNamespace(store=store)),
    )

    async def scene() -> httpx.Response:
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(build_app(lambda: runtime))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            return await client.get(f"/v1/usage/limits{path}", headers=headers)

    return asyncio.run(scene())


def names(response: httpx.Response) -> list[tuple[str, dict[str, str]]]:
    assert response.status_code == 200, response.text
    return [(one["rule"], one["per"]) for one in response.json()["data"]]


NOBODY = ("free", {"tenant": "acme", "user": ""})
TEAM, PAID, SHARED = (
    ("teams", {"tenant": "acme", "team": "blue"}),
    ("paid", {"tenant": "acme"}),
    ("shared", {}),
)


def test_a_key_sees_its_own_limits_and_what_is_left(store: Store) -> None:
    asyncio.run(store.take(Scope("acme", tags=("free",)), "paid", 300 * USD))
    response = ask(store)
    assert names(response) == [NOBODY, NOBODY, TEAM, PAID, SHARED]
    body = response.json()
    assert body["object"] == "list"
    assert body["data"][3] == {
        "rule": "paid",
        "kind": "budget",
        "metric": "nanousd",
        "text": "$500 per month",
        "limit": 500 * USD,
        "revised": False,
        "taken": 300 * USD,
        "remaining": 200 * USD,
        "resets_ms": 1_793_491_200_000,
        "per": {"tenant": "acme"},
        "shadow": False,
        "forecast": {"ends_at_ms": 1_792_972_800_000, "expected": 620 * USD},
    }
    assert body["bounds"] == [
        {"rule": "short", "most_prompt_tokens": 8000, "most_output_tokens": None, "caps_output": False}
    ]


@pytest.mark.parametrize("narrowed", ["?route=gpt", "?model=gpt", "?model=gpt-4"])
def test_a_route_or_a_model_adds_the_limits_on_it(store: Store, narrowed: str) -> None:
    assert names(ask(store, narrowed)) == [NOBODY, NOBODY, ("provider", {}), TEAM, PAID, SHARED]


def test_a_user_shows_the_limits_on_that_user_in_place_of_those_on_nobody(store: Store) -> None:
    free = ("free", {"tenant": "acme", "user": "ann"})
    assert names(ask(store, "?user=ann&model=fast")) == [free, free, TEAM, PAID, SHARED]


def test_nobody_sees_another_tenant_team_or_key(store: Store) -> None:
    assert names(ask(store, "?tenant=beta&team=red&key=other")) == names(ask(store))


def test_a_key_without_a_team_shares_the_counter_of_those(store: Store) -> None:
    assert names(ask(store, key=NARROW))[2] == ("teams", {"tenant": "acme", "team": ""})


@pytest.mark.parametrize("narrowed", ["?route=gpt", "?model=gpt-4", "?route=nope", "?model=nope"])
def test_what_a_key_may_not_use_is_unknown(store: Store, narrowed: str) -> None:
    response = ask(store, narrowed, key=NARROW)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


def test_a_name_has_an_end(store: Store) -> None:
    assert ask(store, f"?user={'x' * 257}").status_code == 400


@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_stranger_sees_nothing(store: Store, key: str | None) -> None:
    assert ask(store, key=key).status_code == 401


def test_a_store_that_is_down_is_a_503(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def exchange(_self: object, _asks: object) -> object:
        raise StoreDown("Redis does not answer")

    monkeypatch.setattr(Store, "exchange", exchange)
    response = ask(store)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "store_down")
