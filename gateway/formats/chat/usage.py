"""Read the usage object of OpenAI's dialect, from any of the hosts that speak it.

Sources: OpenAI API reference, "Chat Completions: usage" (checked 2026-11); recorded answers of 25 hosts.
"""

from __future__ import annotations

import msgspec

from gateway.exchange import Usage


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | float | None = None
    cache_write_tokens: int | float | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | float | None = None


class UsageObject(msgspec.Struct):
    """The `usage` member as hosts send it: any field may be missing or null."""

    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None
    total_tokens: int | float | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | float | None = None
    """DeepSeek's name for cached tokens."""


_decoder = msgspec.json.Decoder(UsageObject)
_MOST_TOKENS = 10**12
"""Nobody uses more in a call: a host that reports more, or less than none, has not counted."""


def decode_usage(raw: msgspec.Raw | bytes) -> Usage | None:
    """Read a `usage` value; None when it is null, no usage object, or its numbers are nonsense."""
    try:
        seen = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if seen.prompt_tokens is None and seen.completion_tokens is None and seen.total_tokens is None:
        return None
    details, spent = seen.prompt_tokens_details, seen.completion_tokens_details
    prompt, completion = int(seen.prompt_tokens or 0), int(seen.completion_tokens or 0)
    reasoning = int((spent and spent.reasoning_tokens) or 0)
    # xAI counts reasoning outside of completion_tokens and only the total tells: 331 + 11 + 332 = 674.
    if reasoning and int(seen.total_tokens or 0) == prompt + completion + reasoning:
        completion += reasoning
    usage = Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=int((details and details.cached_tokens) or seen.prompt_cache_hit_tokens or 0),
        cache_write_tokens=int((details and details.cache_write_tokens) or 0),
        reasoning_tokens=reasoning,
    )
    counts = (prompt, completion, usage.cached_tokens, usage.cache_write_tokens, reasoning)
    return usage if min(counts) >= 0 and max(counts) <= _MOST_TOKENS else None
