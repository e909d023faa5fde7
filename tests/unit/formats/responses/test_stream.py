"""Streams for clients: what the SDK makes of them, and what a decoder of this format reads back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec
import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from gateway.errors import Overloaded
from gateway.exchange import Usage
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, TokenLogprob
from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Grew,
    Metered,
    Opened,
    join,
    whole,
)
from gateway.formats.neutral.parts import Citation, Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.responses.codec import CODEC

HEADING = Heading("call-1", "shown", 7, Conversation((Turn("user", (Text("hi"),)),)))
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = Usage(9, 3, reasoning_tokens=1)
END: list[Event] = [Finished("stop"), Metered(USAGE), Ended()]


def write(events: Iterable[Event], *, one_by_one: bool = False) -> bytes:
    encoder = CODEC.stream_encoder(HEADING)
    if one_by_one:
        return b"".join([encoder.encode([event]) for event in events])
    return encoder.encode(list(events))


def read(body: bytes) -> list[Event]:
    decoder = CODEC.stream_decoder(1_000_000)
    return decoder.feed(body) + decoder.close()


def chunks(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream, each checked by the SDK's types and against the name of its event."""
    found = []
    for event in body.decode().split("\n\n")[:-1]:
        name, data = event.split("\n")
        chunk = json.loads(data.removeprefix("data: "))
        EVENTS.validate_python(chunk)
        assert name == f"event: {chunk['type']}"
        found.append(chunk)
    assert [chunk["sequence_number"] for chunk in found] == list(range(len(found)))
    return found


def sdk(body: bytes) -> OpenAI:
    """A client whose every call is answered by `body`."""
    headers = {"content-type": "text/event-stream"}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body, headers=headers))
    return OpenAI(
        api_key="k",
        base_url="http://gateway/v1",
        http_client=httpx.Client(transport=transport),
        max_retries=0,
    )


def accumulated(body: bytes) -> Response:
    with sdk(body).responses.stream(model="m", input="hi") as stream:
        return stream.get_final_response()


def text_stream(*words: str) -> list[Event]:
    grown: list[Event] = [Grew(0, word) for word in words]
    return [Began("id", "told", 5), Opened(0, Text("")), *grown, Closed(0), *END]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_text_is_said_in_openais_events(one_by_one: bool) -> None:
    body = write(text_stream("Hel", "lo"), one_by_one=one_by_one)
    assert [chunk["type"] for chunk in chunks(body)] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    answer = accumulated(body)
    assert (answer.output_text, answer.model, answer.id) == ("Hello", "told", "resp_call-1")
    assert answer.usage
    assert answer.usage.output_tokens_details.reasoning_tokens == 1


SEARCH = {
    "type": "web_search_call",
    "id": "ws_1",
    "status": "completed",
    "action": {"type": "search", "query": "x"},
}
PARTS: list[tuple[Part, ...]] = [
    (Text("a"),),
    (Text("a"), Text("b"), Refusal("no")),
    (Text("a", citations=(Citation("https://x", "t", start=0, end=1),)),),
    (Reasoning("hm", signature="sig", origin="messages"), Text("a")),
    (Reasoning(summary=("s", "t"), encrypted="e", id="rs_1", origin="responses"), ToolCall("c", "f", "{}")),
    (Reasoning(encrypted="hidden", origin="messages"), Text("a"), ToolCall("c", "f", "{}"), Text("b")),
    (ToolCall("c", "f"), ToolCall("d", "g", custom=True)),
    (Text("a"), ToolCall("c", "f", '{"a":1}'), ToolCall("d", "g", "2+2", custom=True)),
    (ToolCall("c", "f", "{}", signature="thought", origin="gemini"),),
    (Text("a", signature="thought"), Text("b")),
    (Opaque("responses", "web_search_call", SEARCH),),
    (Opaque("messages", "server_tool_use", {}), Text("a")),
    (Media("image", "image/png", data="aWI="), Text("a")),
    (Text("a"), Media("audio", data="aWI=", transcript="spoken"), Text("b")),
    (),
]


