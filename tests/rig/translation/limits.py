"""What a format has no words for in an answer: data, each with its reason."""

from __future__ import annotations

from gateway.formats.neutral.completion import Completion
from gateway.formats.neutral.fields import FIELDS
from rig.translation.witness.facts import Tokens
from rig.translation.witness.seen import tokens_of

FINISHES: dict[str, dict[str, frozenset[str]]] = {
    "chat": {
        "stop_sequence": frozenset({"stop", "stop_sequence"}),  # vLLM's stop_reason tells it, OpenAI nothing
        "refusal": frozenset({"stop", "refusal", "content_filter"}),  # a refusal is told by its text
        "pause": frozenset({"stop"}),  # only Anthropic's own tools pause
        "error": frozenset({"stop", "error"}),  # used by OpenRouter alone
    },
    "responses": {
        "stop_sequence": frozenset({"stop"}),  # has no stop sequences
        "refusal": frozenset({"stop", "refusal", "content_filter"}),  # by a part, or as filtered
        "pause": frozenset({"stop", "length"}),
        "error": frozenset({"error", "stop", "content_filter"}),
    },
    "messages": {
        "content_filter": frozenset({"refusal", "content_filter"}),  # one word for filter and refusal
        "error": frozenset({"stop", "error", "refusal"}),
    },
    "gemini": {
        "stop_sequence": frozenset({"stop"}),  # STOP is both
        "refusal": frozenset({"content_filter", "refusal", "stop"}),  # one word for filter and refusal
        "pause": frozenset({"stop"}),
    },
    "converse": {
        "refusal": frozenset({"content_filter", "refusal", "stop"}),
        "pause": frozenset({"stop", "pause"}),
        "error": frozenset({"stop", "error"}),
    },
    "cohere": {
        "content_filter": frozenset({"error", "content_filter", "stop"}),
        "refusal": frozenset({"stop", "error", "refusal"}),
        "pause": frozenset({"stop"}),
    },
    "ollama": {
        "stop_sequence": frozenset({"stop"}),
        "content_filter": frozenset({"stop"}),
        "refusal": frozenset({"stop"}),
        "pause": frozenset({"stop"}),
        "error": frozenset({"stop"}),
    },
}
"""What becomes of the reasons for an end that a format has no word for."""

UNTOLD_TOKENS: dict[str, frozenset[str]] = {
    "chat": frozenset(),
    "responses": frozenset(),
    "messages": frozenset(),
    "gemini": frozenset({"cache_write"}),  # caches are filled by calls of their own
    "converse": frozenset({"reasoning"}),
    "cohere": frozenset({"cache_write"}),
    "ollama": frozenset({"cached", "cache_write", "reasoning"}),
}
"""The kinds of tokens that a format has no member for."""

ONE_CHOICE = frozenset(format_ for format_ in FINISHES if format_ not in FIELDS["choices"].says)


def finishes(completion: Completion, *ways: str) -> list[frozenset[str]]:
    """How each choice may end after a way through these formats."""
    found = [frozenset({choice.finish or ""}) for choice in completion.choices]
    for way in ways:
        found = [
            frozenset(after for word in words for after in FINISHES[way].get(word, frozenset({word})))
            for words in found
        ]
    return found


def tokens(completion: Completion, *ways: str) -> Tokens | None:
    """The tokens that arrive after a way through these formats."""
    told = tokens_of(completion.usage)
    untold = {name for way in ways for name in UNTOLD_TOKENS[way]}
    return told and Tokens(**{name: 0 if name in untold else value for name, value in vars(told).items()})
