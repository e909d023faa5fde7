"""Requests: what clients of this format ask, and what an upstream of it is asked for others."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from gateway.errors import BadRequest, GatewayError, Unsupported
from gateway.formats.neutral.check import check
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
from gateway.formats.neutral.losses import fit
from gateway.formats.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.formats.neutral.seals import seal
from gateway.formats.responses.codec import CODEC

PIXEL = base64.b64encode(b"\x89PNG").decode()
CALL = ToolCall("call_1", "look", '{"at":1}')
ASK = Turn("user", (Text("hi"),))


def decode(**members: Any) -> Conversation:
    raw = {"model": "m", **members}
    return CODEC.decode_request(
        {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in raw.items()}
    )


def encode(*turns: Turn, **fields: Any) -> dict[str, Any]:
    return CODEC.encode_request(Conversation(turns or (ASK,), **fields))


def test_a_lone_string_is_what_a_user_says() -> None:
    conversation = decode(input="hi", instructions="be brief")
    assert [(turn.role, turn.parts) for turn in conversation.turns] == [
        ("system", (Text("be brief"),)),
        ("user", (Text("hi"),)),
    ]
    again = CODEC.encode_request(conversation)
    assert again == {"input": "hi", "instructions": "be brief"}


def test_items_of_one_speaker_in_a_row_are_one_turn() -> None:
    conversation = decode(
        input=[
            {"role": "user", "content": "hi"},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"role": "assistant", "content": [{"type": "output_text", "text": "let me look"}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}", "id": "fc_1"},
            {"type": "custom_tool_call", "call_id": "b", "name": "g", "input": "2+2"},
            {"type": "function_call_output", "call_id": "a", "output": "1"},
            {
                "type": "custom_tool_call_output",
                "call_id": "b",
                "output": [{"type": "input_text", "text": "4"}],
            },
            {"role": "user", "content": [{"type": "input_text", "text": "and?"}]},
        ]
    )
    assert [(turn.role, turn.parts) for turn in conversation.turns] == [
        ("user", (Text("hi"),)),
        (
            "assistant",
            (
                Reasoning(summary=("hm",), id="rs_1", origin="responses"),
                Text("let me look"),
                ToolCall("a", "f", "{}", item_id="fc_1"),
                ToolCall("b", "g", "2+2", custom=True),
            ),
        ),
        ("tool", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("4"),), custom=True))),
        ("user", (Text("and?"),)),
    ]
    check(conversation)


@pytest.mark.parametrize(
    ("part", "read"),
    [
        ({"type": "input_text", "text": "x"}, Text("x")),
        ({"type": "refusal", "refusal": "no"}, Refusal("no")),
        (
            {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "low"},
            Media("image", "image/png", data=PIXEL, detail="low"),
        ),
        ({"type": "input_image", "image_url": "https://x/y.png"}, Media("image", url="https://x/y.png")),
        ({"type": "input_image", "file_id": "file-1"}, Media("image", file_id="file-1")),
        ({"type": "input_file", "file_id": "file-1"}, Media("file", file_id="file-1")),
        ({"type": "input_file", "file_url": "https://x/y.pdf"}, Media("file", url="https://x/y.pdf")),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PIXEL}"},
            Media("file", "application/pdf", data=PIXEL, name="a.pdf"),
        ),
        ({"type": "input_file", "filename": "a", "file_data": PIXEL}, Media("file", data=PIXEL, name="a")),
        (
            {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "mp3"}},
            Opaque(
                "responses",
                "input_audio",
                {"type": "input_audio", "input_audio": {"data": PIXEL, "format": "mp3"}},
            ),
        ),
    ],
)
def test_a_part_of_a_message_is_read_and_written_again(part: dict[str, Any], read: Any) -> None:
    conversation = decode(input=[{"role": "user", "content": [part]}])
    assert conversation.turns[0].parts == (read,)
    assert CODEC.encode_request(conversation)["input"] == [{"role": "user", "content": [part]}]
    bare = msgspec.structs.replace(conversation.turns[0], raw=None)
    assert encode(bare)["input"] == [{"role": "user", "content": [part]}]


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "msg_1"},
        {
            "type": "web_search_call",
            "id": "ws_1",
            "status": "completed",
            "action": {"content": 1, "output": {}},
        },
        {"type": "computer_call_output", "call_id": "c", "output": {"type": "computer_screenshot"}},
        {"type": "kind_of_next_year", "content": {"summary": 5}, "role": 7},
    ],
)
def test_an_item_that_only_this_format_has_is_kept_whole(item: dict[str, Any]) -> None:
    conversation = decode(input=[{"role": "user", "content": "hi"}, item])
    assert conversation.turns[1].parts == (Opaque("responses", item["type"], item),)
    assert CODEC.encode_request(conversation)["input"][1] == item
    with pytest.raises(Unsupported):
        fit(conversation, "responses", "messages")


def test_members_that_no_part_holds_come_back() -> None:
    items = [
        {"role": "assistant", "phase": "commentary", "content": "hm", "of_next_year": [1]},
        {
            "type": "function_call",
            "call_id": "a",
            "name": "f",
            "arguments": "",
            "namespace": "n",
            "async": True,
        },
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"a": 1}}],
        },
    ]
    assert CODEC.encode_request(decode(input=items))["input"] == items


def test_options_are_read_and_written_again() -> None:
    members = {
        "input": "hi",
        "max_output_tokens": 5,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_logprobs": 3,
        "parallel_tool_calls": False,
        "user": "u",
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "store": False,
        "stream": True,
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "reasoning": {"effort": "high", "summary": "auto", "context": "all_turns"},
        "text": {"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"a": 1}}},
        "previous_response_id": "resp_1",
        "of_next_year": {"x": 1},
    }
    conversation = decode(**members)
    assert conversation.thinking == Thinking("high", summary="auto")
    assert conversation.output == JsonOutput({"a": 1}, "n")
    assert conversation.logprobs is True
    assert conversation.extra == {
        "reasoning.context": "all_turns",
        "previous_response_id": "resp_1",
        "of_next_year": {"x": 1},
    }
    assert CODEC.encode_request(conversation) == members


@pytest.mark.parametrize(
    ("include", "extra"),
    [
        (["message.output_text.logprobs"], False),
        (["reasoning.encrypted_content"], False),
        (["reasoning.encrypted_content", "file_search_call.results"], True),
    ],
)
def test_to_ask_for_what_every_answer_has_is_nothing_extra(include: list[str], extra: bool) -> None:
    conversation = decode(input="hi", include=include)
    assert conversation.extra == ({"include": include} if extra else {})
    assert CODEC.encode_request(conversation)["include"] == include
    assert fit(conversation, "responses", "chat")[1] == (("include",) if extra else ())


def test_to_ask_for_what_happens_anyway_is_nothing_extra() -> None:
    anyway = {"background": False, "truncation": "disabled"}
    conversation = decode(input="hi", **anyway)
    assert conversation.extra == {}
    assert CODEC.encode_request(conversation) == {"input": "hi", **anyway}
    assert fit(conversation, "responses", "gemini")[1] == ()


@pytest.mark.parametrize(
    "members",
    [
        {"background": True},
        {"previous_response_id": "resp_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}},
    ],
)
def test_what_needs_an_answer_that_is_kept_is_refused(members: dict[str, Any]) -> None:
    (name,) = members
    with pytest.raises(Unsupported, match=name) as refusal:
        fit(decode(input="hi", **members), "responses", "gemini")
    assert refusal.value.param == name


def test_who_wants_the_likeliest_tokens_wants_to_be_told_of_tokens() -> None:
    conversation = decode(input="hi", top_logprobs=3)
    assert (conversation.logprobs, conversation.top_logprobs) == (True, 3)
    assert CODEC.encode_request(conversation) == {"input": "hi", "top_logprobs": 3}
    assert encode(logprobs=True, top_logprobs=3)["include"] == ["message.output_text.logprobs"]
    assert decode(input="hi", top_logprobs=0).logprobs is None


def test_a_grammar_is_nested_as_in_chat() -> None:
    """Chat completions say `{type, grammar: {syntax, definition}}`, responses say it flat."""
    flat = {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "d"}}
    conversation = decode(input="hi", tools=[flat])
    nested = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "d"}}
    assert conversation.tools == (CustomTool("g", grammar=nested),)
    assert CODEC.encode_request(conversation)["tools"] == [flat]
    assert encode(tools=conversation.tools)["tools"] == [flat]


FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True}


@pytest.mark.parametrize(
    ("tool", "read"),
    [
        (FUNCTION, FunctionTool("f", parameters={"type": "object"}, strict=True)),
        ({"type": "function", "name": "f", "description": "d"}, FunctionTool("f", "d")),
        (
            {"type": "custom", "name": "g", "format": {"type": "text"}},
            CustomTool("g", grammar={"type": "text"}),
        ),
        (
            {"type": "mcp", "server_label": "s"},
            OpaqueTool("responses", "mcp", {"type": "mcp", "server_label": "s"}),
        ),
        (
            FUNCTION | {"defer_loading": True},
            OpaqueTool("responses", "function", FUNCTION | {"defer_loading": True}),
        ),
    ],
)
def test_a_tool_is_read_and_written_again(tool: dict[str, Any], read: Any) -> None:
    conversation = decode(input="hi", tools=[tool])
    assert conversation.tools == (read,)
    assert CODEC.encode_request(conversation)["tools"] == [tool]


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "f"}, ToolChoice("required", ("f",))),
        ({"type": "custom", "name": "g"}, ToolChoice("required", ("g",))),
        (
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}],
            },
            ToolChoice("auto", ("f", "g")),
        ),
        (
            {"type": "mcp", "server_label": "s"},
            ToolChoice("required", format="responses", raw={"type": "mcp", "server_label": "s"}),
        ),
    ],
)
def test_a_choice_of_tools_is_read_and_written_again(choice: Any, read: ToolChoice) -> None:
    tools = [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]
    conversation = decode(input="hi", tools=tools, tool_choice=choice)
    assert conversation.tool_choice == read
    assert CODEC.encode_request(conversation)["tool_choice"] == choice


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": 5}, "input"),
        ({"input": ["x"]}, "input[0]"),
        ({"input": [{"content": "x"}]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": 5}]}, "input[0]"),
        ({"input": [{"role": "user", "content": ["x"]}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": 1}]}]}, "input[0]"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0]"),
        ({"input": [{"type": "function_call", "call_id": "c"}]}, "input[0]"),
        ({"input": [{"type": "function_call_output", "call_id": "c", "output": 5}]}, "input[0]"),
        ({"input": [{"type": "reasoning", "summary": [5]}]}, "input[0]"),
        (
            {
                "input": [
                    {
                        "role": "user",
                        "content": [{"type": "input_image", "image_url": "data:image/png;base64,?"}],
                    }
                ]
            },
            "input[0].content[0].image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "?"}]}]},
            "input[0].content[0].file_data",
        ),
        ({"input": "x", "tools": [{"name": "f"}]}, "tools[0].type"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0]"),
        ({"input": "x", "tools": {}}, "tools"),
        ({"input": "x", "tool_choice": "maybe"}, "tool_choice"),
        ({"input": "x", "text": {"format": {"type": "yaml"}}}, "text.format.type"),
        ({"input": "x", "text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"input": "x", "text": {"verbosity": 1}}, "text.verbosity"),
        ({"input": "x", "reasoning": {"effort": 1}}, "reasoning.effort"),
        ({"input": "x", "temperature": "hot"}, "temperature"),
        ({"input": "x", "max_output_tokens": 1.5}, "max_output_tokens"),
        ({"input": "x", "include": "all"}, "include"),
    ],
)
def test_a_bad_request_says_where_it_is_bad(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode(**members)
    assert caught.value.param == param


def test_a_conversation_of_another_format_is_not_kept_by_the_provider() -> None:
    members = encode(Turn("system", (Text("be brief"),)), ASK, stream=True)
    assert members == {
        "input": [
            {"role": "system", "content": [{"type": "input_text", "text": "be brief"}]},
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        ],
        "store": False,
        "stream": True,
    }
    assert encode(store=True)["store"] is True


def test_encrypted_reasoning_is_asked_for_where_there_may_be_some() -> None:
    assert "include" not in encode()
    assert encode(thinking=Thinking("low"))["include"] == ["reasoning.encrypted_content"]
    kept = Turn("assistant", (Reasoning(encrypted="e", origin="responses"), Text("x")))
    members = encode(ASK, kept, ASK, logprobs=True)
    assert members["include"] == ["reasoning.encrypted_content", "message.output_text.logprobs"]


@pytest.mark.parametrize("off", [Thinking("none"), Thinking(budget_tokens=0)])
def test_encrypted_reasoning_is_not_asked_for_where_there_is_to_be_none(off: Thinking) -> None:
    sent = encode(thinking=off)
    assert sent["reasoning"] == {"effort": "none"}
    assert "include" not in sent


def test_turns_of_another_format_become_items_without_names() -> None:
    members = encode(
        ASK,
        Turn(
            "assistant",
            (
                Reasoning(encrypted="e", id="rs_1", origin="responses"),
                Reasoning("plain", id="rs_2", origin="responses"),
                Reasoning(summary=("s",), id="rs_3", origin="responses"),
                Reasoning("claude's", signature="s", origin="messages"),
                Text("one", citations=(Citation("https://x", "t"), Citation(text="of a document"))),
                Text("two"),
                CALL,
                ToolCall("call_2", "none"),
                ToolCall("call_3", "free", "2+2", custom=True),
            ),
        ),
        Turn("tool", (ToolResult("call_1", (Text("r"),)), ToolResult("call_2", (Text("a"), Text("b"))))),
        Turn("tool", (ToolResult("call_3", custom=True),)),
    )
    cited = {"type": "url_citation", "url": "https://x", "title": "t", "start_index": 0, "end_index": 0}
    assert members["input"][1:] == [
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "e"},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "plain"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "output_text", "text": "one", "annotations": [cited]},
                {"type": "output_text", "text": "two"},
            ],
        },
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at":1}'},
        {"type": "function_call", "call_id": "call_2", "name": "none", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "call_3", "name": "free", "input": "2+2"},
        {"type": "function_call_output", "call_id": "call_1", "output": "r"},
        {
            "type": "function_call_output",
            "call_id": "call_2",
            "output": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}],
        },
        {"type": "custom_tool_call_output", "call_id": "call_3", "output": ""},
    ]


def test_a_document_in_words_becomes_a_file() -> None:
    part = encode(Turn("user", (Media("file", "text/plain", text="words"),)))["input"][0]["content"][0]
    data = base64.b64encode(b"words").decode()
    assert part == {
        "type": "input_file",
        "filename": "document.txt",
        "file_data": f"data:text/plain;base64,{data}",
    }
    part = encode(Turn("user", (Media("file", "application/pdf", data=PIXEL),)))["input"][0]["content"][0]
    assert part["filename"] == "document.pdf"


def test_a_function_of_another_format_is_not_strict_unless_it_says_so() -> None:
    tools = (FunctionTool("f"), FunctionTool("g", "d", {"type": "object"}, strict=True))
    assert encode(tools=tools)["tools"] == [
        {
            "type": "function",
            "name": "f",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
        {
            "type": "function",
            "name": "g",
            "description": "d",
            "parameters": {"type": "object"},
            "strict": True,
        },
    ]


@pytest.mark.parametrize(
    ("thinking", "written"),
    [
        (Thinking("minimal"), {"effort": "minimal"}),
        (Thinking(budget_tokens=5000), {"effort": "medium"}),
        (Thinking(budget_tokens=0), {"effort": "none"}),
        (Thinking(adaptive=True), None),
        (Thinking("high", visible=True), {"effort": "high", "summary": "auto"}),
    ],
)
def test_thinking_is_asked_for_in_words(thinking: Thinking, written: Any) -> None:
    assert encode(thinking=thinking).get("reasoning") == written


def test_a_schema_without_a_name_gets_one() -> None:
    assert encode(output=JsonOutput({"type": "object"}))["text"] == {
        "format": {"type": "json_schema", "name": "answer", "schema": {"type": "object"}}
    }
    assert encode(output=JsonOutput())["text"] == {"format": {"type": "json_object"}}


@pytest.mark.parametrize(
    "fields",
    [
        {"turns": (Turn("user", (Media("audio", data=PIXEL),)),)},
        {"turns": (Turn("user", (Opaque("messages", "search_result", {}),)),)},
        {"turns": (ASK,), "tools": (OpaqueTool("gemini", "googleSearch", {}),)},
        {"turns": (ASK,), "tool_choice": ToolChoice("required", format="gemini", raw={})},
    ],
)
def test_what_cannot_be_said_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported):
        CODEC.encode_request(Conversation(**fields))


def reasoning(id_: str, text: str = "", encrypted: str = "") -> dict[str, Any]:
    content = [{"type": "reasoning_text", "text": text}] if text else []
    item = {"type": "reasoning", "id": id_, "summary": [], "content": content}
    return item | ({"encrypted_content": encrypted} if encrypted else {})


def test_reasoning_of_another_maker_is_known_when_it_comes_back() -> None:
    items = [
        reasoning(seal("rs_1", "messages", "responses"), "hm", seal("sig", "messages", "responses")),
        reasoning("rs_2", encrypted=seal("hidden", "messages", "responses")),
        reasoning(seal("rs_3", "chat", "responses"), "hm"),
        reasoning("rs_4", encrypted=seal("thought", "gemini", "responses")),
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
    ]
    conversation = decode(input=[{"role": "user", "content": "hi"}, *items])
    assert conversation.turns[1].parts[:4] == (
        Reasoning("hm", signature="sig", id="rs_1", origin="messages"),
        Reasoning(encrypted="hidden", id="rs_2", origin="messages"),
        Reasoning("hm", id="rs_3", origin="chat"),
        Reasoning(encrypted="thought", id="rs_4", origin="gemini"),
    )
    assert [item.get("type") for item in CODEC.encode_request(conversation)["input"]] == [
        None,
        "function_call",
    ]


@pytest.mark.parametrize("count", [10_000])
def test_many_items_are_read_and_written(count: int) -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": str(i)} for i in range(count)]}]
    items += [{"type": "reasoning", "id": f"rs_{i}", "summary": []} for i in range(count)]
    assert CODEC.encode_request(decode(input=items))["input"] == items


def test_endless_nesting_is_a_bad_request() -> None:
    deep = msgspec.Raw(b"[" * 20_000 + b"]" * 20_000)
    for name in ("input", "tools", "metadata", "of_next_year"):
        with pytest.raises(GatewayError) as caught:
            CODEC.decode_request({"model": msgspec.Raw(b'"m"'), name: deep})
        assert isinstance(caught.value, BadRequest)


def test_json_of_any_kind_is_written_as_it_came() -> None:
    members = encode(ASK, metadata={"a": [1, {"b": None}]})
    assert json.loads(msgspec.json.encode(members))["metadata"] == {"a": [1, {"b": None}]}
