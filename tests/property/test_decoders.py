"""Whatever comes in, only the errors that are meant for it come out, and soon."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import recordings
from rig.conversations import answer
from rig.translation import mutations
from rig.translation.formats import (
    APIS,
    FORMATS,
    LIMIT_BYTES,
    codec,
    heading,
    members,
    stream_of,
    streamed,
)
from rig.translation.mutations import VALUES, as_bytes, damaged, spoiled
from rig.translation.taking import take_answer, take_members, take_request, take_stream
from rig.translation.witness.facts import aws_frame, aws_frames

from gateway.errors import UpstreamError
from gateway.formats.neutral.events import Closed, Grew, Opened, whole
from gateway.formats.neutral.parts import Text

MANY = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
DEEP = 10_000
SEEDS = 12
"""So many recordings of each format and side are spoiled: the ones with the most different members."""


@cache
def recorded(format_: str, side: str) -> tuple[Any, ...]:
    """Recordings to spoil, the most various of each format first."""
    apis = tuple(api for api, name in APIS.items() if name == format_)
    found = recordings.load(*apis)
    if side == "request":
        values = [r.request for r in found if isinstance(r.request, dict)]
    elif side == "answer":
        values = [json.loads(r.body) for r in found if r.status == 200 and not r.is_stream]
    else:
        return tuple(streamed(r) for r in found if r.status == 200 and r.is_stream and len(r.body) < 30_000)
    return tuple(sorted(values, key=lambda v: -len({p[-1] for p in mutations.places(v)}))[:SEEDS])


@pytest.mark.parametrize("format_", FORMATS)
@MANY
@given(body=st.dictionaries(st.text(max_size=6), VALUES, max_size=4))
def test_any_json_as_a_request(format_: str, body: dict[str, Any]) -> None:
    take_request(format_, body)


@pytest.mark.parametrize("format_", FORMATS)
@MANY
@given(value=VALUES)
def test_any_json_as_an_answer(format_: str, value: Any) -> None:
    take_answer(format_, as_bytes(value))


@pytest.mark.parametrize("format_", FORMATS)
@MANY
@given(body=st.binary(max_size=60))
def test_any_bytes_as_an_answer_and_as_a_stream(format_: str, body: bytes) -> None:
    take_answer(format_, body)
    take_stream(format_, [body])
    take_stream(format_, [b"data: " + body + b"\n\n"])


@pytest.mark.wire
@pytest.mark.parametrize("format_", FORMATS)
@MANY
@given(data=st.data())
def test_spoiled_requests(format_: str, data: st.DataObject) -> None:
    take_request(format_, data.draw(spoiled(data.draw(st.sampled_from(recorded(format_, "request"))))))


@pytest.mark.wire
@pytest.mark.parametrize("format_", FORMATS)
@MANY
@given(data=st.data())
def test_spoiled_answers(format_: str, data: st.DataObject) -> None:
    value = data.draw(spoiled(data.draw(st.sampled_from(recorded(format_, "answer")))))
    take_answer(format_, as_bytes(value))


@pytest.mark.wire
@pytest.mark.parametrize("format_", FORMATS)
@MANY
@given(data=st.data())
def test_damaged_answers(format_: str, data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(recorded(format_, "answer")))
    take_answer(format_, data.draw(damaged(as_bytes(value))))


@pytest.mark.wire
@pytest.mark.parametrize("format_", FORMATS)
@MANY
@given(data=st.data())
def test_damaged_streams(format_: str, data: st.DataObject) -> None:
    body = data.draw(damaged(data.draw(st.sampled_from(recorded(format_, "stream")))))
    cut = data.draw(st.integers(0, len(body)))
    take_stream(format_, [body[:cut], body[cut:]])


@pytest.mark.wire
@pytest.mark.parametrize("format_", sorted(set(FORMATS) - {"converse"}))
@MANY
@given(data=st.data())
def test_streams_of_spoiled_events(format_: str, data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(recorded(format_, "stream"))).splitlines()
    said = [i for i, line in enumerate(lines) if line.lstrip(b"data: ").startswith(b"{")]
    which = data.draw(st.sampled_from(said))
    prefix, brace, rest = lines[which].partition(b"{")
    lines[which] = prefix + as_bytes(data.draw(spoiled(json.loads(brace + rest))))
    take_stream(format_, [b"\n".join(lines) + b"\n"])


@pytest.mark.wire
@MANY
@given(data=st.data())
def test_converse_streams_of_spoiled_events(data: st.DataObject) -> None:
    events = aws_frames(data.draw(st.sampled_from(recorded("converse", "stream"))))
    which = data.draw(st.integers(0, len(events) - 1))
    name, value = events[which]
    events[which] = (name, data.draw(spoiled(value)))
    take_stream("converse", [b"".join(aws_frame(name, as_bytes(value)) for name, value in events)])


NESTED = b"[" * DEEP + b"]" * DEEP
NESTED_OBJECTS = b'{"a":' * DEEP + b"1" + b"}" * DEEP
PLACES = {
    "chat": ("messages", "tools", "response_format", "metadata", "x"),
    "responses": ("input", "tools", "text", "metadata", "x"),
    "messages": ("messages", "system", "tools", "metadata", "x"),
    "gemini": ("contents", "tools", "generationConfig", "x"),
    "converse": ("messages", "system", "toolConfig", "additionalModelRequestFields", "x"),
    "cohere": ("messages", "tools", "response_format", "x"),
    "ollama": ("messages", "tools", "format", "options", "x"),
}
FIRST = {
    "chat": {"messages": [{"role": "user", "content": "hi"}]},
    "responses": {"input": "hi"},
    "messages": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 9},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "converse": {"messages": [{"role": "user", "content": [{"text": "hi"}]}]},
    "cohere": {"messages": [{"role": "user", "content": "hi"}]},
    "ollama": {"messages": [{"role": "user", "content": "hi"}]},
}


@pytest.mark.parametrize("nested", [NESTED, NESTED_OBJECTS], ids=["lists", "objects"])
@pytest.mark.parametrize("format_", FORMATS)
def test_deep_nesting_in_a_request(format_: str, nested: bytes) -> None:
    for name in PLACES[format_]:
        take_members(format_, members(FIRST[format_]) | {name: msgspec.Raw(nested)})


@pytest.mark.parametrize("nested", [NESTED, NESTED_OBJECTS], ids=["lists", "objects"])
@pytest.mark.parametrize("format_", FORMATS)
def test_deep_nesting_in_an_answer(format_: str, nested: bytes) -> None:
    for name in ("choices", "output", "content", "candidates", "message", "usage", "x"):
        body = b'{"' + name.encode() + b'":' + nested + b"}"
        take_answer(format_, body)
        take_stream(format_, [b"data: " + body + b"\n\n"])
        take_stream(format_, [body + b"\n"])


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize(
    "text", [b'"\xff\xfe"', b'"\\ud800"', b'"\xed\xa0\x80"'], ids=["bytes", "half", "utf8"]
)
def test_text_that_is_not_unicode(format_: str, text: bytes) -> None:
    for name in PLACES[format_]:
        take_members(format_, members(FIRST[format_]) | {name: msgspec.Raw(text)})
        take_members(format_, members(FIRST[format_]) | {name: msgspec.Raw(b"[" + text + b"]")})
    take_answer(format_, b'{"id":' + text + b"}")
    take_stream(format_, [b'data: {"id":' + text + b"}\n\n"])


UNKNOWN_REQUESTS = {
    "chat": b'{"messages": [{"role": "user", "content": [{"type": "new", "x": @}]}],'
    b' "tools": [{"type": "new", "x": @}]}',
    "responses": b'{"input": [{"type": "new", "x": @}], "tools": [{"type": "new", "x": @}]}',
    "messages": b'{"max_tokens": 9, "messages": [{"role": "user", "content": [{"type": "new", "x": @}]}]}',
    "gemini": b'{"contents": [{"role": "user", "parts": [{"newKind": {"x": @}}]}],'
    b' "tools": [{"newTool": @}]}',
    "converse": b'{"messages": [{"role": "user", "content": [{"newKind": {"x": @}}]}]}',
    "cohere": b'{"messages": [{"role": "user", "content": [{"type": "new", "x": @}]}]}',
    "ollama": b'{"messages": [{"role": "user", "content": "hi", "new": @}], "new": @}',
}
UNKNOWN_ANSWERS = {
    "chat": b'{"choices": [{"index": 0, "finish_reason": "stop",'
    b' "message": {"content": [{"type": "new", "x": @}]}}], "new": @}',
    "responses": b'{"status": "completed", "output": [{"type": "new", "x": @}], "new": @}',
    "messages": b'{"content": [{"type": "new", "x": @}], "stop_reason": "end_turn",'
    b' "usage": {"new": @}, "new": @}',
    "gemini": b'{"candidates": [{"content": {"parts": [{"newKind": {"x": @}}]},'
    b' "finishReason": "STOP"}], "new": @}',
    "converse": b'{"output": {"message": {"content": [{"newKind": {"x": @}}]}},'
    b' "stopReason": "end_turn", "new": @}',
    "cohere": b'{"message": {"content": [{"type": "new", "x": @}]}, "finish_reason": "COMPLETE", "new": @}',
    "ollama": b'{"message": {"content": "hi", "new": @}, "done": true, "done_reason": "stop", "new": @}',
}
UNKNOWN_EVENTS = {
    "chat": (
        b'{"choices": [{"index": 0, "delta": {"content": [{"type": "new", "x": @}], "new": @}}], "new": @}',
    ),
    "responses": (
        b'{"type": "response.output_item.added", "output_index": 0, "item": {"type": "new", "x": @}}',
    ),
    "messages": (
        b'{"type": "message_start", "message": {"content": [], "usage": {"new": @}, "new": @}}',
        b'{"type": "content_block_start", "index": 0, "content_block": {"type": "new", "x": @}}',
        b'{"type": "content_block_delta", "index": 0, "delta": {"type": "new_delta", "x": @}}',
    ),
    "gemini": (b'{"candidates": [{"content": {"parts": [{"newKind": {"x": @}}]}, "new": @}], "new": @}',),
    "cohere": (
        b'{"type": "content-start", "index": 0, "delta": {"message": {"content": {"type": "new", "x": @}}}}',
    ),
    "ollama": (b'{"message": {"content": "hi", "new": @}, "done": false, "new": @}',),
}
"""What no reference knows yet, around a value that cannot be decoded: it is looked at late, or never."""

UNDECODABLE = [b'"\xff"', NESTED, NESTED_OBJECTS]


@pytest.mark.parametrize("value", UNDECODABLE, ids=["not-unicode", "lists", "objects"])
@pytest.mark.parametrize("format_", FORMATS)
def test_what_nobody_knows_around_what_nobody_can_read(format_: str, value: bytes) -> None:
    body = UNKNOWN_REQUESTS[format_].replace(b"@", b"1")
    for name in json.loads(body):
        raws = members(json.loads(body))
        known = msgspec.json.encode(json.loads(UNKNOWN_REQUESTS[format_].replace(b"@", b'"@@"'))[name])
        take_members(format_, raws | {name: msgspec.Raw(known.replace(b'"@@"', value))})
    take_answer(format_, UNKNOWN_ANSWERS[format_].replace(b"@", value))
    events = [event.replace(b"@", value) for event in UNKNOWN_EVENTS.get(format_, ())]
    line = b"%b\n" if format_ == "ollama" else b"data: %b\n\n"
    take_stream(format_, [line % event for event in events])
    if format_ == "converse":
        payload = b'{"contentBlockIndex": 0, "start": {"newKind": {"x": %b}}}' % value
        take_stream(format_, [aws_frame("messageStart", b"{}") + aws_frame("contentBlockStart", payload)])


def spoken(format_: str, count: int) -> dict[str, Any]:
    """A request of so many messages."""
    body = dict(FIRST[format_])
    name = "contents" if format_ == "gemini" else "input" if format_ == "responses" else "messages"
    messages = body[name] if isinstance(body[name], list) else [{"role": "user", "content": "hi"}]
    other = json.loads(
        json.dumps(messages[0]).replace("user", "model" if format_ == "gemini" else "assistant")
    )
    return body | {name: [messages[0], other] * (count // 2) + messages}


def parted(format_: str, count: int) -> dict[str, Any]:
    """A request of one message with so many parts."""
    body = spoken(format_, 0)
    message = next(value[0] for value in body.values() if isinstance(value, list))
    if format_ == "ollama":
        message["images"] = ["aGk="] * count
        return body
    name = "parts" if format_ == "gemini" else "content"
    part = {
        "gemini": {"text": "x"},
        "converse": {"text": "x"},
        "responses": {"type": "input_text", "text": "x"},
    }
    message[name] = [part.get(format_, {"type": "text", "text": "x"})] * count
    return body


def seconds(work: Callable[[], object]) -> float:
    """The shortest of three tries, of the processor's time, without that of the garbage collector."""
    tries = []
    gc.disable()  # it looks through all that the tests before have left
    try:
        for _ in range(3):
            start = time.process_time()
            work()
            tries.append(time.process_time() - start)
    finally:
        gc.enable()
    return min(tries)


