"""What a Conversation becomes in Ollama's words, and what cannot be said in them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, ClientError, Unsupported
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
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from gateway.formats.ollama.codec import CODEC

USER = Turn("user", (Text("hi"),))


def encoded(*turns: Turn, **fields: Any) -> dict[str, Any]:
    written = CODEC.encode_request(Conversation(turns or (USER,), **fields))
    value: dict[str, Any] = json.loads(msgspec.json.encode(written))
    return value


def decoded(**members: Any) -> Conversation:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return CODEC.decode_request({name: msgspec.Raw(json.dumps(body[name]).encode()) for name in body})


@pytest.mark.parametrize("stream", [False, True])
def test_a_plain_question_says_no_more_than_it_must(stream: bool) -> None:
    assert encoded(stream=stream) == {"messages": [{"role": "user", "content": "hi"}], "stream": stream}


@pytest.mark.parametrize(
    ("said", "stream"), [({}, True), ({"stream": True}, True), ({"stream": False}, False)]
)
def test_answers_are_streamed_unless_it_is_said(said: dict[str, bool], stream: bool) -> None:
    assert decoded(**said).stream is stream


OPTIONS = {
    "num_predict": 5,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 3,
    "min_p": 0.1,
    "seed": 1,
    "presence_penalty": 0.2,
    "frequency_penalty": 0.3,
    "repeat_penalty": 1.1,
    "stop": ["x", "y"],
}
FIELDS = {
    "max_tokens": 5,
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 3,
    "min_p": 0.1,
    "seed": 1,
    "presence_penalty": 0.2,
    "frequency_penalty": 0.3,
    "repetition_penalty": 1.1,
    "stop": ("x", "y"),
}


def test_sampling_is_said_in_the_options() -> None:
    assert encoded(**FIELDS)["options"] == OPTIONS
    read = decoded(options=OPTIONS)
    assert {name: getattr(read, name) for name in FIELDS} == FIELDS
    assert read.extra == {}


def test_options_of_this_server_alone_are_kept() -> None:
    read = decoded(
        options={"num_ctx": 4096, "temperature": 0, "stop": "x", "num_predict": -1}, keep_alive="5m"
    )
    assert read.extra == {"options": {"num_ctx": 4096, "num_predict": -1}, "keep_alive": "5m"}
    assert (read.max_tokens, read.stop) == (None, ("x",))
    written = encoded(extra=read.extra, temperature=read.temperature, stop=read.stop)
    assert written["options"] == {"temperature": 0, "stop": ["x"], "num_ctx": 4096, "num_predict": -1}
    assert written["keep_alive"] == "5m"


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (Thinking("none"), False),
        (Thinking(budget_tokens=0), False),
        (Thinking("minimal"), "low"),
        (Thinking("high"), "high"),
        (Thinking("max"), "high"),
        (Thinking("unheard-of"), True),
        (Thinking(budget_tokens=5000), "medium"),
        (Thinking("high", budget_tokens=0), False),
        (Thinking("low", budget_tokens=50_000), "low"),
        (Thinking(adaptive=True), True),
        (Thinking("low", adaptive=True), "low"),
        (Thinking(summary="auto"), None),
        (None, None),
    ],
)
def test_thinking_is_on_off_or_a_level(thinking: Thinking | None, expected: Any) -> None:
    assert encoded(thinking=thinking).get("think") == expected


@pytest.mark.parametrize("think", [True, False, "low", "high"])
def test_thinking_comes_back_as_it_went(think: Any) -> None:
    assert encoded(thinking=decoded(think=think).thinking)["think"] == think


@pytest.mark.parametrize(
    ("output", "format_"),
    [(None, None), (JsonOutput(), "json"), (JsonOutput({"type": "object"}), {"type": "object"})],
)
def test_the_format_is_a_word_or_a_schema(output: JsonOutput | None, format_: Any) -> None:
    assert encoded(output=output).get("format") == format_
    assert decoded(format=format_).output == output


def test_an_answer_of_the_past_is_one_message() -> None:
    thoughts = (Reasoning("mine", origin="ollama"), Reasoning("theirs", origin="messages"))
    turn = Turn("assistant", (*thoughts, Text("a"), Text("b"), Refusal("c"), ToolCall("1", "f", '{"x": 1}')))
    assert encoded(USER, turn)["messages"][1] == {
        "role": "assistant",
        "content": "abc",
        "thinking": "mine",
        "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"x": 1}}}],
    }


def test_texts_of_a_question_are_lines_and_its_images_bare() -> None:
    turn = Turn("user", (Text("a"), Media("image", "image/png", data="aGk="), Text("b")))
    assert encoded(turn)["messages"] == [{"role": "user", "content": "a\nb", "images": ["aGk="]}]


def test_results_tell_the_name_and_the_id_of_their_call() -> None:
    calls = Turn("assistant", (ToolCall("1", "f"), ToolCall("2", "g")))
    results = Turn("tool", (ToolResult("1", (Text("x"), Text("y"))), ToolResult("2", name="g")))
    assert encoded(USER, calls, results)["messages"][2:] == [
        {"role": "tool", "content": "x\ny", "tool_name": "f", "tool_call_id": "1"},
        {"role": "tool", "content": "", "tool_name": "g", "tool_call_id": "2"},
    ]


@pytest.mark.parametrize(
    "arguments", ["{", "[1]", "free text", "null", '{"a": 1e999}', "{" * 100_000, "\ud800"]
)
def test_arguments_that_are_no_object_are_refused(arguments: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        encoded(USER, Turn("assistant", (ToolCall("1", "f", arguments),)))
    assert refusal.value.param == "messages[1].content[0]"


def test_numbers_of_arguments_stay_as_they_are() -> None:
    calls = [{"function": {"name": "f", "arguments": {"id": 12345678901234567890123, "x": 1.0}}}]
    turn = decoded(messages=[{"role": "assistant", "content": "", "tool_calls": calls}]).turns[0]
    assert turn.parts == (ToolCall("", "f", '{"id":12345678901234567890123,"x":1.0}', origin="ollama"),)
    assert encoded(turn)["messages"][0]["tool_calls"] == calls


@pytest.mark.parametrize(
    "part",
    [
        Media("image", url="https://a/b.png"),
        Media("audio", data="aGk="),
        Opaque("gemini", "executableCode", {}),
        ToolCall("a", "f", "free text", custom=True),
    ],
)
def test_what_has_no_place_is_refused(part: Part) -> None:
    with pytest.raises(Unsupported) as refusal:
        encoded(USER, Turn("user", (Text("a"), part)))
    assert refusal.value.param == "messages[1].content[1]"


def test_tools_are_functions() -> None:
    tools = (FunctionTool("f", "does", {"type": "object"}), FunctionTool("g"))
    written = encoded(tools=tools)["tools"]
    assert decoded(tools=written).tools == tools
    own = {"type": "web", "depth": 1}
    assert decoded(tools=[own]).tools == (OpaqueTool("ollama", "web", own),)
    assert encoded(tools=(OpaqueTool("ollama", "web", own),))["tools"] == [own]
    with pytest.raises(Unsupported) as refusal:
        encoded(tools=(*tools, CustomTool("sql")))
    assert refusal.value.param == "tools[2]"


@pytest.mark.parametrize(
    ("choice", "declared"),
    [
        (None, ["f", "g"]),
        (ToolChoice("auto"), ["f", "g"]),
        (ToolChoice("auto", ("g",)), ["g"]),
        (ToolChoice("none"), None),
    ],
)
def test_only_tools_that_may_be_called_are_declared(choice: ToolChoice | None, declared: Any) -> None:
    asked = Conversation((USER,), tools=(FunctionTool("f"), FunctionTool("g")), tool_choice=choice)
    fitting, dropped = fit(asked, "chat", "ollama")
    tools = encoded(tools=fitting.tools, tool_choice=fitting.tool_choice).get("tools")
    assert (tools and [tool["function"]["name"] for tool in tools]) == declared
    assert dropped == ()


@pytest.mark.parametrize("names", [(), ("f",)])
def test_a_call_cannot_be_forced(names: tuple[str, ...]) -> None:
    with pytest.raises(Unsupported) as refusal:
        encoded(tools=(FunctionTool("f"),), tool_choice=ToolChoice("required", names))
    assert refusal.value.param == "tool_choice"


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": [{"role": "oracle", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"format": "xml"}, "format"),
        ({"format": 1}, "format"),
        ({"options": {"temperature": "hot"}}, "options"),
        ({"options": []}, "options"),
        ({"think": 3}, "think"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        decoded(**members)
    assert refusal.value.param == param


def test_ten_thousand_calls_and_images_are_written() -> None:
    parts = [*(ToolCall(str(i), "f") for i in range(10_000)), *[Media("image", data="aGk=")] * 10_000]
    message = encoded(Turn("assistant", tuple(parts)))["messages"][0]
    assert (len(message["tool_calls"]), len(message["images"])) == (10_000, 10_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "json", "user", "tool", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "images", "tool_calls", "function", "name", "arguments", "stop"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    messages=JSON, others=st.dictionaries(st.sampled_from(["tools", "think", "format", "options", "x"]), JSON)
)
def test_any_json_is_read_or_refused(messages: Any, others: dict[str, Any]) -> None:
    with contextlib.suppress(ClientError):
        assert isinstance(decoded(messages=messages, **others), Conversation)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b'"\xff"', b"{", b""])
def test_bytes_that_are_no_messages_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        CODEC.decode_request({"messages": msgspec.Raw(body)})
