"""Requests of Google's clients, and requests of others written for Google."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, ClientError, Unsupported
from gateway.formats.envelope import decode_members
from gateway.formats.gemini.codec import CODEC
from gateway.formats.gemini.request import SKIP_VALIDATION
from gateway.formats.neutral.check import check
from gateway.formats.neutral.conversation import (
    Conversation,
    CustomTool,
    FunctionTool,
    JsonOutput,
    Thinking,
    ToolChoice,
    Turn,
)
from gateway.formats.neutral.losses import fit
from gateway.formats.neutral.parts import Media, Opaque, Reasoning, Text, ToolCall, ToolResult

PNG = "iVBORw0KGgo="


def read(value: Any) -> Conversation:
    return CODEC.decode_request(
        decode_members(value if isinstance(value, bytes) else json.dumps(value).encode())
    )


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def turns(*contents: Any) -> list[tuple[str, tuple[Any, ...]]]:
    return [(turn.role, turn.parts) for turn in read({"contents": list(contents)}).turns]


def written(*given_: Turn, **settings: Any) -> dict[str, Any]:
    return CODEC.encode_request(Conversation(given_, **settings))


def call(function: str, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": function, "args": {"x": 1}, **more}}


def result(function: str, response: Any, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": function, "response": response, **more}}


def test_both_names_of_a_member_are_read() -> None:
    camel = {
        "contents": [user({"inlineData": {"mimeType": "image/png", "data": PNG}})],
        "systemInstruction": {"parts": [{"text": "S"}]},
        "generationConfig": {"maxOutputTokens": 5, "thinkingConfig": {"thinkingBudget": 7}},
    }
    snake = {
        "contents": [user({"inline_data": {"mime_type": "image/png", "data": PNG}})],
        "system_instruction": {"parts": {"text": "S"}},
        "generation_config": {"max_output_tokens": 5, "thinking_config": {"thinking_budget": 7}},
    }
    assert read(snake) == read(camel)
    assert read(camel).max_tokens == 5
    assert read(camel).turns[0].role == "system"


def test_names_inside_of_the_clients_own_values_stay() -> None:
    asked = read(
        {
            "contents": [model(call("f", args={"snake_case": {"also_here": 1}}))],
            "tools": [
                {
                    "function_declarations": [
                        {
                            "name": "f",
                            "parameters_json_schema": {"properties": {"snake_case": {"type": "string"}}},
                        }
                    ]
                }
            ],
        }
    )
    assert asked.turns[0].parts[0].arguments == '{"snake_case":{"also_here":1}}'
    assert asked.tools[0].parameters == {"properties": {"snake_case": {"type": "string"}}}


@pytest.mark.parametrize("stream", [True, False])
def test_the_url_says_whether_to_stream(stream: bool) -> None:
    asked = read({"model": "m", "stream": stream, "contents": [user({"text": "Hi"})]})
    assert asked.stream is stream
    assert asked.extra == {}
    assert "model" not in CODEC.encode_request(asked)


def test_words_and_results_in_one_content_are_two_turns_and_one_content_again() -> None:
    contents = [model(call("f")), user(result("f", {"output": "ok"}), {"text": "and now?"})]
    asked = read({"contents": contents})
    assert [turn.role for turn in asked.turns] == ["assistant", "tool", "user"]
    assert CODEC.encode_request(asked)["contents"] == contents


def test_contents_of_one_role_that_stood_apart_stay_apart() -> None:
    contents = [user({"text": "a"}), user({"text": "b"}), {"parts": [{"text": "c"}]}]
    assert CODEC.encode_request(read({"contents": contents}))["contents"] == contents


def test_a_call_without_an_id_gets_one_that_never_goes_back() -> None:
    contents = [
        user({"text": "Hi"}),
        model(call("f"), call("g"), call("f")),
        user(result("f", {"a": 1}), result("g", {"a": 2}), result("f", {"a": 3})),
    ]
    asked = read({"contents": contents})
    check(asked)
    calls = [part.id for part in asked.turns[1].parts]
    results = [part.call_id for part in asked.turns[2].parts]
    assert len(set(calls)) == 3
    assert results == calls
    assert CODEC.encode_request(asked)["contents"] == contents


def test_an_id_that_somebody_gave_is_kept() -> None:
    contents = [user({"text": "Hi"}), model(call("f", id="c9")), user(result("f", {"output": "ok"}, id="c9"))]
    assert CODEC.encode_request(read({"contents": contents}))["contents"] == contents


def test_a_result_without_a_call_is_turned_away() -> None:
    with pytest.raises(BadRequest):
        check(read({"contents": [user({"text": "Hi"}), user(result("f", {}))]}))


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        ({"output": "ok"}, ToolResult("made_f_1", (Text("ok"),), "f")),
        ({"error": "no"}, ToolResult("made_f_1", (Text("no"),), "f", is_error=True)),
        ({"error": {"a": 1}}, ToolResult("made_f_1", (Text('{"a":1}'),), "f", is_error=True, json=True)),
        ({"output": 5}, ToolResult("made_f_1", (Text('{"output":5}'),), "f", json=True)),
        ({"result": "5"}, ToolResult("made_f_1", (Text('{"result":"5"}'),), "f", json=True)),
        ({}, ToolResult("made_f_1", (Text("{}"),), "f", json=True)),
        ({"output": "a", "b": 1}, ToolResult("made_f_1", (Text('{"output":"a","b":1}'),), "f", json=True)),
    ],
)
def test_what_a_function_gave_back(response: Any, expected: ToolResult) -> None:
    contents = [model(call("f")), user(result("f", response))]
    asked = read({"contents": contents})
    assert asked.turns[1].parts == (expected,)
    assert CODEC.encode_request(asked)["contents"] == contents


def test_media_come_as_data_or_by_their_place() -> None:
    data = {"inlineData": {"mimeType": "audio/wav", "data": PNG}}
    web = {"fileData": {"fileUri": "https://x/a.pdf", "mimeType": "application/pdf"}}
    film = {"fileData": {"fileUri": "https://youtu.be/x"}}
    theirs = {"fileData": {"fileUri": "gs://b/a.png", "mimeType": "image/png"}}
    contents = [user(data, web, film, theirs)]
    parts = turns(*contents)[0][1]
    assert [(part.kind, part.data, part.url, part.file_id) for part in parts] == [
        ("audio", PNG, "", ""),
        ("file", "", "https://x/a.pdf", ""),
        ("video", "", "https://youtu.be/x", ""),
        ("image", "", "", "gs://b/a.png"),
    ]
    assert CODEC.encode_request(read({"contents": contents}))["contents"] == contents


def test_the_other_alphabet_of_base64_becomes_the_usual_one() -> None:
    contents = [user({"inlineData": {"mimeType": "image/png", "data": "-_-_"}})]
    assert turns(*contents)[0][1][0].data == "+/+/"
    assert CODEC.encode_request(read({"contents": contents}))["contents"] == contents


FILM = {"fileUri": "https://youtu.be/x"}


@pytest.mark.parametrize(
    ("contents", "what"),
    [
        ([user({"fileData": FILM, "videoMetadata": {"endOffset": "9s"}})], "videoMetadata"),
        (
            [
                model(call("f")),
                user({"functionResponse": {"name": "f", "response": {}, "scheduling": "SILENT"}}),
            ],
            "functionResponse",
        ),
        ([user({"functionCall": {"name": "f", "partialArgs": []}})], "functionCall"),
    ],
)
def test_what_only_google_says_of_a_part_is_refused_elsewhere(contents: Any, what: str) -> None:
    body = {"contents": contents}
    with pytest.raises(Unsupported, match=what):
        fit(read(body), "gemini", "chat")
    assert CODEC.encode_request(read(body)) == body


@pytest.mark.parametrize(
    ("level", "detail"),
    [("LOW", "low"), ("MEDIUM", "auto"), ("HIGH", "high"), ("ULTRA_HIGH", "high"), ("UNSPECIFIED", "")],
)
def test_the_resolution_of_an_image_is_its_detail(level: str, detail: str) -> None:
    part = {
        "inlineData": {"mimeType": "image/png", "data": PNG},
        "mediaResolution": {"level": f"MEDIA_RESOLUTION_{level}"},
    }
    body = {"contents": [user(part)]}
    assert read(body).turns[0].parts[0].detail == detail
    assert CODEC.encode_request(read(body)) == body


@pytest.mark.parametrize(
    "part", [{"executableCode": {"code": "1"}, "thoughtSignature": "QQ=="}, {"newKind": 1}]
)
def test_a_part_that_only_google_knows_stays_as_it_is(part: Any) -> None:
    contents = [user({"text": "Hi"}), model(part)]
    assert turns(*contents)[1][1] == (Opaque("gemini", next(iter(part)), part),)
    assert CODEC.encode_request(read({"contents": contents}))["contents"] == contents


def test_thoughts_and_signatures_are_kept() -> None:
    contents = [
        user({"text": "Hi"}),
        model(
            {"text": "hm", "thought": True},
            {"text": "a", "thoughtSignature": "QQ=="},
            {**call("f"), "thoughtSignature": "Qg=="},
        ),
    ]
    assert turns(*contents)[1][1] == (
        Reasoning("hm", origin="gemini"),
        Text("a", signature="QQ=="),
        ToolCall("made_f_1", "f", '{"x":1}', signature="Qg==", origin="gemini"),
    )
    assert CODEC.encode_request(read({"contents": contents}))["contents"] == contents


def test_schemas_in_googles_words_become_json_schemas_and_go_back_as_they_were() -> None:
    schema = {"type": 6, "properties": {"a": {"type": "STRING", "nullable": True}, "b": {"type": "ARRAY"}}}
    body = {
        "contents": [user({"text": "Hi"})],
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}, {"googleSearch": {}}],
        "generationConfig": {"responseMimeType": "application/json", "responseSchema": schema},
    }
    asked = read(body)
    understood = {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "array"}},
    }
    assert asked.tools[0].parameters == understood
    assert asked.tools[1].kind == "googleSearch"
    assert asked.output is not None
    assert asked.output.schema == understood
    assert CODEC.encode_request(asked) == body


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto")),
        ({"mode": "NONE"}, ToolChoice("none")),
        ({"mode": "ANY"}, ToolChoice("required")),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("required", ("f",))),
        ({"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ToolChoice("auto", ("f",))),
        ({"mode": "VALIDATED"}, ToolChoice("auto", (), "gemini", {"mode": "VALIDATED"})),
        ({"mode": 2}, ToolChoice("required")),
        ({"mode": "any", "allowedFunctionNames": []}, ToolChoice("required")),
        (
            {"mode": "AUTO", "streamFunctionCallArguments": True},
            ToolChoice("auto", (), "gemini", {"mode": "AUTO", "streamFunctionCallArguments": True}),
        ),
    ],
)
def test_which_functions_may_be_called(config: Any, choice: ToolChoice) -> None:
    body = {"contents": [user({"text": "Hi"})], "toolConfig": {"functionCallingConfig": config}}
    assert read(body).tool_choice == choice
    assert CODEC.encode_request(read(body)) == body


@pytest.mark.parametrize(
    ("config", "effort", "budget", "adaptive"),
    [
        ({"thinkingBudget": 0}, "", 0, False),
        ({"thinkingBudget": -1}, "", None, True),
        ({"thinkingBudget": 512, "includeThoughts": True}, "", 512, False),
        ({"thinkingLevel": "high"}, "high", None, False),
        ({"thinkingLevel": "MINIMAL"}, "minimal", None, False),
    ],
)
def test_how_much_to_think(config: Any, effort: str, budget: int | None, adaptive: bool) -> None:
    body = {"contents": [user({"text": "Hi"})], "generationConfig": {"thinkingConfig": config}}
    thinking = read(body).thinking
    assert thinking is not None
    assert (thinking.effort, thinking.budget_tokens, thinking.adaptive) == (effort, budget, adaptive)
    assert CODEC.encode_request(read(body)) == body


def test_members_that_nobody_else_has_are_extras_and_go_back() -> None:
    body = {
        "contents": [user({"text": "Hi"})],
        "safetySettings": [{"category": 7, "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/x",
        "generationConfig": {"mediaResolution": "LOW", "speechConfig": {"a": 1}, "temperature": 1.0},
        "toolConfig": {"includeServerSideToolInvocations": True},
        "labels": {"team": "a"},
    }
    asked = read(body)
    assert set(asked.extra) == {
        "safetySettings",
        "cachedContent",
        "generationConfig.mediaResolution",
        "generationConfig.speechConfig",
        "toolConfig.includeServerSideToolInvocations",
    }
    assert asked.metadata == {"team": "a"}
    assert CODEC.encode_request(asked) == body


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [user({"text": 5})]}, "contents[0].parts[0].text"),
        ({"contents": 5}, "contents"),
        ({"contents": [user({"inlineData": {"data": "%"}})]}, "contents[0].parts[0].inlineData.data"),
        (
            {"contents": [], "toolConfig": {"functionCallingConfig": {"mode": "X"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            {"contents": [], "tools": [{"functionDeclarations": [{}]}]},
            "tools[0].functionDeclarations[0].name",
        ),
        ({"contents": [], "systemInstruction": {"parts": [{"fileData": {}}]}}, "systemInstruction.parts[0]"),
        (
            {"contents": [], "generationConfig": {"responseModalities": [9]}},
            "generationConfig.responseModalities",
        ),
        ({"contents": [], "generationConfig": 5}, "generationConfig"),
    ],
)
def test_what_is_no_request_is_turned_away_with_its_place(body: Any, param: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        read(body)
    assert refusal.value.param == param


def deep(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize("depth", [100, 400, 900])
def test_deep_nesting_is_read_or_turned_away(depth: int) -> None:
    schema = b'{"type":"OBJECT","items":' * depth + b"{}" + b"}" * depth
    for value in (
        b'{"contents":[{"parts":[{"functionCall":{"name":"f","args":{"a":' + deep(depth) + b"}}}]}]}",
        b'{"contents":' + deep(depth) + b"}",
        b'{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":' + schema + b"}]}]}",
        b'{"contents":[],"newMember":' + deep(depth) + b"}",
    ):
        try:
            read(value)
        except ClientError:
            continue


def test_ten_thousand_parts_are_read() -> None:
    many = [user(*[{"text": str(i)} for i in range(10_000)])]
    assert len(turns(*many)[0][1]) == 10_000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *(
                            "contents",
                            "parts",
                            "role",
                            "text",
                            "functionCall",
                            "functionResponse",
                            "name",
                            "args",
                        ),
                        *(
                            "inline_data",
                            "fileData",
                            "data",
                            "tools",
                            "functionDeclarations",
                            "generationConfig",
                        ),
                        *(
                            "thinkingConfig",
                            "toolConfig",
                            "thoughtSignature",
                            "thought",
                            "response",
                            "responseSchema",
                        ),
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_read_or_turned_away(value: Any) -> None:
    body = value if isinstance(value, dict) else {"contents": value}
    try:
        asked = read(body)
        CODEC.encode_request(asked)
    except ClientError:
        return


# Requests of others.


def test_instructions_stand_apart() -> None:
    sent = written(Turn("system", (Text("S"),)), Turn("user", (Text("Hi"),)), Turn("developer", (Text("D"),)))
    assert sent == {
        "contents": [user({"text": "Hi"})],
        "systemInstruction": {"parts": [{"text": "S"}, {"text": "D"}]},
    }


def test_instructions_alone_are_what_is_answered() -> None:
    sent = written(Turn("system", (Text("S"),)), Turn("developer", (Text("D"),)))
    assert sent == {"contents": [user({"text": "S"}, {"text": "D"})]}


def test_parallel_results_stand_together() -> None:
    sent = written(
        Turn("user", (Text("Hi"),)),
        Turn("assistant", (ToolCall("c1", "f", "{}"), ToolCall("c2", "g", '{"a":1}'))),
        Turn("tool", (ToolResult("c1", (Text("one"),)),)),
        Turn("tool", (ToolResult("c2", (Text("two"),), is_error=True),)),
        Turn("user", (Text("so?"),)),
    )
    assert sent["contents"][1:] == [
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": SKIP_VALIDATION},
                {"functionCall": {"id": "c2", "name": "g", "args": {"a": 1}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "f", "response": {"output": "one"}}},
                {"functionResponse": {"id": "c2", "name": "g", "response": {"error": "two"}}},
            ],
        },
        {"role": "user", "parts": [{"text": "so?"}]},
    ]


def test_results_without_ids_stand_in_the_order_of_their_calls() -> None:
    calls = (ToolCall("made_r_1", "f", "{}", origin="gemini"), ToolCall("made_r_2", "f", origin="gemini"))
    sent = written(
        Turn("user", (Text("Hi"),)),
        Turn("assistant", calls),
        Turn("tool", (ToolResult("made_r_2", (Text("two"),)),)),
        Turn("tool", (ToolResult("made_r_1", (Text("one"),)),)),
    )
    given_back = [part["functionResponse"]["response"] for part in sent["contents"][2]["parts"]]
    assert given_back == [{"output": "one"}, {"output": "two"}]


def test_an_empty_text_beside_something_else_is_left_out() -> None:
    kept = Reasoning(encrypted="QQ==", origin="gemini")
    sent = written(
        Turn("user", (Text(""),)),
        Turn("assistant", (Text(""), ToolCall("c", "f", "{}", origin="gemini"))),
        Turn("tool", (ToolResult("c"),)),
        Turn("assistant", (Text("a"), kept, Text(""))),
        Turn("user", (Text(""), Text("so?"))),
    )
    parts = [content["parts"] for content in sent["contents"]]
    assert parts[0] == [{"text": ""}]
    assert parts[1] == [{"functionCall": {"id": "c", "name": "f", "args": {}}}]
    assert parts[3:] == [[{"text": "a"}, {"text": "", "thoughtSignature": "QQ=="}], [{"text": "so?"}]]


def test_turns_in_one_role_become_one_content() -> None:
    sent = written(Turn("user", (Text("a"),)), Turn("user", (Text("b"),)), Turn("assistant", (Text("c"),)))
    assert sent["contents"] == [user({"text": "a"}, {"text": "b"}), model({"text": "c"})]


def test_the_dummy_signature_is_the_one_that_google_names() -> None:
    assert base64.b64decode(SKIP_VALIDATION) == b"skip_thought_signature_validator"


def test_googles_signatures_come_back_to_the_parts_they_were_on() -> None:
    kept = Reasoning(encrypted="QQ==", origin="gemini")
    foreign = Reasoning("hm", signature="s", origin="messages")
    sent = written(
        Turn("user", (Text("Hi"),)), Turn("assistant", (foreign, kept, ToolCall("c", "f", "{}"), kept))
    )
    assert sent["contents"][1]["parts"] == [
        {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "QQ=="},
        {"text": "", "thoughtSignature": "QQ=="},
    ]


def test_two_signatures_in_a_row_are_both_kept() -> None:
    first, second = (Reasoning(encrypted=seal, origin="gemini") for seal in ("QQ==", "Qg=="))
    sent = written(Turn("user", (Text("Hi"),)), Turn("assistant", (first, second, ToolCall("c", "f", "{}"))))
    assert sent["contents"][1]["parts"] == [
        {"text": "", "thoughtSignature": "QQ=="},
        {"functionCall": {"id": "c", "name": "f", "args": {}}, "thoughtSignature": "Qg=="},
    ]


@pytest.mark.parametrize("origin", ["messages", "responses"])
@pytest.mark.parametrize("in_pieces", [False, True])
def test_thoughts_of_others_travel_through_a_client_of_google(origin: Any, in_pieces: bool) -> None:
    from gateway.formats.neutral.codec import Heading
    from gateway.formats.neutral.completion import Choice, Completion
    from gateway.formats.neutral.events import Began, Closed, Ended, Finished, Grew, Opened

    heading = Heading("i", "m", 0, Conversation(()))
    if origin == "messages":
        thought = Reasoning("hm", signature="sig", origin=origin)
        grown = [Grew(0, "hm"), Grew(0, "sig", "signature")]
    else:
        thought = Reasoning(summary=("hm",), encrypted="enc", id="rs_1", origin=origin)
        grown = [Grew(0, "hm", "summary", new_summary=True), Grew(0, "enc", "encrypted")]
    if in_pieces:
        begun = Reasoning(id=thought.id, origin=origin)
        events = [Began(), Opened(0, begun), *grown, Closed(0), Finished("stop"), Ended()]
        encoder = CODEC.stream_encoder(heading)
        chunks = [json.loads(line[6:]) for line in encoder.encode(events).split(b"\r\n\r\n") if line]
        parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    else:
        answer = json.loads(CODEC.encode_answer(Completion((Choice((thought,), "stop"),)), heading))
        parts = answer["candidates"][0]["content"]["parts"]
    for part in parts:  # Google's SDKs read the signature as base64
        base64.b64decode(part.get("thoughtSignature", ""), validate=True)
    back = turns(user({"text": "Hi"}), model(*parts))[1][1]
    assert back[0] == thought


def test_tools_and_outputs_of_others_are_json_schemas() -> None:
    schema = {"type": "object", "additionalProperties": False}
    sent = written(
        Turn("user", (Text("Hi"),)),
        tools=(FunctionTool("f", "does", schema, strict=True), FunctionTool("g")),
        output=JsonOutput(schema, name="n"),
        tool_choice=ToolChoice("required", ("f",)),
        modalities=("text", "image"),
        stop=("x",),
    )
    assert sent["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does", "parametersJsonSchema": schema},
                {"name": "g"},
            ]
        }
    ]
    assert sent["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": schema,
        "responseModalities": ["TEXT", "IMAGE"],
        "stopSequences": ["x"],
    }
    assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}}


@pytest.mark.parametrize(
    ("thinking", "config"),
    [
        (Thinking("medium"), {"thinkingBudget": 8192}),
        (Thinking("none"), {"thinkingBudget": 0}),
        (Thinking("max"), {"thinkingBudget": 24576}),
        (Thinking(budget_tokens=100_000, visible=True), {"thinkingBudget": 24576, "includeThoughts": True}),
        (Thinking(adaptive=True), {"thinkingBudget": -1}),
        (Thinking("high", summary="auto"), {"thinkingBudget": 24576, "includeThoughts": True}),
    ],
)
def test_efforts_of_others_are_budgets(thinking: Thinking, config: Any) -> None:
    sent = written(Turn("user", (Text("Hi"),)), thinking=thinking)
    assert sent["generationConfig"]["thinkingConfig"] == config


def test_media_of_others() -> None:
    sent = written(
        Turn(
            "user",
            (
                Media("image", data=PNG),
                Media("image", url="https://x/a"),
                Media("file", text="plain", name="n.txt"),
            ),
        ),
        Turn("assistant", (ToolCall("c", "f"),)),
        Turn("tool", (ToolResult("c", (Media("image", "image/png", data=PNG),)),)),
    )
    assert sent["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"fileData": {"fileUri": "https://x/a"}},
        {"inlineData": {"mimeType": "text/plain", "data": "cGxhaW4=", "displayName": "n.txt"}},
    ]
    assert sent["contents"][2]["parts"][0]["functionResponse"] == {
        "id": "c",
        "name": "f",
        "response": {},
        "parts": [{"inlineData": {"mimeType": "image/png", "data": PNG}}],
    }


@pytest.mark.parametrize(
    ("kind", "url", "media_type"),
    [
        ("image", "https://x/a.PNG?size=1#top", "image/png"),
        ("image", "https://x/a.b/c.jpeg", "image/jpeg"),
        ("file", "https://x/a.pdf", "application/pdf"),
        ("video", "https://x/a.mp4", "video/mp4"),
        ("image", "https://x.png/a", None),
        ("video", "https://www.youtube.com/watch?v=1", None),
    ],
)
def test_the_end_of_an_url_tells_the_type_that_vertex_wants(
    kind: Any, url: str, media_type: str | None
) -> None:
    (part,) = written(Turn("user", (Media(kind, url=url),)))["contents"][0]["parts"]
    assert part["fileData"].get("mimeType") == media_type


def test_the_number_of_probabilities_is_not_said_where_none_are_wanted() -> None:
    assert "generationConfig" not in written(Turn("user", (Text("Hi"),)), top_logprobs=0)


@pytest.mark.parametrize("arguments", ["{", "[]", "5", '"text"'])
def test_arguments_that_are_no_object_are_turned_away(arguments: str) -> None:
    with pytest.raises(BadRequest):
        written(Turn("user", (Text("Hi"),)), Turn("assistant", (ToolCall("c", "f", arguments),)))


def test_what_google_cannot_call_is_refused() -> None:
    with pytest.raises(Unsupported):
        written(Turn("user", (Text("Hi"),)), tools=(CustomTool("sh"),))
    with pytest.raises(Unsupported):
        written(Turn("assistant", (ToolCall("c", "sh", "ls", custom=True),)))


def test_a_written_request_is_plain_json() -> None:
    sent = written(Turn("user", (Text("Hi"),)), temperature=0.5, choices=2, logprobs=True, top_logprobs=3)
    assert json.loads(msgspec.json.encode(sent)) == sent
    assert sent["generationConfig"] == {
        "temperature": 0.5,
        "candidateCount": 2,
        "responseLogprobs": True,
        "logprobs": 3,
    }