@pytest.mark.parametrize("parts", PARTS)
def test_a_whole_answer_said_as_a_stream_is_the_same_answer(parts: tuple[Part, ...]) -> None:
    completion = Completion((Choice(parts, finish="stop"),), usage=USAGE)
    body = write(whole(completion))
    last = chunks(body)[-1]
    wanted = json.loads(CODEC.encode_answer(completion, HEADING))
    assert unnamed(last["response"]) == unnamed(wanted)
    accumulated(body)
    at_once = CODEC.decode_answer(msgspec.json.encode(last["response"]))
    assert join(read(body)).choices[0].parts == at_once.choices[0].parts


def unnamed(response: dict[str, Any]) -> Any:
    """An answer without the numbers in its items' names."""
    return json.loads(json.dumps(response).replace("call-1_", "")) | {
        "output": [
            {name: value for name, value in item.items() if name != "id"} for item in response["output"]
        ]
    }


@pytest.mark.parametrize("parts", PARTS)
def test_what_ends_with_its_whole_needs_no_growth(parts: tuple[Part, ...]) -> None:
    grown = whole(Completion((Choice(parts, finish="stop"),), usage=USAGE))
    emptied: list[Event] = []
    for number, part in enumerate(parts):
        empty = part if isinstance(part, Opaque | Media) else EMPTY[type(part)](part)
        emptied += [Opened(number, empty), Closed(number, content=part)]
    body = write([grown[0], *emptied, *END])
    wanted = chunks(write(grown))[-1]["response"]
    assert unnamed(chunks(body)[-1]["response"]) == unnamed(wanted)


EMPTY: dict[type, Any] = {
    Text: lambda part: Text("", signature=part.signature),
    Refusal: lambda _: Refusal(""),
    Reasoning: lambda part: Reasoning(id=part.id, origin=part.origin),
    ToolCall: lambda part: msgspec.structs.replace(part, arguments=""),
}


def test_an_answer_of_this_format_keeps_one_name_from_beginning_to_end() -> None:
    """Said as a stream, it tells only at its end that it is of this format."""
    body = {"id": "resp_up", "object": "response", "status": "completed", "output": [], "background": True}
    written = write(whole(CODEC.decode_answer(json.dumps(body).encode())))
    assert {chunk["response"]["id"] for chunk in chunks(written)} == {"resp_call-1"}
    accumulated(written)


def test_parts_that_interleave_are_items_of_their_own() -> None:
    events: list[Event] = [
        Began(),
        Opened(0, Text("")),
        Grew(0, "a"),
        Opened(1, ToolCall("c", "f")),
        Opened(2, ToolCall("d", "g")),
        Grew(2, "{}", "arguments"),
        Grew(0, "b"),
        Grew(1, "[1]", "arguments"),
        Closed(2),
        Opened(3, Text("late")),
        Closed(0),
        *END,
    ]
    body = write(events)
    chunks(body)
    answer = accumulated(body)
    assert [item.type for item in answer.output] == ["message", "function_call", "function_call", "message"]
    assert answer.output_text == "ablate"
    assert [getattr(item, "arguments", "") for item in answer.output] == ["", "[1]", "{}", ""]


def test_thoughts_and_their_proof_grow() -> None:
    events: list[Event] = [
        Began(),
        Opened(0, Reasoning(origin="messages")),
        Grew(0, "h"),
        Grew(0, "m"),
        Grew(0, "sig", "signature"),
        Closed(0),
        Opened(1, Reasoning(origin="responses", id="rs_1")),
        Grew(1, "a", "summary", new_summary=True),
        Grew(1, "b", "summary"),
        Grew(1, "c", "summary", new_summary=True),
        Grew(1, "e", "encrypted"),
        Closed(1),
        *END,
    ]
    body = write(events)
    chunks(body)
    first, second = join(read(body)).choices[0].parts
    assert (first, second) == (
        Reasoning("hm", signature="sig", id="rs_call-1_0", origin="messages"),
        Reasoning(summary=("ab", "c"), encrypted="e", id="rs_1", origin="responses"),
    )


