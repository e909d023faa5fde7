"""Streams of Google, whatever the network and Google make of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Broken, Filtered, RateLimited
from gateway.exchange import Usage
from gateway.formats.gemini.codec import CODEC
from gateway.formats.neutral.completion import TokenLogprob
from gateway.formats.neutral.events import (
    Began,
    Cited,
    Closed,
    Ended,
    Event,
    Faulted,
    Finished,
    Metered,
    Opened,
    join,
)
from gateway.formats.neutral.parts import Citation, Opaque, Reasoning, Text, ToolCall

LIMIT = 1 << 16


def chunk(*parts: Any, finish: Any = None, index: int | None = None, **more: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}}
    if finish is not None:
        told["finishReason"] = finish
    if index is not None:
        told["index"] = index
    top = {name: more.pop(name) for name in ("usageMetadata", "promptFeedback") if name in more}
    return {"candidates": [told | more], "responseId": "r", "modelVersion": "g", **top}


def sse(*chunks: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in chunks)


def array(*chunks: Any) -> bytes:
    return json.dumps(chunks, indent=1).encode()


def read(body: bytes, step: int | None = None) -> list[Event]:
    decoder = CODEC.stream_decoder(LIMIT)
    events: list[Event] = []
    for start in range(0, len(body), step or len(body) or 1):
        events += decoder.feed(body[start : start + (step or len(body))])
    return events + decoder.close()


@pytest.mark.parametrize("framed", [sse, array])
@pytest.mark.parametrize("step", [None, 1, 2, 7])
def test_words_thoughts_and_calls(framed: Any, step: int | None) -> None:
    body = framed(
        chunk({"text": "h", "thought": True}),
        chunk({"text": 'm"}]{[', "thought": True}),
        chunk({"text": "wo\\"}),
        chunk({"text": "rds"}, {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "QQ=="}),
        chunk({"functionCall": {"name": "g"}}),
        chunk({"text": ""}, finish="STOP", usageMetadata={"promptTokenCount": 3, "candidatesTokenCount": 4}),
    )
    events = read(body, step)
    choice = join(events).choices[0]
    assert choice.parts == (
        Reasoning('hm"}]{[', origin="gemini"),
        Text("wo\\rds"),
        ToolCall("made_r_1", "f", '{"a":1}', signature="QQ==", origin="gemini"),
        ToolCall("made_r_2", "g", "", origin="gemini"),
    )
    assert choice.finish == "tool_calls"
    assert join(events).usage == Usage(3, 4)
    assert isinstance(events[-1], Ended)


def test_each_part_is_open_once_and_before_the_next() -> None:
    events = read(
        sse(chunk({"text": "a"}), chunk({"text": "b", "thought": True}), chunk({"text": "c"}, finish="STOP"))
    )
    life = [(type(event), event.part) for event in events if isinstance(event, Opened | Closed)]
    assert life == [(kind, part) for part in range(3) for kind in (Opened, Closed)]


def test_a_part_with_a_signature_stands_alone() -> None:
    events = read(
        sse(
            chunk({"text": "a", "thoughtSignature": "QQ=="}),
            chunk({"text": "b"}),
            chunk({"text": "", "thoughtSignature": "Qg=="}, finish="STOP"),
        )
    )
    assert join(events).choices[0].parts == (
        Text("a", signature="QQ=="),
        Text("b"),
        Text("", signature="Qg=="),
    )


def test_several_choices_interleave() -> None:
    events = read(
        sse(
            chunk({"text": "a"}, index=0),
            chunk({"text": "x"}, index=1),
            chunk({"text": "b"}, index=0, finish="STOP"),
            chunk({"text": "y"}, index=1, finish="MAX_TOKENS"),
        )
    )
    first, second = join(events).choices
    assert (first.parts, first.finish) == ((Text("ab"),), "stop")
    assert (second.parts, second.finish) == ((Text("xy"),), "length")
    assert isinstance(events[-1], Ended)


def test_a_stream_has_not_ended_until_each_choice_has() -> None:
    events = read(sse(chunk({"text": "a"}, index=0, finish="STOP"), chunk({"text": "x"}, index=1)))
    assert not any(isinstance(event, Ended) for event in events)


@pytest.mark.parametrize("body", [b"", b"\r\n\r\n", sse(), b"[]", b"[", b": hello\n\n"])
def test_nothing_said_has_not_ended(body: bytes) -> None:
    assert read(body) == []


def test_a_blocked_prompt_has_no_answer() -> None:
    events = read(sse({"promptFeedback": {"blockReason": "SAFETY"}, "responseId": "r"}))
    assert [type(event) for event in events] == [Began, Faulted]
    assert isinstance(events[-1], Faulted)
    assert isinstance(events[-1].error, Filtered)


def test_a_part_that_only_google_knows_keeps_its_value() -> None:
    part = {"codeExecutionResult": {"outcome": "OUTCOME_OK"}, "newMember": [1]}
    assert join(read(sse(chunk(part, finish="STOP")))).choices[0].parts == (
        Opaque("gemini", "codeExecutionResult", part),
    )


@pytest.mark.parametrize("signed_end", [True, False])
def test_sources_are_said_while_their_words_are_open(signed_end: bool) -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [{"segment": {"startIndex": 2, "endIndex": 4}, "groundingChunkIndices": [0]}],
    }
    last = {"text": "", "thoughtSignature": "QQ=="} if signed_end else {"text": "é"}
    first = chunk({"text": "é"}) if not signed_end else chunk({"text": "éé"})
    events = read(sse(first, chunk(last, finish="STOP", groundingMetadata=grounding)))
    cited = next(i for i, event in enumerate(events) if isinstance(event, Cited))
    closed = next(i for i, event in enumerate(events) if isinstance(event, Closed))
    assert cited < closed
    assert events[cited].citation == Citation("https://a", "A", start=1, end=2, origin="gemini")


def test_sources_that_are_repeated_are_said_once() -> None:
    grounding = {"groundingChunks": [{"web": {"uri": "https://a"}}]}
    again = [chunk({"text": "a"}, groundingMetadata=grounding) for _ in range(3)]
    events = read(sse(*again, chunk({"text": "b"}, finish="STOP")))
    assert len([event for event in events if isinstance(event, Cited)]) == 1


def test_probabilities_come_with_their_words() -> None:
    told = {"chosenCandidates": [{"token": "a", "logProbability": -0.5}]}
    events = read(sse(*[chunk({"text": "a"}, logprobsResult=told) for _ in range(2)], chunk(finish="STOP")))
    choice = join(events).choices[0]
    assert choice.parts == (Text("aa"),)
    assert choice.logprobs == (TokenLogprob("a", -0.5),) * 2


def test_usage_is_told_when_it_changes_and_the_last_one_counts() -> None:
    usages = [
        {"trafficType": "ON_DEMAND"},
        {"promptTokenCount": 5},
        {"promptTokenCount": 5},
        {"promptTokenCount": 4},
    ]
    body = sse(*[chunk({"text": "a"}, usageMetadata=usage) for usage in usages], chunk(finish="STOP"))
    assert [event.usage for event in read(body) if isinstance(event, Metered)] == [Usage(5, 0), Usage(4, 0)]


def test_a_second_reason_changes_nothing() -> None:
    events = read(sse(chunk({"text": "a"}, finish="STOP"), chunk({"text": ""}, finish="STOP")))
    assert len([event for event in events if isinstance(event, Finished)]) == 1


ERROR = {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize(
    "body",
    [json.dumps(ERROR, indent=2).encode(), sse(ERROR), array(ERROR), sse(chunk({"text": "a"}), ERROR)],
)
def test_an_error_is_one_wherever_it_stands(body: bytes, step: int | None) -> None:
    events = read(body, step)
    assert isinstance(events[-1], Faulted)
    assert isinstance(events[-1].error, RateLimited)
    assert events[-1].error.message == "slow down"


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"candidates": 5}\r\n\r\n',
        b'[{"candidates": 5}]',
        b'[{"candidates": [',
        b'[{"text": "}',
    ],
)
def test_what_is_no_stream_is_broken(body: bytes) -> None:
    with pytest.raises(Broken):
        read(body)


@pytest.mark.parametrize(
    "body",
    [
        b"data: {\r\n\r\n",
        b"data: [1]\r\n\r\n",
        b'data: {"candidates": [{"content": {"parts": [{"text": "\xff"}]}}]}\r\n\r\n',
        b"data: " + b"[" * 10_000 + b"\r\n\r\n",
        b"<html>oops</html>\n\ndata: x\n\n",
        b'{"candidates": [',
        sse(chunk({"text": "a"}))[:-9],
    ],
)
def test_what_cannot_be_read_is_skipped_and_is_no_end(body: bytes) -> None:
    decoder = CODEC.stream_decoder(10_000_000)
    assert decoder.feed(body) + decoder.close() == []
    assert (decoder.skipped, decoder.finished) == (1, False)


@pytest.mark.parametrize("start", [b"data: ", b'[{"a": "', b"{"])
def test_an_event_beyond_the_limit_is_broken(start: bytes) -> None:
    with pytest.raises(Broken, match="one event of more than"):
        read(start + b"x" * 2 * LIMIT, 1000)


def test_ten_thousand_parts_in_an_event_are_read() -> None:
    parts = [{"executableCode": {}} for _ in range(10_000)]
    decoder = CODEC.stream_decoder(1 << 22)
    assert len(decoder.feed(sse(chunk(*parts)))) == 20_001


def test_positions_beyond_the_limit_are_not_told() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a"}}],
        "groundingSupports": [{"segment": {"endIndex": 4}, "groundingChunkIndices": [0]}],
    }
    many = [chunk({"text": "x" * 1000}) for _ in range(100)]
    events = read(sse(*many, chunk({"text": "y"}, finish="STOP", groundingMetadata=grounding)))
    assert [event.citation.end for event in events if isinstance(event, Cited)] == [None]


@given(
    st.recursive(
        st.none() | st.integers(-5, 5) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *(
                            "candidates",
                            "content",
                            "parts",
                            "text",
                            "functionCall",
                            "thought",
                            "finishReason",
                        ),
                        *("index", "groundingMetadata", "groundingChunks", "usageMetadata", "error", "code"),
                        *("promptFeedback", "blockReason", "thoughtSignature", "promptTokenCount", "message"),
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=15,
    ),
    st.booleans(),
)
def test_any_json_is_read_or_broken(value: Any, in_array: bool) -> None:
    for said in (value, {"candidates": [value]}, {"candidates": [{"content": {"parts": [value]}}]}):
        try:
            join(read(array(said) if in_array else sse(said)))
        except Broken:
            continue


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_broken(body: bytes) -> None:
    for start in (b"", b"data: ", b"[", b'[{"', b"{"):
        try:
            read(start + body, 3)
        except Broken:
            continue


@pytest.mark.parametrize("word", ["NaN", "-Infinity", "Infinity"])
def test_words_in_place_of_probabilities_break_no_stream(word: str) -> None:
    result = {"chosenCandidates": [{"token": "a", "logProbability": word}], "logProbabilitySum": word}
    odd = chunk({"text": "a"}, avgLogprobs=word, logprobsResult=result)
    events = read(sse(odd, chunk({"text": "b"}, finish="STOP", avgLogprobs=word)))
    choice = join(events).choices[0]
    assert (choice.parts, choice.finish) == ((Text("ab"),), "stop")
    assert choice.logprobs == (TokenLogprob("a", -9999.0 if word == "-Infinity" else 0.0),)
