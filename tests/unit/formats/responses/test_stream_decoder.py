"""Streams of upstreams: the ways hosts differ, and what is no stream."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Broken, QuotaSpent, UpstreamError
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.events import Began, Closed, Ended, Event, Faulted, Finished, Opened, join
from gateway.formats.neutral.parts import Opaque, Reasoning, Refusal, Text, ToolCall
from gateway.formats.responses.codec import CODEC

HEADING = Heading("call-1", "m", 1, Conversation(()))
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 5, "model": "m", "status": "in_progress"}
CREATED = {"type": "response.created", "response": RESPONSE}
COMPLETED = {"type": "response.completed", "response": RESPONSE | {"status": "completed", "output": []}}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed"}
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f"}


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)


def read(body: bytes, limit_bytes: int = 1_000_000) -> list[Event]:
    decoder = CODEC.stream_decoder(limit_bytes)
    return decoder.feed(body) + decoder.close()


def parts_of(*chunks: Any) -> Any:
    events = read(sse(CREATED, *chunks, COMPLETED))
    opened = sum(isinstance(event, Opened) for event in events)
    assert sum(isinstance(event, Closed) for event in events) == opened
    assert isinstance(events[-1], Ended)
    return join(events).choices[0].parts


def added(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.added", "output_index": index, "item": item}


def done(item: dict[str, Any], index: int = 0) -> dict[str, Any]:
    return {"type": "response.output_item.done", "output_index": index, "item": item}


def delta(kind: str, text: str, **members: Any) -> dict[str, Any]:
    return {"type": f"response.{kind}.delta", "output_index": 0, "delta": text, **members}


CITED = {"type": "url_citation", "url": "https://x", "title": "t", "start_index": 0, "end_index": 1}
WORDS = {"type": "output_text", "text": "hi", "annotations": [CITED]}


def test_deltas_alone_are_enough() -> None:
    assert parts_of(delta("output_text", "h"), delta("output_text", "i")) == (Text("hi"),)
    assert parts_of(delta("refusal", "no")) == (Refusal("no"),)
    assert parts_of(added(CALL), delta("function_call_arguments", "{}")) == (
        ToolCall("c", "f", "{}", item_id="fc_1"),
    )


def test_whole_items_alone_are_enough() -> None:
    reasoning = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "s"}, {"type": "summary_text", "text": "t"}],
        "content": [{"type": "reasoning_text", "text": "hm"}],
        "encrypted_content": "e",
    }
    refusal = {"type": "refusal", "refusal": "no"}
    unknown = {"type": "hologram", "x": 1}
    text, denied, other, call, thought = parts_of(
        done(MESSAGE | {"content": [WORDS, refusal, unknown]}, 0),
        done(CALL | {"arguments": "{}"}, 1),
        done(reasoning, 2),
    )
    assert (text.text, text.citations[0].url, denied) == ("hi", "https://x", Refusal("no"))
    assert other == Opaque("responses", "hologram", unknown)
    assert call == ToolCall("c", "f", "{}", item_id="fc_1")
    assert thought == Reasoning("hm", ("s", "t"), encrypted="e", id="rs_1", origin="responses")


def test_the_end_alone_is_enough() -> None:
    output = [MESSAGE | {"content": [WORDS]}, CALL | {"arguments": "{}"}]
    end = {"type": "response.completed", "response": RESPONSE | {"status": "completed", "output": output}}
    events = read(sse(end))
    assert isinstance(events[0], Began)
    joined = join(events)
    assert [type(part) for part in joined.choices[0].parts] == [Text, ToolCall]
    assert joined.choices[0].finish == "tool_calls"


def test_nothing_is_told_twice() -> None:
    content = MESSAGE | {"content": [WORDS]}
    annotation = {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": CITED}
    (text,) = parts_of(
        added(MESSAGE | {"content": []}),
        {"type": "response.content_part.added", "output_index": 0, "part": WORDS | {"text": ""}},
        delta("output_text", "hi"),
        annotation,
        done(content),
        done(content),
    )
    assert (text.text, len(text.citations)) == ("hi", 1)


def test_a_call_that_begins_with_its_arguments_has_them_once() -> None:
    whole = CALL | {"arguments": '{"a":1}'}
    for between in ([], [delta("function_call_arguments", '{"a":1}')]):
        assert parts_of(added(whole), *between, done(whole))[0].arguments == '{"a":1}'


def test_encrypted_reasoning_is_that_of_the_whole_item() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": []}
    (part,) = parts_of(
        added(item | {"encrypted_content": "early"}),
        {
            "type": "response.reasoning_summary_text.delta",
            "output_index": 0,
            "summary_index": 0,
            "delta": "s",
        },
        {
            "type": "response.reasoning_summary_text.delta",
            "output_index": 0,
            "summary_index": 1,
            "delta": "t",
        },
        done(item | {"encrypted_content": "late"}),
    )
    assert part == Reasoning(summary=("s", "t"), encrypted="late", id="rs_1", origin="responses")


def test_bedrocks_content_index_begins_at_one() -> None:
    part = {"type": "response.content_part.added", "output_index": 0, "content_index": 1, "part": WORDS}
    texts = parts_of(
        added(MESSAGE),
        part,
        delta("output_text", "hi", content_index=1),
        done(MESSAGE | {"content": [WORDS]}),
    )
    assert [text.text for text in texts] == ["hi"]


def test_items_of_the_provider_are_those_of_their_end() -> None:
    item = {"type": "mcp_call", "id": "mcp_1", "arguments": "{}", "output": "x", "content": {"any": 1}}
    parts = parts_of(
        added({"type": "mcp_call", "id": "mcp_1"}),
        {"type": "response.mcp_call_arguments.delta", "output_index": 0, "delta": "{}"},
        {"type": "response.mcp_call.of_next_year", "output_index": 0, "delta": {"x": 1}, "text": 5},
        done(item),
    )
    assert parts == (Opaque("responses", "mcp_call", item),)


@pytest.mark.parametrize("nl", ["\n", "\r\n"])
def test_lines_of_events_and_comments_do_not_matter(nl: str) -> None:
    body = b": comment\n\nevent: response.created\nid: 1\n" + sse(
        CREATED, delta("output_text", "hi"), COMPLETED
    )
    body += b"data: [DONE]\n\n"
    assert join(read(body.replace(b"\n", nl.encode()))).choices[0].parts == (Text("hi"),)


def test_a_last_event_without_its_blank_line_counts() -> None:
    assert isinstance(read(sse(CREATED, COMPLETED).rstrip())[-1], Ended)


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_a_cut_stream_has_not_ended(cut: int) -> None:
    events = read(sse(CREATED, delta("output_text", "hi"), COMPLETED)[: -cut - 2])
    assert not any(isinstance(event, Ended | Finished) for event in events)


def test_an_error_is_told_once() -> None:
    error = {"code": "insufficient_quota", "message": "spent"}
    failed = {"type": "response.failed", "response": RESPONSE | {"status": "failed", "error": error}}
    for chunks in (
        [{"type": "error", "error": error}, failed],
        [{"type": "error", **error}, failed],
        [failed],
        [failed, COMPLETED],
    ):
        faults = [event for event in read(sse(CREATED, *chunks)) if isinstance(event, Faulted | Ended)]
        assert [type(event) for event in faults] == [Faulted]
        assert isinstance(faults[0], Faulted)
        assert isinstance(faults[0].error, QuotaSpent)


@pytest.mark.parametrize(
    "body",
    [
        sse({"type": "response.output_text.delta", "delta": 5}),
        sse({"type": "response.created", "response": "x"}),
        sse({"type": "response.created", "response": {"created_at": "x"}}),
        sse({"type": "response.output_item.added", "item": {"type": "function_call"}}),
        sse({"type": "response.output_item.added", "item": {}}),
        sse({"type": "response.output_item.done", "output_index": 0, "item": None}),
        sse(added(CALL), done(MESSAGE | {"content": []})),
        sse(added(CALL), delta("output_text", "x")),
        sse(delta("reasoning_text", "x")),
        sse(done(MESSAGE | {"content": [WORDS]}), delta("output_text", "x")),
        sse({"type": "response.completed", "response": {"output": 5}}),
        sse({"type": "response.completed", "response": {"status": "in_progress"}}),
        sse({"type": "response.output_text.annotation.added", "annotation": 5}),
    ],
)
def test_what_is_no_stream_breaks(body: bytes) -> None:
    with pytest.raises(Broken):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        b"data: {\n\n",
        b"data: \xff\n\n",
        b'data: "x"\n\n',
        b"data: []\n\n",
        b"data: " + b"[" * 20_000 + b"\n\n",
    ],
)
def test_an_event_that_cannot_be_read_is_skipped(body: bytes) -> None:
    assert read(body + sse(CREATED)) == read(sse(CREATED))


def test_an_event_beyond_the_limit_breaks() -> None:
    with pytest.raises(Broken):
        read(b"data: " + b"x" * 2000, limit_bytes=1000)


KINDS = [
    *("response.created", "response.completed", "response.failed", "error", "response.output_text.delta"),
    *("response.output_item.added", "response.output_item.done", "response.content_part.added"),
    *("response.reasoning_text.delta", "response.function_call_arguments.delta"),
]
ITEMS = [MESSAGE, CALL, MESSAGE | {"content": [WORDS]}, {"type": "reasoning"}, {"type": "x"}, 5]
CHUNKS = st.fixed_dictionaries(
    {"type": st.sampled_from(KINDS)},
    optional={
        "output_index": st.integers(-1, 2),
        "content_index": st.integers(-1, 2),
        "delta": st.text(max_size=3) | st.none(),
        "item": st.sampled_from(ITEMS),
        "part": st.sampled_from([WORDS, {"type": "refusal"}, None, 5]),
        "response": st.sampled_from([RESPONSE, COMPLETED["response"], None, 5, {"error": 5}]),
    },
)


@given(st.lists(CHUNKS, max_size=8))
def test_any_events_give_parts_in_order_or_break(chunks: list[dict[str, Any]]) -> None:
    try:
        events = read(sse(*chunks))
    except UpstreamError:
        return
    numbers = [event.part for event in events if isinstance(event, Opened)]
    assert numbers == list(range(len(numbers)))
    join(events)


def test_the_time_is_linear_in_the_length() -> None:
    many = 5_000
    items = [added(CALL | {"id": f"fc_{i}"}, i) for i in range(many)]
    texts = [delta("output_text", "x", output_index=many, content_index=i) for i in range(many)]
    whole = done(MESSAGE | {"content": [WORDS] * many}, many)
    started = time.process_time()
    events = read(sse(CREATED, *items, *texts, whole, COMPLETED))
    assert time.process_time() - started < 5
    written = CODEC.stream_encoder(HEADING).encode(events)
    assert sum(isinstance(event, Opened) for event in read(written, 10_000_000)) == 2 * many
    assert time.process_time() - started < 10
