"""What callers and operators see of limits on a running gateway: endpoint, headers and commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import pytest
import yaml
from rig import chat
from rig.gateway import CREDENTIALS, KEY, SECRETS, Gateway, eventually, running_gateway
from rig.programs.redis import running_redis
from rig.script import plain
from rig.upstream import Upstream

POLICIES = {
    "quotas": {
        "quotas": {
            "minute": {"per": ["tenant"], "requests_per_minute": 60, "tokens_per_minute": 1_000_000},
            "users": {"for": {"user": ["*"]}, "per": ["user"], "requests_per_day": 5},
            "measured": {"requests_per_minute": 1, "shadow": True},
        }
    },
    "budgets": {"budgets": {"monthly": {"per": ["tenant"], "usd": 500, "every": "month"}}},
}
HI: Any = {"role": "user", "content": "hi"}


class Place:
    """A gateway with limits, and its folder."""

    def __init__(self, gateway: Gateway, folder: Path) -> None:
        self.gateway = gateway
        self.folder = folder

    def limits(self, query: str = "") -> dict[str, dict[str, Any]]:
        """What the endpoint tells, by rule and metric."""
        with self.gateway.client() as client:
            response = client.get(f"/v1/usage/limits{query}")
        assert response.status_code == 200, response.text
        return {f"{one['rule']} {one['metric']}": one for one in response.json()["data"]}

    def forebay(self, *arguments: str, status: int = 0) -> str:
        return forebay(self.folder, *arguments, status=status)


def forebay(folder: Path, command: str, *arguments: str, status: int = 0) -> str:
    """What a command writes, after checking its exit status."""
    places = ["--config", str(folder), "--state", str(folder / "state")]
    argv = [sys.executable, "-m", "gateway", command, *places, *arguments]
    done = subprocess.run(
        argv, capture_output=True, text=True, timeout=60, env=os.environ | SECRETS, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


def routing(upstream: Upstream, **server: Any) -> dict[str, Any]:
    base = {"base_url": upstream.base_url, "credentials": CREDENTIALS}
    return {
        "server": server,
        "backends": {"fake": base},
        "routes": {"fast": {"targets": [{"backend": "fake", "model": "gpt-4o-mini"}]}},
    }


@pytest.fixture(scope="module", params=["memory", "redis"])
def shared_place(
    request: pytest.FixtureRequest, shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """One whose counters are in its memory, and one whose counters are in Redis."""
    folder = tmp_path_factory.mktemp("limits") / "config"
    with ExitStack() as stack:
        server = {}
        if request.param == "redis":
            server["redis_url"] = stack.enter_context(running_redis()).url
        running = running_gateway(folder, routing(shared_upstream, **server), policies=POLICIES)
        place = Place(stack.enter_context(running), folder)
        with place.gateway.client() as client:  # a Redis that is new might as well have lost its memory
            assert eventually(lambda: client.get("/v1/usage/limits").is_success)
        yield place


@pytest.fixture
def place(shared_place: Place, upstream: Upstream) -> Place:
    upstream.answer_with(plain(chat.completion()))
    return shared_place


def openai_sdk(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)


def test_a_caller_sees_what_its_calls_took(place: Place) -> None:
    with place.gateway.client() as client:
        client.post("/v1/chat/completions", json={"model": "fast", "messages": [HI]}).raise_for_status()
    limits = place.limits()
    assert limits["minute requests"]["limit"] == 60
    assert limits["minute requests"]["taken"] >= 1
    assert limits["measured requests"]["shadow"] is True
    assert limits["monthly nanousd"]["forecast"].keys() == {"ends_at_ms", "expected"}
    assert "users requests" not in limits
    assert place.limits("?user=ann")["users requests"]["per"] == {"tenant": "tests", "user": "ann"}


def test_openais_clients_get_openais_names(place: Place) -> None:
    with openai_sdk(place.gateway) as sdk:
        answer = sdk.chat.completions.with_raw_response.create(model="fast", messages=[HI])
    assert answer.headers["x-ratelimit-limit-requests"] == "60"
    assert int(answer.headers["x-ratelimit-remaining-requests"]) <= 59
    assert answer.headers["x-ratelimit-reset-requests"].endswith("s")
    assert answer.headers["x-ratelimit-limit-tokens"] == "1000000"


def test_anthropics_clients_get_anthropics_names(place: Place) -> None:
    with anthropic.Anthropic(base_url=place.gateway.url, api_key=KEY, max_retries=0) as sdk:
        answer = sdk.messages.with_raw_response.create(model="fast", max_tokens=10, messages=[HI])
    assert answer.headers["anthropic-ratelimit-requests-limit"] == "60"
    assert answer.headers["anthropic-ratelimit-tokens-reset"].endswith("Z")
    assert not any(name.startswith("x-ratelimit-") for name in answer.headers)


def test_operators_see_reset_and_set_limits(place: Place) -> None:
    with place.gateway.client() as client:
        client.post("/v1/chat/completions", json={"model": "fast", "messages": [HI]}).raise_for_status()
    rows = json.loads(place.forebay("quota", "show", "--tenant", "tests", "--format", "json"))
    taken = {f"{row['rule']} {row['metric']}": row["taken"] for row in rows}
    assert taken["measured requests"] >= 1
    assert "were taken, now none" in place.forebay("quota", "reset", "measured")
    said = place.forebay("budget", "set", "monthly", "--usd", "700", "--tenant", "tests")
    assert "$700.00 instead of $500 per month" in said
    assert place.limits()["monthly nanousd"]["limit"] == 700_000_000_000
    assert "$700.00" in place.forebay("budget", "show")
    assert 'no rule is called "monthli"' in place.forebay("quota", "reset", "monthli", status=2)


def test_without_a_running_gateway_the_command_says_so(shared_upstream: Upstream, tmp_path: Path) -> None:
    with running_gateway(tmp_path / "config", routing(shared_upstream), policies=POLICIES) as gateway:
        assert httpx.get(f"{gateway.url}/healthz", trust_env=False).status_code == 200
    said = forebay(tmp_path / "config", "quota", "show", status=1)
    assert "forebay quota: no gateway runs with --state" in said


def test_where_redis_is_the_commands_need_no_gateway(shared_upstream: Upstream, tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    tenants = {"tenants": {"acme": {"timezone": "Europe/Berlin"}}}
    with running_redis() as redis:
        for name, content in {
            "routing": routing(shared_upstream, redis_url=redis.url),
            "policies/tenants": tenants,
            **{f"policies/{name}": policy for name, policy in POLICIES.items()},
        }.items():
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
        forebay(tmp_path, "budget", "set", "monthly", "--usd", "0.5", "--tenant", "acme")
        assert "$0.50 instead of $500 per month" in forebay(tmp_path, "budget", "show")
    said = forebay(tmp_path, "budget", "show", status=1)
    assert said.splitlines()[-1].startswith("forebay budget: Redis")
