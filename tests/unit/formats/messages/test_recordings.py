"""Recorded traffic of Anthropic and of Claude on Vertex: nothing is lost, whatever the network does."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from rig.recordings import Recording, load, parameters

from gateway.formats.envelope import decode_members
from gateway.formats.framing.sse import data_of, split_events
from gateway.formats.messages.codec import CODEC
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Ended, Event, join

pytestmark = pytest.mark.wire

HEADING = Heading("1", "asked-for", 0, Conversation(()))
RECORDINGS = load("anthropic.messages")
REQUESTS = [r for r in RECORDINGS if r.request]
ANSWERS = [r for r in RECORDINGS if r.status == 200 and not r.is_stream]
STREAMS = [r for r in RECORDINGS if r.status == 200 and r.is_stream]

LEDGER = {"caller": {"type": "direct"}, "is_error": False, "stream": False}
"""Members left out when they say what holds anyway."""


def normal(value: Any) -> Any:
    """Take out what says nothing: null, empty, a lone text written as a list, and the ledger."""
    if isinstance(value, dict):
        kept = {k: normal(v) for k, v in value.items() if LEDGER.get(k, ...) != v}
        if "content" in kept and isinstance(kept["content"], str):
            kept["content"] = [{"type": "text", "text": kept["content"]}]
        if isinstance(kept.get("system"), str):
            kept["system"] = [{"type": "text", "text": kept["system"]}]
        return {k: v for k, v in kept.items() if v not in (None, "", [])}
    return [normal(one) for one in value] if isinstance(value, list) else value


def fed(body: bytes, cuts: list[int]) -> list[Event]:
    decoder = CODEC.stream_decoder(1 << 20)
    ends = [*cuts, len(body)]
    events = [
        event for start, end in zip([0, *cuts], ends, strict=True) for event in decoder.feed(body[start:end])
    ]
    return events + decoder.close()


@pytest.mark.parametrize("recording", parameters(REQUESTS))
def test_a_request_comes_back_as_it_was(recording: Recording) -> None:
    asked = dict(recording.request or {})
    conversation = CODEC.decode_request(decode_members(json.dumps(asked).encode()))
    written = json.loads(msgspec.json.encode(CODEC.encode_request(conversation)))
    asked.pop("model", None)
    if "output_format" in asked:  # a name from a beta, written in the way that followed
        asked["output_config"] = {"format": asked.pop("output_format")}
    assert normal(written) == normal(asked)


@pytest.mark.parametrize("recording", parameters(ANSWERS))
def test_an_answer_comes_back_as_it_was(recording: Recording) -> None:
    completion = CODEC.decode_answer(recording.body)
    written = json.loads(CODEC.encode_answer(completion, HEADING))
    assert normal(written) == normal(json.loads(recording.body))


@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_a_stream_says_the_same_in_any_pieces(recording: Recording) -> None:
    whole = fed(recording.body, [])
    assert isinstance(whole[-1], Ended)
    drawn = random.Random(recording.name)
    for _ in range(5):
        cuts = sorted(drawn.sample(range(len(recording.body)), 40))
        assert fed(recording.body, cuts) == whole
    assert fed(recording.body.replace(b"\n", b"\r\n"), []) == whole


@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_a_stream_joins_to_what_the_wire_says(recording: Recording) -> None:
    told = [json.loads(data) for event in split_events(recording.body) if (data := data_of(event))]
    deltas = [one["delta"] for one in told if one["type"] == "content_block_delta"]
    ending = next(one for one in told if one["type"] == "message_delta")
    start = next(one["message"] for one in told if one["type"] == "message_start")
    completion = join(fed(recording.body, []))
    answer = json.loads(CODEC.encode_answer(completion, HEADING))
    blocks = [one for one in told if one["type"] == "content_block_start"]
    assert [b["type"] for b in answer["content"]] == [b["content_block"]["type"] for b in blocks]
    for member in ("text", "thinking", "signature"):
        streamed = "".join(one.get(member, "") for one in deltas)
        assert "".join(b.get(member, "") for b in answer["content"]) == streamed
    inputs = [b["input"] for b in answer["content"] if b.get("input")]
    text = "".join(one.get("partial_json", "") for one in deltas)
    assert "".join(json.dumps(one, sort_keys=True) for one in inputs).count("{") == text.count("{")
    assert answer["stop_reason"] == ending["delta"]["stop_reason"]
    usage = {**start["usage"], **ending["usage"]}
    assert normal(answer["usage"]) == normal(usage)


@pytest.mark.parametrize("recording", parameters(STREAMS))
def test_a_stream_written_again_says_the_same(recording: Recording) -> None:
    events = fed(recording.body, [])
    encoder = CODEC.stream_encoder(HEADING)
    written = b"".join(encoder.encode([event]) for event in events)
    assert join(fed(written, [])) == join(events)
    at_once = CODEC.stream_encoder(HEADING).encode(events)
    assert join(fed(at_once, [])) == join(events)
