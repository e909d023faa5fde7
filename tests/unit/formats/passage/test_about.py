"""What relayed and translated answers tell of themselves, also those that break off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig import chat
from rig.script import sse
from unit.stand_ins import call

from gateway.exchange import Format, Usage
from gateway.formats.neutral.completion import About
from gateway.formats.passage.choice import open_passage
from gateway.formats.passage.seam import AnswerStream, Terms, Whole

SPACED = {"separators": (", ", ": ")}
COMPACT = {"separators": (",", ":")}


def read(client: Format, wire: Format, value: Any) -> Whole:
    return open_passage(call(client), wire, "m", Terms("call_1", 0)).read(json.dumps(value).encode())


def fed(client: Format, wire: Format, *pieces: bytes, **members: Any) -> AnswerStream:
    begin = open_passage(call(client, stream=True, **members), wire, "m", Terms("call_1", 0)).stream
    assert begin is not None
    stream = begin(1 << 20)
    for piece in pieces:
        stream.feed(piece)
    return stream


def answer(message: dict[str, Any], word: str | None, **members: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": word}
    return {"model": "up-1", "choices": [choice | members.pop("choice", {})], **members}


CALLING = {"content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
ENDS: list[tuple[dict[str, Any], str | None, dict[str, Any], str]] = [
    ({"content": "x"}, "stop", {}, "stop"),
    ({"content": "x"}, "length", {}, "length"),
    ({"content": "x"}, "eos", {}, "stop"),
    ({"content": "x"}, None, {}, ""),
    ({"content": "x"}, "sensitive", {}, "content_filter"),
    ({"content": "x"}, "stop", {"stop_reason": "END"}, "stop_sequence"),
    ({"content": "x"}, "stop", {"stop_reason": 7}, "stop"),
    ({"content": "x"}, "stop", {"matched_stop": "END"}, "stop_sequence"),
    ({"content": None, "refusal": "no"}, "stop", {}, "refusal"),
    ({"content": "x", "refusal": ""}, "stop", {}, "stop"),
    (CALLING, "tool_calls", {}, "tool_calls"),
    (CALLING, "stop", {}, "tool_calls"),
    (CALLING, "", {}, "tool_calls"),
    ({"content": None, "function_call": {"name": "f", "arguments": ""}}, "stop", {}, "tool_calls"),
    ({"content": "x", "function_call": {"name": "", "arguments": ""}}, "stop", {}, "stop"),
]


@pytest.mark.parametrize(("message", "word", "choice", "finish"), ENDS)
def test_an_end_has_the_same_name_relayed_and_translated(
    message: dict[str, Any], word: str | None, choice: dict[str, Any], finish: str
) -> None:
    value = answer(message, word, choice=choice)
    assert read("chat", "chat", value).about == About("up-1", finish)
    if message.get("function_call", {}).get("name") != "":
        assert read("messages", "chat", value).about == About("up-1", finish)


@pytest.mark.parametrize("dumped", [SPACED, COMPACT])
@pytest.mark.parametrize(("message", "word", "choice", "finish"), ENDS)
def test_so_does_the_end_of_a_stream(
    message: dict[str, Any], word: str | None, choice: dict[str, Any], finish: str, dumped: Any
) -> None:
    chunks = [chat.chunk(message), chat.chunk({}, word)]
    chunks[1]["choices"][0] |= choice
    pieces = [b"data: " + json.dumps(chunk, **dumped).encode() + b"\n\n" for chunk in chunks]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    stream = fed("chat", "chat", *pieces, b"data: [DONE]\n\n", tools=tools)
    assert stream.about == About(chunks[0]["model"], finish)


def test_a_class_of_service_is_read_where_it_is_told() -> None:
    used = {"prompt_tokens": 3, "completion_tokens": 2}
    value = answer({"content": "x"}, "stop", usage=used, service_tier="priority")
    for client in ("chat", "messages"):
        whole = read(client, "chat", value)
        assert whole.about == About("up-1", "stop", "priority")
        assert whole.usage == Usage(3, 2, tier="priority")
    for usage in (None, "none"):
        assert read("chat", "chat", value | {"usage": usage}).about.tier == "priority"


@pytest.mark.parametrize(
    ("client", "members"),
    [("chat", {}), ("chat", {"stream_options": {"include_usage": True}}), ("messages", {"max_tokens": 99})],
)
def test_a_class_that_a_stream_tells_with_its_usage_only_is_read(client: Format, members: Any) -> None:
    used = chat.chunk({}) | {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    events = sse(chat.chunk({"content": "x"}), chat.chunk({}, "stop"), used | {"service_tier": "flex"})
    stream = fed(client, "chat", *events, **members)
    assert stream.usage == Usage(3, 2, tier="flex")
    assert stream.about.tier == "flex"


BROKEN: dict[Format, list[bytes]] = {
    "chat": sse(chat.chunk({"role": "assistant"}) | {"service_tier": "flex"}, chat.chunk({"content": "x"}))[
        :2
    ],
    "messages": [
        *sse(
            {
                "type": "message_start",
                "message": {
                    "id": "m",
                    "model": "up-1",
                    "content": [],
                    "usage": {"input_tokens": 3, "output_tokens": 1, "service_tier": "batch"},
                },
            }
        )[:1],
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":"x"}}\n\n',
    ],
    "responses": [
        b'data: {"type":"response.created","response":{"id":"r","model":"up-1","service_tier":"flex"}}\n\n',
        b'data: {"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"x"}\n\n',
    ],
    "gemini": [
        *sse(
            {
                "modelVersion": "up-1",
                "candidates": [{"content": {"parts": [{"text": "x"}]}}],
                "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3, "serviceTier": "flex"},
            }
        )[:1]
    ],
}


@pytest.mark.parametrize("client", ["chat", "messages"])
@pytest.mark.parametrize("wire", BROKEN)
def test_a_stream_that_breaks_off_has_told_who_speaks(wire: Format, client: Format) -> None:
    about = fed(client, wire, *BROKEN[wire], max_tokens=99).about
    model = "up-1" if wire != "chat" else chat.chunk({})["model"]
    assert about == About(model, "", "batch" if wire == "messages" else "flex")


def test_a_long_stream_is_remembered_in_little() -> None:
    long = [chat.chunk({"content": "word " * 100}) for _ in range(200)]
    events = sse(
        chat.chunk({"role": "assistant"}) | {"service_tier": "flex"}, *long, chat.chunk({}, "length")
    )
    later = [chat.chunk({}) | {"choices": []} for _ in range(200)]
    stream = fed("chat", "chat", *events[:-1], *sse(*later)[:-1])
    assert stream.about == About(chat.chunk({})["model"], "length", "flex")


def test_a_blocked_prompt_is_a_filters_end() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "up-1"}
    assert read("gemini", "gemini", blocked).about == About("up-1", "content_filter")


@pytest.mark.parametrize(
    ("format_", "value"),
    [
        ("embeddings", {"model": "up-1", "data": []}),
        ("rerank", {"model": "up-1", "results": []}),
        ("moderations", {"model": "up-1", "results": []}),
        ("images", {"model": "up-1", "data": []}),
        ("transcriptions", {"model": "up-1", "text": "x"}),
    ],
)
def test_what_is_no_conversation_tells_its_model_too(format_: Format, value: dict[str, Any]) -> None:
    assert read(format_, format_, value).about == About("up-1")
    nonsense = read(format_, format_, value | {"model": {"name": 1}})
    assert nonsense.about == About()
    assert len(read(format_, format_, value | {"model": "m" * 9999}).about.model) == 200


@pytest.mark.parametrize("nonsense", [None, 1, ["x"], {"a": 1}, "", "m" * 9999])
def test_nonsense_in_what_is_told_fails_no_answer(nonsense: Any) -> None:
    value = answer({"content": "x"}, "stop") | {"model": nonsense, "service_tier": nonsense}
    about = read("chat", "chat", value).about
    assert about.model == (nonsense[:200] if isinstance(nonsense, str) else "")
    assert len(about.tier) <= 32
    wire = [
        chat.chunk({"content": "x"}) | {"model": nonsense, "service_tier": nonsense},
        chat.chunk({}, "stop"),
    ]
    assert len(fed("chat", "chat", *sse(*wire)).about.model) <= 200
