"""The usage objects of many hosts, and what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.exchange import Usage
from gateway.formats.chat.usage import decode_usage

OPENAI = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 64,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def usage_of(value: Any) -> Usage | None:
    return decode_usage(value if isinstance(value, bytes) else json.dumps(value).encode())


def test_openais_object() -> None:
    assert usage_of(OPENAI) == Usage(2006, 300, cached_tokens=1920, reasoning_tokens=64)


def test_xais_reasoning_is_part_of_the_output() -> None:
    xai = {
        "prompt_tokens": 331,
        "completion_tokens": 11,
        "total_tokens": 674,
        "completion_tokens_details": {"reasoning_tokens": 332},
    }
    assert usage_of(xai) == Usage(331, 343, reasoning_tokens=332)


def test_reasoning_that_is_in_the_output_already_is_not_added() -> None:
    assert usage_of({**OPENAI, "total_tokens": None}) == Usage(
        2006, 300, cached_tokens=1920, reasoning_tokens=64
    )


def test_deepseeks_name_for_cached_tokens() -> None:
    deepseek = {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "total_tokens": 105,
        "prompt_cache_hit_tokens": 64,
        "prompt_cache_miss_tokens": 36,
    }
    assert usage_of(deepseek) == Usage(100, 5, cached_tokens=64)


@pytest.mark.parametrize(
    ("value", "usage"),
    [
        ({"prompt_tokens": 8, "total_tokens": 8}, Usage(8, 0)),
        ({"prompt_tokens": 8, "completion_tokens": None}, Usage(8, 0)),
        ({"prompt_tokens": 8.0, "completion_tokens": 2.0, "total_tokens": 10.0}, Usage(8, 2)),
        ({**OPENAI, "prompt_tokens_details": None}, Usage(2006, 300, reasoning_tokens=64)),
        ({**OPENAI, "prompt_tokens_details": {"cached_tokens": None}}, Usage(2006, 300, reasoning_tokens=64)),
        ({**OPENAI, "completion_tokens_details": None}, Usage(2006, 300, cached_tokens=1920)),
        (
            {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 4}},
            Usage(9, 1, cache_write_tokens=4),
        ),
        ({"prompt_tokens": 1, "completion_tokens": 2, "queue_time": 0.5, "cost": {"a": []}}, Usage(1, 2)),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, Usage(0, 0)),
    ],
)
def test_what_is_missing_or_null_counts_as_none(value: Any, usage: Usage) -> None:
    assert usage_of(value) == usage


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        [],
        "usage",
        7,
        {"cost": 1},
        {"prompt_tokens": "8"},
        {"prompt_tokens": True},
        {"prompt_tokens": []},
        {"prompt_tokens": 8, "prompt_tokens_details": []},
        b"",
        b'{"prompt_tokens": 1',
        b'{"prompt_tokens": 1e999}',
        b'{"prompt_tokens": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_usage_object_says_nothing(value: Any) -> None:
    assert usage_of(value) is None


@pytest.mark.parametrize("nonsense", [-1, -0.5e9, 10**30, 1e300, 2**63])
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens", "prompt_cache_hit_tokens"])
def test_numbers_nobody_can_have_used_are_not_entered(field: str, nonsense: float) -> None:
    assert usage_of({"prompt_tokens": 1, "completion_tokens": 1, field: nonsense}) is None


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"prompt_tokens_details": {"audio_tokens": 5, "image_tokens": 2}}, Usage(9, 3, 0, 0, 0, 0, 5, 0, 2)),
        ({"completion_tokens_details": {"audio_tokens": 2}}, Usage(9, 3, audio_output_tokens=2)),
        ({"completion_tokens_details": {"image_tokens": 2}}, Usage(9, 3, image_output_tokens=2)),
        ({"num_cached_tokens": 4}, Usage(9, 3, cached_tokens=4)),
        ({"cache_read_input_tokens": 4, "cache_creation_input_tokens": 2}, Usage(9, 3, 4, 2)),
        ({"prompt_audio_seconds": 4.5}, Usage(9, 3, audio_s=4.5)),
        ({"prompt_audio_seconds": {}, "num_cached_tokens": -4}, Usage(9, 3)),
        ({"prompt_tokens_details": {"audio_tokens": "many"}}, Usage(9, 3)),
    ],
)
def test_what_only_single_hosts_tell_is_read_where_it_is_a_number(told: dict[str, Any], read: Usage) -> None:
    assert usage_of({"prompt_tokens": 9, "completion_tokens": 3} | told) == read


def test_no_more_is_cached_than_was_read() -> None:
    cached = {"prompt_tokens_details": {"cached_tokens": 161}}
    azure: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 8, "total_tokens": 15, **cached}
    assert usage_of(azure) == Usage(7, 8, cached_tokens=7)
    assert usage_of(azure | {"total_tokens": None}) == Usage(7, 8, cached_tokens=7)
    assert usage_of(azure | {"total_tokens": 7 + 8 + 161}) == Usage(168, 8, cached_tokens=161)
