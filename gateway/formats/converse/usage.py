"""Tokens as Converse counts them.

`inputTokens` has neither the tokens read from a cache nor those written to one; the neutral count has
both. What the neutral count cannot tell (a zero that was said, the repeated names) is kept in `extra`
under "usage." and the member's name.
Source: Amazon Bedrock API reference, TokenUsage; totals of the recorded traffic (checked 2026-11).
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.exchange import Usage
from gateway.formats.converse.types import Answer, Metadata, TokenUsage
from gateway.formats.neutral.completion import tier_of
from gateway.formats.neutral.reading import believed

_PREFIX = "usage."


def decode_usage(told: TokenUsage, tier: str = "") -> tuple[Usage | None, dict[str, Any]]:
    """Return the neutral count, None where it is nonsense, and the members to keep in `extra`."""
    cached = told.cache_read_input_tokens or told.cache_read_input_token_count or 0
    written = told.cache_write_input_tokens or told.cache_write_input_token_count or 0
    counted = Usage(
        input_tokens=told.input_tokens + cached + written,
        output_tokens=told.output_tokens,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=sum(
            detail.input_tokens for detail in told.cache_details or () if detail.ttl == "1h"
        ),
        tier=tier,
    )
    usage = believed(counted, told.input_tokens)
    if usage is None:
        return None, {}
    ours, theirs = _counts(usage), msgspec.to_builtins(told)
    return usage, {_PREFIX + name: value for name, value in theirs.items() if ours.get(name) != value}


def read_tier(told: Answer | Metadata) -> str:
    """Read the class of service; answers that are made faster for more money are one, too."""
    performance = told.performance_config
    return tier_of(told.service_tier.type if told.service_tier else "") or tier_of(
        performance.get("latency") if isinstance(performance, dict) else ""
    )


def encode_usage(usage: Usage, extra: dict[str, Any]) -> dict[str, Any]:
    """Write the count, with what `extra` has kept of it."""
    kept = {name.removeprefix(_PREFIX): value for name, value in extra.items() if name.startswith(_PREFIX)}
    return _counts(usage) | kept


def _counts(usage: Usage) -> dict[str, Any]:
    cached, written, lasting = usage.cached_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens
    counts: dict[str, Any] = {
        "inputTokens": max(0, usage.input_tokens - cached - written),
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
    }
    if cached:
        counts["cacheReadInputTokens"] = cached
    if written:
        counts["cacheWriteInputTokens"] = written
    if lasting:
        by_ttl = {"1h": lasting, "5m": written - lasting}
        counts["cacheDetails"] = [
            {"ttl": ttl, "inputTokens": tokens} for ttl, tokens in by_ttl.items() if tokens
        ]
    return counts