def test_a_signature_that_comes_late_stands_behind_its_part() -> None:
    events: list[Event] = [Opened(0, Text("a")), Grew(0, "thought", "signature"), Closed(0)]
    events += [Opened(1, ToolCall("c", "f", "{}")), Grew(1, "other", "signature"), Closed(1)]
    output = chunks(write([Began(), *events, *END]))[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "reasoning", "function_call", "reasoning"]
    assert output[1]["encrypted_content"] == "forebay.gemini.thought"


def test_citations_and_tokens_are_said_where_they_come() -> None:
    cited = Citation("https://x", "t", start=0, end=1)
    events: list[Event] = [
        Began(),
        Opened(0, Text("")),
        Grew(0, "a", logprobs=(TokenLogprob("a", -0.5, (97,)),)),
        Cited(0, cited),
        Closed(0),
        *END,
    ]
    body = write(events)
    assert [c["annotation_index"] for c in chunks(body) if "annotation" in c] == [0]
    choice = join(read(body)).choices[0]
    assert choice.logprobs == (TokenLogprob("a", -0.5, (97,)),)
    assert isinstance(choice.parts[0], Text)
    assert choice.parts[0].citations[0].url == "https://x"


@pytest.mark.parametrize(
    ("finished", "kind", "status"),
    [
        (Finished("length", "max_tokens"), "response.incomplete", "incomplete"),
        (Finished("content_filter", "SAFETY"), "response.incomplete", "incomplete"),
        (Finished("refusal", "refusal"), "response.incomplete", "incomplete"),
        (Finished("error", "error"), "response.failed", "failed"),
    ],
)
def test_the_last_event_says_how_it_ended(finished: Finished, kind: str, status: str) -> None:
    last = chunks(write([Began(), Opened(0, Text("a")), Closed(0), finished, Ended()]))[-1]
    assert (last["type"], last["response"]["status"]) == (kind, status)


def test_a_refusal_that_says_so_is_a_whole_answer() -> None:
    events = [Began(), Opened(0, Refusal("no")), Closed(0), Finished("refusal"), Ended()]
    assert chunks(write(events))[-1]["type"] == "response.completed"


def test_a_call_without_arguments_can_be_parsed() -> None:
    body = write([Began(), Opened(0, ToolCall("c", "f")), Closed(0), *END])
    done = [chunk for chunk in chunks(body) if chunk["type"] == "response.function_call_arguments.done"]
    assert [chunk["arguments"] for chunk in done] == ["{}"]
    (call,) = accumulated(body).output
    assert call.type == "function_call"
    assert call.arguments == "{}"


def test_only_the_first_choice_is_written() -> None:
    events = [Began(), Opened(0, Text("a")), Opened(1, Text("b"), 1), Grew(1, "c", choice=1), *END]
    assert accumulated(write(events)).output_text == "a"


@pytest.mark.parametrize("inside", [False, True])
def test_a_failure_is_an_error_of_the_sdk_and_nothing_follows(inside: bool) -> None:
    error = Overloaded("out of capacity", code="busy")
    encoder = CODEC.stream_encoder(HEADING)
    body = encoder.encode([Began(), Opened(0, Text("a"))])
    body += encoder.encode([Faulted(error)]) if inside else encoder.fail(error)
    assert encoder.encode([Grew(0, "b"), *END]) == b""
    assert [chunk["type"] for chunk in chunks(body)[-2:]] == ["error", "response.failed"]
    with (
        pytest.raises(openai.APIError, match="out of capacity"),
        sdk(body).responses.create(model="m", input="hi", stream=True) as stream,
    ):
        list(stream)
    faults = [event.error for event in read(body) if isinstance(event, Faulted)]
    assert [fault.message for fault in faults] == ["out of capacity"]


def test_a_failure_before_the_beginning_is_told_in_a_stream_too() -> None:
    kinds = [chunk["type"] for chunk in chunks(CODEC.stream_encoder(HEADING).fail(Overloaded("no")))]
    assert kinds == ["response.created", "response.in_progress", "error", "response.failed"]


def test_what_grows_is_said_at_once() -> None:
    encoder = CODEC.stream_encoder(HEADING)
    for event in text_stream("a", "b")[:-3]:
        assert encoder.encode([event])
