"""Tokens as the Responses API counts them: the input includes cached ones, the output includes reasoning."""

from __future__ import annotations

from typing import Any

from gateway.exchange import Usage
from gateway.formats.responses.types import InputDetails, OutputDetails, UsageObject

_MOST_TOKENS = 10**12
"""Nobody uses more in a call: a host that reports more, or less than none, has not counted."""


def read_usage(seen: UsageObject | None) -> Usage | None:
    """Read a `usage` member; None when it is missing, or its numbers are nonsense."""
    if seen is None or (seen.input_tokens is None and seen.output_tokens is None):
        return None
    given, made = seen.input_tokens_details or InputDetails(), seen.output_tokens_details or OutputDetails()
    counts = (
        seen.input_tokens or 0,
        seen.output_tokens or 0,
        given.cached_tokens or 0,
        given.cache_write_tokens or 0,
        made.reasoning_tokens or 0,
    )
    if min(counts) < 0 or max(counts) > _MOST_TOKENS:
        return None
    return Usage(
        input_tokens=counts[0],
        output_tokens=counts[1],
        cached_tokens=counts[2],
        cache_write_tokens=counts[3],
        reasoning_tokens=counts[4],
    )


def write_usage(usage: Usage | None) -> dict[str, Any] | None:
    """Write a `usage` member; None where nobody counted."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
