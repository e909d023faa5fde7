"""Google's counts of tokens."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.exchange import Usage
from gateway.formats.gemini.types import UsageMetadata
from gateway.formats.gemini.usage import decode_usage, encode_usage


def read(**told: Any) -> Usage | None:
    return decode_usage(msgspec.convert(told, UsageMetadata))


def test_each_kind_of_token() -> None:
    assert read(
        promptTokenCount=100,
        candidatesTokenCount=20,
        thoughtsTokenCount=30,
        toolUsePromptTokenCount=7,
        cachedContentTokenCount=50,
        totalTokenCount=157,
        promptTokensDetails=[
            {"modality": "AUDIO", "tokenCount": 5},
            {"modality": 2, "tokenCount": 6},
            {"modality": "TEXT"},
        ],
        candidatesTokensDetails=[{"modality": "IMAGE", "tokenCount": 9}],
        toolUsePromptTokensDetails=[{"modality": "IMAGE", "tokenCount": 1}],
    ) == Usage(
        107,
        50,
        cached_tokens=50,
        reasoning_tokens=30,
        audio_input_tokens=5,
        image_input_tokens=7,
        image_output_tokens=9,
        tool_use_tokens=7,
    )


@pytest.mark.parametrize(
    "told", [{}, {"trafficType": "ON_DEMAND"}, {"promptTokenCount": -1}, {"candidatesTokenCount": 10**15}]
)
def test_what_was_not_counted_is_no_usage(told: Any) -> None:
    assert read(**told) is None


COUNT = st.integers(0, 1000)


@given(COUNT, COUNT, COUNT, COUNT, COUNT)
def test_what_is_written_is_read_again(
    prompt: int, output: int, thoughts: int, tools: int, audio: int
) -> None:
    usage = Usage(
        prompt + tools + audio,
        output + thoughts,
        reasoning_tokens=thoughts,
        tool_use_tokens=tools,
        audio_input_tokens=audio,
        cached_tokens=prompt // 2,
    )
    told = encode_usage(usage)
    assert decode_usage(told) == usage
    assert told.total_token_count == usage.input_tokens + usage.output_tokens
