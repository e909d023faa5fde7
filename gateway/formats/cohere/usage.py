"""Cohere's usage, logprobs and finish words, in both directions.

What is booked is what is billed: `billed_units`, which leave out what Cohere put around the prompt and the
answer, and the reasoning (57 billed where 1490 were computed; 109 where it was 164 with 54 of reasoning).
So limits, pages and clients of other formats count those, too. What was computed, `tokens`, is booked only
where nothing was billed, and else travels beside it, for clients of this format; so do `cached_tokens`,
which are of what was computed and may be more than was billed: they have no price of their own.

In the recordings `tokens.input_tokens` leaves out the image tokens (501 for a prompt with 518 of them),
billed ones include them (522), and `tokens.output_tokens` includes the reasoning.

Source: Cohere API reference, "Chat" (checked 2026-11), recorded answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.exchange import Usage
from gateway.formats.cohere.types import BilledUnits, Logprob, Tokens, UsageObject
from gateway.formats.neutral.completion import Finish, TokenLogprob
from gateway.formats.neutral.reading import believed

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

_UNTOLD = Tokens()


def read_finish(word: str) -> Finish:
    """Say why the model stopped; a word that is new was still an end."""
    return FINISHES.get(word, "stop")


def write_finish(finish: Finish, raw: str) -> str:
    """Choose Cohere's word: its own where it means that, else the nearest."""
    return raw if FINISHES.get(raw) == finish else _WORDS[finish]


def read_usage(seen: UsageObject | None) -> Usage | None:
    """Read what was billed, or else computed; None where neither is told, or it is nonsense."""
    if seen is None:
        return None
    tokens = seen.tokens or _UNTOLD
    images = int(tokens.image_tokens or 0)
    if (billed := _billed(seen)) is not None:
        given = int(billed.input_tokens or 0)
        made = tokens.output_tokens if billed.output_tokens is None else billed.output_tokens
        usage = Usage(
            given,
            int(made or 0),
            image_input_tokens=min(images, given),
            searches=int(billed.search_units or 0),
        )
    else:
        usage = Usage(
            input_tokens=int(tokens.input_tokens or 0) + images,
            output_tokens=int(tokens.output_tokens or 0),
            cached_tokens=int(seen.cached_tokens or 0),
            reasoning_tokens=int(tokens.reasoning_tokens or 0),
            image_input_tokens=images,
        )
    return None if usage == Usage() else believed(usage, tokens.input_tokens)


def read_extra(seen: UsageObject | None) -> dict[str, Any]:
    """Keep what is beside what was booked: the billed units, what was computed, and a zero that was said."""
    extra: dict[str, Any] = {}
    if seen is None:
        return extra
    if seen.billed_units is not None:
        extra["billed_units"] = seen.billed_units
    if _billed(seen) is not None:
        if seen.tokens is not None:
            extra["tokens"] = seen.tokens
        if seen.cached_tokens is not None:
            extra["cached_tokens"] = seen.cached_tokens
    elif seen.cached_tokens == 0:
        extra["cached_tokens"] = 0
    return extra


def write_usage(usage: Usage | None, extra: Mapping[str, Any]) -> UsageObject | None:
    """Write the usage object; None where nothing is known."""
    billed = extra.get("billed_units")
    told = UsageObject(extra.get("tokens"), billed, extra.get("cached_tokens"))
    if usage is None or (billed is not None and read_usage(told) == usage):
        return told if told.tokens or billed else None
    tokens = Tokens(
        input_tokens=usage.input_tokens - usage.image_input_tokens,
        output_tokens=usage.output_tokens,
        image_tokens=usage.image_input_tokens or None,
        reasoning_tokens=usage.reasoning_tokens or None,
    )
    return UsageObject(tokens, billed, usage.cached_tokens or extra.get("cached_tokens"))


def _billed(seen: UsageObject) -> BilledUnits | None:
    """Read what was billed; None where no tokens are told, or they are no numbers."""
    if seen.billed_units is None:
        return None
    try:
        billed = msgspec.convert(seen.billed_units, BilledUnits)
    except msgspec.ValidationError:
        return None
    return None if billed.input_tokens is None else billed


def read_logprob(seen: Logprob) -> TokenLogprob:
    """Read a piece of text; of several tokens the probabilities multiply. Their ids are left behind."""
    return TokenLogprob(seen.text or "", sum(seen.logprobs or ()))


def write_logprob(token: TokenLogprob) -> Logprob:
    """Write a token; its id is not known."""
    return Logprob(token.token, logprobs=[token.logprob])
