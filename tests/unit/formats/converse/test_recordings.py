"""Recorded Converse traffic: nothing is overlooked, nothing is lost, however its bytes are split."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from rig import recordings
from rig.recordings import Recording, parameters

from gateway.formats.converse.codec import CODEC
from gateway.formats.converse.types import Answer, Request
from gateway.formats.framing.event_stream import FrameReader
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Began, Ended, Event, Metered, join

pytestmark = pytest.mark.wire

ALL = recordings.load("bedrock.converse")
REQUESTS = parameters(r for r in ALL if r.request)
ANSWERS = parameters(r for r in ALL if r.status == 200 and not r.is_stream)
STREAMS = parameters(r for r in ALL if r.status == 200 and r.is_stream)
HEADING = Heading("1", "m", 1_700_000_000, Conversation(()))
LIMIT_BYTES = 1 << 20


def plain(value: Any) -> Any:
    """JSON without what says nothing: null, and what is empty."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    members = {name: plain(inner) for name, inner in value.items()}
    return {name: inner for name, inner in members.items() if inner not in (None, "", [], {})}


def without_defaults(block: dict[str, Any]) -> dict[str, Any]:
    """A block without what is so anyway: that a client's tool succeeded, that a call is a call."""
    result, call = block.get("toolResult", {}), block.get("toolUse", {})
    if result.get("status") == "success" and "type" not in result:
        return {"toolResult": {name: value for name, value in result.items() if name != "status"}}
    if call.get("type") == "tool_use":
        return {"toolUse": {name: value for name, value in call.items() if name != "type"}}
    return block


def events_of(pieces: list[bytes]) -> list[Event]:
    decoder = CODEC.stream_decoder(LIMIT_BYTES)
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


@pytest.mark.parametrize("recording", REQUESTS)
def test_a_request_is_the_same_after_decoding_and_encoding(recording: Recording) -> None:
    assert recording.request is not None
    members = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in recording.request.items()}
    again = json.loads(msgspec.json.encode(CODEC.encode_request(CODEC.decode_request(members))))
    expected = json.loads(json.dumps(recording.request))
    for message in expected["messages"]:
        message["content"] = [without_defaults(block) for block in message["content"]]
    assert plain(again) == plain(expected)


@pytest.mark.parametrize("recording", ANSWERS)
def test_an_answer_is_the_same_after_decoding_and_encoding(recording: Recording) -> None:
    again = json.loads(CODEC.encode_answer(CODEC.decode_answer(recording.body), HEADING))
    expected = json.loads(recording.body)
    message = expected["output"]["message"]
    message["content"] = [without_defaults(block) for block in message["content"]]
    assert plain(again) == plain(expected)


@pytest.mark.parametrize("recording", ANSWERS)
def test_the_totals_that_are_told_are_those_of_the_neutral_count(recording: Recording) -> None:
    usage, told = CODEC.decode_answer(recording.body).usage, json.loads(recording.body)["usage"]
    assert usage is not None
    assert usage.input_tokens + usage.output_tokens == told["totalTokens"]


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_says_the_same_however_it_is_split(recording: Recording) -> None:
    whole = events_of([recording.body])
    assert isinstance(whole[0], Began)
    assert isinstance(whole[-1], Ended)
    assert sum(isinstance(event, Metered) for event in whole) == 1
    for size in (1, 7, 100, 1000):
        body = recording.body
        assert events_of([body[i : i + size] for i in range(0, len(body), size)]) == whole


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_is_the_same_after_encoding_and_decoding(recording: Recording) -> None:
    events = events_of([recording.body])
    encoder = CODEC.stream_encoder(HEADING)
    assert join(events_of([encoder.encode([event]) for event in events])) == join(events)


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_joins_to_what_its_frames_say(recording: Recording) -> None:
    texts, words, usage = "", [], {}
    for headers, payload in FrameReader(LIMIT_BYTES).feed(recording.body):
        event = json.loads(payload)
        texts += event.get("delta", {}).get("text", "")
        words += [event["stopReason"]] if headers[":event-type"] == "messageStop" else []
        usage = event.get("usage", usage)
    completion = join(events_of([recording.body]))
    assert "".join(part.text for part in completion.choices[0].parts if hasattr(part, "citations")) == texts
    assert [completion.choices[0].finish_raw] == words
    assert completion.usage is not None
    assert completion.usage.input_tokens == usage["inputTokens"]
    assert completion.usage.output_tokens == usage["outputTokens"]


@pytest.mark.parametrize("recording", STREAMS)
def test_a_streams_parts_are_those_of_a_whole_answer(recording: Recording) -> None:
    """Opaque parts too: what a stream says in events is put together as a whole answer says it."""
    joined = join(events_of([recording.body]))
    again: Completion = CODEC.decode_answer(CODEC.encode_answer(joined, HEADING))
    assert [type(part) for part in again.choices[0].parts] == [type(part) for part in joined.choices[0].parts]
    assert again.usage == joined.usage
    assert again.extra == joined.extra
    assert again.choices[0].finish_raw == joined.choices[0].finish_raw


def test_the_types_take_every_recorded_member() -> None:
    for recording in ALL:
        if recording.status == 200 and not recording.is_stream:
            told = msgspec.to_builtins(msgspec.json.decode(recording.body, type=Answer))
            assert plain(told) == plain(json.loads(recording.body))
        if recording.request:
            told = msgspec.to_builtins(msgspec.convert(recording.request, Request))
            assert plain(told) == plain(recording.request)
