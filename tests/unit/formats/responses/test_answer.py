"""Whole answers: reading an upstream's, writing one for a client."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response

from gateway.errors import BadAnswer, Failed, QuotaSpent, UpstreamError
from gateway.exchange import Usage
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish, TokenLogprob, TopLogprob
from gateway.formats.neutral.conversation import Conversation, FunctionTool, Thinking, Turn
from gateway.formats.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)
from gateway.formats.responses.codec import CODEC

ASK = Conversation((Turn("user", (Text("hi"),)),))
HEADING = Heading("call-1", "shown", 7, ASK)


def decode(**members: Any) -> Completion:
    body = {"id": "resp_1", "object": "response", "created_at": 5, "model": "m", "status": "completed"}
    return CODEC.decode_answer(json.dumps(body | members).encode())


def encode(*parts: Part, heading: Heading = HEADING, finish: Finish | None = "stop", **fields: Any) -> Any:
    choice = Choice(parts, finish=finish, **fields)
    body = CODEC.encode_answer(Completion((choice,), usage=Usage(9, 3, cached_tokens=2)), heading)
    Response.model_validate_json(body)
    return json.loads(body)


def message(*content: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": list(content),
    }


def text(words: str, **members: Any) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": [], **members}


CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}


@pytest.mark.parametrize(
    ("members", "finish", "raw"),
    [
        ({"output": [message(text("hi"))]}, "stop", "completed"),
        ({"output": [message(text("hi"))], "status": None}, "stop", "completed"),
        ({"output": [message(text("hi")), CALL]}, "tool_calls", "completed"),
        ({"output": [message({"type": "refusal", "refusal": "no"})]}, "refusal", "completed"),
        (
            {"output": [], "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "length",
            "max_output_tokens",
        ),
        (
            {"output": [CALL], "status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "content_filter",
            "content_filter",
        ),
        ({"output": [], "status": "incomplete"}, "length", ""),
        ({"output": [], "status": "cancelled"}, None, "cancelled"),
    ],
)
def test_the_end_of_an_answer_is_read_and_written_again(
    members: dict[str, Any], finish: Finish | None, raw: str
) -> None:
    completion = decode(**members)
    assert (completion.choices[0].finish, completion.choices[0].finish_raw) == (finish, raw)
    again = json.loads(CODEC.encode_answer(completion, HEADING))
    assert again["status"] == (members.get("status") or "completed")
    if "incomplete_details" in members:
        assert again["incomplete_details"] == members["incomplete_details"]


def test_parts_are_in_the_order_of_the_output() -> None:
    annotation = {"type": "url_citation", "url": "https://x", "title": "t", "start_index": 1, "end_index": 2}
    completion = decode(
        output=[
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "s"}]},
            {"type": "web_search_call", "id": "ws_1", "action": {}},
            message(text("a", annotations=[annotation]), text("b")),
            CALL,
        ]
    )
    assert completion.choices[0].parts == (
        Reasoning(summary=("s",), id="rs_1", origin="responses"),
        Opaque("responses", "web_search_call", {"type": "web_search_call", "id": "ws_1", "action": {}}),
        Text("a", citations=(Citation("https://x", "t", "", 1, 2, "responses", annotation),)),
        Text("b"),
        ToolCall("c", "f", "{}", item_id="fc_1"),
    )


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"", BadAnswer, "empty"),
        (b"<html>", BadAnswer, "HTML"),
        (b"[]", Failed, "promises"),
        (b"{}", Failed, "output"),
        (b'{"output": {}}', Failed, "promises"),
        (b'{"output": ["x"]}', Failed, "promises"),
        (b'{"output": [{"type": "message", "role": "assistant", "content": [5]}]}', Failed, "promises"),
        (b'{"output": [], "usage": {"input_tokens": "x"}}', Failed, "promises"),
        (b'{"output": ' + b"[" * 20_000, BadAnswer, "whole JSON"),
        (b'{"output": [], "model": "\xff"}', BadAnswer, "whole JSON"),
        (b'{"status": "failed", "error": {"code": "server_error", "message": "oh"}}', UpstreamError, "oh"),
        (b'{"status": "failed", "error": null}', UpstreamError, "failed"),
        (b'{"error": {"code": "insufficient_quota", "message": "spent"}}', QuotaSpent, "spent"),
        (b'{"error": "in a word", "code": 5}', UpstreamError, "in a word"),
    ],
)
def test_what_is_no_answer_is_an_error_of_the_upstream(
    body: bytes, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind) as caught:
        CODEC.decode_answer(body)
    assert words in str(caught.value)


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": -1}, {"input_tokens": 10**15}])
def test_a_usage_that_says_nothing_is_none(usage: Any) -> None:
    assert decode(output=[], usage=usage).usage is None


def test_an_answer_of_another_format_repeats_the_request() -> None:
    members = {
        "model": "m",
        "input": "hi",
        "instructions": "be brief",
        "temperature": 0.5,
        "store": True,
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": True}],
        "text": {"verbosity": "low"},
        "reasoning": {"effort": "low"},
        "metadata": {"a": "b"},
        "truncation": "auto",
    }
    request = CODEC.decode_request({name: msgspec.Raw(msgspec.json.encode(v)) for name, v in members.items()})
    answer = encode(Text("ho"), heading=Heading("call-1", "shown", 7, request))
    assert answer["instructions"] == "be brief"
    assert (answer["temperature"], answer["truncation"], answer["store"]) == (0.5, "auto", False)
    assert answer["tools"] == members["tools"]
    assert answer["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert answer["reasoning"] == {"effort": "low", "summary": None}
    assert answer["metadata"] == {"a": "b"}


def test_a_request_that_said_nothing_is_repeated_as_openai_does() -> None:
    answer = encode(Text("ho"))
    assert (answer["id"], answer["object"], answer["created_at"]) == ("resp_call-1", "response", 7)
    assert (answer["status"], answer["error"], answer["incomplete_details"]) == ("completed", None, None)
    assert (answer["model"], answer["store"], answer["tools"]) == ("shown", False, [])
    assert answer["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 3,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 12,
    }


BOOK = {"type": "file_citation", "file_id": "", "filename": "book", "index": 3}
PAGE = {"type": "url_citation", "url": "https://x", "title": "t", "start_index": 0, "end_index": 0}
ITEMS = [
    {
        "type": "reasoning",
        "id": "forebay.messages.rs_call-1_0",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "hm"}],
        "encrypted_content": "forebay.messages.sig",
    },
    {
        "id": "msg_call-1_1",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "a", "annotations": [BOOK, PAGE], "logprobs": []},
            {"type": "output_text", "text": "b", "annotations": [], "logprobs": []},
            {"type": "refusal", "refusal": "no"},
        ],
    },
    {
        "type": "reasoning",
        "id": "forebay.gemini.rs_call-1_2",
        "summary": [],
        "encrypted_content": "forebay.gemini.thought",
    },
    {
        "id": "fc_call-1_3",
        "type": "function_call",
        "call_id": "c",
        "name": "f",
        "arguments": "{}",
        "status": "completed",
    },
    {
        "id": "ctc_call-1_4",
        "type": "custom_tool_call",
        "call_id": "d",
        "name": "g",
        "input": "2+2",
        "status": "completed",
    },
    {"id": "ig_call-1_5", "type": "image_generation_call", "status": "completed", "result": "aWI="},
    {
        "id": "msg_call-1_6",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "spoken", "annotations": [], "logprobs": []}],
    },
]


def test_parts_of_another_format_become_items() -> None:
    answer = encode(
        Reasoning("hm", signature="sig", origin="messages"),
        Text("a", citations=(Citation(title="book", text="words", end=3), Citation("https://x", "t"))),
        Text("b"),
        Refusal("no"),
        Opaque("messages", "server_tool_use", {}),
        ToolCall("c", "f", "{}", signature="thought", origin="gemini"),
        ToolCall("d", "g", "2+2", custom=True),
        Media("image", "image/png", data="aWI="),
        Media("audio", data="aWI=", transcript="spoken"),
    )
    assert answer["output"] == ITEMS


@pytest.mark.parametrize(
    ("finish", "raw", "status", "reason"),
    [
        ("stop", "end_turn", "completed", None),
        ("tool_calls", "tool_use", "completed", None),
        ("refusal", "refusal", "incomplete", "content_filter"),
        ("length", "max_tokens", "incomplete", "max_output_tokens"),
        ("length", "max_messages", "incomplete", "max_messages"),
        ("length", "content_filter", "incomplete", "max_output_tokens"),
        ("content_filter", "SAFETY", "incomplete", "content_filter"),
        ("error", "error", "failed", None),
        ("pause", "pause_turn", "completed", None),
        (None, "", "completed", None),
    ],
)
def test_the_end_of_another_format_is_said_in_this_one(
    finish: Finish | None, raw: str, status: str, reason: str | None
) -> None:
    answer = encode(Text("a"), finish=finish, finish_raw=raw)
    assert answer["status"] == status
    assert answer["incomplete_details"] == ({"reason": reason} if reason else None)
    assert bool(answer["error"]) == (status == "failed")


def test_a_refusal_that_says_so_is_a_whole_answer() -> None:
    answer = encode(Refusal("I will not."), finish="refusal")
    assert (answer["status"], answer["incomplete_details"]) == ("completed", None)


def test_a_call_without_arguments_can_be_parsed() -> None:
    call, custom = encode(ToolCall("c", "f"), ToolCall("d", "g", custom=True))["output"]
    assert (call["arguments"], custom["input"]) == ("{}", "")


def test_tokens_stand_with_the_text_they_make_up() -> None:
    tokens = (
        TokenLogprob("He", -0.1, (72, 101), (TopLogprob("He", -0.1, (72, 101)),)),
        TokenLogprob("llo", -0.2),
        TokenLogprob("you", -0.3),
    )
    answer = encode(Text("Hello"), Text("you"), logprobs=tokens)
    told = [[t["token"] for t in content["logprobs"]] for content in answer["output"][0]["content"]]
    assert told == [["He", "llo"], ["you"]]
    again = CODEC.decode_answer(json.dumps(answer).encode()).choices[0].logprobs
    assert again is not None
    assert [(t.token, t.logprob) for t in again] == [(t.token, t.logprob) for t in tokens]


def test_the_route_can_rename_the_model() -> None:
    completion = Completion((Choice((Text("a"),), finish="stop"),), model="told")
    for rename, name in ((False, "told"), (True, "shown")):
        heading = Heading("call-1", "shown", 7, ASK, rename=rename)
        assert json.loads(CODEC.encode_answer(completion, heading))["model"] == name


def test_a_request_of_another_format_is_repeated_too() -> None:
    asked = Conversation(ASK.turns, tools=(FunctionTool("f"),), thinking=Thinking("low"), max_tokens=5)
    answer = encode(Text("a"), heading=Heading("call-1", "shown", 7, asked))
    assert (answer["max_output_tokens"], answer["reasoning"]["effort"]) == (5, "low")
    assert answer["tools"][0]["name"] == "f"
    assert answer["instructions"] is None


@pytest.mark.parametrize("count", [10_000])
def test_many_parts_are_read_and_written(count: int) -> None:
    completion = decode(output=[message(*[text(str(i)) for i in range(count)]), *[CALL] * count])
    assert len(completion.choices[0].parts) == 2 * count
    assert len(json.loads(CODEC.encode_answer(completion, HEADING))["output"]) == count + 1
