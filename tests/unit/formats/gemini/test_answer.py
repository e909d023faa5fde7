"""Whole answers of Google, and answers of others written for Google's clients."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Failed
from gateway.exchange import Usage
from gateway.formats.gemini.codec import CODEC
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish, TokenLogprob, TopLogprob
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)

HEADING = Heading("id-1", "shown", 7, Conversation(()))


def read(value: Any) -> Completion:
    return CODEC.decode_answer(value if isinstance(value, bytes) else json.dumps(value).encode())


def candidate(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"content": {"parts": list(parts), "role": "model"}, "finishReason": "STOP", **more}


def answer(*candidates: Any, **more: Any) -> dict[str, Any]:
    return {"candidates": list(candidates), "responseId": "r", "modelVersion": "g", **more}


def written(*parts: Any, finish: Finish = "stop", **more: Any) -> dict[str, Any]:
    completion = Completion((Choice(parts, finish),), **more)
    return json.loads(CODEC.encode_answer(completion, HEADING))


def back(value: Any) -> Any:
    return json.loads(CODEC.encode_answer(read(value), HEADING))


def test_an_answer_of_each_kind_of_part() -> None:
    body = answer(
        candidate(
            {"text": "hm", "thought": True, "thoughtSignature": "QQ=="},
            {"text": "words"},
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "thoughtSignature": "Qg=="},
            {"functionCall": {"name": "f", "args": {"a": 1.5}, "id": "c"}},
            {"executableCode": {"code": "1"}, "thoughtSignature": "Qw=="},
            {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}, "thought": True},
            index=0,
        )
    )
    choice = read(body).choices[0]
    assert choice.finish == "tool_calls"
    assert choice.parts[:4] == (
        Reasoning("hm", signature="QQ==", origin="gemini"),
        Text("words"),
        Media("image", "image/png", data="iVBORw0KGgo=", signature="Qg=="),
        ToolCall("c", "f", '{"a":1.5}', origin="gemini"),
    )
    assert [part.kind for part in choice.parts[4:]] == ["executableCode", "inlineData"]
    assert back(body) == body


def test_calls_without_ids_get_different_ones_in_each_answer() -> None:
    calls = ({"functionCall": {"name": "f", "args": {}}},) * 2
    body = answer(candidate(*calls))
    ids = [part.id for part in read(body).choices[0].parts]
    other = [part.id for part in read({**body, "responseId": "s"}).choices[0].parts]
    assert len({*ids, *other}) == 4
    assert read(body) == read(body)
    assert back(body) == body


@pytest.mark.parametrize(
    ("told", "finish"),
    [
        ("STOP", "stop"),
        (1, "stop"),
        ("MAX_TOKENS", "length"),
        (2, "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        (8, "content_filter"),
        ("IMAGE_SAFETY", "content_filter"),
        ("LANGUAGE", "content_filter"),
        ("OTHER", "error"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        (9, "error"),
        ("A_WORD_OF_NEXT_YEAR", "error"),
        (999, "error"),
        (-1, "error"),
    ],
)
def test_why_a_candidate_ended(told: Any, finish: Finish) -> None:
    body = answer(candidate({"text": "a"}, finishReason=told))
    assert read(body).choices[0].finish == finish
    assert back(body) == body


@pytest.mark.parametrize("told", ["STOP", "UNEXPECTED_TOOL_CALL"])
def test_an_answer_with_calls_ends_with_them(told: str) -> None:
    body = answer(candidate({"functionCall": {"name": "f", "args": {}}}, finishReason=told))
    assert read(body).choices[0].finish == "tool_calls"
    assert back(body) == body


def test_a_blocked_prompt_is_a_choice_that_a_filter_stopped() -> None:
    body = {
        "promptFeedback": {"blockReason": "SAFETY"},
        "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
        "modelVersion": "g",
        "responseId": "r",
    }
    completion = read(body)
    assert completion.choices == (Choice(finish="content_filter"),)
    assert completion.usage == Usage(4, 0)
    assert back(body) == body


def test_what_only_google_says_stays() -> None:
    body = answer(
        candidate(
            {"text": "a"},
            index=0,
            avgLogprobs=-0.1,
            safetyRatings=[{"category": 8, "probability": 1}],
            finishMessage="m",
            urlContextMetadata={"urlMetadata": []},
            tokenCount=3,
        ),
        {"content": {}, "finishReason": "SAFETY", "index": 1},
        createTime="2026-08-19T14:40:27.579188Z",
        promptFeedback={"safetyRatings": []},
        usageMetadata={"promptTokenCount": 4, "totalTokenCount": 4, "trafficType": "ON_DEMAND"},
        modelStatus={"modelStage": "STABLE"},
    )
    assert read(body).created_unix_s == 1787150427
    assert back(body) == body


def test_sources_are_placed_in_characters() -> None:
    text = "Ä means äh. 中文 too."
    start, end = text.encode().index("中".encode()), len(text.encode())
    body = answer(
        candidate(
            {"text": text},
            groundingMetadata={
                "groundingChunks": [
                    {"web": {"uri": "https://a", "title": "A"}},
                    {"retrievedContext": {"text": "B"}},
                ],
                "groundingSupports": [
                    {"segment": {"endIndex": 3}, "groundingChunkIndices": [1]},
                    {"segment": {"startIndex": start, "endIndex": end}, "groundingChunkIndices": [0, 7]},
                ],
            },
            citationMetadata={"citationSources": [{"startIndex": 0, "endIndex": 3, "uri": "https://c"}]},
        )
    )
    part = read(body).choices[0].parts[0]
    assert part.citations == (
        Citation("https://c", start=0, end=2, origin="gemini"),
        Citation(text="B", start=0, end=2, origin="gemini"),
        Citation("https://a", "A", start=12, end=len(text), origin="gemini"),
    )
    assert back(body) == body


def test_sources_of_others_are_grounding() -> None:
    text = "Ä 中文"
    cited = Text(text, citations=(Citation("https://a", "A", start=2, end=4), Citation("https://b", "B")))
    metadata = written(Reasoning("hm"), cited)["candidates"][0]["groundingMetadata"]
    assert metadata["groundingChunks"] == [
        {"web": {"uri": "https://a", "title": "A"}},
        {"web": {"uri": "https://b", "title": "B"}},
    ]
    assert metadata["groundingSupports"] == [
        {
            "segment": {"partIndex": 1, "startIndex": 3, "endIndex": 9, "text": "中文"},
            "groundingChunkIndices": [0],
        }
    ]


@pytest.mark.parametrize(
    ("finish", "raw", "word"),
    [
        ("stop", "stop", "STOP"),
        ("tool_calls", "tool_use", "STOP"),
        ("length", "max_tokens", "MAX_TOKENS"),
        ("length", "MAX_TOKENS", "MAX_TOKENS"),
        ("content_filter", "RECITATION", "RECITATION"),
        ("content_filter", "STOP", "SAFETY"),
        ("refusal", "refusal", "SAFETY"),
        ("pause", "pause_turn", "OTHER"),
        ("error", "ERROR", "OTHER"),
        ("stop_sequence", "STOP_SEQUENCE", "STOP"),
    ],
)
def test_the_ends_of_others_in_googles_words(finish: Finish, raw: str, word: str) -> None:
    completion = Completion((Choice((Text("a"),), finish, raw),))
    assert json.loads(CODEC.encode_answer(completion, HEADING))["candidates"][0]["finishReason"] == word


def test_an_answer_of_another_provider() -> None:
    logprobs = (TokenLogprob("a", -0.5, top=(TopLogprob("b", -1.5),)),)
    choices = (
        Choice((Refusal("no"), Opaque("messages", "x", {}), ToolCall("c", "f", "{}")), "tool_calls"),
        Choice((), "length", logprobs=logprobs),
    )
    usage = Usage(10, 7, cached_tokens=4, reasoning_tokens=5, audio_input_tokens=3)
    completion = Completion(choices, usage=usage, extra={"system_fingerprint": "x"})
    assert json.loads(CODEC.encode_answer(completion, HEADING)) == {
        "candidates": [
            {
                "content": {
                    "parts": [{"text": "no"}, {"functionCall": {"id": "c", "name": "f", "args": {}}}],
                    "role": "model",
                },
                "finishReason": "STOP",
                "index": 0,
            },
            {
                "content": {"parts": [], "role": "model"},
                "finishReason": "MAX_TOKENS",
                "index": 1,
                "logprobsResult": {
                    "chosenCandidates": [{"token": "a", "logProbability": -0.5}],
                    "topCandidates": [{"candidates": [{"token": "b", "logProbability": -1.5}]}],
                },
            },
        ],
        "usageMetadata": {
            "promptTokenCount": 10,
            "candidatesTokenCount": 2,
            "totalTokenCount": 17,
            "thoughtsTokenCount": 5,
            "cachedContentTokenCount": 4,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 7},
                {"modality": "AUDIO", "tokenCount": 3},
            ],
        },
        "modelVersion": "shown",
        "responseId": "id-1",
    }


@pytest.mark.parametrize("arguments", ["{not json", "[1]", '"x"'])
def test_arguments_that_are_no_object_are_shown_as_a_text(arguments: str) -> None:
    said = written(ToolCall("c", "f", arguments), finish="tool_calls")
    assert said["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"input": arguments}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"candidates": [',
        b"[]",
        b"{}",
        b'{"candidates": []}',
        b'{"candidates": 5}',
        b'{"candidates": [{"content": {"parts": [{"text": 5}]}}]}',
        b'{"error": {"code": 500}}',
        b'{"candidates": [{"content": {"parts": [{"text": "\xff"}]}}]}',
        b'{"x":' + b"[" * 100_000,
        b"null",
    ],
)
def test_what_is_no_answer_has_failed(body: bytes) -> None:
    with pytest.raises(Failed):
        read(body)


def test_ten_thousand_parts_that_only_google_knows_are_read() -> None:
    body = answer(candidate(*[{"executableCode": {"code": str(i)}} for i in range(10_000)]))
    assert len(read(body).choices[0].parts) == 10_000


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
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
                            "inlineData",
                            "thought",
                            "name",
                        ),
                        *(
                            "finishReason",
                            "index",
                            "groundingMetadata",
                            "groundingChunks",
                            "groundingSupports",
                        ),
                        *(
                            "segment",
                            "endIndex",
                            "promptFeedback",
                            "blockReason",
                            "usageMetadata",
                            "createTime",
                        ),
                        *("logprobsResult", "chosenCandidates", "promptTokenCount", "thoughtSignature"),
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=15,
    )
)
def test_any_json_is_read_or_has_failed(value: Any) -> None:
    for body in (value, {"candidates": [value]}, {"candidates": [{"content": {"parts": [value]}}]}):
        try:
            completion = read(body)
        except Failed:
            continue
        CODEC.encode_answer(completion, HEADING)


def test_words_in_place_of_probabilities_are_read_and_said_again() -> None:
    told = {
        "avgLogprobs": "NaN",
        "logprobsResult": {
            "chosenCandidates": [
                {"token": "a", "logProbability": "NaN"},
                {"token": "b", "logProbability": -0.5},
                {"token": "c", "logProbability": "-Infinity"},
            ],
            "topCandidates": [{"candidates": [{"token": "d", "logProbability": "-Infinity"}]}],
            "logProbabilitySum": "NaN",
        },
    }
    body = answer(candidate({"text": "abc"}, index=0, **told))
    assert read(body).choices[0].logprobs == (
        TokenLogprob("a", 0.0, top=(TopLogprob("d", -9999.0),)),
        TokenLogprob("b", -0.5),
        TokenLogprob("c", -9999.0),
    )
    assert back(body) == body
