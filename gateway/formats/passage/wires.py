"""Which wire formats can serve a call of which format: by relaying it, or by translating it. Data."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from gateway.exchange import Format

GENERATIVE: tuple[Format, ...] = ("chat", "responses", "messages", "gemini", "converse", "cohere", "ollama")

TRANSLATED_TO: Mapping[Format, tuple[Format, ...]] = {
    "chat": GENERATIVE,
    "responses": GENERATIVE,
    "messages": GENERATIVE,
    "gemini": GENERATIVE,
    "count_tokens": ("gemini_count", "converse_count", "responses_count"),
    "embeddings": ("gemini_embeddings", "cohere_embeddings", "titan_embeddings", "ollama_embeddings"),
    "rerank": ("voyage_rerank",),
}
"""The formats that clients speak, and into which of the upstreams' a call can be translated."""


@lru_cache(1024)
def wires_for(format_: Format, spoken: tuple[Format, ...]) -> tuple[Format, ...]:
    """Say in which of the formats that an upstream speaks it can get a call, the preferred first.

    Its own format wins alone, because a relayed call loses nothing. Of the others the first is taken that
    can express the call. None: the upstream cannot take it at all.
    """
    if format_ in spoken:
        return (format_,)
    possible = TRANSLATED_TO.get(format_, ())
    return tuple(wire for wire in spoken if wire in possible)
