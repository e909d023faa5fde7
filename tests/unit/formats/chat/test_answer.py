"""Whole answers of chat completions, read and written again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from gateway.errors import Failed, UpstreamError
from gateway.exchange import Usage
from gateway.formats.chat.answer import decode_answer, encode_answer
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish, TokenLogprob, TopLogprob
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.parts import Citation, Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall

HEADING = Heading("abc", "fast", 1_700_000_000, Conversation(()))


def read(message: Any, finish: Any = "stop", **choice: Any) -> Choice:
    body = {"choices": [{"index": 0, "message": message, "finish_reason": finish, **choice}]}
    (found,) = decode_answer(json.dumps(body).encode()).choices
    return found


def write(*parts: Part, finish: Finish = "stop", **fields: Any) -> dict[str, Any]:
    """The first choice of what a client of another upstream gets; the SDK must understand it."""
    body = encode_answer(Completion((Choice(parts, finish),), **fields), HEADING)
    ChatCompletion.model_validate(json.loads(body))
    choice = json.loads(body)["choices"][0]
    assert isinstance(choice, dict)
    return choice


def called(arguments: Any = "{}", **call: Any) -> dict[str, Any]:
    return {"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}, **call}


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": "hi"}, (Text("hi"),)),
        ({"content": None}, ()),
        ({"content": ""}, ()),
        ({"content": None, "refusal": "no"}, (Refusal("no"),)),
        ({"content": "a", "reasoning_content": "hm"}, (Reasoning("hm", origin="chat"), Text("a"))),
        ({"content": "a", "reasoning": "hm"}, (Reasoning("hm", origin="chat"), Text("a"))),
        ({"tool_calls": [called()]}, (ToolCall("a", "f", "{}"),)),
        ({"tool_calls": [called({"x": 1})]}, (ToolCall("a", "f", '{"x":1}'),)),
        ({"tool_calls": [called(None)]}, (ToolCall("a", "f"),)),
        (
            {"tool_calls": [{"id": "a", "custom": {"name": "g", "input": "x"}}]},
            (ToolCall("a", "g", "x", custom=True),),
        ),
        ({"tool_calls": [called(custom={"name": "", "input": ""})]}, (ToolCall("a", "f", "{}"),)),
        (
            {"tool_calls": [called(extra_content={"google": {"thought_signature": "s"}})]},
            (ToolCall("a", "f", "{}", signature="s", origin="chat"),),
        ),
        ({"content": "a", "function_call": {"name": "", "arguments": ""}}, (Text("a"),)),
        ({"content": "a", "audio": {"id": "", "data": "", "transcript": "", "expires_at": 0}}, (Text("a"),)),
        (
            {"audio": {"id": "x", "data": "YQ==", "transcript": "hi", "expires_at": 9}},
            (Media("audio", data="YQ==", transcript="hi", raw={"id": "x", "expires_at": 9}),),
        ),
        (
            {"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,YQ=="}}]},
            (Media("image", "image/png", data="YQ=="),),
        ),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                    {"type": "text", "text": "a"},
                ]
            },
            (Reasoning("hm", origin="chat"), Text("a")),
        ),
    ],
)
def test_a_message_is_its_parts(message: Any, parts: tuple[Part, ...]) -> None:
    assert read(message).parts == parts


@pytest.mark.parametrize(
    ("details", "said", "thoughts"),
    [
        ([{"type": "reasoning.text", "text": "hm", "index": 0}], "hm", [Reasoning("hm", origin="chat")]),
        ([{"type": "reasoning.text", "index": 0}], "hm", [Reasoning("hm", origin="chat")]),
        ([{"type": "reasoning.text", "index": 0}], None, []),
        (
            [{"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}],
            "hm",
            [Reasoning("hm", signature="s", origin="chat")],
        ),
        (
            [
                {"type": "reasoning.summary", "summary": "s", "index": 0},
                {"type": "reasoning.encrypted", "data": "d", "id": "r", "index": 0},
            ],
            "s",
            [Reasoning(summary=("s",), encrypted="d", id="r", origin="chat")],
        ),
        (
            [{"type": "reasoning.encrypted", "data": "d", "index": 0}],
            "hm",
            [Reasoning("hm", encrypted="d", origin="chat")],
        ),
        (
            [
                {"type": "reasoning.text", "text": "a", "index": 0},
                {"type": "reasoning.text", "text": "b", "index": 0},
            ],
            None,
            [Reasoning("ab", origin="chat")],
        ),
        (
            [
                {"type": "reasoning.text", "text": "a", "index": 0},
                {"type": "reasoning.text", "text": "b", "index": 1},
            ],
            None,
            [Reasoning("a", origin="chat"), Reasoning("b", origin="chat")],
        ),
    ],
)
def test_details_of_thoughts_count_and_plain_text_where_they_have_no_words(
    details: Any, said: Any, thoughts: Any
) -> None:
    assert list(read({"reasoning": said, "reasoning_details": details}).parts) == thoughts


@pytest.mark.parametrize(
    ("word", "message", "finish"),
    [
        ("stop", {"content": "a"}, "stop"),
        ("stop", {"tool_calls": [called()]}, "tool_calls"),
        ("stop", {"refusal": "no"}, "refusal"),
        ("eos", {"content": "a"}, "stop"),
        ("length", {"content": "a"}, "length"),
        ("model_length", {"content": "a"}, "length"),
        ("content_filter", {}, "content_filter"),
        ("tool_calls", {"tool_calls": [called()]}, "tool_calls"),
        ("function_call", {"function_call": {"name": "f", "arguments": "{}"}}, "tool_calls"),
        ("", {"tool_calls": [called()]}, "tool_calls"),
        ("", {"content": "a"}, None),
        (None, {"tool_calls": [called()]}, None),
        ("error", {"content": "a"}, "error"),
        ("sensitive", {"content": "a"}, "content_filter"),
        ("model_context_window_exceeded", {"content": "a"}, "length"),
        ("network_error", {"content": "a"}, "error"),
        ("novel", {"content": "a"}, "stop"),
    ],
)
def test_the_end_is_told_by_the_word_and_by_the_deed(word: Any, message: Any, finish: Any) -> None:
    choice = read(message, word)
    assert (choice.finish, choice.finish_raw) == (finish, word or "")


@pytest.mark.parametrize("member", ["stop_reason", "matched_stop"])
def test_a_stop_sequence_is_told_by_engines(member: str) -> None:
    choice = read({"content": "a"}, **{member: "END"})
    assert (choice.finish, choice.stop_sequence) == ("stop_sequence", "END")
    assert read({"content": "a"}, **{member: 128001}).finish == "stop"


@pytest.mark.parametrize(
    ("finish", "raw", "written"),
    [
        ("stop", "eos", "eos"),
        ("stop", "end_turn", "stop"),
        ("tool_calls", "stop", "stop"),
        ("length", "stop", "length"),
        ("pause", "pause_turn", "stop"),
        ("refusal", "refusal", "refusal"),
        ("content_filter", "SAFETY", "content_filter"),
        ("error", "", "error"),
        (None, "", "stop"),
    ],
)
def test_a_word_is_repeated_only_where_it_means_the_same_here(finish: Any, raw: str, written: str) -> None:
    parts = (ToolCall("a", "f"),) if finish == "tool_calls" else (Text("a"),)
    body = encode_answer(Completion((Choice(parts, finish, raw),)), HEADING)
    assert json.loads(body)["choices"][0]["finish_reason"] == written


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        (
            {
                "prompt_tokens": 331,
                "completion_tokens": 11,
                "total_tokens": 674,
                "completion_tokens_details": {"reasoning_tokens": 332},
            },
            Usage(331, 343, reasoning_tokens=332),
        ),
        (
            {
                "prompt_tokens": 9,
                "completion_tokens": 8,
                "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 2, "image_tokens": 1},
                "completion_tokens_details": {"audio_tokens": 3},
            },
            Usage(9, 8, cached_tokens=4, audio_input_tokens=2, image_input_tokens=1, audio_output_tokens=3),
        ),
        ({"prompt_tokens": 9, "completion_tokens": 8, "prompt_audio_seconds": 4}, Usage(9, 8, audio_s=4.0)),
        ({"prompt_tokens": 9, "completion_tokens": 8, "num_cached_tokens": 5}, Usage(9, 8, cached_tokens=5)),
        (
            {"prompt_tokens": 9, "completion_tokens": 8, "prompt_tokens_details": {"audio_tokens": -5}},
            Usage(9, 8),
        ),
        (None, None),
        ({}, None),
    ],
)
def test_usage_is_read_by_kind(told: Any, usage: Usage | None) -> None:
    body = json.dumps({"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": told})
    completion = decode_answer(body.encode())
    assert completion.usage == usage
    if usage is not None:
        assert json.loads(encode_answer(completion, HEADING))["usage"] == told


def test_the_usage_of_another_format_is_written_in_openais_words() -> None:
    usage = Usage(10, 7, cached_tokens=4, cache_write_tokens=2, reasoning_tokens=3)
    body = encode_answer(Completion((), usage=usage, extra={"usage": {"input_tokens": 4}}), HEADING)
    assert json.loads(body)["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 7,
        "total_tokens": 17,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
    }
    assert decode_answer(body.replace(b'"choices":[]', b'"choices":[{"message":{}}]')).usage == usage


def test_several_choices_come_in_the_order_of_their_numbers() -> None:
    choices = [{"index": i, "message": {"content": str(i)}, "finish_reason": "stop"} for i in (1, 0, 2)]
    completion = decode_answer(json.dumps({"choices": choices}).encode())
    assert [choice.parts for choice in completion.choices] == [(Text("0"),), (Text("1"),), (Text("2"),)]


@pytest.mark.parametrize(
    ("member", "message"), [("content", {"content": "a"}), ("refusal", {"refusal": "a"})]
)
def test_chances_of_tokens_are_read_and_written_again(member: str, message: Any) -> None:
    tokens = [
        {
            "token": "a",
            "logprob": -0.5,
            "bytes": [97],
            "top_logprobs": [{"token": "b", "logprob": -1.5, "bytes": None}],
        }
    ]
    logprobs = {"content": None, "refusal": None, member: tokens}
    choice = read(message, logprobs=logprobs)
    assert choice.logprobs == (TokenLogprob("a", -0.5, (97,), (TopLogprob("b", -1.5),)),)
    again = json.loads(encode_answer(Completion((choice,)), HEADING))
    assert again["choices"][0]["logprobs"] == logprobs
    ChatCompletion.model_validate(again)


@pytest.mark.parametrize("rename", [False, True])
def test_who_answers_is_the_upstream_unless_a_route_says_otherwise(rename: bool) -> None:
    heading = Heading("abc", "fast", 1_700_000_000, Conversation(()), rename=rename)
    told = json.loads(encode_answer(Completion((), id="up-1", model="gpt", created_unix_s=5), heading))
    assert (told["id"], told["created"]) == ("up-1", 5)
    assert told["model"] == ("fast" if rename else "gpt")
    untold = json.loads(encode_answer(Completion(()), heading))
    assert (untold["id"], untold["created"], untold["model"]) == ("chatcmpl-abc", 1_700_000_000, "fast")


def test_an_answer_of_another_format_has_the_shape_that_the_sdk_reads() -> None:
    thought = Reasoning("hm", signature="sig", origin="messages")
    citation = Citation("https://h", "t", "quoted", origin="messages", raw={"x": 1})
    call = ToolCall("a", "f", "{}", signature="s", origin="gemini")
    choice = write(thought, Text("a"), Text("b", citations=(citation,)), call, finish="tool_calls")
    message = choice["message"]
    assert (message["role"], message["content"], message["refusal"]) == ("assistant", "ab", None)
    assert message["reasoning_content"] == "hm"
    assert message["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "forebay.messages.sig", "index": 0}
    ]
    assert message["annotations"][0]["url_citation"] == {
        "url": "https://h",
        "title": "t",
        "start_index": 0,
        "end_index": 0,
        "content": "quoted",
    }
    assert message["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "forebay.gemini.s"}}
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("part", "member", "value"),
    [
        (Refusal("no"), "refusal", "no"),
        (
            ToolCall("a", "g", "x", custom=True),
            "tool_calls",
            [{"id": "a", "type": "custom", "custom": {"name": "g", "input": "x"}}],
        ),
        (
            Media("audio", data="YQ==", transcript="hi"),
            "audio",
            {"id": "audio_0", "data": "YQ==", "transcript": "hi", "expires_at": 0},
        ),
        (
            Media("image", "image/png", data="YQ=="),
            "images",
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,YQ=="}}],
        ),
        (
            Reasoning(encrypted="e", origin="messages"),
            "reasoning_details",
            [{"type": "reasoning.encrypted", "data": "forebay.messages.e", "index": 0}],
        ),
        (Reasoning(summary=("a", "b"), origin="responses"), "reasoning_content", "a\n\nb"),
        (Text("a", signature="s"), "extra_content", {"google": {"thought_signature": "forebay.gemini.s"}}),
        (Opaque("messages", "server_tool_use", {}), "content", None),
    ],
)
def test_each_kind_of_part_has_its_member(part: Part, member: str, value: Any) -> None:
    assert write(part)["message"][member] == value


def test_members_of_other_formats_are_left_out() -> None:
    choice = Choice((Text("a"),), "stop", raw={"safetyRatings": [], "citations": 1})
    body = json.loads(
        encode_answer(Completion((choice,), extra={"usageMetadata": 1, "provider": "x"}), HEADING)
    )
    assert body["provider"] == "x"
    assert "usageMetadata" not in body
    assert set(body["choices"][0]) == {"index", "message", "logprobs", "finish_reason"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"choices":[]}',
        b'{"choices":null}',
        b'{"choices":[{"message":{"content":7}}]}',
        b'{"choices":[{"message":{"content":[{"type":"text"}]}}]}',
        b'{"choices":[{"message":{"content":"\xff"}}]}',
        b'{"choices":[{"message":{"content":"a"',
        b'{"choices":[{"message":{}}],"created":1e400}',
        b'{"choices":[{"message":{}}],"usage":{"prompt_tokens":1,"x":1e400}}',
        b'{"choices":' + b"[" * 100_000,
        b'{"timings":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_answer_failed(body: bytes) -> None:
    with pytest.raises(Failed) as failure:
        decode_answer(body)
    assert failure.value.code == "upstream_bad_answer"


@pytest.mark.parametrize(
    "error",
    [{"message": "slow down", "code": 429}, {"message": "slow down", "code": "rate_limit_exceeded"}],
)
def test_an_error_with_a_status_of_200_is_what_it_says(error: Any) -> None:
    with pytest.raises(UpstreamError) as failure:
        decode_answer(json.dumps({"error": error}).encode())
    assert "slow down" in failure.value.message
    assert failure.value.status == 429


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "id", "index", "function", "name"]), inner, max_size=4
        )
    ),
    max_leaves=10,
)
MEMBERS = ["content", "tool_calls", "reasoning_details", "annotations", "audio", "images", "function_call"]


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(MEMBERS), JSON),
    st.dictionaries(st.sampled_from(["usage", "created", "error", "x_groq", "citations"]), JSON),
)
def test_any_json_is_an_answer_or_failed(message: Any, members: Any) -> None:
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], **members})
    try:
        completion = decode_answer(body.encode())
    except Failed:
        return
    assert json.loads(encode_answer(completion, HEADING))["choices"][0]["message"]["role"] == "assistant"
