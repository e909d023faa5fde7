"""Google's SDK reads what is written for Google's clients, streamed and not."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

from gateway.errors import Overloaded
from gateway.exchange import Usage
from gateway.formats.envelope import decode_members
from gateway.formats.gemini.codec import CODEC
from gateway.formats.neutral.check import check
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Began, Opened, whole
from gateway.formats.neutral.parts import Citation, Media, Reasoning, Text, ToolCall, ToolResult

HEADING = Heading("id-1", "shown", 7, Conversation(()))
ANSWER = Completion(
    (
        Choice(
            (
                Reasoning("hm", signature="sig", origin="messages"),
                Text("words", citations=(Citation("https://a", "A", start=0, end=5),)),
                Media("image", "image/png", data="iVBORw0KGgo="),
                ToolCall("c1", "weather", '{"city":"Rome"}'),
            ),
            "tool_calls",
        ),
    ),
    usage=Usage(10, 5, cached_tokens=4, reasoning_tokens=2),
)
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="weather",
            description="tells the weather",
            parameters=types.Schema(type="OBJECT", properties={"city": types.Schema(type="STRING")}),
        )
    ]
)


class Server:
    """Answers the SDK with bytes, keeps what it was sent."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.requests: list[httpx.Request] = []
        client = httpx.Client(transport=httpx.MockTransport(self.answer))
        self.models = genai.Client(
            api_key="k", http_options=types.HttpOptions(httpx_client=client, base_url="https://gateway.test")
        ).models

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        streams = "streamGenerateContent" in request.url.path
        kind = "text/event-stream" if streams else "application/json"
        return httpx.Response(200, content=self.body, headers={"content-type": kind})

    def asked(self) -> Conversation:
        return CODEC.decode_request(decode_members(self.requests[-1].content))


def replies(stream: bool, body: Completion, contents: Any, config: Any = None) -> tuple[list[Any], Server]:
    if stream:
        server = Server(CODEC.stream_encoder(HEADING).encode(whole(body)))
        given = {"model": "m", "contents": contents, "config": config}
        return list(server.models.generate_content_stream(**given)), server
    server = Server(CODEC.encode_answer(body, HEADING))
    return [server.models.generate_content(model="m", contents=contents, config=config)], server


@pytest.mark.parametrize("stream", [True, False])
def test_the_sdk_reads_an_answer(stream: bool) -> None:
    got, _ = replies(stream, ANSWER, "Hi")
    parts = [part for each in got for part in each.candidates[0].content.parts]
    assert [part.text for part in parts if part.text] == ["hm", "words"]
    assert parts[0].thought
    assert [part.function_call.args for part in parts if part.function_call] == [{"city": "Rome"}]
    assert [part.inline_data.data for part in parts if part.inline_data] == [base64.b64decode("iVBORw0KGgo=")]
    last = got[-1]
    assert last.candidates[0].finish_reason == types.FinishReason.STOP
    assert last.candidates[0].grounding_metadata.grounding_chunks[0].web.uri == "https://a"
    assert last.usage_metadata.total_token_count == 15
    assert last.usage_metadata.thoughts_token_count == 2
    assert (last.response_id, last.model_version) == ("id-1", "shown")


@pytest.mark.parametrize("stream", [True, False])
def test_the_next_turn_brings_back_what_was_said(stream: bool) -> None:
    got, _ = replies(stream, ANSWER, "Hi")
    said = [part for each in got for part in each.candidates[0].content.parts]
    history = [
        types.Content(role="user", parts=[types.Part(text="Hi")]),
        types.Content(role="model", parts=said),
        types.Content(
            role="user",
            parts=[types.Part.from_function_response(name="weather", response={"output": "sunny"})],
        ),
    ]
    config = types.GenerateContentConfig(
        tools=[WEATHER], system_instruction="S", max_output_tokens=9, temperature=0.5, top_k=3
    )
    _, server = replies(stream, ANSWER, history, config)
    asked = server.asked()
    roles = [turn.role for turn in asked.turns]
    assert roles == ["system", "user", "assistant", "tool"]
    thought, words, image, call = [part for part in asked.turns[2].parts if part != Text("")]
    assert thought == Reasoning("hm", signature="sig", origin="messages")
    assert words == Text("words")
    assert image.data == "iVBORw0KGgo="
    assert call == ToolCall("c1", "weather", '{"city":"Rome"}', origin="gemini")
    assert asked.turns[3].parts == (ToolResult("c1", (Text("sunny"),), "weather"),)
    assert (asked.max_tokens, asked.temperature, asked.top_k) == (9, 0.5, 3)
    assert asked.tools[0].parameters == {"type": "object", "properties": {"city": {"type": "string"}}}


class Talk(Server):
    """Answers each request with the next of several answers."""

    def __init__(self, *bodies: bytes) -> None:
        super().__init__(b"")
        self.bodies = iter(bodies)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.body = next(self.bodies)
        return super().answer(request)


CALLS = (ToolCall("c1", "clock"), ToolCall("c2", "place", '{"of":"Rome"}'))


@pytest.mark.parametrize(
    "said", [CALLS, (Text("Let me see."), *CALLS)], ids=["calls alone", "calls after words"]
)
@pytest.mark.parametrize("stream", [True, False])
def test_the_sdk_calls_functions_by_itself(stream: bool, said: tuple[Any, ...]) -> None:
    called = list[str]()

    def clock() -> str:
        """Tell the time."""
        called.append("clock")
        return "noon"

    def place(of: str) -> str:
        """Tell where something is."""
        called.append(of)
        return "Italy"

    answers = [Completion((Choice(said, "tool_calls"),)), Completion((Choice((Text("Noon."),), "stop"),))]
    if stream:
        server = Talk(*(CODEC.stream_encoder(HEADING).encode(whole(each)) for each in answers))
    else:
        server = Talk(*(CODEC.encode_answer(each, HEADING) for each in answers))
    chat = genai.chats.Chats(server.models).create(
        model="m", config=types.GenerateContentConfig(tools=[clock, place])
    )
    if stream:
        assert "".join(each.text or "" for each in chat.send_message_stream("When?")).endswith("Noon.")
    else:
        assert chat.send_message("When?").text == "Noon."
    assert called == ["clock", "Rome"]
    check(server.asked())
    results = [part for turn in server.asked().turns if turn.role == "tool" for part in turn.parts]
    assert [(each.call_id, each.name) for each in results] == [("c1", "clock"), ("c2", "place")]


def test_the_sdk_sees_an_error_in_a_stream() -> None:
    encoder = CODEC.stream_encoder(HEADING)
    body = encoder.encode([Began(), Opened(0, Text("a"))]) + encoder.fail(Overloaded("busy"))
    server = Server(body)
    stream = server.models.generate_content_stream(model="m", contents="Hi")
    assert next(stream).text == "a"
    with pytest.raises(errors.ServerError, match="busy"):
        next(stream)


def test_the_sdk_reads_a_blocked_prompt() -> None:
    extra = {"promptFeedback": {"blockReason": "SAFETY"}}
    got, _ = replies(False, Completion((Choice(finish="content_filter"),), extra=extra), "Hi")
    assert got[0].prompt_feedback.block_reason == types.BlockedReason.SAFETY
    assert json.loads(got[0].model_dump_json(exclude_none=True)).get("candidates") is None
