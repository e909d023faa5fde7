"""Recorded exchanges with Cohere: everything is read, and written again as it was."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig.recordings import Recording, load, parameters

from gateway.formats.cohere import types
from gateway.formats.cohere.codec import CODEC
from gateway.formats.framing.sse import data_of, split_events
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Event, Faulted, join
from gateway.formats.neutral.parts import Reasoning, Text, ToolCall

pytestmark = pytest.mark.wire

ALL = load("cohere.chat.v2")
ANSWERED = [recording for recording in ALL if recording.status == 200]
WHOLE = [recording for recording in ANSWERED if not recording.is_stream]
STREAMS = [recording for recording in ANSWERED if recording.is_stream]
HEADING = Heading("call", "model", 0, Conversation(()))
LIMIT_BYTES = 1 << 20


def plain(value: Any) -> Any:
    """Drop what says nothing, and write a lone text as a text."""
    if isinstance(value, list):
        items = [plain(item) for item in value]
        lone = items[0] if len(items) == 1 and isinstance(items[0], dict) else {}
        return lone.get("text", "") if lone.get("type") == "text" and len(lone) <= 2 else items
    if isinstance(value, dict):
        kept = {name: plain(inner) for name, inner in value.items()}
        return {name: inner for name, inner in kept.items() if inner not in (None, "", [], {})}
    return value


def decoded(recording: Recording, size: int = 0) -> list[Event]:
    reader = CODEC.stream_decoder(LIMIT_BYTES)
    body = recording.body
    pieces = [body[i : i + size] for i in range(0, len(body), size)] if size else [body]
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


def comparable(completion: Completion) -> Any:
    return msgspec.to_builtins(msgspec.structs.replace(completion, created_unix_s=0))


@pytest.mark.parametrize("recording", parameters(ALL))
def test_a_request_is_written_again_as_it_was(recording: Recording) -> None:
    assert recording.request is not None
    members = {name: msgspec.Raw(json.dumps(value).encode()) for name, value in recording.request.items()}
    written = CODEC.encode_request(CODEC.decode_request(members))
    assert plain(json.loads(msgspec.json.encode(written | {"model": recording.request["model"]}))) == plain(
        recording.request
    )


@pytest.mark.parametrize("recording", parameters(WHOLE))
def test_an_answer_is_written_again_as_it_was(recording: Recording) -> None:
    written = CODEC.encode_answer(CODEC.decode_answer(recording.body), HEADING)
    assert plain(json.loads(written)) == plain(json.loads(recording.body))


@pytest.mark.parametrize("recording", parameters(ALL))
def test_no_member_is_left_unread(recording: Recording) -> None:
    kinds = {True: types.Chunk, False: types.Answer}
    bodies = [data_of(event) for event in split_events(recording.body)]
    values = [(kinds[recording.is_stream], data) for data in bodies if data and data != b"[DONE]"]
    if not recording.is_stream:
        values = [(types.Answer, recording.body)] if recording.status == 200 else []
    values.append((types.Request, json.dumps(recording.request).encode()))
    for kind, data in values:
        read = json.loads(msgspec.json.encode(msgspec.json.decode(data, type=kind)))
        assert plain(read) == plain(json.loads(data))


@pytest.mark.parametrize("recording", parameters(STREAMS))
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_stream_says_the_same_however_it_is_split(recording: Recording, size: int) -> None:
    assert msgspec.to_builtins(_shown(decoded(recording, size))) == msgspec.to_builtins(
        _shown(decoded(recording))
    )


def _shown(events: list[Event]) -> list[Any]:
    return [(type(event).__name__, "" if isinstance(event, Faulted) else event) for event in events]


@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_a_stream_says_what_is_on_the_wire(recording: Recording) -> None:
    events = [
        json.loads(data) for event in split_events(recording.body) if (data := data_of(event))[:1] == b"{"
    ]
    joined = join(decoded(recording))
    parts = joined.choices[0].parts
    texts = [part.text for part in parts if isinstance(part, Text)]
    thoughts = [part.text for part in parts if isinstance(part, Reasoning)]
    calls = [part.arguments for part in parts if isinstance(part, ToolCall)]
    grown: dict[str, str] = {"text": "", "thinking": "", "arguments": ""}
    for event in events:
        message = (event.get("delta") or {}).get("message") or {}
        content, made = message.get("content") or {}, message.get("tool_calls") or {}
        grown["text"] += content.get("text", "") if content else ""
        grown["thinking"] += (content.get("thinking", "") if content else "") + message.get("tool_plan", "")
        grown["arguments"] += made["function"]["arguments"] if made else ""
    assert ("".join(texts), "".join(thoughts), "".join(calls)) == tuple(grown.values())
    end = events[-1]["delta"]
    if "error" not in end:
        assert joined.choices[0].finish_raw == end["finish_reason"]
        assert joined.usage is not None
        assert joined.usage.output_tokens == end["usage"]["billed_units"]["output_tokens"]


@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_a_stream_written_again_says_the_same(recording: Recording) -> None:
    events = decoded(recording)
    again = CODEC.stream_decoder(LIMIT_BYTES).feed(CODEC.stream_encoder(HEADING).encode(events))
    assert comparable(join(again)) == comparable(join(events))
