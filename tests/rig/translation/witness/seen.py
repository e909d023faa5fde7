"""The same facts of a neutral answer, so that the two can be compared."""

from __future__ import annotations

from gateway.exchange import Usage
from gateway.formats.neutral.completion import Choice, Completion
from gateway.formats.neutral.parts import Refusal, Text, ToolCall
from rig.translation.witness.facts import Facts, Said, Tokens, arguments


def facts_of(completion: Completion) -> Facts:
    """What a neutral answer says."""
    return Facts(tuple(_said(choice) for choice in completion.choices), tokens_of(completion.usage))


def _said(choice: Choice) -> Said:
    return Said(
        "".join(part.text for part in choice.parts if isinstance(part, Text)),
        tuple(
            (part.name, part.arguments if part.custom else arguments(part.arguments))
            for part in choice.parts
            if isinstance(part, ToolCall)
        ),
        frozenset({choice.finish or ""}),
        "".join(part.text for part in choice.parts if isinstance(part, Refusal)),
    )


def tokens_of(usage: Usage | None) -> Tokens | None:
    """The tokens that each provider tells in some way."""
    if usage is None:
        return None
    return Tokens(
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )
