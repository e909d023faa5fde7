"""Streams of others, written for Google's clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import Overloaded
from gateway.exchange import Usage
from gateway.formats.gemini.codec import CODEC
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, TokenLogprob
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
    whole,
)
from gateway.formats.neutral.parts import Citation, Media, Opaque, Reasoning, Refusal, Text, ToolCall

HEADING = Heading("id-1", "shown", 7, Conversation(()), rename=True)
BEGAN = Began("up-1", "upstream")
END: tuple[Event, ...] = (Finished("stop", "stop"), Metered(Usage(3, 4)), Ended())


def chunks(*events: Event, at_once: bool = True) -> list[dict[str, Any]]:
    encoder = CODEC.stream_encoder(HEADING)
    written = encoder.encode(events) if at_once else b"".join(encoder.encode([event]) for event in events)
    assert not written or written.endswith(b"\r\n\r\n")
    return [json.loads(event.removeprefix(b"data: ")) for event in written.split(b"\r\n\r\n") if event]


def parts(*events: Event) -> list[Any]:
    return [
        part
        for chunk in chunks(BEGAN, *events, *END)[:-1]
        for part in chunk["candidates"][0]["content"]["parts"]
    ]


@pytest.mark.parametrize("at_once", [True, False])
def test_words_go_out_as_they_come_and_the_end_says_why_and_how_many(at_once: bool) -> None:
    events = (BEGAN, Opened(0, Text("")), Grew(0, "a\n"), Grew(0, "\x00b"), Closed(0), *END)
    first, second, last = chunks(*events, at_once=at_once)
    head = {"modelVersion": "shown", "responseId": "up-1"}
    said = {"parts": [{"text": "a\n"}], "role": "model"}
    assert first == {"candidates": [{"content": said, "index": 0}], **head}
    assert second["candidates"][0]["content"]["parts"] == [{"text": "\x00b"}]
    assert last == {
        "candidates": [
            {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": "STOP", "index": 0}
        ],
        "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 4, "totalTokenCount": 7},
        **head,
    }


def test_the_end_is_not_told_before_the_stream_has_ended() -> None:
    assert chunks(BEGAN, *END[:2]) == []


def test_a_call_goes_out_whole_once_it_is() -> None:
    call = ToolCall("c", "f")
    assert chunks(BEGAN, Opened(0, call), Grew(0, '{"a":', "arguments"), Grew(0, "1}", "arguments")) == []
    assert parts(Opened(0, call), Grew(0, '{"a":', "arguments"), Grew(0, "1}", "arguments"), Closed(0)) == [
        {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}}
    ]
    assert parts(Opened(0, call), Closed(0, content=ToolCall("c", "f", '{"b":2}'))) == [
        {"functionCall": {"id": "c", "name": "f", "args": {"b": 2}}}
    ]


def test_calls_side_by_side_do_not_mix() -> None:
    said = parts(
        Opened(0, ToolCall("c", "f")),
        Opened(1, ToolCall("d", "g")),
        Grew(1, '{"b":2}', "arguments"),
        Grew(0, '{"a":1}', "arguments"),
        Closed(0),
        Closed(1),
    )
    assert [part["functionCall"]["args"] for part in said] == [{"a": 1}, {"b": 2}]


def test_thoughts_summaries_and_refusals() -> None:
    assert parts(
        Opened(0, Reasoning("h")),
        Grew(0, "m"),
        Closed(0),
        Opened(1, Reasoning()),
        Grew(1, "one", "summary", new_summary=True),
        Grew(1, "two", "summary", new_summary=True),
        Closed(1),
        Opened(2, Refusal("no")),
        Closed(2),
    ) == [
        {"text": "h", "thought": True},
        {"text": "m", "thought": True},
        {"text": "one", "thought": True},
        {"text": "\n\ntwo", "thought": True},
        {"text": "no"},
    ]


def test_media_go_out_whole_and_their_words_after_them() -> None:
    sound = Media("audio", "audio/wav", data="QUFB")
    assert parts(Opened(0, sound), Grew(0, "QkJC", "data"), Grew(0, "hi", "transcript"), Closed(0)) == [
        {"inlineData": {"mimeType": "audio/wav", "data": "QUFBQkJC"}},
        {"text": "hi"},
    ]


def test_what_only_another_provider_knows_is_not_said() -> None:
    assert parts(Opened(0, Opaque("messages", "x", {})), Closed(0)) == []
    assert parts(Opened(0, Opaque("gemini", "x", {"x": 1})), Closed(0)) == [{"x": 1}]


def test_sources_are_said_at_the_end_in_bytes() -> None:
    last = chunks(
        BEGAN,
        Opened(0, Text("Ä", citations=(Citation("https://b"),))),
        Grew(0, "中"),
        Cited(0, Citation("https://a", start=1, end=2)),
        Closed(0),
        *END,
    )[-1]
    assert last["candidates"][0]["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "https://b"}}, {"web": {"uri": "https://a"}}],
        "groundingSupports": [
            {"segment": {"startIndex": 2, "endIndex": 5, "text": "中"}, "groundingChunkIndices": [1]}
        ],
    }


def test_probabilities_go_out_with_their_words() -> None:
    said = chunks(BEGAN, Opened(0, Text("")), Grew(0, "a", logprobs=(TokenLogprob("a", -0.5),)))
    assert said[0]["candidates"][0]["logprobsResult"] == {
        "chosenCandidates": [{"token": "a", "logProbability": -0.5}]
    }


def test_several_choices_end_together() -> None:
    last = chunks(
        BEGAN,
        Opened(0, Text("a"), 0),
        Opened(1, ToolCall("c", "f", "{}"), 1),
        Closed(0, 0),
        Closed(1, 1),
        Finished("tool_calls", "tool_calls", choice=1),
        Finished("length", "length", choice=0),
        Ended(),
    )[-1]
    assert [(each["index"], each["finishReason"]) for each in last["candidates"]] == [
        (0, "MAX_TOKENS"),
        (1, "STOP"),
    ]


@pytest.mark.parametrize("told", ["by us", "by the upstream"])
def test_nothing_follows_an_error(told: str) -> None:
    encoder = CODEC.stream_encoder(HEADING)
    encoder.encode([BEGAN, Opened(0, Text("a"))])
    error = Overloaded("busy")
    written = encoder.fail(error) if told == "by us" else encoder.encode([Faulted(error), *END])
    event = json.loads(written.removeprefix(b"data: "))
    assert event["error"]["code"] == 503
    assert event["error"]["status"] == "UNAVAILABLE"
    assert encoder.encode([Grew(0, "b"), *END]) == b""
    assert encoder.fail(error) == b""


def test_a_blocked_prompt_is_one_for_the_client_too() -> None:
    extra = {"promptFeedback": {"blockReason": "SAFETY"}}
    events = whole(Completion((Choice(finish="content_filter"),), extra=extra))
    assert chunks(*events) == [
        {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "shown", "responseId": "id-1"}
    ]


def test_a_whole_answer_can_be_said_as_a_stream() -> None:
    given = (Reasoning("hm"), Text("a"), ToolCall("c", "f", "{}"))
    *said, last = chunks(*whole(Completion((Choice(given, "tool_calls"),), usage=Usage(1, 2))))
    assert [each["candidates"][0]["content"]["parts"][0] for each in said] == [
        {"text": "hm", "thought": True},
        {"text": "a"},
        {"functionCall": {"id": "c", "name": "f", "args": {}}},
    ]
    assert last["usageMetadata"]["totalTokenCount"] == 3


def test_what_comes_after_the_end_of_its_part_is_not_said() -> None:
    said = (Began("r", "m"), Opened(0, Text("a")), Closed(0))
    assert chunks(*said, Grew(0, "b"), Cited(0, Citation("u")), Closed(0), Ended()) == chunks(*said, Ended())
