"""What is asked of each provider that costs nothing, and what is heard over real sockets."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate

import msgspec
import pytest
from rig.script import Pause, plain
from rig.upstream import Upstream, refusing_port

from gateway.config.providers import Provider
from gateway.config.resolve import BackendSettings
from gateway.exchange import Credential, Request, Timeouts
from gateway.upstream.free_questions import MOST_BYTES, Unheard, free_question, hear

SPEC = BackendSettings(
    name="a",
    provider="openai_compatible",
    preset="",
    base_url="https://h/v1",
    credentials=(Credential("a#1", ""),),
    formats=("chat",),
    stream_usage="ask",
    output_limit="max_tokens",
    headers={},
    timeouts=Timeouts(),
    max_connections=0,
    transport="aiohttp",
    launch="",
    api_version="",
    script="",
)


@pytest.mark.parametrize(
    ("provider", "base_url", "asked"),
    [
        ("openai_compatible", "https://h/v1", "https://h/v1/models"),
        ("anthropic", "https://h", "https://h/v1/models"),
        ("gemini", "https://h", "https://h/v1beta/models"),
        ("gemini", "https://h/v1beta", "https://h/v1beta/models"),
        ("mistral", "https://h/v1", "https://h/v1/models"),
        ("cohere", "https://h", "https://h/v1/models"),
        ("ollama", "http://h", "http://h/api/tags"),
        ("azure", "https://h", "https://h/openai/v1/models"),
        ("azure", "https://h/openai/v1", "https://h/openai/v1/models"),
        ("bedrock", "https://h", ""),
        ("vertex", "https://h", ""),
    ],
)
def test_each_provider_is_asked_for_its_models_where_that_is_free(
    provider: Provider, base_url: str, asked: str
) -> None:
    assert free_question(msgspec.structs.replace(SPEC, provider=provider, base_url=base_url)) == asked


def test_azure_with_a_version_and_hosts_with_open_lists_are_asked_elsewhere() -> None:
    azure = msgspec.structs.replace(SPEC, provider="azure", base_url="https://h", api_version="2024-10-21")
    assert free_question(azure) == "https://h/openai/models?api-version=2024-10-21"
    assert free_question(msgspec.structs.replace(SPEC, preset="openrouter")) == "https://h/v1/key"


def test_an_answer_is_heard_with_its_clock_and_no_longer_than_is_needed() -> None:
    with Upstream() as upstream:
        written_s = time.time()
        date = formatdate(written_s + 3600, usegmt=True)
        upstream.answer_with(plain(b"x" * (3 * MOST_BYTES), 429, headers=[("date", date)]))
        heard = asyncio.run(hear(Request(f"{upstream.base_url}/models", {"x-a": "b"}, b"", "GET")))
        old_s = time.time() - written_s
        assert upstream.only_request().headers["x-a"] == "b"
    assert (heard.status, len(heard.body)) == (429, MOST_BYTES)
    assert heard.ahead_s == pytest.approx(3600, abs=heard.give_or_take_s + old_s + 1)


def test_a_date_that_is_none_tells_no_time() -> None:
    with Upstream() as upstream:
        upstream.answer_with(plain({}, headers=[("date", "yesterday")]))
        assert asyncio.run(hear(Request(upstream.base_url, {}, b"", "GET"))).ahead_s is None


def test_who_does_not_answer_is_unheard_without_the_url() -> None:
    with Upstream() as upstream:
        answer = plain({})
        slow = type(answer)(answer.status, answer.headers, answer.steps, before=[Pause(30)])
        upstream.answer_with(slow)
        with pytest.raises(Unheard, match=r"no answer within 0.2 s"):
            asyncio.run(hear(Request(upstream.base_url, {}, b"", "GET"), within_s=0.2))
    with refusing_port() as port, pytest.raises(Unheard, match=r"^no answer \(ConnectError\)$"):
        asyncio.run(hear(Request(f"http://127.0.0.1:{port}/?key=planted", {}, b"", "GET")))
