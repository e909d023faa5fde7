"""What one attempt used, by kind: tokens, and what else providers bill by."""

from __future__ import annotations

from typing import Literal

import msgspec

Origin = Literal["reported", "counted", "estimated"]
"""Who counted; each is less sure than the one before."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one attempt by kind, and what else providers bill by.

    `input_tokens` includes cached, cache_write, audio_input, image_input and tool_use tokens;
    `output_tokens` includes reasoning, audio_output and image_output tokens; `cache_write_tokens` includes
    `cache_write_1h_tokens`. `tool_use_tokens` are those of prompts that tools run by the provider made.
    `searches` are units of ranking, `audio_s` seconds of sound, `characters` those of a spoken text.
    `origin` says who counted: the upstream, our tokenizer on what passed by, or nobody (from its bytes).
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    tool_use_tokens: int = 0
    searches: int = 0
    characters: int = 0
    audio_s: float = 0.0
    origin: Origin = "reported"
    tier: str = ""
    """The class of service that was billed, as the provider names it: priority, flex, batch; empty: the
    standard one, or it did not tell."""

    def __add__(self, other: Usage) -> Usage:
        """Add up what two attempts used; of a sum, one part of which was counted, so was the whole."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in SPENT}
        origin = max(self.origin, other.origin, key=_DOUBT.index)
        return Usage(**sums, origin=origin, tier=self.tier if self.tier == other.tier else "")


def at_least(told: Usage | None, counted: Usage) -> Usage:
    """Return what an attempt has used that told of its usage before its answer had ended, or never.

    What was told of the input is all of it. Of the output it is the least: more may have come after it.
    """
    if told is None:
        return counted
    return msgspec.structs.replace(
        told,
        input_tokens=told.input_tokens or counted.input_tokens,
        output_tokens=max(told.output_tokens, counted.output_tokens),
        origin=counted.origin,
        tier=told.tier or counted.tier,
    )


_DOUBT: tuple[Origin, ...] = ("reported", "counted", "estimated")
SPENT = tuple(name for name in Usage.__struct_fields__ if name not in {"origin", "tier"})
"""What an attempt may use: the fields of Usage that are amounts."""
