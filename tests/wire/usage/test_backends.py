"""GET /v1/backends: what a running gateway tells an admin of its deployments."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rig.gateway import CREDENTIALS, KEY, SECRETS, Gateway, eventually, running_gateway
from rig.script import Answer, Gate, plain
from rig.upstream import Seen, Upstream, refusing_port

ADMIN_KEY = "fb-test-admin-Jm7xW2pLc4"
SAID = {
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
COOL_DOWN_S = 600


def policies() -> dict[str, Any]:
    keys = {"tests": ("ci", KEY, False), "office": ("admin", ADMIN_KEY, True)}
    tenants = {
        tenant: {
            "keys": [
                {"id": name, "digest": f"sha256:{hashlib.sha256(key.encode()).hexdigest()}", "admin": admin}
            ]
        }
        for tenant, (name, key, admin) in keys.items()
    }
    return {"tenants": {"tenants": tenants}}


def routing(upstream: Upstream, refusing: int) -> dict[str, Any]:
    well = {"base_url": upstream.base_url, "credentials": CREDENTIALS}
    down = well | {"base_url": f"http://127.0.0.1:{refusing}/v1"}
    breaker = {"consecutive": 2, "cool_down_s": COOL_DOWN_S, "jitter": 0}
    return {
        "backends": {
            "well": well | {"concurrency": {"max_calls": 1}, "region": "eu"},
            "down": down | {"breaker": breaker},
            "probed": down | {"probe": {"every_s": 0.1, "down_after": 1}},
            "any": well,
            "unused": well,
        },
        "routes": {
            "fast": {
                "targets": [{"backend": "down", "model": "m"}],
                "fallbacks": [{"targets": [{"backend": "well", "model": "m"}]}],
                "retry": {"attempts": 0},
                "shadow": {"target": {"backend": "well", "model": "copied"}, "percent": 0.001},
            },
            "far": {"targets": [{"backend": "probed", "model": "m"}]},
            "slow": {"targets": [{"backend": "well", "model": "m"}]},
            "free/*": {"targets": [{"backend": "any"}]},
        },
    }


@pytest.fixture
def gateway(upstream: Upstream, tmp_path: Path) -> Iterator[Gateway]:
    with (
        refusing_port() as port,
        running_gateway(tmp_path / "config", routing(upstream, port), policies=policies()) as running,
    ):
        yield running


def asked(gateway: Gateway, key: str | None = ADMIN_KEY) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return httpx.get(f"{gateway.url}/v1/backends", headers=headers, timeout=30, trust_env=False)


def told(gateway: Gateway) -> dict[tuple[str, str | None], dict[str, Any]]:
    return {(one["backend"], one["model"]): one for one in asked(gateway).json()["data"]}


def call(gateway: Gateway, model: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=body).status_code


def test_only_admins_are_told(gateway: Gateway) -> None:
    refused = asked(gateway, KEY)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "admins_only")
    assert asked(gateway, None).status_code == 401
    answer = asked(gateway)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["worker"] == gateway.process.pid
    assert not any(secret in answer.text for secret in SECRETS.values())


def test_every_deployment_of_a_route_is_there_before_its_first_call(gateway: Gateway) -> None:
    found = told(gateway)
    assert {name: one["routes"] for name, one in found.items()} == {
        ("any", None): ["free/*"],
        ("down", "m"): ["fast"],
        ("probed", "m"): ["far"],
        ("well", "copied"): ["fast"],
        ("well", "m"): ["fast", "slow"],
    }
    well = found["well", "m"]
    assert (well["provider"], well["preset"], well["region"]) == ("openai_compatible", "", "eu")
    assert (well["probe"], well["obstacle"], well["first_token_ms"]) == (None, None, None)
    assert well["breaker"] == {
        "state": "closed", "since": None, "why": "", "tried_again": None, "calls": 0, "failures": 0
    }  # fmt: skip
    assert found["any", None]["breaker"] is None


def test_an_open_breaker_says_since_when_why_and_until_when(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer_with(plain(SAID))
    before = time.time()
    assert [call(gateway, "fast") for _ in range(4)] == [200] * 4
    found = told(gateway)
    down = found["down", "m"]
    assert down["breaker"]["state"] == "open"
    assert "failures in a row (unreachable)" in down["breaker"]["why"]
    assert before - 0.1 <= down["breaker"]["since"] <= time.time()
    left_s = down["breaker"]["tried_again"] - down["breaker"]["since"]
    assert left_s == pytest.approx(COOL_DOWN_S, abs=1)
    well = found["well", "m"]
    assert (well["breaker"]["state"], well["breaker"]["calls"], well["breaker"]["failures"]) == (
        "closed", 4, 0,
    )  # fmt: skip
    assert 0 < well["first_token_ms"] <= well["total_ms"]
    assert down["obstacle"]["until"] == down["breaker"]["tried_again"]


def test_a_probe_that_fails_says_so(gateway: Gateway) -> None:
    failing = {"ok": False, "why": "connection refused"}
    assert eventually(lambda: told(gateway)["probed", "m"]["probe"] == failing)
    assert "its probe fails" in told(gateway)["probed", "m"]["obstacle"]["reason"]


def test_models_that_callers_named_are_there(gateway: Gateway, upstream: Upstream) -> None:
    upstream.answer_with(plain(SAID))
    assert call(gateway, "free/one") == 200
    found = told(gateway)
    assert ("any", None) not in found
    assert found["any", "free/one"]["routes"] == ["free/*"]
    assert found["any", "free/one"]["breaker"]["calls"] == 1


def test_calls_under_way_and_waiting_are_counted(gateway: Gateway, upstream: Upstream) -> None:
    shut = Gate()
    upstream.answer_with(
        Answer(200, [("content-type", "application/json")], plain(SAID).steps, before=[shut])
    )
    calls = [threading.Thread(target=call, args=(gateway, "slow")) for _ in range(2)]
    for one in calls:
        one.start()
    places = {"places": 1, "inside": 1, "waiting": 1}
    assert eventually(lambda: told(gateway)["well", "m"]["gate"] == places)
    assert told(gateway)["well", "m"]["in_flight"] == 1
    shut.open()
    for one in calls:
        one.join()
    assert eventually(lambda: told(gateway)["well", "m"]["in_flight"] == 0)


def test_a_deployment_that_asked_to_be_left_alone_says_until_when(
    gateway: Gateway, upstream: Upstream
) -> None:
    def refuse(_seen: Seen) -> Answer:
        return plain({"error": {"message": "slow down"}}, 429, headers=[("retry-after", "40")])

    upstream.answer_with(refuse)
    began_s = time.time()
    assert call(gateway, "slow") == 429
    ended_s = time.time()
    well = told(gateway)["well", "m"]
    assert began_s + 39 <= well["rests_until"] <= ended_s + 41
    assert "left alone" in well["rest_why"]
    assert (well["obstacle"]["cause"], well["obstacle"]["until"]) == ("rate_limited", well["rests_until"])
    assert well["breaker"]["state"] == "closed"
