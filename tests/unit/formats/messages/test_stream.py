"""Streams of the Messages API: read whatever comes, written so that Anthropic's SDK reads them."""

from __future__ import annotations

import json
import timeit
from typing import Any

import msgspec
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from gateway.errors import Broken, Failed, GatewayError, Overloaded
from gateway.exchange import Usage
from gateway.formats.framing.sse import data_of, split_events
from gateway.formats.messages.codec import CODEC
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.conversation import Conversation
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
from gateway.formats.neutral.parts import Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall

HEADING = Heading("1", "asked-for", 0, Conversation(()))
LIMIT = 1 << 16
END = [Finished("stop"), Ended()]
_sdk = TypeAdapter[Any](RawMessageStreamEvent)


def sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"event: x\ndata: " + msgspec.json.encode(event) + b"\n\n" for event in events)


def read(*events: dict[str, Any]) -> list[Event]:
    decoder = CODEC.stream_decoder(LIMIT)
    return decoder.feed(sse(*events)) + decoder.close()


def write(*events: Event) -> list[dict[str, Any]]:
    encoder = CODEC.stream_encoder(HEADING)
    written = b"".join(encoder.encode([event]) for event in events)
    return [json.loads(data_of(event)) for event in split_events(written)]


def blocks_of(*events: Event) -> list[dict[str, Any]]:
    """Let Anthropic's own SDK put the stream together."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for told in write(Began(), *events, *END):
        event = _sdk.validate_python(told)
        snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    return [block.to_dict() for block in snapshot.content]


START = {
    "type": "message_start",
    "message": {
        "id": "msg_a",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1},
    },
}
TEXT = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
STOP = {"type": "message_stop"}


def grown(delta: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def test_the_last_value_of_each_member_of_usage_counts() -> None:
    ending = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}}
    events = read(START, ending, STOP)
    told = [event.usage for event in events if isinstance(event, Metered)]
    assert told == [Usage(15, 1, cached_tokens=5), Usage(15, 7, cached_tokens=5)]
    later = {**ending, "usage": {"input_tokens": 100, "output_tokens": 7}}
    assert join(read(START, later, STOP)).usage == Usage(105, 7, cached_tokens=5)


def test_unknown_events_and_deltas_are_skipped() -> None:
    known = [START, TEXT, grown({"type": "text_delta", "text": "Hi"}), STOP]
    unknown = [{"type": "ping"}, {"type": "of_tomorrow", "index": 9}]
    strange = [grown({"type": "of_tomorrow", "x": 1}), grown({"type": "text_delta", "text": ""})]
    assert read(*unknown, *known[:2], *strange, *known[2:], {"type": "late"}) == read(*known)


def test_the_input_of_a_server_tool_is_put_together() -> None:
    block = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}, "more": 1}
    pieces = [grown({"type": "input_json_delta", "partial_json": text}) for text in ("", '{"q":', ' "a"}')]
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    events = read(START, start, *pieces, {"type": "content_block_stop", "index": 0}, STOP)
    whole_block = {**block, "input": {"q": "a"}}
    assert join(events).choices[0].parts == (Opaque("messages", "server_tool_use", whole_block),)
    assert [one for one in write(*events) if one["type"] == "content_block_delta"] == pieces


def test_an_opaque_block_keeps_deltas_that_nobody_knows() -> None:
    start = {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "compaction", "content": ""},
    }
    delta = grown({"type": "compaction_delta", "content": "so far"}, 3)
    events = read(START, start, delta, {"type": "content_block_stop", "index": 3}, STOP)
    value = {"type": "compaction", "content": "so far"}
    assert join(events).choices[0].parts == (Opaque("messages", "compaction", value),)


@pytest.mark.parametrize("code", ["overloaded_error", "api_error"])
def test_an_error_ends_the_stream(code: str) -> None:
    error = {"type": "error", "error": {"type": code, "message": "Later."}}
    events = read(START, TEXT, error, STOP)
    last = events[-1]
    assert isinstance(last, Faulted)
    assert last.error.message == "Later."
    assert isinstance(last.error, Overloaded) is (code == "overloaded_error")
    written = write(*events)
    assert written[-1]["type"] == "error"
    assert "message_stop" not in {one["type"] for one in written}


def test_a_stream_that_is_cut_has_not_ended() -> None:
    events = read(START, TEXT, grown({"type": "text_delta", "text": "Hi"}))
    assert not any(isinstance(event, Finished | Ended) for event in events)
    assert {one["type"] for one in write(*events)} == {
        "message_start",
        "content_block_start",
        "content_block_delta",
    }


def test_the_last_event_may_lack_its_blank_line() -> None:
    decoder = CODEC.stream_decoder(LIMIT)
    body = sse(START, STOP)
    events = decoder.feed(body[:-2])
    assert not isinstance(events[-1], Ended)
    assert isinstance(decoder.close()[-1], Ended)


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"type": "message_start"}\n\n',
        b'data: {"type": "message_start", "message": {"id": 5}}\n\n',
        b'data: {"type": "content_block_start", "index": 0}\n\n',
        b'data: {"type": "content_block_delta", "index": 0, "delta": {}}\n\n',
        sse(TEXT, {"type": "content_block_delta", "index": 0}),
        sse(TEXT, grown({"type": "input_json_delta", "partial_json": "{"})),
        sse(TEXT, {"type": "content_block_stop", "index": 0}, grown({"type": "text_delta", "text": "a"})),
        b"data: " + b"a" * (LIMIT + 1),
    ],
)
def test_what_is_no_stream_is_broken(body: bytes) -> None:
    with pytest.raises(Broken):
        CODEC.stream_decoder(LIMIT).feed(body)


@pytest.mark.parametrize(
    "body",
    [
        b"data: {\n\n",
        b"data: [1]\n\n",
        b"data: \xff\n\n",
        b'data: {"type": "x", "y": ' + b"[" * 20_000 + b"]" * 20_000 + b"}\n\n",
    ],
)
def test_an_event_that_cannot_be_read_is_skipped(body: bytes) -> None:
    decoder = CODEC.stream_decoder(LIMIT)
    assert decoder.feed(body) == []
    assert (decoder.skipped, decoder.finished) == (1, False)


def test_what_is_said_twice_begins_and_finishes_once() -> None:
    ending = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}}
    events = CODEC.stream_decoder(LIMIT).feed(sse(START, START, ending, ending, STOP, STOP))
    kinds = [type(event) for event in events]
    assert (kinds.count(Began), kinds.count(Finished), kinds.count(Ended)) == (1, 1, 1)


JUNK = st.lists(
    st.sampled_from(
        [
            START,
            TEXT,
            STOP,
            {"type": "content_block_stop", "index": 0},
            grown({"type": "text_delta", "text": "a"}),
            grown({"type": "signature_delta", "signature": "s"}),
            grown({"type": "citations_delta", "citation": {"type": "char_location"}}),
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {"type": "tool_use", "input": {"a": 1}},
            },
            {"type": "content_block_start", "index": 1, "content_block": {"type": "redacted_thinking"}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "server_tool_use"}},
            {"type": "message_delta", "delta": {"stop_reason": "refusal"}},
            {"type": "message_delta"},
            {"type": "error"},
        ]
    ),
    max_size=12,
)


@given(told=JUNK, cut=st.integers(1, 300))
def test_events_in_any_order_are_read_written_and_joined_or_broken(told: list[Any], cut: int) -> None:
    body = sse(*told)
    decoder = CODEC.stream_decoder(LIMIT)
    try:
        events = [e for at in range(0, len(body), cut) for e in decoder.feed(body[at : at + cut])]
    except Broken:
        return
    assert join(events).choices
    write(*events)


def test_the_frame_of_a_stream() -> None:
    encoder = CODEC.stream_encoder(HEADING)
    first = encoder.encode([Began("chatcmpl-1", "m"), Metered(Usage(9, 0))])
    rest = [Opened(0, Text("")), Grew(0, "Hi"), Closed(0), Finished("stop", "stop"), Metered(Usage(9, 2))]
    body = first + encoder.encode([*rest, Ended()])
    written = [json.loads(data_of(event)) for event in split_events(body)]
    usage = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "input_tokens": 9}
    assert written == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "m",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {**usage, "output_tokens": 0},
            },
        },
        TEXT,
        grown({"type": "text_delta", "text": "Hi"}),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {**usage, "output_tokens": 2},
        },
        STOP,
    ]


SIGNED = {"type": "thinking", "thinking": "a\n\nb", "signature": "forebay.gemini.st"}


@pytest.mark.parametrize(
    ("events", "blocks"),
    [
        ([Opened(0, Refusal("N")), Grew(0, "o."), Closed(0)], [{"type": "text", "text": "No."}]),
        ([Opened(0, Text("")), Closed(0)], []),
        ([Opened(0, Text("")), Closed(0, content=Text("Hi"))], [{"type": "text", "text": "Hi"}]),
        (
            [
                Opened(0, Reasoning(origin="gemini")),
                Grew(0, "a", "summary"),
                Grew(0, "b", "summary", new_summary=True),
                Grew(0, "s", "signature"),
                Grew(0, "t", "signature"),
                Closed(0),
            ],
            [SIGNED],
        ),
        (
            [
                Opened(0, Reasoning(origin="responses")),
                Grew(0, "sum", "summary"),
                Closed(0, content=Reasoning(summary=("sum",), encrypted="e", origin="responses")),
            ],
            [
                {"type": "thinking", "thinking": "sum", "signature": "forebay.responses.unsigned"},
                {"type": "redacted_thinking", "data": "forebay.responses.e"},
            ],
        ),
        (
            [Opened(0, Reasoning(encrypted="e", origin="messages")), Closed(0)],
            [{"type": "redacted_thinking", "data": "e"}],
        ),
        (
            [
                Opened(0, ToolCall("c", "look", signature="s", origin="gemini")),
                Grew(0, '{"x":', "arguments"),
                Grew(0, "1}", "arguments"),
                Closed(0),
            ],
            [
                {"type": "redacted_thinking", "data": "forebay.gemini.s"},
                {"type": "tool_use", "id": "c", "name": "look", "input": {"x": 1}},
            ],
        ),
        (
            [Opened(0, ToolCall("c", "look")), Closed(0, content=ToolCall("c", "look", '{"x":1}'))],
            [{"type": "tool_use", "id": "c", "name": "look", "input": {"x": 1}}],
        ),
        (
            [Opened(0, Text("a")), Grew(0, "s", "signature"), Closed(0)],
            [{"type": "text", "text": "a"}, {"type": "redacted_thinking", "data": "forebay.gemini.s"}],
        ),
        (
            [
                Opened(0, ToolCall("c", "look")),
                Opened(1, ToolCall("d", "look")),
                Grew(1, '{"y":2}', "arguments"),
                Closed(0),
                Grew(0, '{"x":1}', "arguments"),
            ],
            [
                {"type": "tool_use", "id": "c", "name": "look", "input": {"x": 1}},
                {"type": "tool_use", "id": "d", "name": "look", "input": {"y": 2}},
            ],
        ),
        ([Opened(0, Text("")), Closed(0), Grew(0, "late")], [{"type": "text", "text": "late"}]),
        (
            [Opened(0, Text("a")), Cited(0, Citation("https://a", text="c", origin="chat")), Closed(0)],
            [
                {
                    "type": "text",
                    "text": "a",
                    "citations": [
                        {
                            "type": "web_search_result_location",
                            "cited_text": "c",
                            "url": "https://a",
                            "title": None,
                            "encrypted_index": "",
                        }
                    ],
                }
            ],
        ),
        ([Opened(0, Opaque("responses", "x", {})), Grew(0, "", "opaque", value={}), Closed(0)], []),
        ([Opened(0, Text("other"), 1), Grew(0, "!", choice=1), Closed(0, 1)], []),
    ],
)
def test_anthropics_sdk_puts_together_what_was_said(events: list[Event], blocks: list[Any]) -> None:
    assert blocks_of(*events) == blocks


@pytest.mark.parametrize("late", [False, True])
def test_each_block_that_begins_ends_once(late: bool) -> None:
    parts = [
        Opened(0, Text("")),
        *([Closed(0)] if late else []),
        Grew(0, "a"),
        Opened(1, Reasoning(encrypted="e")),
    ]
    written = write(Began(), *parts, Opened(2, ToolCall("c", "look")), Closed(1), Closed(2), Closed(2), *END)
    begun = [one["index"] for one in written if one["type"] == "content_block_start"]
    ended = [one["index"] for one in written if one["type"] == "content_block_stop"]
    assert begun == sorted(ended) == [0, 1, 2]


def test_a_drawing_and_a_sound_come_whole_at_their_end() -> None:
    written = write(
        Began(),
        Opened(0, Media("image", "image/png")),
        Grew(0, "QQ", "data"),
        Grew(0, "==", "data"),
        Closed(0),
        Opened(1, Media("audio", "audio/wav")),
        Grew(1, "said", "transcript"),
        *END,
    )
    begun = [one["content_block"] for one in written if one["type"] == "content_block_start"]
    source = {"type": "base64", "media_type": "image/png", "data": "QQ=="}
    assert begun == [{"type": "image", "source": source}, {"type": "text", "text": "said"}]


PARTS = (
    Reasoning("hm", signature="s", origin="messages"),
    Text("Hi", citations=(Citation("https://a", "T", "c", origin="chat"),)),
    ToolCall("c", "look", '{"x":1}', origin="messages"),
)


def test_a_whole_answer_can_be_said_as_a_stream() -> None:
    completion = Completion((Choice(PARTS, "tool_calls"),), usage=Usage(3, 4))
    blocks = blocks_of(*whole(completion)[1:-2])
    written = json.loads(CODEC.encode_answer(completion, HEADING))
    assert blocks == written["content"]


@pytest.mark.parametrize("once", [True, False])
def test_a_forced_call_ends_with_tool_use(once: bool) -> None:
    events = [Began(), Opened(0, ToolCall("c", "look")), Closed(0), Finished("stop", "stop"), Ended()]
    encoder = CODEC.stream_encoder(HEADING)
    written = encoder.encode(events) if once else b"".join(encoder.encode([event]) for event in events)
    assert b'"stop_reason":"tool_use"' in written


def test_a_failed_answer_does_not_look_whole() -> None:
    written = write(Began(), Opened(0, Text("a")), Closed(0), Finished("error"), Ended())
    assert written[-1]["type"] == "error"
    assert "message_delta" not in {one["type"] for one in written}


@pytest.mark.parametrize("error", [Failed("Oh."), Broken("Cut.")])
def test_nothing_follows_an_error(error: GatewayError) -> None:
    encoder = CODEC.stream_encoder(HEADING)
    encoder.encode([Began(), Opened(0, Text("a"))])
    assert encoder.fail(error).startswith(b"event: error\n")
    assert encoder.encode([Grew(0, "b"), *END]) == b""
    assert encoder.fail(error) == b""


def test_nothing_that_can_be_said_is_held_back() -> None:
    encoder = CODEC.stream_encoder(HEADING)
    assert b"message_start" in encoder.encode([Began("", "m")])
    assert b"text_delta" in encoder.encode([Opened(0, Text("a"))])
    assert encoder.encode([]) == b""


def test_a_long_stream_costs_the_same_per_event_and_little() -> None:
    piece = sse(grown({"type": "text_delta", "text": " help you with that"}))

    def run(times: int) -> float:
        decoder, encoder = CODEC.stream_decoder(LIMIT), CODEC.stream_encoder(HEADING)
        encoder.encode(decoder.feed(sse(START, TEXT)))
        return timeit.timeit(lambda: encoder.encode(decoder.feed(piece)), number=times) / times

    run(100)
    assert min(run(2000) for _ in range(3)) < 200e-6
    assert min(run(8000) for _ in range(3)) < 10 * min(run(500) for _ in range(5))
