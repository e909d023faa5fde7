"""What clients see of limits: errors that SDKs understand, headers, another route for a spent budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import anthropic
import openai
import pytest
from rig import chat
from rig.gateway import CREDENTIALS, KEY, SECRETS, Gateway, eventually, running_gateway
from rig.script import Answer, plain
from rig.upstream import Seen, Upstream

HI: list[Any] = [{"role": "user", "content": "hi"}]
PRICES = {"models": {"*": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 1}}}
COST_NANOUSD = 12_000
"""Of one answer of the rig's: 9 tokens in and 3 out."""


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as running:
        running.answer_with(answer)
        yield running


def answer(seen: Seen) -> Answer:
    return plain(json.dumps(chat.completion()).encode())


def at(folder: Path, upstream: Upstream, routes: dict[str, Any] | None = None, **policies: Any) -> Any:
    routing = {
        "server": {"slow_refusals": False},
        "backends": {"fake": {"base_url": upstream.base_url, "credentials": CREDENTIALS}},
        "routes": routes
        or {name: {"targets": [{"backend": "fake", "model": name}]} for name in ("gpt-4o", "small")},
    }
    return running_gateway(folder / "gateway", routing, policies={"prices": PRICES, **policies})


def usd(calls: int) -> str:
    """What so many calls cost."""
    return f"{calls * COST_NANOUSD / 1e9:.9f}"


def served(client: openai.OpenAI, calls: int) -> list[int | str]:
    """Make calls; what became of each: its status."""
    statuses: list[int | str] = []
    for _ in range(calls):
        try:
            client.chat.completions.create(model="gpt-4o", messages=HI, max_tokens=3)
        except openai.APIStatusError as error:
            statuses.append(f"{error.status_code} {error.code}")
        else:
            statuses.append(200)
    return statuses


def openai_of(gateway: Gateway) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)


def test_a_quota_that_is_used_up_is_a_rate_limit_error(tmp_path: Path, upstream: Upstream) -> None:
    quotas = {"quotas": {"free": {"per": ["tenant"], "requests_per_minute": 2}}}
    with at(tmp_path, upstream, quotas=quotas) as gateway:
        client = openai_of(gateway)
        first = client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HI)
        assert first.headers["x-ratelimit-limit-requests"] == "2"
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        client.chat.completions.create(model="gpt-4o", messages=HI)
        with pytest.raises(openai.RateLimitError, match="the limit 'free' of tenant of 2 requests") as caught:
            client.chat.completions.create(model="gpt-4o", messages=HI)
        assert caught.value.code == "rate_limit_exceeded"
        assert caught.value.response.headers["x-ratelimit-remaining-requests"] == "0"
        assert 50 < int(caught.value.response.headers["retry-after"]) <= 61

        claude = anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0)
        with pytest.raises(anthropic.RateLimitError) as refused:
            claude.messages.create(model="gpt-4o", max_tokens=9, messages=HI)
        assert refused.value.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert refused.value.body["error"]["type"] == "rate_limit_error"


def test_a_budget_that_is_spent_is_a_402(tmp_path: Path, upstream: Upstream) -> None:
    budgets = {"budgets": {"all": {"usd": usd(3), "every": "day"}}}
    with at(tmp_path, upstream, budgets=budgets) as gateway:
        statuses = served(openai_of(gateway), 10)
    # The third is let in once what the others did not use has come back.
    assert statuses in ([200] * kept + ["402 budget_exceeded"] * (10 - kept) for kept in (2, 3))


def test_a_spent_budget_takes_the_cheaper_route(tmp_path: Path, upstream: Upstream) -> None:
    budgets = {"budgets": {"all": {"usd": usd(1), "every": "day", "over": {"downgrade": "small"}}}}
    with at(tmp_path, upstream, budgets=budgets) as gateway:
        client = openai_of(gateway)
        upstream.seen.clear()

        def call() -> Any:
            return client.chat.completions.with_raw_response.create(model="gpt-4o", messages=HI, max_tokens=3)

        assert eventually(lambda: "x-forebay-downgraded" in call().headers)
        last = call()
        assert last.headers["x-forebay-downgraded"] == "small"
        assert last.headers["x-forebay-over-budget"] == "all"
        assert upstream.seen[0].model == "gpt-4o"
        assert upstream.seen[-1].model == "small"


def test_a_call_that_a_cap_sends_another_way_has_the_limits_of_that_way(
    tmp_path: Path, upstream: Upstream
) -> None:
    to_small = {"name": "long", "when": {"max_tokens": {"min": 100}}, "use": "small"}
    routes = {
        "gpt-4o": {"targets": [{"backend": "fake"}], "rules": [to_small]},
        "small": {"targets": [{"backend": "fake"}]},
    }
    quotas = {
        "rare": {"for": {"route": ["gpt-4o"]}, "requests_per_day": 1},
        "others": {"for": {"route": ["small"]}, "requests_per_day": 1},
        "cap": {"max_output_tokens": 50, "over_output": "cap"},
    }
    with at(tmp_path, upstream, routes=routes, quotas={"quotas": quotas}) as gateway:
        client = openai_of(gateway)

        def call(model: str) -> tuple[int, str | None]:
            try:
                made = client.chat.completions.with_raw_response.create(
                    model=model, messages=HI, max_tokens=200
                )
            except openai.APIStatusError as error:
                return error.status_code, error.code
            return made.status_code, made.headers["x-forebay-route"]

        assert call("gpt-4o") == (200, "gpt-4o")
        assert call("gpt-4o") == (429, "rate_limit_exceeded")
        assert call("small") == (200, "small"), "what was taken there went back"


def test_levels_of_a_budget_are_told_once_by_a_signed_webhook(tmp_path: Path, upstream: Upstream) -> None:
    told: list[tuple[dict[str, str], dict[str, Any]]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            told.append((dict(self.headers), json.loads(body)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody wants to read it."""

    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    thread = Thread(target=receiver.serve_forever)
    thread.start()
    alerts = {"url": f"http://127.0.0.1:{receiver.server_port}/hook", "secret": "${RIG_KEY_1}"}
    budgets = {"budgets": {"all": {"usd": usd(20), "every": "day"}}, "alerts": alerts}
    try:
        with at(tmp_path, upstream, budgets=budgets) as gateway:
            assert served(openai_of(gateway), 40)[-1] == "402 budget_exceeded"
            assert eventually(lambda: len(told) >= 3)
    finally:
        receiver.shutdown()
        thread.join()
        receiver.server_close()
    assert [event["data"]["level"] for _, event in told] == [50, 80, 100]
    headers, event = told[0]
    assert headers["x-forebay-signature"].startswith("v1=")
    assert (event["type"], event["data"]["rule"], event["data"]["limit_usd"]) == ("budget", "all", "0.00024")
    assert SECRETS["RIG_KEY_1"] not in json.dumps(told)
