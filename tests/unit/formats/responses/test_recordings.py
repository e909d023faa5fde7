"""Every recorded exchange of the Responses API, through the codec and back."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import Response
from rig.recordings import Recording, load, parameters

from gateway.errors import UpstreamError
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Event, Faulted, join
from gateway.formats.neutral.parts import Refusal, Text, ToolCall
from gateway.formats.responses.codec import CODEC
from gateway.formats.responses.types import Answer, Chunk, Request

pytestmark = pytest.mark.wire

RECORDINGS = load("openai.responses")
REQUESTS = parameters(r for r in RECORDINGS if r.request)
WHOLE = parameters(r for r in RECORDINGS if r.status == 200 and not r.is_stream)
STREAMS = parameters(r for r in RECORDINGS if r.status == 200 and r.is_stream)
HEADING = Heading("call-1", "shown", 1, Conversation(()))
LIMIT_BYTES = 1_000_000
PADDING = {"obfuscation"}
"""Random text that hides the length of a delta from who watches the wire."""


def plain(value: Any) -> Any:
    """The value without what says nothing: null, empty lists, texts and objects."""
    if isinstance(value, dict):
        kept = {name: plain(member) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member not in (None, "", [], {})}
    return [plain(member) for member in value] if isinstance(value, list) else value


def raw(request: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in request.items()}


def read(body: bytes, step: int = 0) -> list[Event]:
    decoder = CODEC.stream_decoder(LIMIT_BYTES)
    pieces = [body[at : at + step] for at in range(0, len(body), step)] if step else [body]
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def chunks(body: bytes) -> list[dict[str, Any]]:
    lines = [line[5:].strip() for line in body.splitlines() if line.startswith(b"data:")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def said(completion: Completion) -> Any:
    """What must not differ between a stream and the answer that its end repeats."""
    choice = completion.choices[0]
    words = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    calls = [(p.id, p.name, p.arguments, p.item_id) for p in choice.parts if isinstance(p, ToolCall)]
    kinds = sorted(type(part).__name__ for part in choice.parts)
    citations = [part.citations for part in choice.parts if isinstance(part, Text)]
    return words, calls, kinds, citations, choice.finish, choice.finish_raw, completion.usage


@pytest.mark.parametrize("recording", REQUESTS)
def test_a_request_comes_back_as_it_was(recording: Recording) -> None:
    assert recording.request
    conversation = CODEC.decode_request(raw(recording.request))
    again = {"model": recording.request["model"], **CODEC.encode_request(conversation)}
    wanted = {name: value for name, value in recording.request.items() if (name, value) != ("stream", False)}
    assert plain(json.loads(msgspec.json.encode(again))) == plain(wanted)


@pytest.mark.parametrize("recording", WHOLE)
def test_an_answer_comes_back_as_it_was(recording: Recording) -> None:
    completion = CODEC.decode_answer(recording.body)
    assert plain(json.loads(CODEC.encode_answer(completion, HEADING))) == plain(json.loads(recording.body))


@pytest.mark.parametrize("recording", WHOLE)
def test_an_answer_is_read_by_the_sdk_when_written_for_another_client(recording: Recording) -> None:
    completion = CODEC.decode_answer(recording.body)
    choice = msgspec.structs.replace(completion.choices[0], raw=None)
    foreign = msgspec.structs.replace(completion, choices=(choice,), extra={})
    answer = Response.model_validate_json(CODEC.encode_answer(foreign, HEADING))
    words = [part.text for part in completion.choices[0].parts if isinstance(part, Text)]
    assert answer.output_text == "".join(words)
    assert answer.id == "resp_call-1"
    again = CODEC.decode_answer(answer.model_dump_json().encode())
    assert said(again)[:3] == said(completion)[:3]


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_says_the_same_in_any_pieces(recording: Recording) -> None:
    whole = repr(read(recording.body))
    assert all(repr(read(recording.body, step)) == whole for step in (1, 13, 1000))


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_is_the_answer_that_its_end_repeats(recording: Recording) -> None:
    events = read(recording.body)
    end = chunks(recording.body)[-1]
    if end["type"] == "response.failed":
        faults = [event.error for event in events if isinstance(event, Faulted)]
        assert [str(error) for error in faults] == [end["response"]["error"]["message"]]
        return
    assert said(join(events)) == said(CODEC.decode_answer(json.dumps(end["response"]).encode()))


@pytest.mark.parametrize("recording", STREAMS)
def test_a_stream_written_again_is_read_the_same(recording: Recording) -> None:
    events = [event for event in read(recording.body) if not isinstance(event, Faulted)]
    written = CODEC.stream_encoder(HEADING).encode(events)
    assert join(read(written)) == join(events)
    numbers = [chunk["sequence_number"] for chunk in chunks(written)]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize("recording", parameters(r for r in RECORDINGS if r.status == 200))
def test_usage_is_what_the_wire_says(recording: Recording) -> None:
    if recording.is_stream:
        last = chunks(recording.body)[-1]["response"]
        usage = join(read(recording.body)).usage
    else:
        last = json.loads(recording.body)
        usage = CODEC.decode_answer(recording.body).usage
    told = last.get("usage")
    if told is None:
        assert usage is None
        return
    given, made = told.get("input_tokens_details") or {}, told.get("output_tokens_details") or {}
    assert usage
    assert (usage.input_tokens, usage.output_tokens) == (told["input_tokens"], told["output_tokens"])
    assert usage.input_tokens + usage.output_tokens == told["total_tokens"]
    assert usage.cached_tokens == (given.get("cached_tokens") or 0)
    assert usage.cache_write_tokens == (given.get("cache_write_tokens") or 0)
    assert usage.reasoning_tokens == (made.get("reasoning_tokens") or 0)


@pytest.mark.parametrize("recording", parameters(RECORDINGS))
def test_no_member_is_unknown(recording: Recording) -> None:
    assert not set(recording.request or {}) - set(Request.__struct_fields__)
    if recording.status == 200 and not recording.is_stream:
        assert not set(json.loads(recording.body)) - set(Answer.__struct_fields__)
    for chunk in chunks(recording.body) if recording.is_stream and recording.status == 200 else ():
        assert not set(chunk) - set(Chunk.__struct_fields__) - PADDING
        assert not set(chunk.get("response") or {}) - set(Answer.__struct_fields__)


@pytest.mark.parametrize("recording", parameters(r for r in RECORDINGS if r.status != 200))
def test_the_body_of_an_error_is_no_answer(recording: Recording) -> None:
    with pytest.raises(UpstreamError):
        CODEC.decode_answer(recording.body)
