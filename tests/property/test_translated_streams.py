"""Translated streams: any split gives the same events, and what is written can be read again."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import recordings
from rig.translation.formats import (
    APIS,
    CLIENTS,
    FORMATS,
    LIMIT_BYTES,
    codec,
    events_of,
    heading,
    stream_of,
    streamed,
)
from rig.translation.gist import answers
from rig.translation.limits import finishes, tokens
from rig.translation.witness.seen import tokens_of

from gateway.errors import Broken
from gateway.exchange import Usage
from gateway.formats.framing.sse import split_events
from gateway.formats.neutral.crossing import crossing_event
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
from gateway.formats.neutral.parts import Media, Part, Reasoning, Refusal, Text, ToolCall

WORDS = st.text(min_size=1, max_size=12)
FEW = settings(max_examples=40, deadline=None)
EVENT_STREAMS = frozenset(
    {"openai.chat", "mistral.chat", "openai.responses", "anthropic.messages", "gemini.generate"}
)


@st.composite
def parts(draw: st.DrawFn, number: int) -> list[Event]:
    """A part from its opening to its end: words, thoughts, or a call whose arguments come in pieces."""
    kind = draw(st.sampled_from(["text", "text", "thought", "call"]))
    if kind == "call":
        arguments = json.dumps({"q": draw(WORDS), "n": draw(st.integers(0, 9))})
        cut = draw(st.integers(0, len(arguments)))
        opened: Event = Opened(number, ToolCall(f"call_{number}", f"tool_{number}"))
        grown = [Grew(number, piece, "arguments") for piece in (arguments[:cut], arguments[cut:]) if piece]
        return [opened, *grown, Closed(number)]
    content = Text("") if kind == "text" else Reasoning("")
    return [
        Opened(number, content),
        *(Grew(number, w) for w in draw(st.lists(WORDS, min_size=1, max_size=4))),
        Closed(number),
    ]


@st.composite
def told(draw: st.DrawFn) -> list[Event]:
    """A whole stream of one choice."""
    count = draw(st.integers(1, 4))
    said = [draw(parts(number)) for number in range(count)]
    calls = any(
        isinstance(event, Opened) and isinstance(event.content, ToolCall) for one in said for event in one
    )
    finish = "tool_calls" if calls else draw(st.sampled_from(["stop", "length"]))
    usage = Usage(draw(st.integers(10, 99)), draw(st.integers(10, 99)), draw(st.integers(0, 9)))
    return [
        Began("answer-1", "model-1", 1_700_000_000),
        *itertools.chain.from_iterable(said),
        Finished(finish),
        Metered(usage),
        Ended(),
    ]


def pieces_of(body: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({cut % (len(body) + 1) for cut in cuts} | {0, len(body)})
    return [body[start:end] for start, end in itertools.pairwise(at)]


@pytest.mark.parametrize("format_", FORMATS)
@FEW
@given(events=told(), cuts=st.lists(st.integers(0, 5000), max_size=12))
def test_any_split_gives_the_same_events(format_: str, events: list[Event], cuts: list[int]) -> None:
    body = stream_of(format_, events, heading())
    assert events_of(format_, pieces_of(body, cuts)) == events_of(format_, [body])


@pytest.mark.parametrize("format_", FORMATS)
@FEW
@given(events=told())
def test_what_is_written_can_be_read(format_: str, events: list[Event]) -> None:
    again = events_of(format_, [stream_of(format_, events, heading())])
    one, other = join(events), join(again)
    assert answers(other) == answers(one)
    assert other.choices[0].finish in finishes(one, format_)[0]
    assert tokens_of(other.usage) == tokens(one, format_)
    assert isinstance(again[-1], Ended)


@pytest.mark.parametrize("format_", FORMATS)
@FEW
@given(events=told())
def test_words_are_written_at_once(format_: str, events: list[Event]) -> None:
    """Nothing that can be said is held back: each word is in the stream when its event was encoded."""
    encoder = codec(format_).stream_encoder(heading())
    so_far = b""
    said = ""
    texts = {event.part for event in events if isinstance(event, Opened) and isinstance(event.content, Text)}
    for event in events:
        so_far += encoder.encode([event])
        if isinstance(event, Grew) and event.part in texts:
            said += event.text
            heard = "".join(one[0] for one in answers(join(events_of(format_, [so_far]))))
            assert heard == said


STREAMS = [r for r in recordings.load(*APIS) if r.status == 200 and r.is_stream and len(r.body) < 40_000]


@pytest.mark.wire
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_split_of_a_recorded_stream_gives_the_same_events(data: st.DataObject) -> None:
    recording = data.draw(st.sampled_from(STREAMS))
    format_, body = APIS[recording.api], streamed(recording)
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=20))
    assert comparable(events_of(format_, pieces_of(body, cuts))) == comparable(events_of(format_, [body]))


def comparable(events: list[Event]) -> list[Any]:
    """An error is its kind and its words."""
    return [
        (type(event.error), event.error.code, event.error.message) if isinstance(event, Faulted) else event
        for event in events
    ]


SOURCE = {"type": "url_citation", "url_citation": {"url": "https://h", "start_index": 0, "end_index": 1}}


def piece(index: int | None, arguments: str, **members: Any) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return {"tool_calls": [{**place, **members, "function": {"name": "f", "arguments": arguments}}]}


DELTAS = st.one_of(
    WORDS.map(lambda said: {"content": said}),
    WORDS.map(lambda said: {"reasoning_content": said}),
    WORDS.map(lambda said: {"refusal": said}),
    st.builds(
        lambda said, index, kind: {
            "reasoning_details": [{"type": "reasoning.text", kind: said, "index": index}]
        },
        WORDS,
        st.integers(0, 1),
        st.sampled_from(["text", "summary", "signature", "data"]),
    ),
    st.builds(
        piece, st.integers(0, 2), st.sampled_from(["", "{}", '{"a":', "1}", "\n"]), id=st.sampled_from("ab")
    ),
    st.builds(piece, st.sampled_from([0, 1, 2, None]), st.sampled_from(["", "1}", " ", "\n"])),
    st.just({"tool_calls": [{"index": 0, "extra_content": {"google": {"thought_signature": "c2ln"}}}]}),
    st.just({"function_call": {"name": "g", "arguments": "{}"}}),
    st.just({"annotations": [SOURCE]}),
    st.just({"annotations": [{"type": "file", "file": {"hash": "x"}}]}),
    st.just({"audio": {"id": "a", "data": "AAAA", "transcript": "hm"}}),
    st.just({"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}),
    st.just({"content": [{"type": "text", "text": "x"}, {"type": "thinking", "thinking": "y"}]}),
)
CHUNKS = st.lists(
    st.tuples(DELTAS, st.sampled_from([0, 0, 0, 1]), st.sampled_from([None, None, None, None, "stop"])),
    max_size=10,
)


def chunked(chunks: Any) -> list[bytes]:
    events = [
        {"id": "c", "model": "m", "choices": [{"index": index, "delta": delta, "finish_reason": finish}]}
        for delta, index, finish in [
            *chunks,
            *(({}, index, "stop") for index in {0, *(one[1] for one in chunks)}),
        ]
    ]
    return [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]


def well_ordered(events: Iterable[Event]) -> list[Event]:
    """The events, of which none speaks of a part before its opening or after its end."""
    seen: list[Event] = []
    opened: set[int] = set()
    closed: set[int] = set()
    for event in events:
        seen.append(event)
        if isinstance(event, Opened):
            assert event.part == len(opened)
            opened.add(event.part)
        elif isinstance(event, Grew | Cited | Closed):
            assert event.part in opened - closed
            closed |= {event.part} if isinstance(event, Closed) else set()
    return seen


@pytest.mark.parametrize("client", CLIENTS)
@settings(max_examples=300, deadline=None)
@given(chunks=CHUNKS)
def test_chunks_in_any_order_can_be_said_to_every_client(client: str, chunks: Any) -> None:
    """Nothing raises, and neither words nor sources get lost."""
    try:
        events = well_ordered(events_of("chat", [*chunked(chunks), b"data: [DONE]\n\n"]))
    except Broken:
        return
    written = stream_of(client, [crossing_event(event) for event in events], heading())
    parts = join(events).choices[0].parts
    if any(isinstance(part, ToolCall) and not part.id for part in parts):  # nobody could answer it
        return
    again = events_of(client, [written])
    assert isinstance(again[-1], Ended)
    if not any(isinstance(part, Refusal | Media) for part in parts):  # some say these as texts
        assert words(join(again).choices[0].parts) == words(parts)
    if any(isinstance(part, Text) and part.citations for part in parts):
        assert b"https://h" in written


def words(parts: Sequence[Part]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Text))


@pytest.mark.wire
@pytest.mark.parametrize("client", CLIENTS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_events_of_a_recorded_stream_in_any_order_break_no_encoder(client: str, data: st.DataObject) -> None:
    recording = data.draw(
        st.sampled_from([r for r in STREAMS if r.api in EVENT_STREAMS and len(r.body) < 9_000])
    )
    format_ = APIS[recording.api]
    order = data.draw(st.permutations(split_events(streamed(recording))))
    encoder = codec(client).stream_encoder(heading())
    decoder = codec(format_).stream_decoder(LIMIT_BYTES)
    try:
        for event in order:
            encoder.encode([crossing_event(told) for told in decoder.feed(event)])
        encoder.encode([crossing_event(told) for told in decoder.close()])
    except Broken:
        return
