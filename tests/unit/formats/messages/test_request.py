"""Requests of the Messages API: what clients may write, and what Anthropic accepts."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, Unsupported
from gateway.formats.envelope import decode_members
from gateway.formats.messages.codec import CODEC
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion
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
from gateway.formats.neutral.crossing import crossing_request
from gateway.formats.neutral.events import Began, Closed, Ended, Finished, Grew, Opened, join
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

HEADING = Heading("1", "m", 0, Conversation(()))
ASKED = Turn("user", (Text("Hi"),))
TOOL = FunctionTool("look", "Looks.", {"type": "object", "properties": {}})


def read(**members: Any) -> Conversation:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, **members}
    return CODEC.decode_request(decode_members(json.dumps(body).encode()))


def write(*turns: Turn, **fields: Any) -> dict[str, Any]:
    members = CODEC.encode_request(Conversation(turns or (ASKED,), **fields))
    written: dict[str, Any] = json.loads(msgspec.json.encode(members))
    return written


def content_of(part: Any) -> Any:
    return read(messages=[{"role": "user", "content": [part]}]).turns[0].parts[0]


def test_a_users_message_is_split_where_results_and_words_meet() -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "content": "42", "is_error": True}
    text = {"type": "text", "text": "and now?"}
    turns = read(messages=[{"role": "user", "content": [result, text]}]).turns
    assert turns == (
        Turn("tool", (ToolResult("a", (Text("42"),), is_error=True),)),
        Turn("user", (Text("and now?"),)),
    )


def test_neighbours_of_one_role_become_one_message_with_results_first() -> None:
    written = write(
        ASKED,
        Turn("assistant", (ToolCall("a", "look", "{}"), ToolCall("b", "look", "{}"))),
        Turn("user", (Text("wait"),)),
        Turn("tool", (ToolResult("a", (Text("1"),)),)),
        Turn("tool", (ToolResult("b", ()),)),
        Turn("user", (Text("go on"), Text(""))),
    )
    assert [m["role"] for m in written["messages"]] == ["user", "assistant", "user"]
    assert written["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b"},
        {"type": "text", "text": "wait"},
        {"type": "text", "text": "go on"},
    ]


def test_all_instructions_become_the_system_prompt() -> None:
    written = write(
        Turn("system", (Text("Be brief.", cache="1h"), Text(""))), ASKED, Turn("developer", (Text("Now!"),))
    )
    marked = {"type": "ephemeral", "ttl": "1h"}
    assert written["system"] == [
        {"type": "text", "text": "Be brief.", "cache_control": marked},
        {"type": "text", "text": "Now!"},
    ]
    assert read(system="Be kind.").turns[0] == Turn("system", (Text("Be kind."),))


@pytest.mark.parametrize(
    ("block", "part"),
    [
        (
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
            Text("a", cache="default"),
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QQ=="}},
            Media("image", "image/png", data="QQ=="),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://a/b"}},
            Media("image", url="https://a/b"),
        ),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, Media("image", file_id="f")),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "QQ=="},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
            },
            Media(
                "file",
                "application/pdf",
                data="QQ==",
                name="T",
                cite=True,
                raw={"messages": {"context": "C"}},
            ),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            Media("file", "text/plain", text="words"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}},
            Media("file", url="https://a/b.pdf"),
        ),
        ({"type": "document", "source": {"type": "file", "file_id": "f"}}, Media("file", file_id="f")),
    ],
)
def test_a_block_and_its_part(block: dict[str, Any], part: Any) -> None:
    assert content_of(block) == part
    written = write(Turn("user", (part,)))["messages"][0]["content"]
    assert written == [block]


def test_a_document_of_blocks_is_a_text_that_keeps_its_blocks() -> None:
    source = {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
    part = content_of({"type": "document", "source": source})
    assert (part.text, part.media_type) == ("a\nb", "text/plain")
    assert write(Turn("user", (part,)))["messages"][0]["content"] == [{"type": "document", "source": source}]


@pytest.mark.parametrize(
    "block",
    [
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "a"}]},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "x", "content": {"type": "e", "error_code": "z"}},
        {"type": "container_upload", "file_id": "f"},
        {"type": "compaction", "content": "so far", "encrypted_content": "e"},
        {"type": "of_tomorrow", "depth": {"of": ["it", 1, None]}},
        {"type": "image", "source": {"type": "of_tomorrow"}},
        {
            "type": "document",
            "source": {
                "type": "content",
                "content": [{"type": "image", "source": {"type": "url", "url": "u"}}],
            },
        },
    ],
)
def test_what_only_anthropic_knows_goes_back_as_it_was(block: dict[str, Any]) -> None:
    part = content_of(block)
    assert part == Opaque("messages", block["type"], block)
    assert write(Turn("user", (part,)))["messages"][0]["content"] == [block]
    in_result = content_of({"type": "tool_result", "tool_use_id": "a", "content": [block]})
    assert in_result.parts == (part,)


def test_thinking_comes_back_to_its_maker_alone() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s1"},
        {"type": "thinking", "thinking": "ah", "signature": "forebay.converse.s2"},
        {"type": "thinking", "thinking": "no", "signature": "forebay.gemini.s3"},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
        {"type": "redacted_thinking", "data": "d1"},
        {"type": "redacted_thinking", "data": "forebay.responses.d2"},
        {"type": "text", "text": "So."},
    ]
    turn = read(messages=[{"role": "assistant", "content": blocks}]).turns[0]
    assert turn.parts[1:3] == (
        Reasoning("ah", signature="s2", origin="converse"),
        Reasoning("no", signature="s3", origin="gemini"),
    )
    assert turn.parts[5] == Reasoning(encrypted="d2", origin="responses")
    kept = write(ASKED, turn)["messages"][1]["content"]
    assert kept == [
        blocks[0],
        {"type": "thinking", "thinking": "ah", "signature": "s2"},
        blocks[4],
        blocks[6],
    ]


@pytest.mark.parametrize("origin", ["chat", "ollama", "gemini"])
def test_thoughts_without_a_signature_come_back_to_their_maker_too(origin: Any) -> None:
    thought = Reasoning("hm", origin=origin)
    answer = CODEC.encode_answer(Completion((Choice((thought,), "stop"),)), HEADING)
    events = CODEC.stream_encoder(HEADING).encode(
        [Began(), Opened(0, Reasoning(origin=origin)), Grew(0, "hm"), Closed(0), Finished("stop"), Ended()]
    )
    streamed = CODEC.encode_answer(join(CODEC.stream_decoder(1 << 16).feed(events)), HEADING)
    for written in (answer, streamed):
        message = {"role": "assistant", "content": json.loads(written)["content"]}
        assert read(messages=[message]).turns[0].parts == (thought,)


def test_a_refusal_of_an_earlier_turn_is_a_text() -> None:
    assert write(ASKED, Turn("assistant", (Refusal("No."),)))["messages"][1]["content"] == "No."


def test_citations_of_others_are_not_shown_to_anthropic() -> None:
    own = {"type": "char_location", "cited_text": "c", "document_index": 0}
    block = {"type": "text", "text": "a", "citations": [own]}
    part = content_of(block)
    assert (part.citations[0].text, part.citations[0].origin) == ("c", "messages")
    foreign = msgspec.structs.replace(part, citations=(*part.citations, Citation("https://a", origin="chat")))
    assert write(Turn("user", (foreign,)))["messages"][0]["content"] == [block]


@pytest.mark.parametrize(
    ("asked", "choice", "parallel"),
    [
        ({"type": "auto"}, ToolChoice("auto"), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required"), False),
        ({"type": "tool", "name": "look"}, ToolChoice("required", ("look",)), None),
        ({"type": "none"}, ToolChoice("none"), None),
        (
            {"type": "of_tomorrow", "x": 1},
            ToolChoice("required", format="messages", raw={"type": "of_tomorrow", "x": 1}),
            None,
        ),
    ],
)
def test_a_tool_choice(asked: dict[str, Any], choice: ToolChoice, parallel: bool | None) -> None:
    conversation = read(tool_choice=asked, tools=[{"name": "look", "input_schema": {"type": "object"}}])
    assert (conversation.tool_choice, conversation.parallel_tool_calls) == (choice, parallel)
    assert write(tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel)["tool_choice"] == asked


def test_a_choice_needs_tools_and_one_among_several_leaves_the_others_out() -> None:
    assert "tool_choice" not in write(tool_choice=ToolChoice("auto"))
    others = FunctionTool("other"), FunctionTool("third")
    written = write(tools=(TOOL, *others), tool_choice=ToolChoice("required", ("look", "third")))
    assert [tool["name"] for tool in written["tools"]] == ["look", "third"]
    assert written["tool_choice"] == {"type": "any"}
    assert written["tools"][1]["input_schema"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("names", [("look",), ("look", "third")])
def test_tools_outside_of_a_free_choice_are_not_offered(names: tuple[str, ...]) -> None:
    tools = TOOL, FunctionTool("other"), FunctionTool("third")
    written = write(tools=tools, tool_choice=ToolChoice("auto", names))
    assert tuple(tool["name"] for tool in written["tools"]) == names
    assert written["tool_choice"] == {"type": "auto"}


def test_parallel_calls_are_switched_off_without_a_choice() -> None:
    off = {"type": "auto", "disable_parallel_tool_use": True}
    assert write(tools=(TOOL,), parallel_tool_calls=False)["tool_choice"] == off
    assert "tool_choice" not in write(tools=(TOOL,), parallel_tool_calls=True)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search_20260209", "name": "web_search", "max_uses": 3},
        {"type": "mcp_toolset", "mcp_server_name": "m"},
        {"name": "from_code", "input_schema": {}, "allowed_callers": ["code_execution_20260120"]},
    ],
)
def test_a_tool_that_only_anthropic_offers_stays_as_it_is(tool: dict[str, Any]) -> None:
    conversation = read(tools=[tool])
    assert conversation.tools == (OpaqueTool("messages", tool.get("type", "from_code"), tool),)
    assert write(tools=conversation.tools)["tools"] == [tool]


@pytest.mark.parametrize(
    "offered",
    [
        {"defer_loading": True},
        {"allowed_callers": ["direct", "code_execution_20260120"]},
        {"eager_input_streaming": True},
        {"input_examples": [{"city": "Paris"}]},
    ],
)
def test_the_way_a_function_is_offered_stays_here_and_is_named_elsewhere(offered: dict[str, Any]) -> None:
    (name,) = offered
    tool = {"name": "look", "input_schema": {"type": "object"}, **offered}
    conversation = read(tools=[tool])
    written: dict[str, Any] = json.loads(msgspec.json.encode(CODEC.encode_request(conversation)))
    assert written["tools"] == [tool]
    assert f"tools.{name}" not in written
    fitting, dropped = fit(conversation, "messages", "chat")
    assert dropped == (f"tools.{name}",)
    assert crossing_request(fitting).tools == (FunctionTool("look", "", {"type": "object"}),)


PICTURE = {"type": "base64", "media_type": "image/png", "data": "aGk="}


@pytest.mark.parametrize(
    ("block", "name"),
    [
        (
            {
                "type": "text",
                "text": "a",
                "citations": [{"type": "char_location", "cited_text": "c", "document_index": 0}],
            },
            "messages.content.citations",
        ),
        (
            {"type": "image", "source": PICTURE, "transformations": [{"type": "crop"}]},
            "image.transformations",
        ),
    ],
)
@pytest.mark.parametrize("in_result", [False, True])
def test_what_only_anthropic_says_of_a_block_is_named_where_it_is_lost(
    block: dict[str, Any], name: str, in_result: bool
) -> None:
    content = [{"type": "tool_result", "tool_use_id": "a", "content": [block]}] if in_result else [block]
    conversation = read(messages=[{"role": "user", "content": content}])
    assert fit(conversation, "messages", "gemini")[1] == (name,)
    assert write(*conversation.turns, extra=conversation.extra)["messages"][0]["content"] == content
    assert name not in CODEC.encode_request(conversation)


def test_what_the_model_is_to_know_of_a_document_is_not_kept_from_it() -> None:
    source = {"type": "text", "media_type": "text/plain", "data": "abc"}
    block = {"type": "document", "source": source, "context": "The draft, not the final text."}
    conversation = read(messages=[{"role": "user", "content": [block]}])
    with pytest.raises(Unsupported) as refusal:
        fit(conversation, "messages", "chat")
    assert refusal.value.param == "document.context"


def test_an_effort_of_one_turn_is_named_where_it_is_lost() -> None:
    turn = {"role": "user", "content": "Hi", "output_config": {"effort": "low"}}
    conversation = read(messages=[turn])
    assert fit(conversation, "messages", "chat")[1] == ("messages.output_config",)
    assert "messages.output_config" not in CODEC.encode_request(conversation)


def test_a_tool_that_the_clients_own_search_found_is_named_in_words_elsewhere() -> None:
    found = [{"type": "tool_reference", "tool_name": "WebFetch"}]
    result = {"type": "tool_result", "tool_use_id": "a", "content": found}
    conversation = read(messages=[{"role": "user", "content": [result]}])
    fitting, dropped = fit(conversation, "messages", "chat")
    assert dropped == ()
    assert crossing_request(fitting).turns[0].parts == (
        ToolResult("a", (Text("The tool WebFetch is available now."),)),
    )
    assert write(*conversation.turns)["messages"][0]["content"] == [result]


def test_members_of_anthropic_alone_are_kept_and_known_or_not_never_dropped() -> None:
    only = {
        "container": {"id": "c"},
        "mcp_servers": [{"type": "url", "url": "https://a", "name": "m"}],
        "context_management": {"edits": []},
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "of_tomorrow": 1,
        "thinking": {"type": "between_tools"},
    }
    conversation = read(**only, inference_geo=None, output_config={"task_budget": {"total": 9}})
    assert {**conversation.extra, "thinking": only["thinking"]} == {
        **only,
        "output_config.task_budget": {"total": 9},
    }
    written = write(extra=conversation.extra)
    assert {name: written[name] for name in only} == only
    assert written["output_config"] == {"task_budget": {"total": 9}}


def test_the_rest_of_the_members() -> None:
    asked = {
        "max_tokens": 5,
        "stream": True,
        "temperature": 0.5,
        "top_k": 4,
        "stop_sequences": ["x"],
        "metadata": {"user_id": "u", "more": 1},
        "service_tier": "standard_only",
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    }
    conversation = read(**asked)
    assert conversation.output == JsonOutput({"type": "object"})
    assert (conversation.user, conversation.metadata) == ("u", {"more": 1})
    written = json.loads(msgspec.json.encode(CODEC.encode_request(conversation)))
    assert {name: written[name] for name in asked} == asked


def test_values_of_other_dialects_are_brought_into_range() -> None:
    written = write(temperature=1.7, service_tier="default")
    assert written["temperature"] == 1
    assert written["service_tier"] == "standard_only"
    assert "service_tier" not in write(service_tier="flex")


@pytest.mark.parametrize(
    ("temperature", "top_p", "kept"),
    [
        (0.5, None, {"temperature": 0.5}),
        (None, 0.5, {"top_p": 0.5}),
        (0.5, 1.0, {"temperature": 0.5}),
        (1.0, 0.5, {"top_p": 0.5}),
        (1.0, 1.0, {"temperature": 1.0}),
        (0.5, 0.5, {"temperature": 0.5, "top_p": 0.5}),
    ],
)
def test_of_two_ways_to_sample_the_one_that_changes_nothing_is_left_out(
    temperature: float | None, top_p: float | None, kept: Any
) -> None:
    written = write(temperature=temperature, top_p=top_p)
    assert {name: written[name] for name in ("temperature", "top_p") if name in written} == kept


def test_ids_of_calls_are_written_in_letters_that_anthropic_takes() -> None:
    call = ToolCall("functions.look:0", "look", "")
    written = write(ASKED, Turn("assistant", (call,)), Turn("tool", (ToolResult("functions.look:0"),)))
    assert written["messages"][1]["content"][0] == {
        "type": "tool_use",
        "id": "functions_look_0",
        "name": "look",
        "input": {},
    }
    assert written["messages"][2]["content"][0]["tool_use_id"] == "functions_look_0"


@pytest.mark.parametrize("arguments", ["{", "[1]", '"a"', "1", "null", "{}{}", "[" * 5000])
def test_arguments_that_are_no_object_are_refused_with_their_place(arguments: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        write(ASKED, Turn("assistant", (Text("a"), ToolCall("a", "look", arguments))))
    assert refusal.value.param == "messages[1].content[1]"


@pytest.mark.parametrize(
    "part",
    [
        ToolCall("a", "look", "free text", custom=True),
        Media("audio", "audio/wav", data="QQ=="),
        Media("video", url="https://a"),
        Media("file", "application/msword", data="QQ=="),
        Opaque("responses", "web_search_call", {}),
    ],
)
def test_what_the_format_cannot_say_is_refused(part: Any) -> None:
    with pytest.raises(Unsupported) as refusal:
        write(Turn("assistant", (part,)))
    assert refusal.value.param == "messages[0].content[0]"


def test_an_image_among_instructions_is_refused_and_not_left_out() -> None:
    with pytest.raises(Unsupported) as refusal:
        write(Turn("system", (Text("Like this:"), Media("image", "image/png", data="aGk="))), ASKED)
    assert refusal.value.param == "messages[0].content[1]"


def test_instructions_alone_ask_for_nothing() -> None:
    with pytest.raises(Unsupported) as refusal:
        write(Turn("system", (Text("Be brief."),)))
    assert refusal.value.param == "messages"


def test_a_tool_for_free_text_is_refused() -> None:
    with pytest.raises(Unsupported) as refusal:
        write(tools=(CustomTool("c"),))
    assert refusal.value.param == "tools[0]"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (Media("image", data="QQ=="), "media type"),
        (Media("file", "text/plain", data="/w=="), "UTF-8"),
    ],
)
def test_media_that_nobody_can_read_are_refused(part: Media, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        write(Turn("user", (part,)))


def test_a_text_file_is_sent_as_text() -> None:
    written = write(Turn("user", (Media("file", "text/markdown", data="w6k=", name="n"),)))
    source = {"type": "text", "media_type": "text/plain", "data": "\u00e9"}
    document = {"type": "document", "source": source, "title": "n"}
    assert written["messages"][0]["content"] == [document]


@pytest.mark.parametrize(
    ("members", "place"),
    [
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"tools": [{"name": 1}]}, "tools[0].name"),
        (
            {"system": [{"type": "text", "cache_control": {"type": "e", "ttl": "9m"}}]},
            "system[0].cache_control.ttl",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": "a"},
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "source": {"type": "base64", "data": "!", "media_type": "i"}}
                        ],
                    },
                ]
            },
            "messages[1].content[0].source.data",
        ),
    ],
)
def test_bad_input_is_named_by_its_place(members: dict[str, Any], place: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        read(**members)
    assert refusal.value.param == place


def test_ten_thousand_parts_and_deep_schemas() -> None:
    content = [{"type": "text", "text": str(i)} for i in range(10_000)]
    conversation = read(messages=[{"role": "user", "content": content}])
    assert len(conversation.turns[0].parts) == 10_000
    assert len(write(*conversation.turns)["messages"][0]["content"]) == 10_000
    nested = b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(BadRequest):
        CODEC.decode_request({"messages": msgspec.Raw(nested)})


@pytest.mark.parametrize("member", ["of_tomorrow", "container", "messages"])
def test_any_depth_is_read_or_refused(member: str) -> None:
    outcomes = set()
    for depth in range(100, 1500, 10):
        value = b"[" * depth + b"]" * depth
        block = b'[{"role":"user","content":[{"type":"of_tomorrow","content":{"x":' + value + b"}}]}]"
        members = {"messages": msgspec.Raw(b"[]"), member: msgspec.Raw(value)}
        if member == "messages":
            members = {"messages": msgspec.Raw(block)}
        try:
            outcomes.add(bool(CODEC.decode_request(members)))
        except BadRequest:
            outcomes.add(False)
    assert outcomes == {True, False}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "source", "data", "citations", "input", "id"]),
            inner | st.sampled_from(["text", "image", "document", "tool_use", "tool_result", "thinking"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(content=JSON)
def test_any_content_is_read_or_refused(content: Any) -> None:
    places = []
    try:
        turns = read(messages=[{"role": "user", "content": content}]).turns
    except BadRequest as refusal:
        places.append(refusal.param or "")
        turns = ()
    assert turns or places[0].startswith("messages")


def test_thinking_none_is_thinking_disabled() -> None:
    assert read(thinking={"type": "disabled"}).thinking == Thinking(budget_tokens=0)
