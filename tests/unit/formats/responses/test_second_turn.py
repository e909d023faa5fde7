"""What the SDK sends back in a second turn: the output of the first, appended to its input."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest
from openai import OpenAI
from pydantic import BaseModel

from gateway.formats.neutral.check import check
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import whole
from gateway.formats.neutral.parts import Part, Reasoning, Text, ToolCall, ToolResult
from gateway.formats.responses.codec import CODEC


class Place(BaseModel):
    city: str


CALL = ToolCall("call_1", "look", '{"at": 1}')
ANSWERS: list[tuple[Part, ...]] = [
    (Reasoning("hm", signature="sig", origin="messages"), CALL),
    (Reasoning("hm", origin="chat"), CALL),
    (Reasoning(encrypted="hidden", origin="messages"), Text('{"city":"Rome"}'), CALL),
    (Reasoning(summary=("s", "t"), encrypted="e", id="rs_1", origin="responses"), CALL),
]


class Gateway:
    """Answers each request with the same parts, whole or as a stream, and keeps what it was asked."""

    def __init__(self, parts: tuple[Part, ...]) -> None:
        self.completion = Completion((Choice(parts, finish="tool_calls"),))
        self.asked: list[Conversation] = []
        transport = httpx.MockTransport(self.answer)
        self.client = OpenAI(
            api_key="k", base_url="http://gateway/v1", http_client=httpx.Client(transport=transport)
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        members = msgspec.json.decode(request.content, type=dict[str, msgspec.Raw])
        conversation = CODEC.decode_request(members)
        self.asked.append(conversation)
        heading = Heading("call-1", "m", 1, conversation)
        if not conversation.stream:
            body = CODEC.encode_answer(self.completion, heading)
            return httpx.Response(200, content=body, headers={"content-type": "application/json"})
        body = CODEC.stream_encoder(heading).encode(whole(self.completion))
        return httpx.Response(200, content=body, headers={"content-type": "text/event-stream"})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("parts", ANSWERS)
def test_a_parsed_answer_goes_back_with_its_makers_name(parts: tuple[Part, ...], stream: bool) -> None:
    gateway = Gateway(parts)
    ask: list[Any] = [{"role": "user", "content": "where?"}]
    if stream:
        with gateway.client.responses.stream(model="m", input=ask, text_format=Place) as events:
            answer = events.get_final_response()
    else:
        answer = gateway.client.responses.parse(model="m", input=ask, text_format=Place)
    if any(isinstance(part, Text) for part in parts):
        assert answer.output_parsed == Place(city="Rome")
    ask += [*answer.output, {"type": "function_call_output", "call_id": "call_1", "output": "here"}]
    gateway.client.responses.create(model="m", input=ask)
    turns = gateway.asked[-1].turns
    check(gateway.asked[-1])
    assert [turn.role for turn in turns] == ["user", "assistant", "tool"]
    back = [part for part in turns[1].parts if isinstance(part, Reasoning)]
    given = [part for part in parts if isinstance(part, Reasoning)]
    assert [msgspec.structs.replace(part, id="") for part in back] == [
        msgspec.structs.replace(part, id="") for part in given
    ]
    calls = [part for part in turns[1].parts if isinstance(part, ToolCall)]
    assert [(call.id, call.name, call.arguments) for call in calls] == [("call_1", "look", '{"at": 1}')]
    assert turns[2].parts == (ToolResult("call_1", (Text("here"),)),)


def test_a_signature_of_a_call_goes_back_before_the_call() -> None:
    gateway = Gateway((ToolCall("call_1", "look", "{}", signature="thought", origin="gemini"),))
    ask: list[Any] = [{"role": "user", "content": "where?"}]
    answer = gateway.client.responses.create(model="m", input=ask)
    gateway.client.responses.create(model="m", input=[*ask, *answer.output])
    kinds = [
        (type(part).__name__, getattr(part, "encrypted", "")) for part in gateway.asked[-1].turns[1].parts
    ]
    assert kinds == [("Reasoning", "thought"), ("ToolCall", "")]


def test_what_the_sdk_dumps_is_taken_back() -> None:
    gateway = Gateway(ANSWERS[0])
    answer = gateway.client.responses.create(model="m", input="where?")
    items = json.loads(answer.model_dump_json())["output"]
    gateway.client.responses.create(model="m", input=items)
    assert gateway.asked[-1].turns[0].parts[0] == Reasoning(
        "hm", signature="sig", id="rs_call-1_0", origin="messages"
    )
