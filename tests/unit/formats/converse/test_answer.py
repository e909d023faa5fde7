"""Whole answers in the Converse format."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Failed
from gateway.exchange import Usage
from gateway.formats.converse.answer import FINISHES, decode_answer, encode_answer
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.parts import (
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)

HEADING = Heading("1", "m", 1_700_000_000, Conversation(()))


def answer(*content: Any, **members: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": list(content)}
    return {"output": {"message": message}, "stopReason": "end_turn", **members}


def read(told: Any) -> Completion:
    return decode_answer(json.dumps(told).encode())


def parts(*content: Any) -> tuple[Part, ...]:
    return read(answer(*content)).choices[0].parts


def written(*made: Part, **members: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(encode_answer(Completion((Choice(made, **members),)), HEADING))
    return whole


def blocks(*made: Part) -> Any:
    return written(*made)["output"]["message"]["content"]


def test_each_kind_of_part_is_read() -> None:
    citation = {"title": "t", "source": "https://a", "sourceContent": [{"text": "b"}, {"text": "c"}]}
    assert parts(
        {"text": "a"},
        {"reasoningContent": {"reasoningText": {"text": "r", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": base64.b64encode(b"Eu8E").decode()}},
        {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"a": [1, "\u00e9"]}, "type": "tool_use"}},
        {"toolUse": {"toolUseId": "t2", "name": "search", "input": {}, "type": "server_tool_use"}},
        {"toolResult": {"toolUseId": "t2", "content": [{"text": "x"}], "new": 1}},
        {"citationsContent": {"content": [{"text": "d"}, {"text": "e"}], "citations": [citation]}},
        {"image": {"format": "png", "source": {"bytes": "UE5H"}}},
        {"unheardOf": {"a": 1}},
    ) == (
        Text("a"),
        Reasoning("r", signature="s", origin="converse"),
        Reasoning(encrypted="Eu8E", origin="converse"),
        ToolCall("t1", "look", '{"a":[1,"\u00e9"]}', origin="converse"),
        Opaque(
            "converse",
            "toolUse",
            {"toolUse": {"toolUseId": "t2", "name": "search", "input": {}, "type": "server_tool_use"}},
        ),
        Opaque(
            "converse",
            "toolResult",
            {"toolResult": {"toolUseId": "t2", "content": [{"text": "x"}], "new": 1}},
        ),
        Text("de", citations=(Citation("https://a", "t", "bc", origin="converse", raw=citation),)),
        Media("image", "image/png", data="UE5H"),
        Opaque("converse", "unheardOf", {"unheardOf": {"a": 1}}),
    )


@pytest.mark.parametrize("word", [*FINISHES, "of_tomorrow"])
def test_the_reason_of_the_end_goes_back_as_it_came(word: str) -> None:
    choice = read(answer({"text": "a"}) | {"stopReason": word}).choices[0]
    assert (choice.finish, choice.finish_raw) == (FINISHES.get(word, "stop"), word)
    assert written(finish=choice.finish, finish_raw=choice.finish_raw)["stopReason"] == word


@pytest.mark.parametrize(
    ("finish", "raw", "word"),
    [
        ("length", "length", "max_tokens"),
        ("tool_calls", "tool_calls", "tool_use"),
        ("content_filter", "guardrail_intervened", "guardrail_intervened"),
        ("refusal", "refusal", "content_filtered"),
        ("pause", "pause_turn", "end_turn"),
        ("error", "", "malformed_model_output"),
        ("tool_calls", "end_turn", "tool_use"),
        (None, "", "end_turn"),
    ],
)
def test_a_reason_of_another_format_is_said_in_our_words(finish: Any, raw: str, word: str) -> None:
    assert written(finish=finish, finish_raw=raw)["stopReason"] == word


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}, Usage(5, 3)),
        (
            {
                "inputTokens": 22,
                "outputTokens": 13,
                "totalTokens": 2535,
                "cacheReadInputTokens": 2000,
                "cacheWriteInputTokens": 500,
                "cacheReadInputTokenCount": 2000,
                "cacheWriteInputTokenCount": 500,
                "cacheDetails": [{"ttl": "1h", "inputTokens": 300}, {"ttl": "5m", "inputTokens": 200}],
                "serverToolUsage": {"searches": 1},
            },
            Usage(2522, 13, cached_tokens=2000, cache_write_tokens=500, cache_write_1h_tokens=300),
        ),
        (
            {
                "inputTokens": 1,
                "outputTokens": 2,
                "totalTokens": 9,
                "cacheReadInputTokens": 0,
                "cacheReadInputTokenCount": 0,
            },
            Usage(1, 2),
        ),
    ],
)
def test_tokens_are_counted_with_those_of_caches(told: dict[str, Any], usage: Usage) -> None:
    completion = read(answer(usage=told))
    assert completion.usage == usage
    assert json.loads(encode_answer(completion, HEADING))["usage"] == told


def test_what_only_converse_says_is_kept() -> None:
    told = answer(
        {"text": "a"},
        metrics={"latencyMs": 5},
        trace={"guardrail": {"actionReason": "x"}},
        performanceConfig={"latency": "optimized"},
        serviceTier={"type": "flex"},
        additionalModelResponseFields={"stop_sequence": "|"},
    )
    completion = read(told)
    assert set(completion.extra) == {"metrics", "trace", "performanceConfig", "serviceTier"}
    assert json.loads(encode_answer(completion, HEADING)) == told


def test_members_of_another_format_are_not_written() -> None:
    whole = encode_answer(Completion((Choice(raw={"a": 1}),), extra={"system_fingerprint": "f"}), HEADING)
    assert set(json.loads(whole)) == {"output", "stopReason"}


def test_proofs_of_others_are_sealed_and_stand_before_what_they_sign() -> None:
    def sealed(value: str) -> dict[str, Any]:
        return {"reasoningContent": {"redactedContent": base64.b64encode(value.encode()).decode()}}

    assert blocks(
        Text("a", signature="S1"),
        ToolCall("t1", "look", "{}", signature="S2", origin="gemini"),
        Reasoning("r", signature="S3", origin="messages"),
        Reasoning(summary=("x", "y"), encrypted="S4", origin="responses"),
    ) == [
        sealed("forebay.gemini.S1"),
        {"text": "a"},
        sealed("forebay.gemini.S2"),
        {"toolUse": {"toolUseId": "t1", "name": "look", "input": {}}},
        {"reasoningContent": {"reasoningText": {"text": "r", "signature": "forebay.messages.S3"}}},
        {"reasoningContent": {"reasoningText": {"text": "x\n\ny"}}},
        sealed("forebay.responses.S4"),
    ]


def test_parts_that_converse_has_no_word_for() -> None:
    citation = Citation("https://a", "t", "w", origin="messages")
    assert blocks(
        Refusal("no"),
        Text("b", citations=(citation,)),
        ToolCall("t1", "look", "{broken"),
        Opaque("responses", "web_search_call", {}),
    ) == [
        {"text": "no"},
        {
            "citationsContent": {
                "content": [{"text": "b"}],
                "citations": [
                    {
                        "title": "t",
                        "sourceContent": [{"text": "w"}],
                        "location": {"web": {"url": "https://a"}},
                    }
                ],
            }
        },
        {"toolUse": {"toolUseId": "t1", "name": "look", "input": "{broken"}},
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"output": {}, "stopReason": "end_turn"}',
        b'{"output": {"message": {"role": "assistant", "content": []}}}',
        b'{"output": {"message": {"role": "assistant", "content": [{"text": 5}]}}, "stopReason": "x"}',
        b'{"output": {"message": {"role": "assistant", "content": [{"text": "\xff"}]}}, "stopReason": "x"}',
        b'{"output": {"message": {"role": "assistant", "content": [{"x": ' + b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_anything_else_is_the_upstreams_failure(body: bytes) -> None:
    with pytest.raises(Failed):
        decode_answer(body)


def test_many_parts_are_read_in_linear_time() -> None:
    assert len(parts(*({"new": number} for number in range(10_000)))) == 10_000


KEYS = st.sampled_from(
    [
        *("text", "toolUse", "toolResult", "citationsContent", "citations", "location", "web", "url"),
        *("image", "source", "input", "content", "reasoningContent", "redactedContent", "cachePoint"),
    ]
)
LIKELY = st.recursive(
    st.none() | st.integers(-3, 3) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(LIKELY, LIKELY)
def test_any_json_is_read_or_failed(content: Any, usage: Any) -> None:
    told = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "x",
        "usage": usage,
    }
    with contextlib.suppress(Failed):
        decode_answer(json.dumps(told).encode())
