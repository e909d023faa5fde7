"""Translated streams: any split gives the same events, and what is written can be read again."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import recordings
from rig.translation.formats import APIS, FORMATS, codec, events_of, heading, stream_of, streamed
from rig.translation.gist import answers
from rig.translation.limits import finishes, tokens
from rig.translation.witness.seen import tokens_of

from gateway.exchange import Usage
from gateway.formats.neutral.events import (
    Began,
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
from gateway.formats.neutral.parts import Reasoning, Text, ToolCall

WORDS = st.text(min_size=1, max_size=12)
FEW = settings(max_examples=40, deadline=None)


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
