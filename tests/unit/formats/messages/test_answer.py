"""Whole answers: Anthropic's own, those of other providers for its clients, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message

from gateway.errors import Failed
from gateway.exchange import Usage
from gateway.formats.messages.codec import CODEC
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)

HEADING = Heading("1", "asked-for", 0, Conversation(()))


def write(*parts: Part, **fields: Any) -> dict[str, Any]:
    choice = Choice(parts, **{"finish": "stop", **fields})
    written = CODEC.encode_answer(Completion((choice,), id="chatcmpl-1", model="m"), HEADING)
    Message.model_validate_json(written)
    answer: dict[str, Any] = json.loads(written)
    return answer


def read(**members: Any) -> Completion:
    return CODEC.decode_answer(json.dumps({"content": [], **members}).encode())


def test_the_frame_of_an_answer() -> None:
    answer = write(Text("Hi"))
    assert answer == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 0,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        },
    }


@pytest.mark.parametrize(
    ("finish", "raw", "word"),
    [
        ("stop", "", "end_turn"),
        ("stop", "stop", "end_turn"),
        ("length", "length", "max_tokens"),
        ("length", "model_context_window_exceeded", "model_context_window_exceeded"),
        ("stop_sequence", "", "stop_sequence"),
        ("tool_calls", "", "tool_use"),
        ("content_filter", "SAFETY", "refusal"),
        ("refusal", "refusal", "refusal"),
        ("pause", "", "pause_turn"),
        ("stop", "refusal", "end_turn"),
    ],
)
def test_why_an_answer_ended(finish: Finish, raw: str, word: str) -> None:
    assert write(Text("a"), finish=finish, finish_raw=raw)["stop_reason"] == word


def test_a_forced_call_ends_with_tool_use_whatever_its_provider_said() -> None:
    assert write(ToolCall("a", "look", "{}"), finish_raw="stop")["stop_reason"] == "tool_use"


def test_an_answer_that_failed_is_no_answer() -> None:
    with pytest.raises(Failed):
        write(Text("a"), finish="error")


@pytest.mark.parametrize("word", ["end_turn", "tool_use", "pause_turn", "refusal", "of_tomorrow", None])
def test_stop_reasons_are_read(word: str | None) -> None:
    choice = read(stop_reason=word, stop_sequence="x").choices[0]
    known = {
        "end_turn": "stop",
        "tool_use": "tool_calls",
        "pause_turn": "pause",
        "refusal": "refusal",
        None: None,
    }
    assert choice.finish == known.get(word, "stop")
    assert (choice.finish_raw, choice.stop_sequence) == (word or "", "x")


@pytest.mark.parametrize(
    ("part", "blocks"),
    [
        (Refusal("No."), [{"type": "text", "text": "No."}]),
        (
            Reasoning("hm", signature="s", origin="messages"),
            [{"type": "thinking", "thinking": "hm", "signature": "s"}],
        ),
        (Reasoning("hm"), [{"type": "thinking", "thinking": "hm", "signature": ""}]),
        (
            Reasoning(summary=("a", "b"), encrypted="e", origin="responses"),
            [
                {"type": "thinking", "thinking": "a\n\nb", "signature": "forebay.responses.unsigned"},
                {"type": "redacted_thinking", "data": "forebay.responses.e"},
            ],
        ),
        (Reasoning(encrypted="e", origin="messages"), [{"type": "redacted_thinking", "data": "e"}]),
        (Reasoning(), []),
        (
            Text("a", signature="s"),
            [{"type": "redacted_thinking", "data": "forebay.gemini.s"}, {"type": "text", "text": "a"}],
        ),
        (Text("", signature="s"), [{"type": "redacted_thinking", "data": "forebay.gemini.s"}]),
        (
            ToolCall("a.1", "look", '{"x": 1}', signature="s", origin="gemini"),
            [
                {"type": "redacted_thinking", "data": "forebay.gemini.s"},
                {"type": "tool_use", "id": "a_1", "name": "look", "input": {"x": 1}},
            ],
        ),
        (
            ToolCall("a", "look", '{"x":'),
            [{"type": "tool_use", "id": "a", "name": "look", "input": {"INVALID_JSON": '{"x":'}}],
        ),
        (
            ToolCall("a", "look", "{}", custom=True),
            [{"type": "tool_use", "id": "a", "name": "look", "input": {"INVALID_JSON": "{}"}}],
        ),
        (
            Text("a", citations=(Citation("https://a", "T", "c", 0, 1, "chat"),)),
            [
                {
                    "type": "text",
                    "text": "a",
                    "citations": [
                        {
                            "type": "web_search_result_location",
                            "cited_text": "c",
                            "url": "https://a",
                            "title": "T",
                            "encrypted_index": "",
                        }
                    ],
                }
            ],
        ),
        (Media("audio", "audio/wav", data="QQ==", transcript="said"), [{"type": "text", "text": "said"}]),
        (Opaque("responses", "web_search_call", {"type": "web_search_call"}), []),
        (ToolResult("a"), []),
    ],
)
def test_parts_of_other_providers_as_blocks(part: Part, blocks: list[Any]) -> None:
    assert write(part)["content"] == blocks


def test_a_drawing_is_an_image_block() -> None:
    answer = Completion((Choice((Media("image", "image/png", data="QQ=="),), "stop"),))
    blocks = json.loads(CODEC.encode_answer(answer, HEADING))["content"]
    source = {"type": "base64", "media_type": "image/png", "data": "QQ=="}
    assert blocks == [{"type": "image", "source": source}]


def test_an_answer_without_choices_is_empty() -> None:
    assert json.loads(CODEC.encode_answer(Completion(()), HEADING))["content"] == []


def test_usage_is_counted_as_each_side_counts() -> None:
    told = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 200,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
        "server_tool_use": {"web_search_requests": 2},
        "service_tier": "priority",
    }
    completion = read(usage=told)
    assert completion.usage == Usage(
        240,
        50,
        cached_tokens=200,
        cache_write_tokens=30,
        cache_write_1h_tokens=20,
        reasoning_tokens=40,
        searches=2,
        tier="priority",
    )
    assert completion.service_tier == "priority"
    assert json.loads(CODEC.encode_answer(completion, HEADING))["usage"] == told


def test_usage_of_other_providers_is_split_the_same_way() -> None:
    usage = Usage(
        240, 50, cached_tokens=200, cache_write_tokens=30, cache_write_1h_tokens=20, reasoning_tokens=4
    )
    extra = {"usage": {"output_tokens_details": {"reasoning_tokens": 4}}, "citations": []}
    foreign = Completion((Choice((), "stop"),), usage=usage, service_tier="default", extra=extra)
    answer = json.loads(CODEC.encode_answer(foreign, HEADING))
    assert answer["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 200,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    assert "citations" not in answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"<html>",
        b'{"type": "error", "error": {"type": "api_error", "message": "x"}}',
        b'{"content": "Hi"}',
        b'{"content": [{"text": "no type"}]}',
        b'{"content": [{"type": "text", "text": 5}]}',
        b'{"content": [{"type": "text", "text": "\xff"}]}',
        b'{"content": [{"type": "image", "source": {"type": "base64", "data": "!"}}]}',
        b'{"content": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"content": [], "usage": {"input_tokens": "many"}}',
    ],
)
def test_what_is_no_answer_is_a_failure_of_the_upstream(body: bytes) -> None:
    with pytest.raises(Failed):
        CODEC.decode_answer(body)
