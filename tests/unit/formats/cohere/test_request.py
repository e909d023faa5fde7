"""What a Conversation becomes in Cohere's words, and what cannot be said in them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, ClientError, Unsupported
from gateway.formats.cohere.codec import CODEC
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

USER = Turn("user", (Text("hi"),))
WEATHER = FunctionTool("weather", "tells it", {"type": "object"})
CLOCK = FunctionTool("clock")


def encoded(*turns: Turn, **fields: Any) -> dict[str, Any]:
    written = CODEC.encode_request(Conversation(turns or (USER,), **fields))
    value: dict[str, Any] = json.loads(msgspec.json.encode(written))
    return value


def decoded(**members: Any) -> Conversation:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}
    return CODEC.decode_request({name: msgspec.Raw(json.dumps(body[name]).encode()) for name in body})


def test_a_plain_question_says_no_more_than_it_must() -> None:
    assert encoded() == {"messages": [{"role": "user", "content": "hi"}], "stream": False}


def test_the_fields_have_coheres_names() -> None:
    said = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 3, "seed": 1, "stop": ("x", "y")}
    assert (
        encoded(**said).items() >= {"max_tokens": 5, "temperature": 0.5, "p": 0.9, "k": 3, "seed": 1}.items()
    )
    assert encoded(**said)["stop_sequences"] == ["x", "y"]
    again = decoded(**{name: value for name, value in encoded(**said).items() if name != "messages"})
    assert {name: getattr(again, name) for name in said} == said


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (Thinking("none"), {"type": "disabled"}),
        (Thinking(budget_tokens=0), {"type": "disabled"}),
        (Thinking("low"), {"type": "enabled", "token_budget": 1024}),
        (Thinking("unheard-of"), {"type": "enabled"}),
        (Thinking(budget_tokens=77), {"type": "enabled", "token_budget": 77}),
        (Thinking(adaptive=True), {"type": "enabled"}),
        (Thinking(summary="auto"), None),
        (None, None),
    ],
)
def test_thinking_is_switched_on_and_off(thinking: Thinking | None, expected: Any) -> None:
    assert encoded(thinking=thinking).get("thinking") == expected


@pytest.mark.parametrize(
    ("choice", "word", "declared"),
    [
        (None, None, ["weather", "clock"]),
        (ToolChoice("auto"), None, ["weather", "clock"]),
        (ToolChoice("none"), "NONE", ["weather", "clock"]),
        (ToolChoice("required"), "REQUIRED", ["weather", "clock"]),
        (ToolChoice("required", ("clock",)), "REQUIRED", ["clock"]),
        (ToolChoice("auto", ("weather",)), None, ["weather"]),
    ],
)
def test_a_choice_of_tools_declares_only_these(
    choice: ToolChoice | None, word: str | None, declared: list[str]
) -> None:
    written = encoded(tools=(WEATHER, CLOCK), tool_choice=choice)
    assert written.get("tool_choice") == word
    assert [tool["function"]["name"] for tool in written["tools"]] == declared


@pytest.mark.parametrize(
    ("strictness", "expected"), [((None, None), None), ((None, True), True), ((False, False), False)]
)
def test_one_strict_tool_makes_all_strict(strictness: tuple[bool | None, ...], expected: bool | None) -> None:
    tools = tuple(FunctionTool(f"t{i}", strict=strict) for i, strict in enumerate(strictness))
    assert encoded(tools=tools).get("strict_tools") is expected


@pytest.mark.parametrize("schema", [None, {"type": "object"}])
def test_json_is_asked_for_with_and_without_a_schema(schema: Any) -> None:
    expected = {"type": "json_object"} | ({"schema": schema} if schema else {})
    assert encoded(output=JsonOutput(schema))["response_format"] == expected
    assert decoded(response_format=expected).output == JsonOutput(schema)


def test_a_turn_of_several_results_becomes_several_messages() -> None:
    calls = Turn("assistant", (ToolCall("a", "f"), ToolCall("b", "g", '{"x":1}')))
    results = Turn("tool", (ToolResult("a", (Text("1"),)), ToolResult("b", (Text("2"), Text("3")))))
    _, made, first, second = encoded(USER, calls, results)["messages"]
    assert [call["function"]["arguments"] for call in made["tool_calls"]] == ["{}", '{"x":1}']
    assert (first["tool_call_id"], first["content"]) == ("a", "1")
    assert [part["text"] for part in second["content"]] == ["2", "3"]


def test_what_a_tool_gave_comes_back_as_it_went() -> None:
    document = {"type": "document", "document": {"id": "d", "data": {"a": 1}}}
    image = {"type": "image_url", "image_url": {"url": "https://a/b.png"}}
    message = {"role": "tool", "tool_call_id": "a", "content": [document, image]}
    turn = decoded(messages=[message]).turns[0]
    assert turn.parts == (
        ToolResult("a", (Opaque("cohere", "document", document), Media("image", url="https://a/b.png"))),
    )
    assert encoded(turn)["messages"] == [message]


def test_the_thoughts_and_citations_of_others_stay_here() -> None:
    cited = Text("It is.", citations=(Citation(url="https://a"), Citation(origin="cohere", raw={"start": 0})))
    thoughts = (Reasoning("mine", origin="cohere"), Reasoning("theirs", signature="x", origin="messages"))
    message = encoded(USER, Turn("assistant", (*thoughts, cited)))["messages"][1]
    assert message["content"] == [
        {"type": "thinking", "thinking": "mine"},
        {"type": "text", "text": "It is."},
    ]
    assert message["citations"] == [{"start": 0}]


def test_an_answer_of_nothing_but_foreign_thoughts_is_still_a_message() -> None:
    silent = Turn("assistant", (Reasoning("theirs", origin="gemini"),))
    assert encoded(USER, silent)["messages"][1] == {"role": "assistant", "content": ""}


@pytest.mark.parametrize("role", ["system", "developer"])
def test_instructions_are_of_the_system(role: Any) -> None:
    assert encoded(Turn(role, (Text("be kind"),)), USER)["messages"][0] == {
        "role": "system",
        "content": "be kind",
    }


@pytest.mark.parametrize(
    "media",
    [
        Media("image", url="https://a/b.png", detail="low"),
        Media("image", "image/png", data="aGk="),
        Media("image", "image/webp", data="aGk=", detail="high"),
    ],
)
def test_an_image_comes_back_as_it_went(media: Media) -> None:
    asked = Turn("user", (Text("what?"), media))
    assert decoded(messages=encoded(asked)["messages"]).turns == (asked,)


def test_what_is_unknown_comes_back_as_it_went() -> None:
    value = {"type": "video_clip", "clip": {"id": 1, "deep": [None, 2.5]}}
    turn = decoded(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}, value]}]).turns[0]
    assert turn.parts[1] == Opaque("cohere", "video_clip", value)
    assert encoded(turn)["messages"][0]["content"][1] == value
    tool = {"type": "web", "settings": {"depth": 3}}
    known = decoded(tools=[tool], safety_mode="STRICT", documents=["d"], new_member={"a": 1})
    assert known.tools == (OpaqueTool("cohere", "web", tool),)
    assert known.extra == {"safety_mode": "STRICT", "documents": ["d"], "new_member": {"a": 1}}
    assert encoded(tools=known.tools, extra=known.extra).items() >= (known.extra | {"tools": [tool]}).items()


@pytest.mark.parametrize(
    ("part", "role"),
    [
        (Media("audio", data="aGk="), "user"),
        (Media("image", file_id="f1"), "user"),
        (Opaque("gemini", "executableCode", {}), "user"),
        (ToolCall("a", "f", "free text", custom=True), "assistant"),
    ],
)
def test_what_cohere_has_no_word_for_is_refused(part: Part, role: Any) -> None:
    with pytest.raises(Unsupported) as refusal:
        encoded(USER, Turn(role, (Text("a"), part)))
    assert refusal.value.param == "messages[1].content[1]"


def test_a_tool_of_free_text_is_refused() -> None:
    with pytest.raises(Unsupported) as refusal:
        encoded(tools=(WEATHER, CustomTool("sql")))
    assert refusal.value.param == "tools[1]"


def test_a_refusal_is_told_as_text() -> None:
    assert encoded(USER, Turn("assistant", (Refusal("no"),)))["messages"][1]["content"] == [
        {"type": "text", "text": "no"}
    ]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": [{"role": "oracle", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content"),
        ({"messages": "hi"}, "messages"),
        ({"tool_choice": "SOME"}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,x"}}]}
                ]
            },
            "messages[0].content[0].image_url.url",
        ),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        decoded(**members)
    assert refusal.value.param == param


def test_ten_thousand_parts_of_an_unknown_kind_are_read_once() -> None:
    parts = [{"type": "new", "n": i} for i in range(10_000)]
    assert len(decoded(messages=[{"role": "user", "content": parts}]).turns[0].parts) == 10_000
    each = [{"role": "user", "content": [{"type": "new"}]}] * 5_000
    assert len(decoded(messages=each).turns) == 5_000


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "text", "user", "tool", "a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "image_url", "url", "tool_calls", "function"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(messages=JSON, others=st.dictionaries(st.sampled_from(["tools", "thinking", "k", "x"]), JSON))
def test_any_json_is_read_or_refused(messages: Any, others: dict[str, Any]) -> None:
    with contextlib.suppress(ClientError):
        assert isinstance(decoded(messages=messages, **others), Conversation)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b'"\xff"', b"{", b""])
def test_bytes_that_are_no_messages_are_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        CODEC.decode_request({"messages": msgspec.Raw(body)})
