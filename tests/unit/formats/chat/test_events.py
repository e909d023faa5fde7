"""Streams of chat completions, read."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.script import split_in_bytes

from gateway.errors import Broken, RateLimited, UpstreamError
from gateway.exchange import Usage
from gateway.formats.chat.events import StreamReader
from gateway.formats.neutral.completion import Choice, TokenLogprob
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
)
from gateway.formats.neutral.parts import Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall

LIMIT_BYTES = 1 << 20
DONE = b"data: [DONE]\n\n"


def chunk(
    delta: Any = None, finish: Any = None, *, index: int = 0, choice: Any = None, **members: Any
) -> bytes:
    said = {"index": index, "delta": delta or {}, "finish_reason": finish, **(choice or {})}
    body = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 5,
        "model": "m",
        "choices": [said],
        **members,
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def read(*pieces: bytes) -> list[Event]:
    reader = StreamReader(LIMIT_BYTES)
    return [event for piece in pieces for event in reader.feed(piece)] + reader.close()


def heard(*pieces: bytes) -> Choice:
    (choice,) = join(read(*pieces)).choices
    return choice


def call(index: Any = 0, id_: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    found = {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [{member: value for member, value in found.items() if value is not None}]}


def test_a_plain_stream_has_the_life_of_a_stream() -> None:
    events = read(
        chunk({"role": "assistant", "content": ""}, service_tier="default", system_fingerprint="fp"),
        chunk({"content": "Hel"}),
        chunk({"content": "lo"}),
        chunk({}, "stop"),
        chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}),
        DONE,
    )
    assert events == [
        Began("c1", "m", 5, "default", {"system_fingerprint": "fp"}),
        Opened(0, Text("Hel")),
        Grew(0, "lo"),
        Metered(Usage(3, 2)),
        Closed(0),
        Finished("stop", "stop"),
        Ended({"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}),
    ]


@pytest.mark.parametrize(
    ("deltas", "parts"),
    [
        ([{"refusal": "n"}, {"refusal": "o"}], (Refusal("no"),)),
        (
            [{"reasoning_content": "h"}, {"reasoning": "m"}, {"content": "a"}],
            (Reasoning("hm", origin="chat"), Text("a")),
        ),
        (
            [
                {
                    "reasoning": "h",
                    "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0}],
                },
                {
                    "reasoning": "m",
                    "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}],
                },
                {"reasoning_details": [{"type": "reasoning.text", "signature": "s", "index": 0}]},
            ],
            (Reasoning("hm", signature="s", origin="chat"),),
        ),
        (
            [
                {"reasoning_details": [{"type": "reasoning.summary", "summary": "a", "index": 0}]},
                {"reasoning_details": [{"type": "reasoning.summary", "summary": "b", "index": 0}]},
                {"reasoning_details": [{"type": "reasoning.encrypted", "data": "d", "id": "r", "index": 1}]},
            ],
            (Reasoning(summary=("ab",), origin="chat"), Reasoning(encrypted="d", id="r", origin="chat")),
        ),
        (
            [call(0, "a", "f", ""), call(0, None, None, '{"x"'), call(0, None, None, ":1}")],
            (ToolCall("a", "f", '{"x":1}'),),
        ),
        (
            [call(0, "a", "f"), call(1, "b", "g"), call(0, None, None, "1"), call(1, None, None, "2")],
            (ToolCall("a", "f", "1"), ToolCall("b", "g", "2")),
        ),
        (
            [call(0, "a", "f", "1"), call(0, "b", "g", "2"), call(0, None, None, "3")],
            (ToolCall("a", "f", "1"), ToolCall("b", "g", "23")),
        ),
        (
            [call(None, "a", "f", "1"), call(None, "b", "g", "2"), call(None, None, None, "3")],
            (ToolCall("a", "f", "1"), ToolCall("b", "g", "23")),
        ),
        ([call(0, "a", "f", {"x": 1})], (ToolCall("a", "f", '{"x":1}'),)),
        (
            [
                {"tool_calls": [{"index": 0, "id": "a", "custom": {"name": "g", "input": "x"}}]},
                {"tool_calls": [{"index": 0, "custom": {"input": "y"}}]},
            ],
            (ToolCall("a", "g", "xy", custom=True),),
        ),
        (
            [{"function_call": {"name": "f", "arguments": "{"}}, {"function_call": {"arguments": "}"}}],
            (ToolCall("function_call_0", "f", "{}"),),
        ),
        (
            [
                {"audio": {"id": "x", "transcript": "h"}},
                {"audio": {"data": "YQ=="}},
                {"audio": {"transcript": "i"}},
            ],
            (Media("audio", data="YQ==", transcript="hi", raw={"id": "x", "expires_at": 0}),),
        ),
        (
            [
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "h"}]}]},
                {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "m"}]}]},
                {"content": "a"},
            ],
            (Reasoning("hm", origin="chat"), Text("a")),
        ),
        (
            [{"images": [{"type": "image_url", "image_url": {"url": "https://h"}}]}],
            (Media("image", url="https://h"),),
        ),
        (
            [
                {"content": "a"},
                {
                    "annotations": [
                        {"type": "url_citation", "url_citation": {"url": "u"}},
                        {"type": "file", "file": 1},
                    ]
                },
            ],
            (
                Text(
                    "a",
                    citations=(
                        Citation(
                            "u", origin="chat", raw={"type": "url_citation", "url_citation": {"url": "u"}}
                        ),
                    ),
                ),
                Opaque("chat", "annotation", {"type": "file", "file": 1}),
            ),
        ),
        ([{"content": None}, {"content": "", "tool_calls": None, "refusal": ""}], ()),
    ],
)
@pytest.mark.parametrize("in_bytes", [False, True])
def test_deltas_add_up_to_parts(deltas: Any, parts: Any, in_bytes: bool) -> None:
    body = b"".join([*(chunk(delta) for delta in deltas), chunk({}, "stop"), DONE])
    assert heard(*(split_in_bytes(body) if in_bytes else [body])).parts == parts


def test_choices_may_interleave() -> None:
    events = read(
        chunk({"content": "a"}),
        chunk({"content": "x"}, index=1),
        chunk({"content": "b"}),
        chunk({"content": "y"}, index=1),
        chunk({}, "length", index=1),
        chunk({}, "stop"),
        DONE,
    )
    assert join(events).choices == (
        Choice((Text("ab"),), "stop", "stop"),
        Choice((Text("xy"),), "length", "length"),
    )


def test_chances_of_tokens_come_with_their_text() -> None:
    token = {"token": "a", "logprob": -0.5, "bytes": [97]}
    choice = heard(
        chunk({"content": "a"}, choice={"logprobs": {"content": [token]}}),
        chunk({"content": ""}, choice={"logprobs": {"content": [token]}}),
        chunk({}, "stop"),
        DONE,
    )
    assert choice.parts == (Text("a"),)
    assert choice.logprobs == (TokenLogprob("a", -0.5, (97,)),) * 2


def test_a_first_chunk_that_names_nobody_is_waited_over() -> None:
    first = b'data: {"choices":[],"created":0,"id":"","model":"","prompt_filter_results":[1]}\n\n'
    events = read(first, chunk({"content": "a"}, "stop"), DONE)
    assert events[0] == Began("c1", "m", 5, "", {"prompt_filter_results": [1]})


@pytest.mark.parametrize("finish", ["tool_calls", "stop"])
def test_an_end_after_each_call_is_one_end(finish: str) -> None:
    events = read(chunk(call(0, "a", "f", "1"), finish), chunk(call(1, "b", "g", "2"), finish), DONE)
    assert [event for event in events if isinstance(event, Finished)] == [Finished("tool_calls", finish)]
    assert isinstance(events[-1], Ended)


def test_usage_that_is_told_twice_is_one_usage() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 2}
    events = read(
        chunk({"content": "a"}, "stop", x_groq={"usage": usage}), chunk(choices=[], usage=usage), DONE
    )
    assert [event for event in events if isinstance(event, Metered)] == [Metered(Usage(3, 2))]


def test_a_stream_without_a_marker_ends_when_all_has_been_told() -> None:
    assert isinstance(read(chunk({"content": "a"}, "stop"))[-1], Ended)
    assert isinstance(read(chunk({"content": "a"}, "stop").rstrip(b"\n"))[-1], Ended)
    assert not isinstance(read(chunk({"content": "a"}))[-1], Ended)
    assert not isinstance(read(chunk({"content": "a"}, "stop"), chunk({"content": "b"}, index=1))[-1], Ended)
    assert read() == []


@pytest.mark.parametrize("rest", [b"data: {", b'data: {"choices":[{"ind', b"data: [DON", b": comm"])
def test_half_an_event_at_the_end_says_nothing(rest: bytes) -> None:
    assert [type(event) for event in read(chunk({"content": "a"}), rest)] == [Began, Opened]


@pytest.mark.parametrize(
    "event",
    [
        b'event: error\ndata: {"error":{"message":"no","code":"tool_use_failed","status_code":400}}\n\n',
        b'data: {"error":{"message":"no","code":503}}\n\n',
        b'data: {"error":"no"}\n\n',
        b'data: {"object":"error","message":"no","type":"x","code":503}\n\n',
    ],
)
def test_an_error_ends_everything(event: bytes) -> None:
    events = read(chunk({"content": "a"}, "length"), event, chunk({"content": "b"}), DONE)
    assert isinstance(events[-1], Faulted)
    assert isinstance(events[-1].error, UpstreamError)
    assert "no" in events[-1].error.message
    assert not any(isinstance(each, Finished | Ended) for each in events)


@pytest.mark.parametrize(
    "piece",
    [
        b'data: {"choices":7}\n\n',
        b'data: {"choices":[{"delta":{"content":[{"type":"thinking"}]}}]}\n\n',
        b'data: {"id":"a","choices":[],"usage":{"prompt_tokens":1,"x":1e400}}\n\n',
        b"data: " + b"x" * LIMIT_BYTES,
    ],
)
def test_what_is_no_chunk_breaks_the_stream(piece: bytes) -> None:
    with pytest.raises(Broken):
        read(piece)


@pytest.mark.parametrize(
    "piece",
    [
        b"data: {]\n\n",
        b"data: 7\n\n",
        b"data: null\n\n",
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"timings":' + b"[" * 9_000 + b"]" * 9_000 + b"}\n\n",
    ],
)
def test_an_event_that_cannot_be_read_is_skipped(piece: bytes) -> None:
    plain = [chunk({"content": "a"}), chunk({}, "stop"), DONE]
    assert read(plain[0], piece, *plain[1:]) == read(*plain)
    decoder = StreamReader(LIMIT_BYTES)
    assert decoder.feed(piece) == []
    assert (decoder.skipped, decoder.finished) == (1, False)


def test_a_choice_that_told_its_end_has_finished_before_the_stream_has() -> None:
    decoder = StreamReader(LIMIT_BYTES)
    decoder.feed(chunk({"content": "a"}))
    assert not decoder.finished
    assert not any(isinstance(event, Finished) for event in decoder.feed(chunk({}, "stop")))
    assert decoder.finished


@pytest.mark.parametrize(
    "noise", [b": ping\n\n", b"\n\n", b"event: x\n\n", b"data:\n\n", b"id: 7\nretry: 9\n\n"]
)
def test_events_without_data_are_skipped(noise: bytes) -> None:
    plain = [chunk({"content": "a"}), chunk({}, "stop"), DONE]
    assert read(noise, plain[0], noise, *plain[1:], noise) == read(*plain)


def test_nothing_is_read_after_the_end() -> None:
    assert read(chunk({"content": "a"}, "stop"), DONE, chunk({"content": "b"}), b"data: {]\n\n") == read(
        chunk({"content": "a"}, "stop"), DONE
    )


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "a"},
        call(0, "a", "f", "1"),
        {"reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}]},
    ],
)
def test_time_is_linear_in_the_length_of_the_stream(delta: Any) -> None:
    def seconds(count: int) -> float:
        body = chunk(delta) * count
        start = time.process_time()
        read(body)
        return time.process_time() - start

    seconds(500)
    assert min(seconds(8_000) for _ in range(3)) < 40 * min(seconds(1_000) for _ in range(3))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "id", "index", "function", "custom", "name"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)
MEMBERS = [
    "content",
    "tool_calls",
    "reasoning_details",
    "annotations",
    "audio",
    "images",
    "function_call",
    "reasoning",
]
DELTAS = st.lists(st.dictionaries(st.sampled_from(MEMBERS), JSON), max_size=4)


@settings(max_examples=300, deadline=None)
@given(DELTAS, st.integers(1, 50))
def test_any_chunks_are_read_the_same_however_they_are_split_or_break_the_stream(
    deltas: Any, size: int
) -> None:
    body = b"".join(chunk(delta, index=i % 2) for i, delta in enumerate(deltas)) + DONE
    try:
        whole = read(body)
    except Broken:
        with pytest.raises(Broken):
            read(*(body[i : i + size] for i in range(0, len(body), size)))
        return
    assert read(*(body[i : i + size] for i in range(0, len(body), size))) == whole
    assert join(whole).model == "m" or not deltas


def test_what_a_choice_says_again_after_its_end_is_not_heard() -> None:
    answer = [chunk({"role": "assistant", "content": "a"}), chunk({"content": "b"}), chunk({}, "stop")]
    assert heard(*answer, *answer, DONE).parts == (Text("ab"),)
    late = chunk({"content": "c"}, index=1)
    assert [choice.parts for choice in join(read(*answer, late, *answer, late)).choices] == [
        (Text("ab"),),
        (Text("cc"),),
    ]


def test_calls_beside_the_first_may_follow_an_end_but_not_twice() -> None:
    """Together tells an end after each."""
    answer = [
        chunk(call(0, "c1", "f", "{}")),
        chunk({}, "tool_calls"),
        chunk(call(1, "c2", "g", "{")),
        chunk(call(1, arguments="}")),
        chunk({}, "tool_calls"),
    ]
    calls = (ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}"))
    assert heard(*answer, DONE).parts == calls
    assert heard(*answer, *answer, DONE).parts == calls


CITED = {"type": "url_citation", "url_citation": {"url": "u", "start_index": 0, "end_index": 1}}
PLACED = Citation("u", start=0, end=1, origin="chat", raw=CITED)
UNPLACED = Citation("u", origin="chat", raw=CITED)
SOURCE = {"annotations": [CITED]}


@pytest.mark.parametrize(
    ("deltas", "parts"),
    [
        ([{"content": "a"}, SOURCE], (Text("a", citations=(PLACED,)),)),
        ([SOURCE, {"content": "a"}], (Text("a", citations=(PLACED,)),)),
        ([SOURCE], (Opaque("chat", "annotation", CITED),)),
        (
            [{"content": "a"}, call(0, "c", "f", "{}"), SOURCE],
            (Text("a"), ToolCall("c", "f", "{}"), Text("", citations=(UNPLACED,))),
        ),
        (
            [{"content": "a"}, {"reasoning": "hm"}, SOURCE, {"reasoning": "!"}, {"content": "b"}],
            (Text("a"), Reasoning("hm!", origin="chat"), Text("b", citations=(UNPLACED,))),
        ),
    ],
)
def test_a_source_goes_to_a_text_that_is_open(deltas: Any, parts: Any) -> None:
    """To the next one, or to one without words, where it came between texts."""
    events = read(*(chunk(delta) for delta in deltas), chunk({}, "stop"), DONE)
    assert join(events).choices[0].parts == parts
    assert_nothing_follows_an_end(events)


def assert_nothing_follows_an_end(events: list[Event]) -> None:
    """Parts are spoken of from their opening to their end, once."""
    opened: set[int] = set()
    closed: set[int] = set()
    for event in events:
        if isinstance(event, Opened):
            assert event.part not in opened
            opened.add(event.part)
        elif isinstance(event, Grew | Cited | Closed):
            assert event.part in opened - closed
            if isinstance(event, Closed):
                closed.add(event.part)


def test_white_space_behind_a_call_that_was_closed_is_dropped() -> None:
    events = read(
        chunk(call(0, "c", "f", "{}")), chunk({"content": "a"}), chunk(call(0, arguments=" \n")), DONE
    )
    assert join(events).choices[0].parts == (ToolCall("c", "f", "{}"), Text("a"))
    assert_nothing_follows_an_end(events)


@pytest.mark.parametrize(
    "late",
    [
        call(0, arguments='{"a": 1}'),
        {"tool_calls": [{"function": {"arguments": "x"}}]},
        {"tool_calls": [{"index": 0, "extra_content": {"google": {"thought_signature": "s"}}}]},
    ],
)
def test_more_of_a_call_that_was_closed_breaks_the_stream(late: Any) -> None:
    with pytest.raises(Broken, match="a call that was whole"):
        read(chunk(call(0, "c", "f", "{}")), chunk({"content": "a"}), chunk(late))


@pytest.mark.parametrize("blank", [b"", b"\n", b"\n\n"])
def test_an_error_may_come_without_an_event_around_it(blank: bytes) -> None:
    told = b'{"error": {"message": "slow down", "code": 429}}' + blank
    *_, last = read(chunk({"content": "a"}), told)
    assert isinstance(last, Faulted)
    assert isinstance(last.error, RateLimited)
    assert last.error.message == "slow down"
    assert read(chunk({"content": "a"}), b'{"usage": {}}') == read(chunk({"content": "a"}))
    assert read(chunk({}, "stop"), DONE, told) == read(chunk({}, "stop"), DONE), "all was said before"
