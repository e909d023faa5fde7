"""Input that once broke a codec, found by fuzzing and kept: only errors that are meant for it come out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.script import sse
from rig.translation.formats import CLIENTS, LIMIT_BYTES, codec, heading, stream_of
from rig.translation.taking import take_answer, take_request, take_stream

from gateway.formats.neutral.events import join
from gateway.formats.neutral.parts import ToolCall

HALF_A_PAIR = {"name": "f", "arguments": "\ud800"}

REQUESTS: dict[str, tuple[str, Any]] = {
    "an item whose type is an empty list": (
        "responses",
        {"input": [{"role": "assistant", "type": []}]},
    ),
    "members whose names look like paths": ("gemini", {"": [], ".0": []}),
    "arguments that are no text": (
        "chat",
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "\ud800"}}],
                }
            ]
        },
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request(name: str) -> None:
    take_request(*REQUESTS[name])


ANSWERS: dict[str, tuple[str, Any]] = {
    "a candidate without content that failed": (
        "gemini",
        {"candidates": [{"finishReason": "UNEXPECTED_TOOL_CALL", "finishMessage": "no such tool"}]},
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer(name: str) -> None:
    format_, value = ANSWERS[name]
    take_answer(format_, json.dumps(value).encode())


def call(index: int, **function: str) -> dict[str, Any]:
    """A piece of a call in a chunk of a chat stream."""
    delta = {"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": function}]}
    return {"id": "x", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


STREAMS: dict[str, tuple[str, list[bytes]]] = {
    "a call that goes on after another has begun": (
        "chat",
        sse(
            call(0, name="f", arguments='{"a":'),
            call(1, name="g", arguments="{}"),
            call(0, arguments="1}"),
            {"id": "x", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        ),
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream(name: str) -> None:
    take_stream(*STREAMS[name])


@pytest.mark.parametrize("client", CLIENTS)
def test_mixed_pieces_of_parallel_calls_arrive_whole(client: Any) -> None:
    format_, pieces = STREAMS["a call that goes on after another has begun"]
    decoder = codec(format_).stream_decoder(LIMIT_BYTES)
    events = [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()
    written = stream_of(client, events, heading())
    again = codec(client).stream_decoder(LIMIT_BYTES)
    joined = join(again.feed(written) + again.close())
    calls = [part for part in joined.choices[0].parts if isinstance(part, ToolCall)]
    assert {call.name: json.loads(call.arguments) for call in calls} == {"f": {"a": 1}, "g": {}}
