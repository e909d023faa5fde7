"""Relayed streams with events that our decoders dislike: all passes, end and usage are known all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.exchange import Format, Usage
from gateway.formats.passage.watched import RAW_LIMIT_BYTES, DecodedStream
from gateway.formats.passage.watching import WATCHES, essence

LIMIT_BYTES = 10 * RAW_LIMIT_BYTES


def begun(format_: Format, rename: str | None = None) -> DecodedStream:
    watch = WATCHES[format_]
    assert watch.decoder is not None
    return DecodedStream(watch, watch.decoder(LIMIT_BYTES), rename, LIMIT_BYTES)


def event(value: dict[str, Any]) -> bytes:
    name = b"event: %b\n" % value["type"].encode() if "type" in value else b""
    return name + b"data: " + json.dumps(value).encode() + b"\n\n"


def growth(text: Any, index: int = 0, **more: Any) -> dict[str, Any]:
    delta = {"type": "text_delta", "text": text, **more}
    return {"type": "content_block_delta", "index": index, "delta": delta}


def said(text: Any = "Hi", **more: Any) -> dict[str, Any]:
    return {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, **more}]}


def words(kind: str, delta: Any, index: int = 0) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": index, "content_index": 0, "delta": delta}


MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "up", "content": []}
THOUGHT = {"type": "reasoning", "id": "z", "summary": []}
WRITTEN = {
    "type": "message",
    "id": "i",
    "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
}
TOKENS = {"promptTokenCount": 3, "candidatesTokenCount": 2}
HEADS: dict[Format, list[dict[str, Any]]] = {
    "messages": [
        {"type": "message_start", "message": MESSAGE | {"usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        growth("Hi"),
    ],
    "responses": [
        {"type": "response.created", "response": {"id": "r", "model": "up"}},
        words("output_text", "Hi"),
    ],
    "gemini": [said()],
}
STOP = {"type": "content_block_stop", "index": 0}
ENDS: dict[Format, list[dict[str, Any]]] = {
    "messages": [
        STOP,
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ],
    "responses": [
        {
            "type": "response.completed",
            "response": {"status": "completed", "usage": {"input_tokens": 3, "output_tokens": 2}},
        }
    ],
    "gemini": [said("", finishReason="STOP") | {"usageMetadata": TOKENS}],
}
ODD: list[tuple[Format, dict[str, Any]]] = [
    ("messages", growth(5)),
    ("messages", growth("x", index=7)),
    (
        "messages",
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": ""}},
    ),
    ("messages", growth("!", citation="x")),
    ("messages", {"type": "content_block_start", "index": "1"}),
    ("messages", {"type": "message_delta", "delta": {}, "usage": {"output_tokens": "many"}}),
    ("responses", words("reasoning_text", "hm", 1)),
    ("responses", words("output_text", 5)),
    ("responses", {"type": "response.output_item.done", "output_index": 0, "item": THOUGHT}),
    ("responses", {"type": "response.output_item.added", "item": {}, "output_index": 4}),
    ("gemini", {"candidates": 5}),
    ("gemini", said(5)),
    ("gemini", said("", groundingMetadata={"webSearchQueries": "x"})),
    ("gemini", said("", tokenCount="x")),
]


@pytest.mark.parametrize(("format_", "odd"), ODD)
@pytest.mark.parametrize("together", [True, False])
def test_one_odd_event_costs_no_other(format_: Format, odd: dict[str, Any], *, together: bool) -> None:
    stream = begun(format_)
    events = [event(each) for each in (*HEADS[format_], odd, *ENDS[format_])]
    whole = b"".join(events)
    passed = b"".join(stream.feed(piece) for piece in ([whole] if together else events))
    assert passed + stream.close() == whole
    assert (stream.finished, stream.done, stream.fault, stream.skipped) == (True, True, None, 0)
    assert (stream.usage, stream.text()) == (Usage(3, 2), "Hi")
    assert stream.mend() == b""


def test_a_delta_after_its_block_costs_nothing() -> None:
    stream = begun("messages")
    late = [event(each) for each in (*HEADS["messages"], STOP, growth(""), *ENDS["messages"][1:])]
    assert b"".join(map(stream.feed, late)) == b"".join(late)
    assert (stream.finished, stream.done, stream.usage) == (True, True, Usage(3, 2))


def test_items_that_all_have_one_number_cost_only_their_words() -> None:
    added = {"type": "response.output_item.added", "output_index": 0, "item": THOUGHT}
    created, hi = HEADS["responses"]
    written = {"type": "response.output_item.done", "output_index": 0, "item": WRITTEN}
    stream = begun("responses")
    for each in (created, added, words("reasoning_text", "hm"), hi, written, *ENDS["responses"]):
        assert stream.feed(event(each)) == event(each)
    stream.close()
    assert (stream.finished, stream.done, stream.usage, stream.text()) == (True, True, Usage(3, 2), "hm")


LAST: list[tuple[Format, list[dict[str, Any]], Usage]] = [
    (
        "messages",
        [
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5.5}},
            {"type": "message_stop"},
        ],
        Usage(3, 5),
    ),
    (
        "messages",
        [{"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": 5}}],
        Usage(3, 1),
    ),
    (
        "responses",
        [
            {
                "type": "response.completed",
                "response": {
                    "status": "completed",
                    "output": 5,
                    "usage": {
                        "input_tokens": 3,
                        "output_tokens": 2,
                        "input_tokens_details": {"cached_tokens": 1},
                    },
                },
            }
        ],
        Usage(3, 2, cached_tokens=1),
    ),
    ("gemini", [said(5, finishReason="STOP") | {"usageMetadata": TOKENS}], Usage(3, 2)),
    (
        "gemini",
        [said("", finishReason="STOP") | {"usageMetadata": TOKENS | {"candidatesTokenCount": 2.5}}],
        Usage(3, 2),
    ),
]


@pytest.mark.parametrize(("format_", "end", "usage"), LAST)
def test_an_odd_end_is_still_the_end(format_: Format, end: list[dict[str, Any]], usage: Usage) -> None:
    stream = begun(format_)
    for each in (*HEADS[format_], *end):
        assert stream.feed(event(each)) == event(each)
    stream.close()
    assert (stream.finished, stream.usage, stream.fault) == (True, usage, None)


@pytest.mark.parametrize("format_", HEADS)
def test_odd_events_amid_a_long_stream_cost_only_themselves(format_: Format) -> None:
    stream = begun(format_)
    odd = next(event(each) for named, each in ODD if named == format_)
    *before, hi = [event(each) for each in HEADS[format_]]
    stream.feed(b"".join([*before, hi]))
    for _ in range(RAW_LIMIT_BYTES // len(hi)):
        stream.feed(hi + odd + hi)
    for each in ENDS[format_]:
        stream.feed(event(each))
    stream.close()
    assert stream.text() == "Hi" * (1 + 2 * (RAW_LIMIT_BYTES // len(hi)))
    assert (stream.done, stream.usage) == (True, Usage(3, 2))


def test_protobufs_words_for_no_number_are_no_harm() -> None:
    stream = begun("gemini")
    told = event(said("Hi", avgLogprobs="NaN", finishReason="STOP") | {"usageMetadata": TOKENS})
    assert stream.feed(told) + stream.close() == told
    assert (stream.text(), stream.done, stream.usage) == ("Hi", True, Usage(3, 2))


def test_a_failure_is_known_however_it_is_told() -> None:
    stream = begun("gemini")
    stream.feed(event(HEADS["gemini"][0]))
    stream.feed(event({"error": {"code": 429, "message": "too many", "status": 7}}))
    assert stream.fault is not None
    assert stream.fault.status == 429


@pytest.mark.parametrize(
    ("data", "rest"),
    [
        (
            b'{"type": "x", "text": "y", "index": 2, "delta": {"stop_reason": 5, "a": {}}}',
            b'{"type":"x","index":2,"delta":{}}',
        ),
        (
            b'{"usage": {"input_tokens": 3.9, "output_tokens": -1.5, "x": true}}',
            b'{"usage":{"input_tokens":3,"output_tokens":0}}',
        ),
        (b'{"candidates": [5, {"index": 1}], "usageMetadata": []}', b'{"candidates":[{"index":1}]}'),
        (b'{"index": 1.0, "total_tokens": 1e400}', b""),
        (b'{"input_tokens": 100000000000000000000000000}', b'{"input_tokens":100000000000000000000000000}'),
        (b"[]", b""),
        (b"{", b""),
        (b'{"error": {"message": "\\ud83d"}}', b""),
        (b'{"delta":' * 100_000, b""),
    ],
)
def test_the_essence_of_an_event(data: bytes, rest: bytes) -> None:
    assert essence(data) == rest


_CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {}}


@pytest.mark.parametrize(
    "empty", [b"data:\n\n", b"data: \n\n", b"event: ping\r\ndata:  \r\n\r\n", b"data:\ndata:\n\n"]
)
@pytest.mark.parametrize("together", [True, False])
def test_an_event_without_anything_in_it_is_left_out_and_breaks_no_call(
    empty: bytes, *, together: bool
) -> None:
    begin = {"type": "content_block_start", "index": 0, "content_block": _CALL}
    piece = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "input_json_delta", "partial_json": "{}"},
    }
    events = [event(each) for each in (HEADS["messages"][0], begin, piece, *ENDS["messages"])]
    stream = begun("messages")
    sent = [*events[:2], empty, *events[2:]]
    passed = b"".join(stream.feed(one) for one in ([b"".join(sent)] if together else sent))
    assert passed + stream.close() == b"".join(events)
    assert (stream.fault, stream.done, stream.skipped) == (None, True, 0)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_name_is_changed_in_data_over_several_lines(end: bytes) -> None:
    lines = [b"id: 7", b'data: {"modelVersion": "up",', b'data:"candidates": []}', b": a remark", b"", b""]
    passed = begun("gemini", "mine").feed(end.join(lines))
    assert passed == end.join(
        [b"id: 7", b'data: {"modelVersion":"mine","candidates":[]}', b": a remark", b"", b""]
    )


def test_a_mark_before_the_first_event_costs_nothing() -> None:
    stream = begun("gemini")
    events = [event(each) for each in (*HEADS["gemini"], *ENDS["gemini"])]
    assert stream.feed(b"\xef\xbb\xbf" + events[0]) + stream.feed(events[1]) == b"".join(events)
    stream.close()
    assert (stream.text(), stream.done, stream.usage) == ("Hi", True, Usage(3, 2))
