"""Whoever guesses keys is not listened to, and those who have one do not notice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from rig import chat
from rig.gateway import CREDENTIALS, Gateway, eventually, running_gateway
from rig.script import plain
from rig.upstream import Upstream

PATH = "/v1/chat/completions"
ASKED = {"model": "fast", "messages": [{"role": "user", "content": "hi"}]}
PROXY, OTHER_PROXY = "127.0.0.9", "127.0.1.9"
"""Addresses of this machine: the gateway trusts them, as it does not trust the others of 127.0.0.0/8."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Upstream() as upstream:
        upstream.answer_with(plain(chat.completion()))
        routing: dict[str, Any] = {
            "server": {"trusted_proxies": [PROXY, "127.0.1.0/24"], "drain_s": 2},
            "backends": {"fake": {"base_url": upstream.base_url, "credentials": CREDENTIALS}},
            "routes": {"fast": {"targets": [{"backend": "fake"}]}},
        }
        with running_gateway(tmp_path_factory.mktemp("guarded"), routing) as gateway:
            yield gateway


def client_at(gateway: Gateway, address: str, key: str = "", forwarded: str = "") -> httpx.Client:
    """A client that calls from an address of this machine; without a key it shows the good one."""
    headers = {"authorization": f"Bearer {key}"} if key else gateway.headers
    if forwarded:
        headers = headers | {"x-forwarded-for": forwarded}
    return httpx.Client(
        base_url=gateway.url,
        headers=headers,
        transport=httpx.HTTPTransport(local_address=address),
        timeout=20,
        trust_env=False,
    )


def statuses(gateway: Gateway, count: int, address: str, forwarded: str = "") -> Counter[int]:
    """Show keys that nobody knows, one after the other."""
    shown = Counter[int]()
    with client_at(gateway, address, forwarded=forwarded) as client:
        for n in range(count):
            headers = {"authorization": f"Bearer made-up-{n}"}
            shown[client.post(PATH, json=ASKED, headers=headers).status_code] += 1
    return shown


def test_guesses_are_refused_after_twenty_and_known_keys_never(guarded: Gateway) -> None:
    shown = statuses(guarded, 60, "127.0.0.2")
    assert shown[401] in range(20, 25)
    assert shown[429] == 60 - shown[401]
    with client_at(guarded, "127.0.0.2") as client:
        assert client.post(PATH, json=ASKED).status_code == 200
    with client_at(guarded, "127.0.0.2", key="made-up") as client:
        refused = client.post(PATH, json=ASKED)
        assert client.get("/v1/models").status_code == 429
    error = refused.json()["error"]
    assert (refused.status_code, error["code"]) == (429, "too_many_failures")
    assert refused.headers["x-forebay-error-source"] == "client"
    assert int(refused.headers["retry-after"]) in range(1, 4)
    assert statuses(guarded, 1, "127.0.0.3") == {401: 1}


def test_whom_a_proxy_asks_for_is_judged_and_not_the_proxy(guarded: Gateway) -> None:
    shown = statuses(guarded, 30, PROXY, forwarded="198.51.100.1")
    assert shown[429] > 0
    assert statuses(guarded, 1, PROXY, forwarded="198.51.100.2") == {401: 1}
    assert statuses(guarded, 1, OTHER_PROXY, forwarded=f"203.0.113.1, 198.51.100.1, {PROXY}") == {429: 1}
    assert statuses(guarded, 1, "127.0.0.4", forwarded="198.51.100.1") == {401: 1}


def test_a_header_that_a_client_makes_up_does_not_hide_it(guarded: Gateway) -> None:
    shown = Counter[int]()
    for n in range(30):
        shown += statuses(guarded, 1, "127.0.0.5", forwarded=f"198.51.100.{n}")
    assert shown[429] > 0


def test_a_flood_of_guesses_gets_no_further_than_one_after_the_other(guarded: Gateway) -> None:
    with ThreadPoolExecutor(16) as pool:
        flood = [pool.submit(statuses, guarded, 50, "127.0.0.6") for _ in range(16)]
        with client_at(guarded, "127.0.0.6") as client:
            answers = [client.post(PATH, json=ASKED).status_code for _ in range(50)]
        shown = sum((one.result() for one in flood), Counter[int]())
    assert set(answers) == {200}
    assert shown[401] + shown[429] == 800
    assert shown[401] <= 40


def test_a_dialect_tells_of_it_in_its_own_words(guarded: Gateway) -> None:
    statuses(guarded, 30, "127.0.0.7")
    with client_at(guarded, "127.0.0.7", key="made-up") as client:
        said = client.post("/v1/messages", json=ASKED | {"max_tokens": 5})
    assert said.status_code == 429
    assert said.json()["error"]["type"] == "rate_limit_error"


def test_the_log_has_a_line_for_each_refusal_and_no_key(guarded: Gateway) -> None:
    statuses(guarded, 30, "127.0.0.8")
    assert eventually(lambda: any("too_many_failures" in line for line in list(guarded.lines)))
    assert not any("made-up" in line for line in guarded.lines)
