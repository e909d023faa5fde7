"""Requests in the Converse format: what is written for a conversation, and what is refused."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, ClientError, Unsupported
from gateway.formats.converse.request import decode_request, encode_request
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
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)

HI = Turn("user", (Text("hi"),))
CALL = Turn("assistant", (ToolCall("t1", "look", '{"a": 1}'),))
RESULT = Turn("tool", (ToolResult("t1", (Text("seen"),)),))
LOOK = FunctionTool("look", "looks", {"type": "object"})
PNG = base64.b64encode(b"png").decode()


def members(**values: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def decoded(*messages: Any, **values: Any) -> Conversation:
    return decode_request(members(messages=list(messages), **values))


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def encoded(*turns: Turn, **values: Any) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(msgspec.json.encode(encode_request(Conversation(turns, **values))))
    return written


def blocks(*parts: Part, role: Any = "user") -> Any:
    return encoded(Turn(role, parts))["messages"][0]["content"]


def test_turns_of_one_side_are_one_message_and_results_are_the_users() -> None:
    turns = (HI, CALL, RESULT, Turn("user", (Text("and?"),)), Turn("assistant", (Text("a"),)), CALL, RESULT)
    assert [
        (message["role"], [next(iter(block)) for block in message["content"]])
        for message in encoded(*turns, tools=(LOOK,))["messages"]
    ] == [
        ("user", ["text"]),
        ("assistant", ["toolUse"]),
        ("user", ["toolResult", "text"]),
        ("assistant", ["text", "toolUse"]),
        ("user", ["toolResult"]),
    ]


def test_a_users_message_is_read_as_what_tools_gave_back_and_what_the_user_says() -> None:
    result = {"toolResult": {"toolUseId": "t1", "content": [{"text": "seen"}], "status": "error"}}
    assert decoded(user({"text": "a"}, result, result, {"text": "b"})).turns == (
        Turn("user", (Text("a"),)),
        Turn("tool", (ToolResult("t1", (Text("seen"),), is_error=True),) * 2),
        Turn("user", (Text("b"),)),
    )


def test_all_instructions_stand_before_the_messages() -> None:
    written = encoded(
        Turn("system", (Text("one"),)), HI, Turn("developer", (Text("two"),)), Turn("assistant", (Text("x"),))
    )
    assert written["system"] == [{"text": "one"}, {"text": "two"}]
    assert [message["role"] for message in written["messages"]] == ["user", "assistant"]


def test_instructions_are_text_only() -> None:
    with pytest.raises(Unsupported) as refusal:
        encoded(Turn("system", (Media("image", "image/png", data=PNG),)), HI)
    assert refusal.value.param == "messages[0]"


@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_blank_text_is_left_out(blank: str) -> None:
    assert blocks(Text(blank), Text("a")) == [{"text": "a"}]
    assert encoded(HI, Turn("assistant", (Text(blank),)), HI)["messages"] == [
        user({"text": "hi"}, {"text": "hi"})
    ]
    with pytest.raises(BadRequest, match="no message to answer"):
        encoded(Turn("user", (Text(blank),)))


@pytest.mark.parametrize(("ttl", "mark"), [({}, "default"), ({"ttl": "5m"}, "5m"), ({"ttl": "1h"}, "1h")])
def test_cache_points_mark_what_is_before_them(ttl: dict[str, str], mark: Any) -> None:
    point = {"cachePoint": {"type": "default", **ttl}}
    tool = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}
    asked = {
        "system": [{"text": "s"}, point],
        "toolConfig": {"tools": [tool, point]},
        "messages": [user({"text": "hi"}, point)],
    }
    conversation = decode_request(members(**asked))
    assert conversation.turns == (
        Turn("system", (Text("s", cache=mark),)),
        Turn("user", (Text("hi", cache=mark),)),
    )
    assert conversation.tools == (FunctionTool("look", parameters={"type": "object"}, cache=mark),)
    assert encode_request(conversation) == asked


def test_a_cache_point_without_a_part_to_mark_stays_where_it_is() -> None:
    point = {"cachePoint": {"type": "default"}}
    asked = user(point, {"text": "a"}, point, point, {"guardContent": {"text": {"text": "g"}}}, point)
    again = encode_request(decoded(asked))
    assert again["messages"] == [asked]


@pytest.mark.parametrize(
    ("arguments", "value"),
    [("", {}), ("  ", {}), ("{}", {}), ('{"a": [1, 2.5, null]}', {"a": [1, 2.5, None]})],
)
def test_arguments_are_written_as_a_value(arguments: str, value: Any) -> None:
    call = ToolCall("t1", "look", arguments)
    assert blocks(call, role="assistant") == [
        {"toolUse": {"toolUseId": "t1", "name": "look", "input": value}}
    ]


@pytest.mark.parametrize("arguments", ["{", "[1]", "3", '"a"', "[" * 100_000, "{'a': 1}"])
def test_arguments_that_are_no_object_are_the_clients_fault(arguments: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        encoded(HI, Turn("assistant", (Text("x"), ToolCall("t1", "look", arguments))))
    assert refusal.value.param == "messages[1].content[1]"


@pytest.mark.parametrize(
    ("parts", "is_json", "content"),
    [
        ((Text("seen"),), False, [{"text": "seen"}]),
        ((Text("a"), Text(" "), Text("b")), False, [{"text": "a"}, {"text": "b"}]),
        ((Text('{"a": 1}'),), True, [{"json": {"a": 1}}]),
        ((Text("{"),), True, [{"text": "{"}]),
        ((Text("[1]"),), True, [{"text": "[1]"}]),
        ((Text("null"),), True, [{"text": "null"}]),
        ((), False, [{"json": {}}]),
        ((Text(""),), False, [{"json": {}}]),
        (
            (Media("image", "image/png", data=PNG),),
            False,
            [{"image": {"format": "png", "source": {"bytes": PNG}}}],
        ),
        ((Opaque("converse", "json", {"json": 1}),), False, [{"json": 1}]),
    ],
)
def test_what_a_tool_gave_back(parts: Any, is_json: bool, content: Any) -> None:
    written = blocks(ToolResult("t1", parts, json=is_json))
    assert written == [{"toolResult": {"toolUseId": "t1", "content": content}}]


def test_a_tool_that_failed_says_so() -> None:
    assert blocks(ToolResult("t1", (Text("no"),), is_error=True))[0]["toolResult"]["status"] == "error"


def test_sound_is_no_result_of_a_tool() -> None:
    with pytest.raises(Unsupported):
        blocks(ToolResult("t1", (Media("audio", "audio/wav", data=PNG),)))


def test_pieces_of_a_result_that_nobody_knows_are_kept() -> None:
    content = [{"text": "a"}, {"json": {"b": 1}}, {"searchResult": {"title": "t"}}, {"new": [1]}]
    asked = user({"toolResult": {"toolUseId": "t1", "content": content}})
    assert encode_request(decoded(asked))["messages"] == [asked]


@pytest.mark.parametrize(
    ("part", "written"),
    [
        (
            Reasoning("t", signature="s", origin="messages"),
            [{"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}}],
        ),
        (Reasoning("t", origin="converse"), [{"reasoningContent": {"reasoningText": {"text": "t"}}}]),
        (
            Reasoning(encrypted="Eu8E", origin="messages"),
            [{"reasoningContent": {"redactedContent": base64.b64encode(b"Eu8E").decode()}}],
        ),
        (Reasoning("t", signature="s", origin="gemini"), []),
        (Reasoning(encrypted="x", origin="responses"), []),
    ],
)
def test_only_thinking_that_claude_wrote_is_sent(part: Reasoning, written: Any) -> None:
    assert blocks(part, Text("a"), role="assistant") == [*written, {"text": "a"}]


def test_thinking_that_a_client_brings_back_is_that_of_its_maker() -> None:
    redacted = base64.b64encode(b"forebay.gemini.Q0Y=").decode()
    message = {
        "role": "assistant",
        "content": [
            {"reasoningContent": {"redactedContent": redacted}},
            {"reasoningContent": {"reasoningText": {"text": "t", "signature": "forebay.messages.abc"}}},
            {"reasoningContent": {"redactedContent": "/+8="}},
            {"text": "a"},
        ],
    }
    assert decoded(message).turns[0].parts == (
        Reasoning(encrypted="Q0Y=", origin="gemini"),
        Reasoning("t", signature="abc", origin="messages"),
        Reasoning(encrypted="base64:/+8=", origin="converse"),
        Text("a"),
    )
    assert encode_request(decoded(message))["messages"][0]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "t", "signature": "abc"}}},
        {"reasoningContent": {"redactedContent": "/+8="}},
        {"text": "a"},
    ]


def test_a_message_of_nothing_but_thoughts_is_left_out() -> None:
    thought, more = Turn("assistant", (Reasoning("t", origin="converse"),)), Turn("user", (Text("more"),))
    assert encoded(HI, thought, more)["messages"] == [user({"text": "hi"}, {"text": "more"})]


def test_thoughts_stay_with_the_calls_that_follow_in_a_turn_of_their_own() -> None:
    thought = Turn("assistant", (Reasoning("t", signature="s", origin="converse"),))
    call = Turn("assistant", (ToolCall("t1", "look"),))
    assert [list(block) for block in encoded(HI, thought, call)["messages"][1]["content"]] == [
        ["reasoningContent"],
        ["toolUse"],
    ]


def test_a_refusal_is_text_and_foreign_citations_are_left_out() -> None:
    cited = Text("it is", citations=(Citation("https://a", origin="messages"),))
    assert blocks(Refusal("no"), cited, role="assistant") == [{"text": "no"}, {"text": "it is"}]


def test_what_only_another_format_knows_is_refused() -> None:
    with pytest.raises(Unsupported) as refusal:
        blocks(Text("a"), Opaque("responses", "web_search_call", {}))
    assert refusal.value.param == "messages[0].content[1]"


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (None, None),
        (ToolChoice("auto"), {"auto": {}}),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("required", ("look",)), {"tool": {"name": "look"}}),
    ],
)
def test_the_choice_of_tools(choice: ToolChoice | None, written: Any) -> None:
    config = encoded(HI, tools=(LOOK,), tool_choice=choice)["toolConfig"]
    assert config.get("toolChoice") == written
    assert len(config["tools"]) == 1
    assert decoded(user({"text": "hi"}), toolConfig=config).tool_choice == choice


@pytest.mark.parametrize(("mode", "written"), [("auto", {"auto": {}}), ("required", {"any": {}})])
def test_a_choice_of_several_tools_leaves_the_others_out(mode: Any, written: Any) -> None:
    tools = tuple(FunctionTool(name) for name in "abc")
    config = encoded(HI, tools=tools, tool_choice=ToolChoice(mode, ("a", "c")))["toolConfig"]
    assert [tool["toolSpec"]["name"] for tool in config["tools"]] == ["a", "c"]
    assert config["toolChoice"] == written


def test_no_tool_may_be_called_when_none_is_declared() -> None:
    assert "toolConfig" not in encoded(HI, tools=(LOOK,), tool_choice=ToolChoice("none"))


def test_a_model_that_has_called_tools_cannot_be_kept_from_it() -> None:
    with pytest.raises(Unsupported) as refusal:
        encoded(HI, CALL, RESULT, tools=(LOOK,), tool_choice=ToolChoice("none"))
    assert refusal.value.param == "tool_choice"


@pytest.mark.parametrize("choice", [None, ToolChoice("none")])
def test_tools_of_earlier_calls_are_declared_as_gone_where_there_are_no_others(choice: Any) -> None:
    tools = encoded(HI, CALL, RESULT, CALL, RESULT, tool_choice=choice)["toolConfig"]["tools"]
    assert [tool["toolSpec"]["name"] for tool in tools] == ["look"]
    assert "Do not call" in tools[0]["toolSpec"]["description"]


def test_tools_are_written_with_what_is_said_of_them() -> None:
    tools = (FunctionTool("a"), FunctionTool("b", "does", {"type": "object"}, strict=True))
    assert encoded(HI, tools=tools)["toolConfig"]["tools"] == [
        {"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        {
            "toolSpec": {
                "name": "b",
                "description": "does",
                "inputSchema": {"json": {"type": "object"}},
                "strict": True,
            }
        },
    ]


@pytest.mark.parametrize(
    "tool", [CustomTool("a"), OpaqueTool("responses", "web_search", {"type": "web_search"})]
)
def test_other_tools_are_refused(tool: Any) -> None:
    with pytest.raises(Unsupported):
        encoded(HI, tools=(tool,))


@pytest.mark.parametrize(
    ("thinking", "max_tokens", "fields", "effort"),
    [
        (Thinking(budget_tokens=2000), None, {"type": "enabled", "budget_tokens": 2000}, None),
        (Thinking(budget_tokens=0), None, {"type": "disabled"}, None),
        (Thinking(adaptive=True), None, {"type": "adaptive"}, None),
        (Thinking(adaptive=True, effort="high"), None, {"type": "adaptive"}, "high"),
        (Thinking(budget_tokens=100), None, {"type": "enabled", "budget_tokens": 1024}, None),
        (Thinking(budget_tokens=9000), 5000, {"type": "enabled", "budget_tokens": 2500}, None),
        (Thinking(budget_tokens=9000), 1000, None, None),
        (Thinking(effort="low"), None, {"type": "adaptive"}, "low"),
        (Thinking(effort="minimal"), None, {"type": "adaptive"}, "low"),
        (Thinking(effort="high"), 1000, {"type": "adaptive"}, "high"),
        (Thinking(effort="none"), None, {"type": "disabled"}, None),
        (Thinking(summary="auto"), None, {"type": "adaptive", "display": "summarized"}, None),
        (Thinking(effort="max", visible=False), None, {"type": "adaptive", "display": "omitted"}, "max"),
    ],
)
def test_how_much_to_think(thinking: Thinking, max_tokens: int | None, fields: Any, effort: Any) -> None:
    written = encoded(HI, thinking=thinking, max_tokens=max_tokens)
    assert written.get("additionalModelRequestFields", {}).get("thinking") == fields
    assert written.get("outputConfig", {}).get("effort") == effort
    again = encode_request(decode_request(members(**written)))
    assert again == written


def test_a_temperature_ends_at_the_end_of_converses_scale() -> None:
    assert encoded(HI, temperature=1.7)["inferenceConfig"] == {"temperature": 1.0}
    assert encoded(HI, temperature=0.0)["inferenceConfig"] == {"temperature": 0.0}


@pytest.mark.parametrize(
    "more",
    [
        {
            "additionalModelRequestFields": {
                "top_k": 5,
                "thinking": {"type": "enabled", "budget_tokens": 2000},
            }
        },
        {"additionalModelRequestFields": {"thinking": {"type": "enabled", "display": "omitted"}}},
        {"additionalModelRequestFields": {"thinking": "yes"}},
        {"outputConfig": {"effort": "low"}},
        {"guardrailConfig": {"guardrailIdentifier": "g", "streamProcessingMode": "sync"}},
        {"performanceConfig": {"latency": "optimized"}, "promptVariables": {"a": {"text": "b"}}},
        {"additionalModelResponseFieldPaths": ["/stop_sequence"], "of_tomorrow": {"x": [1]}},
        {"requestMetadata": {"team": "a"}, "serviceTier": {"type": "flex"}},
        {"inferenceConfig": {"maxTokens": 5, "temperature": 0.0, "topP": 0.5, "stopSequences": ["|"]}},
        {"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}, {"new": 1}]}},
    ],
)
def test_what_only_converse_says_is_kept(more: dict[str, Any]) -> None:
    asked = {"messages": [user({"text": "hi"})], **more}
    assert encode_request(decode_request(members(modelId="m", stream=True, **asked))) == asked


@pytest.mark.parametrize("tier", ["auto", "standard_only"])
def test_tiers_of_others_are_not_written(tier: str) -> None:
    assert "serviceTier" not in encoded(HI, service_tier=tier)


def test_a_structured_answer_is_asked_for_with_its_schema_as_text() -> None:
    output = JsonOutput({"type": "object", "properties": {"a": {}}}, "city", "a city")
    told = encoded(HI, output=output)["outputConfig"]["textFormat"]
    assert told == {
        "type": "json_schema",
        "structure": {
            "jsonSchema": {
                "schema": '{"type": "object", "properties": {"a": {}}}',
                "name": "city",
                "description": "a city",
            }
        },
    }
    assert decoded(user({"text": "hi"}), outputConfig={"textFormat": told}).output == output
    with pytest.raises(Unsupported):
        encoded(HI, output=JsonOutput())


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"messages": 5}, "messages"),
        ({"messages": [{"role": "robot", "content": []}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"text": 5}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"content": []}]}, "messages[0]"),
        ({"messages": [], "inferenceConfig": {"maxTokens": "5"}}, "inferenceConfig.maxTokens"),
        (
            {
                "outputConfig": {
                    "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{"}}}
                }
            },
            "outputConfig.textFormat.structure.jsonSchema.schema",
        ),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        decode_request(members(**asked))
    assert refusal.value.param == param


@pytest.mark.parametrize(
    "raw",
    [
        b'[{"role": "user", "content": [{"text": "\xff"}]}]',
        b'[{"role": "user", "content": [{"new": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]}]",
        b'[{"role": "user", "content": [{"toolUse": {"input": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}]}]",
        b'[{"role": "user", "content": [{"text": "\\ud800"}]}]',
        b'[{"role": "user", "content": [',
    ],
)
def test_extreme_bytes_are_the_clients_fault(raw: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_request({"messages": msgspec.Raw(raw)})


def test_many_parts_that_nobody_knows_are_read_in_linear_time() -> None:
    asked = user(*({"new": number} for number in range(10_000)))
    assert encode_request(decoded(asked))["messages"] == [asked]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WORDS = st.sampled_from(
    [
        *("text", "image", "document", "toolUse", "toolResult", "reasoningContent", "citationsContent"),
        *("cachePoint", "content", "source", "bytes", "format", "name", "input", "citations", "json"),
    ]
)
LIKELY = st.recursive(
    JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


@given(
    st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": LIKELY})),
    LIKELY,
)
def test_any_json_is_read_or_refused(messages: Any, more: Any) -> None:
    with contextlib.suppress(ClientError):
        conversation = decode_request(members(messages=messages, toolConfig=more, system=more))
        msgspec.json.encode(encode_request(conversation))
