"""Requests for chat completions, read and written again."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadRequest, Unsupported
from gateway.formats.chat.request import decode_request, encode_request
from gateway.formats.envelope import decode_members
from gateway.formats.neutral.conversation import (
    Conversation,
    CustomTool,
    FunctionTool,
    JsonOutput,
    OpaqueTool,
    Thinking,
    ToolChoice,
    Turn,
)
from gateway.formats.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.formats.neutral.seals import seal

USER = {"role": "user", "content": "hi"}


def read(messages: Any = (USER,), **members: Any) -> Conversation:
    return decode_request(decode_members(json.dumps({"messages": list(messages), **members}).encode()))


def again(messages: Any = (USER,), **members: Any) -> Any:
    """What is written of a request that was read, as JSON values."""
    return msgspec.json.decode(msgspec.json.encode(encode_request(read(messages, **members))))


def part_of(part: Any) -> Part:
    (found,) = read([{"role": "user", "content": [part]}]).turns[0].parts
    return found


PARTS: list[tuple[Any, Part]] = [
    ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, Text("a", "1h")),
    ({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, Text("a", "default")),
    (
        {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}},
        Media("image", url="https://h/a.png", detail="low"),
    ),
    (
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,YQ=="}},
        Media("image", "image/png", data="YQ=="),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "YQ==", "format": "mp3"}},
        Media("audio", "audio/mpeg", data="YQ=="),
    ),
    (
        {"type": "input_audio", "input_audio": {"data": "YQ==", "format": "wav"}},
        Media("audio", "audio/wav", data="YQ=="),
    ),
    ({"type": "input_audio", "input_audio": "YQ=="}, Media("audio", data="YQ==", raw="input_audio")),
    (
        {"type": "input_audio", "input_audio": "https://h/a"},
        Media("audio", url="https://h/a", raw="input_audio"),
    ),
    (
        {"type": "audio_url", "audio_url": {"url": "https://h/a"}},
        Media("audio", url="https://h/a", raw="audio_url"),
    ),
    ({"type": "video_url", "video_url": {"url": "https://h/v"}}, Media("video", url="https://h/v")),
    (
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,YQ=="}},
        Media("video", "video/mp4", data="YQ=="),
    ),
    ({"type": "file", "file": {"file_id": "file-1"}}, Media("file", file_id="file-1")),
    (
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,YQ==", "filename": "a.pdf"}},
        Media("file", "application/pdf", data="YQ==", name="a.pdf"),
    ),
    ({"type": "file", "file": {"file_data": "https://h/a.pdf"}}, Media("file", url="https://h/a.pdf")),
    (
        {"type": "document_url", "document_url": "https://h/d", "document_name": "d"},
        Media("file", url="https://h/d", name="d", raw="document_url"),
    ),
    (
        {"type": "reference", "reference_ids": [1, 2]},
        Opaque("chat", "reference", {"type": "reference", "reference_ids": [1, 2]}),
    ),
]


@pytest.mark.parametrize(("written", "part"), PARTS)
def test_a_part_is_read_and_written_again(written: Any, part: Part) -> None:
    assert part_of(written) == part
    assert again([{"role": "user", "content": [written]}])["messages"][0]["content"] == [written]


@pytest.mark.parametrize(
    ("part", "place"),
    [
        ({"type": "text"}, "text"),
        ({"type": "image_url"}, "image_url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,raw"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,***"}}, "image_url.url"),
        ({"type": "input_audio"}, "input_audio"),
        ({"type": "input_audio", "input_audio": {"data": "***", "format": "wav"}}, "input_audio.data"),
        ({"type": "file", "file": {}}, "file"),
        ({"type": "file", "file": {"file_data": "***"}}, "file.file_data"),
        ({"type": "video_url"}, "video_url"),
        ({"type": "refusal"}, "refusal"),
        ({"type": "thinking"}, "thinking"),
        ({"type": "text", "text": 7}, "text"),
    ],
)
def test_a_malformed_part_is_refused_at_its_place(part: Any, place: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        part_of(part)
    assert refusal.value.param == f"messages[0].content[0].{place}"


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ([{"role": "wizard", "content": "x"}], "messages[0].role"),
        ([{"content": "x"}], "messages[0].role"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        ([{"role": "function", "name": "f", "content": "x"}], "messages[0].tool_call_id"),
        ([{"role": "user", "tool_calls": [{"id": "a", "function": {"name": "f"}}]}], "messages[0]"),
        ([{"role": "user", "content": 7}], "messages[0].content"),
    ],
)
def test_a_malformed_message_is_refused_at_its_place(messages: Any, param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        read(messages)
    assert refusal.value.param == param


WAYS: list[tuple[dict[str, Any], str, Any]] = [
    ({"max_tokens": 5}, "max_tokens", 5),
    ({"max_completion_tokens": 5}, "max_tokens", 5),
    ({"max_completion_tokens": 5, "max_tokens": 9}, "max_tokens", 5),
    ({"seed": 0}, "seed", 0),
    ({"random_seed": 3}, "seed", 3),
    ({"stop": "x"}, "stop", ("x",)),
    ({"stop": ["x", "y"]}, "stop", ("x", "y")),
    ({"reasoning_effort": "high"}, "thinking", Thinking("high")),
    ({"reasoning": {"effort": "low", "exclude": True}}, "thinking", Thinking("low", visible=False)),
    ({"reasoning": {"max_tokens": 900}}, "thinking", Thinking(budget_tokens=900)),
    ({"reasoning": {"enabled": True}}, "thinking", Thinking(adaptive=True)),
    ({"enable_thinking": False}, "thinking", Thinking("none")),
    ({"enable_thinking": True}, "thinking", Thinking(adaptive=True)),
    ({"thinking": {"type": "enabled", "budget_tokens": 7}}, "thinking", Thinking(budget_tokens=7)),
    ({"thinking": {"type": "disabled"}}, "thinking", Thinking("none")),
    ({"reasoning_effort": "low", "enable_thinking": True}, "thinking", Thinking("low")),
    ({"response_format": {"type": "text"}}, "output", None),
    ({"response_format": {"type": "json_object"}}, "output", JsonOutput()),
    ({"response_format": {"type": "json_object", "schema": {"a": 1}}}, "output", JsonOutput({"a": 1})),
    (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {}, "strict": True},
            }
        },
        "output",
        JsonOutput({}, "n", strict=True),
    ),
    ({"functions": [{"name": "f"}], "function_call": "auto"}, "tools", (FunctionTool("f"),)),
    (
        {"functions": [{"name": "f"}], "function_call": {"name": "f"}},
        "tool_choice",
        ToolChoice("required", ("f",)),
    ),
    (
        {"tools": [{"function": {"name": "f", "parameters": {}}}]},
        "tools",
        (FunctionTool("f", parameters={}),),
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "f", "description": "d", "strict": False}}]},
        "tools",
        (FunctionTool("f", "d", strict=False),),
    ),
    (
        {"tools": [{"type": "custom", "custom": {"name": "c", "format": {"type": "text"}}}]},
        "tools",
        (CustomTool("c", grammar={"type": "text"}),),
    ),
    (
        {"tools": [{"type": "browser", "depth": 2}]},
        "tools",
        (OpaqueTool("chat", "browser", {"type": "browser", "depth": 2}),),
    ),
    ({"tool_choice": "auto"}, "tool_choice", ToolChoice("auto")),
    ({"tool_choice": "any"}, "tool_choice", ToolChoice("required")),
    (
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        "tool_choice",
        ToolChoice("required", ("f",)),
    ),
    (
        {
            "tools": [{"type": "custom", "custom": {"name": "c"}}],
            "tool_choice": {"type": "custom", "custom": {"name": "c"}},
        },
        "tool_choice",
        ToolChoice("required", ("c",)),
    ),
    (
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            }
        },
        "tool_choice",
        ToolChoice("auto", ("f",)),
    ),
    (
        {"tool_choice": {"type": "web"}},
        "tool_choice",
        ToolChoice("required", format="chat", raw={"type": "web"}),
    ),
    ({"n": 2}, "choices", 2),
    ({"modalities": ["text", "audio"]}, "modalities", ("text", "audio")),
    ({"prompt_cache_key": "k"}, "cache_key", "k"),
    ({"service_tier": "flex"}, "service_tier", "flex"),
    ({"logit_bias": {"5": -100}}, "logit_bias", {"5": -100}),
    ({"parallel_tool_calls": False}, "parallel_tool_calls", False),
    ({"temperature": 0}, "temperature", 0),
]


@pytest.mark.parametrize(("members", "field", "value"), WAYS)
def test_an_option_is_read_and_goes_back_in_the_way_it_came(
    members: dict[str, Any], field: str, value: Any
) -> None:
    conversation = read(**members)
    assert getattr(conversation, field) == value
    written = again(**members)
    del written["messages"]
    assert written == members


@pytest.mark.parametrize(
    ("fields", "members"),
    [
        ({"max_tokens": 5}, {"max_completion_tokens": 5}),
        ({"thinking": Thinking("max")}, {"reasoning_effort": "xhigh"}),
        ({"thinking": Thinking(budget_tokens=9000)}, {"reasoning_effort": "high"}),
        ({"thinking": Thinking(adaptive=True)}, {}),
        (
            {"output": JsonOutput({"a": 1})},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"a": 1}},
                }
            },
        ),
        ({"tool_choice": ToolChoice("required", ("f", "g"))}, None),
    ],
)
def test_what_another_format_asked_is_written_in_openais_current_way(fields: Any, members: Any) -> None:
    written = encode_request(Conversation((Turn("user", (Text("hi"),)),), **fields))
    del written["messages"]
    if members is None:
        assert written["tool_choice"]["allowed_tools"]["mode"] == "required"
    else:
        assert written == members


def test_a_spelling_that_no_longer_says_the_same_is_not_repeated() -> None:
    lowered = msgspec.structs.replace(read(max_tokens=500, stop="x"), max_tokens=100)
    written = encode_request(lowered)
    assert (written["max_completion_tokens"], written["stop"]) == (100, "x")
    assert "max_tokens" not in written


@pytest.mark.parametrize("stream", [False, True])
def test_a_stream_always_asks_for_its_usage(stream: bool) -> None:
    written = again(stream=stream)
    assert written.get("stream_options") == ({"include_usage": True} if stream else None)
    assert written.get("stream", False) is stream


def test_members_that_nobody_else_has_are_kept_by_their_names() -> None:
    conversation = read(provider={"only": ["x"]}, brand_new=[1], user=None, transforms=None)
    assert conversation.extra == {"provider": {"only": ["x"]}, "brand_new": [1]}
    assert again(provider={"only": ["x"]}, brand_new=[1])["brand_new"] == [1]


@pytest.mark.parametrize(
    ("members", "error", "param"),
    [
        ({"tool_choice": "perhaps"}, BadRequest, "tool_choice"),
        ({"function_call": "perhaps"}, BadRequest, "function_call"),
        ({"response_format": {"type": "regex"}}, Unsupported, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, BadRequest, "response_format.json_schema"),
        ({"temperature": "hot"}, BadRequest, "temperature"),
        ({"stop": 7}, BadRequest, "stop"),
    ],
)
def test_a_malformed_option_is_refused_by_its_name(members: Any, error: type[Exception], param: str) -> None:
    with pytest.raises(error) as refusal:
        read(**members)
    assert getattr(refusal.value, "param", "") == param


TALK = [
    {"role": "developer", "content": "be brief", "name": "boss"},
    {"role": "user", "content": "hi", "name": "ann"},
    {
        "role": "assistant",
        "content": "let me see",
        "reasoning_content": "hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "b", "type": "custom", "custom": {"name": "g", "input": "x"}},
        ],
    },
    {"role": "tool", "tool_call_id": "a", "content": "1"},
    {
        "role": "tool",
        "tool_call_id": "b",
        "name": "g",
        "content": [{"type": "text", "text": "2"}, {"type": "text", "text": "3"}],
    },
]


def test_a_conversation_with_tools_is_read_and_written_again() -> None:
    turns = read(TALK).turns
    assert [turn.role for turn in turns] == ["developer", "user", "assistant", "tool", "tool"]
    assert (turns[0].name, turns[1].name) == ("boss", "ann")
    assert turns[2].parts == (
        Reasoning("hm", origin="chat"),
        Text("let me see"),
        ToolCall("a", "f", "{}"),
        ToolCall("b", "g", "x", custom=True),
    )
    assert turns[4].parts == (ToolResult("b", (Text("2"), Text("3")), name="g"),)
    assert again(TALK)["messages"] == TALK


def test_a_developer_of_another_format_is_the_system_that_every_host_knows() -> None:
    turn = Turn("developer", (Text("be brief"),))
    assert encode_request(Conversation((turn,)))["messages"] == [{"role": "system", "content": "be brief"}]


def test_a_call_without_arguments_has_some_that_hosts_can_parse() -> None:
    calls = Turn("assistant", (ToolCall("a", "f"), ToolCall("b", "g", custom=True)))
    (message,) = encode_request(Conversation((calls,)))["messages"]
    assert message["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}
    assert message["tool_calls"][1]["custom"] == {"name": "g", "input": ""}


LEGACY = [
    USER,
    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
    {"role": "function", "name": "f", "content": "1"},
    {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "[]"}},
    {"role": "function", "name": "f", "content": "2"},
]


def test_legacy_functions_are_calls_and_go_back_as_functions() -> None:
    turns = read(LEGACY).turns
    calls = [part.id for turn in turns for part in turn.parts if isinstance(part, ToolCall)]
    results = [part.call_id for turn in turns for part in turn.parts if isinstance(part, ToolResult)]
    assert calls == results
    assert len(set(calls)) == 2
    assert again(LEGACY)["messages"] == LEGACY


def test_results_of_one_turn_are_messages_of_their_own() -> None:
    turn = Turn("tool", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"),), is_error=True)))
    assert encode_request(Conversation((turn,)))["messages"] == [
        {"role": "tool", "tool_call_id": "a", "content": "1"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"reasoning": "hm"},
        {
            "reasoning": "hm",
            "reasoning_details": [{"type": "reasoning.text", "text": "hm", "format": "unknown", "index": 0}],
        },
        {"reasoning_details": [{"type": "reasoning.text", "format": "unknown", "index": 0}]},
        {
            "reasoning_details": [
                {"type": "reasoning.summary", "summary": "s", "index": 0, "format": "openai-responses-v1"},
                {
                    "type": "reasoning.encrypted",
                    "data": "d",
                    "id": "rs_1",
                    "index": 0,
                    "format": "openai-responses-v1",
                },
            ]
        },
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}], "closed": True},
                {"type": "text", "text": "4"},
            ]
        },
        {"content": "4", "prefix": True},
        {"content": "4", "annotations": [{"type": "file", "file": {"hash": "x"}}]},
        {"audio": {"id": "audio_1"}},
    ],
)
def test_what_an_upstream_wrote_of_an_assistant_goes_back_as_it_came(message: dict[str, Any]) -> None:
    (_, written) = again([USER, {"role": "assistant", **message}])["messages"]
    assert {name: value for name, value in written.items() if value is not None} == {
        "role": "assistant",
        **message,
    }


@pytest.mark.parametrize("origin", ["messages", "gemini", "responses"])
def test_a_sealed_signature_gets_its_maker_back_and_stays_from_other_hosts(origin: Any) -> None:
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": seal("sig", origin, "chat"), "index": 0},
        {"type": "reasoning.encrypted", "data": seal("enc", origin, "chat"), "index": 1},
    ]
    call = {
        "id": "a",
        "type": "function",
        "function": {"name": "f", "arguments": "{}"},
        "extra_content": {"google": {"thought_signature": seal("thought", origin, "chat")}},
    }
    message = {
        "role": "assistant",
        "reasoning_content": "hm",
        "reasoning_details": details,
        "tool_calls": [call],
    }
    conversation = read([USER, message])
    text, hidden, called = conversation.turns[1].parts
    assert isinstance(called, ToolCall)
    assert text == Reasoning("hm", signature="sig", origin=origin)
    assert hidden == Reasoning(encrypted="enc", origin=origin)
    assert (called.signature, called.origin) == ("thought", origin)
    (_, written) = encode_request(conversation)["messages"]
    assert b"sig" not in msgspec.json.encode(written)
    assert written["tool_calls"][0]["id"] == "a"


@pytest.mark.parametrize("content", ["a", "", None])
def test_geminis_signature_of_a_text_finds_its_text(content: str | None) -> None:
    extra = {"google": {"thought_signature": seal("s", "gemini", "chat")}}
    (turn,) = read([{"role": "assistant", "content": content, "extra_content": extra}]).turns
    assert turn.parts == (Text(content or "", signature="s"),)


def test_the_signature_of_a_host_of_this_format_goes_back() -> None:
    detail = {"type": "reasoning.text", "text": "hm", "signature": "sig", "index": 0}
    written = again([USER, {"role": "assistant", "reasoning_details": [detail]}])["messages"][1]
    assert written["reasoning_details"] == [detail]


def test_a_document_in_plain_text_is_sent_as_its_words() -> None:
    turn = Turn("user", (Media("file", "text/plain", name="notes", text="a\nb"), Text("sum up")))
    content = encode_request(Conversation((turn,)))["messages"][0]["content"]
    assert content[0] == {"type": "text", "text": "notes\na\nb"}


@pytest.mark.parametrize(
    "part",
    [Media("image", file_id="f"), ToolCall("a", "f"), Opaque("gemini", "executableCode", {}), Reasoning("x")],
)
def test_what_no_message_can_hold_is_refused(part: Part) -> None:
    with pytest.raises(Unsupported):
        encode_request(Conversation((Turn("user", (Text("a"), part)),)))


def test_citations_of_an_earlier_answer_are_kept() -> None:
    annotation = {
        "type": "url_citation",
        "url_citation": {"url": "https://h", "title": "t", "start_index": 0, "end_index": 1},
    }
    message = {"role": "assistant", "content": "x", "annotations": [annotation]}
    (text,) = read([USER, message]).turns[1].parts
    assert isinstance(text, Text)
    assert text.citations == (Citation("https://h", "t", "", 0, 1, "chat", annotation),)
    assert again([USER, message])["messages"][1] == message


def test_ten_thousand_unknown_parts_are_read_in_one_go() -> None:
    parts = [{"type": "novel", "n": n} for n in range(10_000)]
    (turn,) = read([{"role": "user", "content": parts}]).turns
    assert [part.value for part in turn.parts if isinstance(part, Opaque)] == parts


@pytest.mark.parametrize("depth", [900, 990, 1000, 100_000])
@pytest.mark.parametrize(
    "place", ['{"messages":[%s],"new":@}', '{"messages":[{"role":"user","content":[{"type":"n","v":@}]}]}']
)
def test_deep_nesting_is_read_or_refused(place: str, depth: int) -> None:
    body = place.replace("%s", json.dumps(USER)).replace("@", "[" * depth + "]" * depth)
    if depth < 950:
        assert decode_request(decode_members(body.encode())).turns
        return
    with contextlib.suppress(BadRequest):  # how deep is too deep depends on the stack below
        decode_request(decode_members(body.encode()))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=5)
    | st.sampled_from(["text", "user", "tool"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "role", "content", "id", "name", "function", "url", "file"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
MEMBERS = st.dictionaries(
    st.sampled_from(
        ["tools", "tool_choice", "stop", "response_format", "reasoning", "thinking", "n", "functions"]
    ),
    JSON,
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                ["role", "content", "tool_calls", "audio", "annotations", "reasoning_details", "tool_call_id"]
            ),
            JSON,
        ),
        max_size=3,
    ),
    MEMBERS,
)
def test_any_json_is_read_or_refused(messages: Any, members: dict[str, Any]) -> None:
    try:
        conversation = read(messages, **members)
        written = encode_request(conversation)
    except (BadRequest, Unsupported):
        return
    assert decode_request(decode_members(msgspec.json.encode({**written, "model": "m"}))).turns
