"""Cohere's usage, logprobs and finish words, in both directions.

The true counts are `tokens`: what was computed. `billed_units` leave out what Cohere put around the
prompt, and travel beside them. In the recordings `input_tokens` leaves out the image tokens (501 for a
prompt with 518 of them) and `output_tokens` includes the reasoning (86 with 28 of it).

Source: Cohere API reference, "Chat" (checked 2026-11), recorded answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.exchange import Usage
from gateway.formats.cohere.types import Logprob, Number, Tokens, UsageObject
from gateway.formats.neutral.completion import Finish, TokenLogprob
from gateway.formats.neutral.reading import MOST_TOKENS

FINISHES: Mapping[str, Finish] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop_sequence",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "error",
    "TIMEOUT": "error",
}
_WORDS: Mapping[Finish, str] = {
    "stop": "COMPLETE",
    "stop_sequence": "STOP_SEQUENCE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR",
    "refusal": "COMPLETE",
    "pause": "COMPLETE",
    "error": "ERROR",
}


def read_finish(word: str) -> Finish:
    """Say why the model stopped; a word that is new was still an end."""
    return FINISHES.get(word, "stop")


def write_finish(finish: Finish, raw: str) -> str:
    """Choose Cohere's word: its own where it means that, else the nearest."""
    return raw if FINISHES.get(raw) == finish else _WORDS[finish]


def read_usage(seen: UsageObject | None) -> Usage | None:
    """Read the counts; None where there are none, or nonsense."""
    if seen is None or seen.tokens is None:
        return None
    tokens = seen.tokens
    images = _count(tokens.image_tokens)
    usage = Usage(
        input_tokens=_count(tokens.input_tokens) + images,
        output_tokens=_count(tokens.output_tokens),
        cached_tokens=_count(seen.cached_tokens),
        reasoning_tokens=_count(tokens.reasoning_tokens),
        image_input_tokens=images,
    )
    return None if usage == Usage() else usage


def read_extra(seen: UsageObject | None) -> dict[str, Any]:
    """Keep what is beside the tokens: the billed units, and a zero that was said."""
    extra: dict[str, Any] = {}
    if seen is not None and seen.billed_units is not None:
        extra["billed_units"] = seen.billed_units
    if seen is not None and seen.cached_tokens == 0:
        extra["cached_tokens"] = 0
    return extra


def write_usage(usage: Usage | None, extra: Mapping[str, Any]) -> UsageObject | None:
    """Write the usage object; None where nothing is known."""
    billed = extra.get("billed_units")
    if usage is None:
        return UsageObject(billed_units=billed) if billed else None
    tokens = Tokens(
        input_tokens=usage.input_tokens - usage.image_input_tokens,
        output_tokens=usage.output_tokens,
        image_tokens=usage.image_input_tokens or None,
        reasoning_tokens=usage.reasoning_tokens or None,
    )
    return UsageObject(tokens, billed, usage.cached_tokens or extra.get("cached_tokens"))


def read_logprob(seen: Logprob) -> TokenLogprob:
    """Read a piece of text; of several tokens the probabilities multiply. Their ids are left behind."""
    return TokenLogprob(seen.text or "", sum(seen.logprobs or ()))


def write_logprob(token: TokenLogprob) -> Logprob:
    """Write a token; its id is not known."""
    return Logprob(token.token, logprobs=[token.logprob])


def _count(number: Number | None) -> int:
    return int(number) if number is not None and 0 <= number <= MOST_TOKENS else 0
