"""Probes: what is asked, what counts as well, and that only several tries in a row change the verdict."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import httpx
import pytest
from rig.script import Cut, plain
from rig.upstream import Answer, Upstream, refusing_port

from gateway.config.reliability import ProbeSpec
from gateway.config.resolve import BackendSettings
from gateway.exchange import Credential, Timeouts
from gateway.upstream.probes import Probe, Verdict, ask, follow_probe, probe_of


def settings(**fields: Any) -> BackendSettings:
    known: dict[str, Any] = {
        "name": "b",
        "provider": "openai_compatible",
        "preset": "",
        "base_url": "http://gpu.example:8000/v1",
        "credentials": (Credential("b#1", "secret"),),
        "formats": ("chat",),
        "stream_usage": "ask",
        "output_limit": "max_tokens",
        "headers": {"x-tenant": "us"},
        "timeouts": Timeouts(),
        "max_connections": 0,
        "transport": "aiohttp",
        "launch": "",
        "api_version": "",
        "script": "",
        "probe": ProbeSpec(),
    }
    return BackendSettings(**known | fields)


def asked(**fields: Any) -> str:
    probe = probe_of(settings(**fields))
    assert probe is not None
    return probe.url


@pytest.mark.parametrize("preset", ["vllm", "sglang", "llamacpp"])
def test_engines_are_asked_for_their_health(preset: str) -> None:
    assert asked(preset=preset) == "http://gpu.example:8000/health"
    assert asked(preset=preset, base_url="https://x.example/a/v1") == "https://x.example/a/health"
    assert asked(launch="smollm2") == "http://gpu.example:8000/health"


@pytest.mark.parametrize(
    ("provider", "base_url", "url"),
    [
        ("openai_compatible", "https://x.example/v1", "https://x.example/v1/models"),
        ("mistral", "https://x.example/v1", "https://x.example/v1/models"),
        ("anthropic", "https://x.example", "https://x.example/v1/models"),
        ("ollama", "http://x.example:11434", "http://x.example:11434/api/tags"),
        ("bedrock", "https://x.example", "https://x.example/"),
    ],
)
def test_others_are_asked_for_their_models_or_at_their_root(provider: str, base_url: str, url: str) -> None:
    assert asked(provider=provider, base_url=base_url) == url


def test_a_path_is_one_of_the_host() -> None:
    assert asked(probe=ProbeSpec(path="/ready")) == "http://gpu.example:8000/ready"


def test_a_probe_shows_the_backends_headers_and_no_credential() -> None:
    probe = probe_of(settings())
    assert probe is not None
    assert (probe.headers, probe.by_proxy) == ({"x-tenant": "us"}, False)
    assert "secret" not in repr(probe)


def test_what_is_not_to_be_probed_or_has_no_address_is_not() -> None:
    assert probe_of(settings(probe=None)) is None
    assert probe_of(settings(provider="scripted", base_url="")) is None


def heard(answer: Answer, upstream: Upstream, timeout_s: float = 30.0) -> str:
    upstream.answer_with(answer)
    return reached(f"http://127.0.0.1:{upstream.port}/health", timeout_s)


def reached(url: str, timeout_s: float = 30.0) -> str:
    async def once() -> str:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await ask(client, Probe("b", url, ProbeSpec(timeout_s=timeout_s)))

    return asyncio.run(once())


@pytest.mark.parametrize("status", [200, 204, 302, 401, 403, 404, 429])
def test_whoever_answers_is_alive(status: int, upstream: Upstream) -> None:
    assert heard(plain(b"", status), upstream) == ""


@pytest.mark.parametrize("status", [500, 503])
def test_an_error_of_the_server_is_a_failure(status: int, upstream: Upstream) -> None:
    assert heard(plain(b"", status), upstream) == f"it answers {status}"


def test_every_way_of_not_answering_is_named(upstream: Upstream) -> None:
    assert heard(Answer(before=[Cut.HANG]), upstream, 0.05) == "no answer within 0.05 s"
    assert heard(Answer(before=[Cut.FIN]), upstream) == "RemoteProtocolError"
    with refusing_port() as port:
        assert reached(f"http://127.0.0.1:{port}/health") == "connection refused"
    assert reached("http://[::broken/") == "InvalidURL"


def test_an_answer_without_an_end_is_not_waited_for(upstream: Upstream) -> None:
    endless = Answer(headers=[("content-type", "text/plain")], steps=[b"ok", Cut.HANG])
    assert heard(endless, upstream) == ""


def test_only_failures_in_a_row_are_an_outage_and_one_success_ends_it() -> None:
    verdict = Verdict(ProbeSpec(down_after=2))
    assert [verdict.heard(failure) for failure in ("x", "", "x", "", "x")] == [False] * 5
    assert verdict.failure == ""
    assert verdict.heard("refused")
    assert verdict.failure == "refused"
    assert not verdict.heard("it answers 500")
    assert verdict.failure == "it answers 500", "the latest reason"
    assert verdict.heard("")
    assert verdict.failure == ""


def test_it_is_up_only_after_as_many_successes_in_a_row() -> None:
    verdict = Verdict(ProbeSpec(down_after=1, up_after=2))
    assert [verdict.heard(failure) for failure in ("x", "", "x", "", "")] == [True, False, False, False, True]


def test_following_tells_after_each_try_and_logs_only_changes(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.answer_in_turn(*(plain(b"", status) for status in (200, 500, 500, 500, 200)))
    told: list[str] = []
    pauses_s: list[float] = []
    probe = Probe("gpu", f"http://127.0.0.1:{upstream.port}/health", ProbeSpec(every_s=4), {"x-tenant": "us"})

    async def follow() -> None:
        sleep = asyncio.sleep

        async def noted(seconds: float) -> None:
            if seconds:  # the HTTP client gives way now and then
                pauses_s.append(seconds)
            if len(told) == 5:
                raise asyncio.CancelledError
            await sleep(0)

        monkeypatch.setattr("gateway.upstream.probes.asyncio.sleep", noted)
        await follow_probe(probe, told.append, iter([0.0, 0.5, 0.75, 0.25, 0.5]).__next__)

    with caplog.at_level(logging.INFO, "gateway.upstream.probes"), pytest.raises(asyncio.CancelledError):
        asyncio.run(follow())
    assert told == ["", "", "it answers 500", "it answers 500", ""]
    assert pauses_s == pytest.approx([3.6, 4.0, 4.2, 3.8, 4.0])
    assert caplog.messages == [
        "the probe of backend gpu fails: it answers 500",
        "the probe of backend gpu goes well again",
    ]
    assert {seen.headers["x-tenant"] for seen in upstream.seen} == {"us"}
    assert {seen.method for seen in upstream.seen} == {"GET"}
