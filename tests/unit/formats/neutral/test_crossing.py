"""What leaves its format: only what every format understands, and what says whose it is."""

from __future__ import annotations

import pytest

from gateway.formats.neutral.completion import Choice, Completion, TokenLogprob
from gateway.formats.neutral.conversation import Conversation, Turn
from gateway.formats.neutral.crossing import crossing_answer, crossing_event, crossing_request
from gateway.formats.neutral.events import (
    Began,
    Closed,
    Ended,
    Event,
    Finished,
    Grew,
    Opened,
    join,
    whole,
)
from gateway.formats.neutral.parts import Citation, Media, Text, ToolCall, ToolResult

CITED = Text("mild", citations=(Citation("https://example.com", origin="messages", raw={"type": "x"}),))
IMAGE = Media("image", data="aGk=", raw={"quirk": 1})
BARE = Media("image", data="aGk=")


def test_an_answer_leaves_its_own_members_words_and_findings_behind() -> None:
    choice = Choice((CITED, IMAGE), "stop", "STOP", raw={"safetyRatings": []})
    crossed = crossing_answer(Completion((choice,), "id-1", "m", extra={"usage": {"total": 1}}))
    assert crossed == Completion((Choice((CITED, BARE), "stop"),), "id-1", "m")


@pytest.mark.parametrize(
    ("event", "crossed"),
    [
        (Began("id-1", extra={"object": "x"}), Began("id-1")),
        (Ended({"usage": {}}), Ended()),
        (Finished("stop", "STOP", raw={"a": 1}), Finished("stop")),
        (Opened(0, IMAGE), Opened(0, BARE)),
        (Closed(0, content=IMAGE), Closed(0, content=BARE)),
        (Opened(0, CITED), Opened(0, CITED)),
        (Grew(0, "word"), Grew(0, "word")),
    ],
)
def test_an_event_leaves_the_same_behind(event: Event, crossed: Event) -> None:
    assert crossing_event(event) == crossed


def test_a_request_keeps_its_turns_and_loses_their_quirks() -> None:
    call = ToolCall("c", "f", "{}")
    result = ToolResult("c", (Text("see"), IMAGE))
    asked = Conversation(
        (Turn("user", (IMAGE,), raw={"q": 1}), Turn("assistant", (call,)), Turn("tool", (result,))),
        stream=True,
    )
    assert crossing_request(asked) == Conversation(
        (
            Turn("user", (BARE,)),
            Turn("assistant", (call,)),
            Turn("tool", (ToolResult("c", (Text("see"), BARE)),)),
        ),
        stream=True,
    )


def test_an_answer_told_as_a_stream_keeps_its_logprobs() -> None:
    choice = Choice((ToolCall("c", "f", "{}"), Text("Hi")), "stop", logprobs=(TokenLogprob("Hi", -0.5),))
    assert join(whole(Completion((choice,)))).choices == (choice,)
