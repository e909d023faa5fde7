"""Recorded traffic of the Gemini API and of Vertex, through the codec and back."""

from __future__ import annotations

import contextlib
import json
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.recordings import Recording, load, parameters

from gateway.errors import Broken
from gateway.formats.framing.sse import data_of, split_events
from gateway.formats.gemini.codec import CODEC
from gateway.formats.gemini.names import canonical
from gateway.formats.gemini.types import Answer, Message, Request
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Ended, Event, Finished, join
from gateway.formats.neutral.parts import Reasoning, Text, ToolCall

pytestmark = pytest.mark.wire

LIMIT = 1 << 20
HEADING = Heading("id", "model", 0, Conversation(()))
ALL = load("gemini.generate")
REQUESTS = [each for each in ALL if each.request]
ANSWERS = [each for each in ALL if each.status == 200 and not each.is_stream]
STREAMS = [each for each in ALL if each.status == 200 and each.is_stream]


def said(value: Any) -> Any:
    """A JSON value without what says nothing."""
    if isinstance(value, dict):
        return {
            name: kept for name, inner in value.items() if (kept := said(inner)) not in (None, "", [], {})
        }
    return [said(inner) for inner in value] if isinstance(value, list) else value


def unread(value: Any, kind: type[Message], place: str = "") -> list[str]:
    """The places of members that no field of a message takes."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    found = []
    for name, inner in value.items():
        if name not in fields:
            found.append(f"{place}.{name}")
            continue
        for message in _messages(fields[name]):
            for each in inner if isinstance(inner, list) else [inner]:
                found += unread(each, message, f"{place}.{name}")
    return found


def _messages(type_: Any) -> list[type[Message]]:
    if isinstance(type_, type) and issubclass(type_, Message):
        return [type_]
    return [found for inner in getattr(type_, "__args__", ()) for found in _messages(inner)]


def members_of(recording: Recording) -> dict[str, msgspec.Raw]:
    assert recording.request is not None
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in recording.request.items()}


def chunks_of(recording: Recording) -> list[dict[str, Any]]:
    if recording.body.startswith(b"["):
        return json.loads(recording.body)
    return [json.loads(data) for event in split_events(recording.body) if (data := data_of(event))]


def finish_of(recording: Recording) -> str | int:
    return chunks_of(recording)[-1]["candidates"][0]["finishReason"]


def events_of(body: bytes, cuts: list[int] | None = None) -> list[Event]:
    decoder = CODEC.stream_decoder(LIMIT)
    places = [0, *sorted(cuts or []), len(body)]
    pieces = [body[start:end] for start, end in pairwise(places)]
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


@pytest.mark.parametrize("recording", parameters(REQUESTS))
def test_a_request_comes_back_as_it_was(recording: Recording) -> None:
    written = CODEC.encode_request(CODEC.decode_request(members_of(recording)))
    whole = {name: value for name, value in recording.request.items() if name != "model"}
    assert said(written) == said(canonical(whole, Request))


@pytest.mark.parametrize("recording", parameters(REQUESTS))
def test_each_member_of_a_request_is_modelled(recording: Recording) -> None:
    assert unread(canonical(recording.request, Request), Request) == []


@pytest.mark.parametrize("recording", parameters(ANSWERS))
def test_an_answer_comes_back_as_it_was(recording: Recording) -> None:
    written = CODEC.encode_answer(CODEC.decode_answer(recording.body), HEADING)
    assert json.loads(written) == json.loads(recording.body)


@pytest.mark.parametrize("recording", parameters([*ANSWERS, *STREAMS]))
def test_each_member_of_an_answer_is_modelled(recording: Recording) -> None:
    answers = chunks_of(recording) if recording.is_stream else [json.loads(recording.body)]
    assert [place for answer in answers for place in unread(answer, Answer)] == []


@pytest.mark.parametrize("recording", parameters([*ANSWERS, *STREAMS]))
def test_the_tokens_add_up_to_the_total(recording: Recording) -> None:
    if recording.is_stream:
        usage, told = join(events_of(recording.body)).usage, chunks_of(recording)[-1]["usageMetadata"]
    else:
        usage, told = CODEC.decode_answer(recording.body).usage, json.loads(recording.body)["usageMetadata"]
    if "totalTokenCount" not in told:
        assert usage is None
    else:
        assert usage is not None
        assert usage.input_tokens + usage.output_tokens == told["totalTokenCount"]
        assert usage.reasoning_tokens == told.get("thoughtsTokenCount", 0)
        assert usage.cached_tokens == told.get("cachedContentTokenCount", 0)


@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_a_stream_says_what_the_wire_says(recording: Recording) -> None:
    parts = [
        part
        for chunk in chunks_of(recording)
        for part in chunk["candidates"][0].get("content", {}).get("parts", [])
    ]
    choice = join(events_of(recording.body)).choices[0]
    words = "".join(part.text for part in choice.parts if isinstance(part, Text))
    assert words == "".join(part.get("text", "") for part in parts if not part.get("thought"))
    thoughts = "".join(part.text for part in choice.parts if isinstance(part, Reasoning))
    assert thoughts == "".join(part["text"] for part in parts if part.get("thought"))
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        (part["functionCall"]["name"], part["functionCall"]["args"])
        for part in parts
        if "functionCall" in part
    ]
    signatures = [
        part.signature for part in choice.parts if isinstance(part, Text | ToolCall) and part.signature
    ]
    assert signatures == [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
    assert choice.finish_raw == {1: "STOP"}.get(told := finish_of(recording), told)


@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_a_stream_ends_once_and_last(recording: Recording) -> None:
    events = events_of(recording.body)
    assert [type(event) for event in events].count(Ended) == 1
    assert isinstance(events[-1], Ended)
    assert [type(event) for event in events].count(Finished) == 1


@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_a_stream_cut_into_bytes_says_the_same(recording: Recording) -> None:
    assert events_of(recording.body, list(range(len(recording.body)))) == events_of(recording.body)


@pytest.mark.parametrize("recording", parameters(STREAMS))
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_a_stream_cut_anywhere_says_the_same(recording: Recording, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(recording.body)), max_size=8))
    assert events_of(recording.body, cuts) == events_of(recording.body)


@pytest.mark.parametrize("recording", parameters(STREAMS))
@pytest.mark.parametrize("at_once", [True, False])
def test_a_stream_written_again_says_the_same(recording: Recording, at_once: bool) -> None:
    events = events_of(recording.body)
    encoder = CODEC.stream_encoder(HEADING)
    written = encoder.encode(events) if at_once else b"".join(encoder.encode([event]) for event in events)
    assert join(events_of(written)) == join(events)


@pytest.mark.parametrize(
    "recording", parameters([each for each in ALL if each.status != 200 and each.is_stream])
)
@pytest.mark.parametrize("stepped", [True, False])
def test_an_error_labelled_as_a_stream_is_one(recording: Recording, stepped: bool) -> None:
    events = events_of(recording.body, list(range(len(recording.body))) if stepped else None)
    assert len(events) == 1
    assert events[0].error.message == json.loads(recording.body)["error"]["message"]


@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_half_a_stream_has_not_ended(recording: Recording) -> None:
    half = recording.body[: recording.body.rfind(b'"finishReason"')]
    decoder = CODEC.stream_decoder(LIMIT)
    events = decoder.feed(half)
    with contextlib.suppress(Broken):
        events += decoder.close()
    assert not any(isinstance(event, Ended | Finished) for event in events)
