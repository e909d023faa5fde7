"""The Vercel AI SDK as the client, in Node.js: text, streams, usage, tools and errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rig import chat
from rig.gateway import CREDENTIALS, KEY, Gateway, running_gateway
from rig.programs import node
from rig.script import Answer, events, plain, sse
from rig.upstream import Seen, Upstream

SOURCE = Path(__file__).parent / "npm" / "vercel"
USAGE = {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
CALLED = [{"toolName": "add", "input": {"a": 2, "b": 3}}]


def script(seen: Seen) -> Answer:
    """Answer by the upstream's model: a text, a call of a tool, one and then the other, or a cut stream."""
    arguments = '{"a": 2, "b": 3}'
    kind = seen.model
    if kind == "loop":
        kind = "text" if seen.json()["messages"][-1]["role"] == "tool" else "tools"
    if seen.json().get("stream"):
        streams = {
            "text": sse(*chat.chunks()),
            "tools": sse(*chat.tool_chunks("add", arguments)),
            "cut": sse(*chat.chunks(), done=False)[:3],
        }
        return events(streams[kind])
    calls = {"content": None, "tool_calls": [chat.tool_call("add", arguments)]}
    return plain(chat.completion(**(calls if kind == "tools" else {})))


@pytest.fixture(scope="module")
def tools_gateway(shared_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with a route for each kind of answer."""
    models = {"fast": "text", "tools": "tools", "cut": "cut", "loop": "loop"}
    routing = {
        "backends": {"fake": {"base_url": shared_upstream.base_url, "credentials": CREDENTIALS}},
        "routes": {name: {"targets": [{"backend": "fake", "model": m}]} for name, m in models.items()},
    }
    with running_gateway(tmp_path_factory.mktemp("vercel"), routing) as running:
        yield running


@pytest.fixture(scope="module")
def report(tools_gateway: Gateway, shared_upstream: Upstream, pytestconfig: pytest.Config) -> dict[str, Any]:
    """What the script saw: one entry for each of its calls."""
    assert pytestconfig.cache is not None
    folder = node.installed(SOURCE, pytestconfig.cache.mkdir("node"))
    shared_upstream.reset()
    shared_upstream.answer_with(script)
    printed = node.run_script(folder, "run.mjs", BASE_URL=f"{tools_gateway.url}/v1", API_KEY=KEY)
    return json.loads(printed)


def test_generate_text_returns_text_and_usage(report: dict[str, Any]) -> None:
    assert report["whole"] == {"text": "Hello, world", "finish": "stop", "usage": USAGE}


def test_stream_text_returns_every_delta_and_the_usage(report: dict[str, Any]) -> None:
    assert report["streamed"] == {"deltas": list(chat.WORDS), "finish": "stop", "usage": USAGE}


def test_tools_are_called_streamed_and_whole(report: dict[str, Any]) -> None:
    assert report["toolCalled"] == CALLED
    assert report["toolStreamed"] == CALLED


@pytest.mark.parametrize("way", ["looped", "loopStreamed"])
def test_anthropics_provider_runs_a_loop_of_tools_through_translation(
    report: dict[str, Any], shared_upstream: Upstream, way: str
) -> None:
    assert report[way] == {"text": "Hello, world", "finish": "stop", "steps": 2}
    asked = [seen.json()["messages"] for seen in shared_upstream.seen if seen.model == "loop"]
    results = [messages[-1] for messages in asked if messages[-1]["role"] == "tool"]
    assert [result["content"] for result in results] == ["5", "5"]


def test_an_unknown_model_is_an_api_call_error(report: dict[str, Any]) -> None:
    refused = report["refused"]
    assert refused["status"] == 404
    assert refused["body"]["error"]["code"] == "model_not_found"
    assert refused["message"] == refused["body"]["error"]["message"]


def test_a_stream_that_the_upstream_cuts_ends_with_an_error_part(report: dict[str, Any]) -> None:
    assert report["broken"].count("error") == 1
    assert "text-delta" in report["broken"]
