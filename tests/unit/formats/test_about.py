"""What answers tell of themselves, whatever their format: each class of service has one name."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.exchange import Usage
from gateway.formats.chat.usage import decode_usage
from gateway.formats.converse import types as converse
from gateway.formats.converse.usage import read_tier
from gateway.formats.gemini.types import UsageMetadata
from gateway.formats.gemini.usage import decode_usage as decode_google_usage
from gateway.formats.messages.types import Usage as AnthropicUsage
from gateway.formats.messages.usage import decode_usage as decode_anthropic_usage
from gateway.formats.neutral.completion import About, Choice, Completion, about_of, in_tier, tier_of
from gateway.formats.neutral.reading import value_in


@pytest.mark.parametrize(
    ("word", "tier"),
    [
        *((word, "") for word in ("default", "standard", "STANDARD", "auto", "on_demand", "ON_DEMAND", "")),
        *((word, word) for word in ("priority", "flex", "batch", "scale", "reserved", "fast")),
        ("ON_DEMAND_PRIORITY", "priority"),
        ("ON_DEMAND_FLEX", "flex"),
        ("PROVISIONED_THROUGHPUT", "provisioned_throughput"),
        *((word, "") for word in (None, 1, ["flex"], {"type": "flex"})),
        ("x" * 1000, "x" * 32),
    ],
)
def test_a_class_of_service_has_one_name(word: Any, tier: str) -> None:
    assert tier_of(word) == tier


@pytest.mark.parametrize("raw", [b"null", b"1", b'{"a":1}', b'"\\ud800"', b'"\xff"', b"[" * 5000, b""])
def test_what_is_no_text_is_not_told(raw: bytes) -> None:
    assert value_in(msgspec.Raw(raw)) is None


def test_anthropic_tells_it_with_the_usage() -> None:
    told = {"input_tokens": 1, "output_tokens": 1}
    tiers = [
        decode_anthropic_usage(msgspec.convert(told | more, AnthropicUsage)).tier
        for more in (
            {},
            {"service_tier": "standard"},
            {"service_tier": "batch"},
            {"service_tier": "standard", "speed": "fast"},
            {"service_tier": "priority", "speed": "standard"},
        )
    ]
    assert tiers == ["", "", "batch", "fast", "priority"]


@pytest.mark.parametrize(
    ("members", "tier"),
    [
        ({}, ""),
        ({"service_tier": "flex"}, "flex"),
        ({"traffic_type": "ON_DEMAND_PRIORITY"}, "priority"),
        ({"traffic_type": 2}, ""),
        ({"service_tier": {}}, ""),
    ],
)
def test_google_tells_it_with_the_usage(members: dict[str, Any], tier: str) -> None:
    usage = decode_google_usage(UsageMetadata(prompt_token_count=1, candidates_token_count=1, **members))
    assert usage == Usage(1, 1, tier=tier)


@pytest.mark.parametrize(
    ("members", "tier"),
    [
        ({}, ""),
        ({"serviceTier": {"type": "flex"}}, "flex"),
        ({"serviceTier": {"type": "default"}, "performanceConfig": {"latency": "optimized"}}, "optimized"),
        ({"performanceConfig": {"latency": "standard"}}, ""),
        ({"performanceConfig": "fast"}, ""),
    ],
)
def test_bedrock_tells_it_beside_the_usage(members: dict[str, Any], tier: str) -> None:
    assert read_tier(msgspec.convert(members, converse.Answer)) == tier
    assert read_tier(msgspec.convert(members, converse.Metadata)) == tier


def test_a_class_that_is_told_beside_the_usage_is_put_into_it() -> None:
    usage = decode_usage(b'{"prompt_tokens":1,"completion_tokens":2}')
    assert in_tier(usage, "flex") == Usage(1, 2, tier="flex")
    assert in_tier(usage, "") is usage
    assert in_tier(None, "flex") is None


def test_of_several_choices_the_first_counts() -> None:
    completion = Completion((Choice(finish="length"), Choice(finish="stop")), model="m" * 999)
    assert about_of(completion) == About("m" * 200, "length")
    assert about_of(Completion((), service_tier="flex")) == About(tier="flex")


def test_sums_of_two_classes_are_of_none() -> None:
    assert (Usage(1, tier="flex") + Usage(2, tier="flex")).tier == "flex"
    assert (Usage(1, tier="flex") + Usage(2)).tier == ""