def is_linear(short: Callable[[], object], long: Callable[[], object]) -> bool:
    """Ten times as much may take 25 times as long, for noise; where it is quadratic it takes a hundred.

    A busy machine may slow down the long one alone, though not in each of three rounds.
    """
    return any(seconds(long) < 25 * seconds(short) + 0.02 for _ in range(3))


@pytest.mark.parametrize("make", [spoken, parted], ids=["messages", "parts"])
@pytest.mark.parametrize("format_", FORMATS)
def test_time_grows_with_the_length_of_a_request(
    format_: str, make: Callable[[str, int], dict[str, Any]]
) -> None:
    short, long = members(make(format_, 1000)), members(make(format_, 10_000))
    assert is_linear(lambda: take_members(format_, short), lambda: take_members(format_, long))


@pytest.mark.wire
@pytest.mark.parametrize("piece_bytes", [1, 10_000])
@pytest.mark.parametrize("format_", FORMATS)
def test_time_grows_with_the_length_of_a_stream(format_: str, piece_bytes: int) -> None:
    def stream(count: int) -> bytes:
        began, _, _, *rest = whole(answer(Text("x")))
        grown = [Grew(0, "word ") for _ in range(count)]
        return stream_of(format_, [began, Opened(0, Text("")), *grown, Closed(0), *rest], heading())

    def read(body: bytes) -> None:
        decoder = codec(format_).stream_decoder(LIMIT_BYTES)
        for at in range(0, len(body), piece_bytes):
            decoder.feed(body[at : at + piece_bytes])
        decoder.close()

    count = 200 if piece_bytes == 1 else 1000
    short, long = stream(count), stream(count * 10)
    assert is_linear(lambda: read(short), lambda: read(long))


@pytest.mark.parametrize("format_", FORMATS)
def test_an_event_beyond_the_limit_breaks_the_stream(format_: str) -> None:
    decoder = codec(format_).stream_decoder(10_000)
    with pytest.raises(UpstreamError):
        feed_forever(decoder.feed, b'data: {"x": "xxxxxxxxxxxxxxxxxxxxxxxx')


def feed_forever(feed: Callable[[bytes], object], piece: bytes) -> None:
    for _ in range(3000):
        feed(piece)
