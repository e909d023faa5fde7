"""Relayed answers of each format: what is read of them, and what of them a renaming route changes."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest
from rig.script import sse
from unit.stand_ins import call

from gateway.errors import Broken, Failed, Overloaded
from gateway.exchange import Format, Usage
from gateway.formats.passage.relayed import RelayedPassage, relayed
from gateway.formats.passage.seam import AnswerStream, Terms
from gateway.formats.passage.watching import WATCHES

ANTHROPIC = {"id": "m", "type": "message", "role": "assistant", "model": "up", "content": []}
WHOLE: dict[Format, tuple[dict[str, Any], Usage | None]] = {
    "chat": ({"model": "up", "usage": {"prompt_tokens": 3, "completion_tokens": 2}}, Usage(3, 2)),
    "messages": (
        ANTHROPIC | {"usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 4}},
        Usage(7, 2, cached_tokens=4),
    ),
    "responses": (
        {"model": "up", "output": [], "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}},
        Usage(3, 2),
    ),
    "gemini": (
        {"modelVersion": "up", "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2}},
        Usage(3, 2),
    ),
    "embeddings": ({"model": "up", "data": [], "usage": {"prompt_tokens": 3, "total_tokens": 3}}, Usage(3)),
    "rerank": ({"results": [], "meta": {"billed_units": {"search_units": 2}}}, Usage(searches=2)),
    "moderations": ({"model": "up", "results": []}, Usage()),
    "count_tokens": ({"input_tokens": 14}, Usage()),
    "images": (
        {"data": [], "usage": {"input_tokens": 3, "output_tokens": 2}},
        Usage(3, 2, image_output_tokens=2),
    ),
    "transcriptions": ({"text": "x", "duration": 8.5}, Usage(audio_s=8.5)),
}


def passage(format_: Format, rename: str | None = None, **members: Any) -> RelayedPassage:
    return RelayedPassage(call(format_, **members), Terms("call_1", 0, rename))


def begun(format_: Format, rename: str | None = None, **members: Any) -> AnswerStream:
    return passage(format_, rename, stream=True, **members).stream(10_000)


@pytest.mark.parametrize("format_", WHOLE)
def test_a_whole_answer_passes_unchanged_and_its_usage_is_read(format_: Format) -> None:
    value, usage = WHOLE[format_]
    body = json.dumps(value, indent=1).encode()
    assert passage(format_).read(body) == (body, usage)


@pytest.mark.parametrize("format_", ["chat", "messages", "responses", "gemini", "embeddings"])
def test_a_renaming_route_changes_the_name_alone(format_: Format) -> None:
    value, usage = WHOLE[format_]
    shown, same = passage(format_, "mine").read(json.dumps(value).encode())
    assert json.loads(shown) == {
        name: "mine" if name in {"model", "modelVersion"} else member for name, member in value.items()
    }
    assert same == usage


@pytest.mark.parametrize("format_", sorted(set(WATCHES) - {"speech", "transcriptions", "translations"}))
@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[1]", b'{"a": "\xff"'])
def test_what_is_no_whole_json_object_is_no_answer(format_: Format, body: bytes) -> None:
    with pytest.raises(Failed):
        passage(format_).read(body)


STREAMS: dict[Format, list[bytes]] = {
    "messages": [
        b"event: " + event["type"].encode() + b"\ndata: " + json.dumps(event).encode() + b"\n\n"
        for event in (
            {
                "type": "message_start",
                "message": ANTHROPIC | {"usage": {"input_tokens": 3, "output_tokens": 1}},
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 2},
            },
            {"type": "message_stop"},
        )
    ],
    "responses": sse(
        {"type": "response.created", "sequence_number": 0, "response": {"id": "r", "model": "up"}},
        {
            "type": "response.output_item.added",
            "sequence_number": 1,
            "output_index": 0,
            "item": {"id": "i", "type": "message", "role": "assistant", "content": []},
        },
        {
            "type": "response.content_part.added",
            "sequence_number": 2,
            "output_index": 0,
            "item_id": "i",
            "content_index": 0,
            "part": {"type": "output_text", "text": ""},
        },
        {
            "type": "response.output_text.delta",
            "sequence_number": 3,
            "output_index": 0,
            "item_id": "i",
            "content_index": 0,
            "delta": "Hi",
        },
        {
            "type": "response.completed",
            "sequence_number": 4,
            "response": {
                "id": "r",
                "model": "up",
                "status": "completed",
                "output": [],
                "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
            },
        },
        done=False,
    ),
    "gemini": [
        b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n"
        for chunk in (
            {"candidates": [{"content": {"parts": [{"text": "Hi"}], "role": "model"}}], "modelVersion": "up"},
            {
                "candidates": [{"content": {"parts": [], "role": "model"}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
                "modelVersion": "up",
            },
        )
    ],
}


@pytest.mark.parametrize("format_", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_passes_unchanged_and_says_what_it_used(format_: Format, size: int) -> None:
    stream, data = begun(format_), b"".join(STREAMS[format_])
    passed = b"".join(stream.feed(data[at : at + size]) for at in range(0, len(data), size))
    assert passed + stream.close() == data
    assert (stream.usage, stream.finished, stream.done, stream.failed) == (Usage(3, 2), True, True, False)
    assert stream.text() == "Hi"


@pytest.mark.parametrize("format_", STREAMS)
def test_a_stream_without_its_end_is_not_done(format_: Format) -> None:
    stream = begun(format_)
    for event in STREAMS[format_][:-2] or STREAMS[format_][:1]:
        stream.feed(event)
    stream.close()
    assert (stream.finished, stream.done) == (False, False)


@pytest.mark.parametrize("format_", STREAMS)
def test_half_an_event_at_the_end_is_dropped(format_: Format) -> None:
    stream = begun(format_)
    first = STREAMS[format_][0]
    assert stream.feed(first + first[: len(first) // 2]) == first
    assert stream.close() == b""


@pytest.mark.parametrize("format_", STREAMS)
def test_a_renamed_stream_shows_the_routes_name(format_: Format) -> None:
    stream = begun(format_, "mine")
    passed = b"".join(stream.feed(event) for event in STREAMS[format_])
    assert b'"up"' not in passed
    assert b'"mine"' in passed
    assert stream.usage == Usage(3, 2)


@pytest.mark.parametrize("format_", STREAMS)
def test_an_event_beyond_the_limit_breaks_the_stream(format_: Format) -> None:
    with pytest.raises(Broken):
        begun(format_).feed(b"data: " + b"x" * 20_000)


@pytest.mark.parametrize("format_", STREAMS)
def test_what_cannot_be_decoded_passes_all_the_same(format_: Format) -> None:
    stream, odd = begun(format_), b"event: x\ndata: {broken\n\n"
    assert stream.feed(STREAMS[format_][0] + odd) == STREAMS[format_][0] + odd
    assert stream.finished is False


@pytest.mark.parametrize("format_", STREAMS)
def test_a_long_stream_is_decoded_in_between_and_forgets_nothing(format_: Format) -> None:
    events = STREAMS[format_]
    middle = next(event for event in events if b'"Hi"' in event)
    at = events.index(middle)
    stream = begun(format_)
    for event in [*events[:at], *[middle] * 1000, *events[at + 1 :]]:
        stream.feed(event)
    stream.close()
    assert stream.text() == "Hi" * 1000
    assert (stream.usage, stream.done) == (Usage(3, 2), True)


@pytest.mark.parametrize("format_", [*STREAMS, "chat", "images"])
def test_an_error_is_written_in_the_clients_dialect(format_: Format) -> None:
    told = begun(format_).fail(Overloaded("too busy"))
    data = json.loads(next(line[5:] for line in told.splitlines() if line.startswith(b"data:")))
    error = data.get("error", data)
    assert error["message"] == "too busy"


def test_sound_passes_as_it_comes_and_its_characters_are_counted() -> None:
    stream = begun("speech", input="a pond")
    assert stream.feed(b"\x00\x01") == b"\x00\x01"
    assert not stream.done
    assert stream.close() == b""
    assert (stream.done, stream.finished, stream.usage) == (True, True, Usage(characters=6))
    with pytest.raises(Broken):
        stream.fail(Broken("cut"))


SEALED = base64.b64encode(b'forebay.messages.{"signature":"sig"}').decode()
THOUGHTS: dict[Format, dict[str, Any]] = {
    "chat": {
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": "ho",
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "hm", "signature": "forebay.messages.sig", "index": 0}
                ],
            },
            {"role": "user", "content": "and?"},
        ]
    },
    "messages": {
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "forebay.gemini.sig"},
                    {"type": "thinking", "thinking": "mine", "signature": "own"},
                    {"type": "text", "text": "ho"},
                ],
            },
            {"role": "user", "content": "and?"},
        ],
    },
    "responses": {
        "input": [
            {"type": "message", "role": "user", "content": "hi"},
            {
                "type": "reasoning",
                "id": "forebay.messages.rs_1",
                "summary": [],
                "encrypted_content": "forebay.messages.sig",
            },
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ho"}]},
            {"type": "message", "role": "user", "content": "and?"},
        ]
    },
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {
                "role": "model",
                "parts": [{"text": "hm", "thought": True, "thoughtSignature": SEALED}, {"text": "ho"}],
            },
            {"role": "user", "parts": [{"text": "and?"}]},
        ]
    },
}


@pytest.mark.parametrize("format_", THOUGHTS)
def test_what_another_provider_sealed_stays_here(
    format_: Format,
) -> None:
    asked = call(format_, **THOUGHTS[format_])
    if "messages" not in THOUGHTS[format_]:
        members = {name: member for name, member in asked.members.items() if name != "messages"}
        asked = msgspec.structs.replace(asked, members=members)
    passage = relayed(asked, Terms("call_1", 0))
    sent = msgspec.json.encode(passage.call.members)
    assert b"forebay." not in sent
    assert SEALED.encode() not in sent
    assert b'"ho"' in sent
    assert (b'"own"' in sent) is (format_ == "messages")
    assert passage.dropped
    assert json.loads(sent)["model"] == "fast"


def test_a_call_without_seals_is_not_opened() -> None:
    asked = call("messages", messages=[{"role": "user", "content": "x"}], max_tokens=9)
    assert relayed(asked, Terms("call_1", 0)).call is asked
