"""Read the usage object of OpenAI's dialect, from any of the hosts that speak it.

Searches are counted where they are told: Perplexity's `num_search_queries`, OpenRouter's `server_tool_use`.
OpenAI's models that always search do not tell it here.

Of what is cached, no more counts than was read. Azure's Grok reports more: 493 of 371, 161 of 7 for "Count
from 1 to 3". With xAI itself, as with OpenAI, `prompt_tokens` includes what was cached, and what xAI puts
around each prompt, some 160 to 200 tokens: 232 with 192 of them cached for one short question, and
`cost_in_usd_ticks` is that of 432 with 153 cached. Azure leaves those out of `prompt_tokens` (and of the
total: 7 + 8 = 15) and still counts them as cached. It tells no cost; what it says was read is booked as
read, and of that as much as can be as cached. Where the total is the sum of both, the cached tokens come on
top: no such host was recorded.

Sources: OpenAI API reference, "Chat Completions: usage"; Perplexity's and OpenRouter's (checked
2026-11); recorded answers of 25 hosts.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.exchange import Usage
from gateway.formats.neutral.reading import MOST_TOKENS, believed, count_in, searches_in


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | float | None = None
    cache_write_tokens: int | float | None = None
    audio_tokens: Any = None
    image_tokens: Any = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | float | None = None
    audio_tokens: Any = None
    image_tokens: Any = None


class UsageObject(msgspec.Struct):
    """The `usage` member as hosts send it: any field may be missing or null."""

    prompt_tokens: int | float | None = None
    completion_tokens: int | float | None = None
    total_tokens: int | float | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    prompt_cache_hit_tokens: int | float | None = None
    """DeepSeek's name for cached tokens."""
    num_cached_tokens: Any = None
    """Mistral's."""
    cache_read_input_tokens: Any = None
    """Anthropic's, where its models are spoken to in this dialect; as the next one."""
    cache_creation_input_tokens: Any = None
    num_search_queries: Any = None
    """Perplexity's."""
    server_tool_use: Any = None
    """Anthropic's, as OpenRouter tells it."""
    prompt_audio_seconds: Any = None
    """Mistral's; an empty object where there was no sound."""


_decoder = msgspec.json.Decoder(UsageObject)
_NOT_GIVEN, _NOT_TAKEN = _PromptDetails(), _CompletionDetails()


def decode_usage(raw: msgspec.Raw | bytes) -> Usage | None:
    """Read a `usage` value; None when it is null, no usage object, or its numbers are nonsense.

    Of what only single hosts tell, nonsense is left out alone.
    """
    try:
        seen = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if seen.prompt_tokens is None and seen.completion_tokens is None and seen.total_tokens is None:
        return None
    given = seen.prompt_tokens_details or _NOT_GIVEN
    taken = seen.completion_tokens_details or _NOT_TAKEN
    prompt, completion = int(seen.prompt_tokens or 0), int(seen.completion_tokens or 0)
    reasoning = int(taken.reasoning_tokens or 0)
    # xAI counts reasoning outside of completion_tokens and only the total tells: 331 + 11 + 332 = 674.
    if reasoning and int(seen.total_tokens or 0) == prompt + completion + reasoning:
        completion += reasoning
    cached = int(given.cached_tokens or seen.prompt_cache_hit_tokens or 0)
    written = int(given.cache_write_tokens or 0)
    cached = cached or count_in(seen.cache_read_input_tokens or seen.num_cached_tokens)
    if prompt < cached <= MOST_TOKENS:
        prompt, cached = _with_cached(prompt, cached, int(seen.total_tokens or 0) - completion)
    told_searches = seen.num_search_queries is not None or seen.server_tool_use is not None
    usage = Usage(
        input_tokens=prompt,
        output_tokens=completion,
        cached_tokens=cached,
        cache_write_tokens=written or int(_within(seen.cache_creation_input_tokens)),
        reasoning_tokens=reasoning,
        audio_input_tokens=int(_within(given.audio_tokens)),
        image_input_tokens=int(_within(given.image_tokens)),
        audio_output_tokens=int(_within(taken.audio_tokens)),
        image_output_tokens=int(_within(taken.image_tokens)),
        searches=_searches(seen) if told_searches else 0,
        audio_s=float(_within(seen.prompt_audio_seconds)),
    )
    return believed(usage)


def _with_cached(prompt: int, cached: int, rest: int) -> tuple[int, int]:
    """Return the input and what of it was cached, where more is said to be cached than read."""
    return (rest, cached) if rest == prompt + cached else (prompt, prompt)


def _searches(seen: UsageObject) -> int:
    return count_in(seen.num_search_queries) or searches_in(seen.server_tool_use)


def _within(number: Any) -> float:
    """Return a count; 0 for what is none, and for what nobody can have counted."""
    return number if type(number) in {int, float} and 0 < number <= MOST_TOKENS else 0
