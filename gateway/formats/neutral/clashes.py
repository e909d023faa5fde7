"""Name the fields that a format has, but refuses beside others of the same request.

An encoder leaves them out, or cuts them to what is allowed; here they are found before, so that the client
is told. Must not know how a field is written.
Source: Anthropic, "Extended thinking", "Adaptive thinking"; API reference, "Messages": temperature, top_p
(checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gateway.exchange import Format
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.parts import Reasoning, ToolCall
from gateway.formats.neutral.seals import accepts

LEAST_BUDGET_TOKENS = 1024
"""The least that Claude thinks with a budget, which lies below `max_tokens`."""

LEAST_TOP_P = 0.95
"""The least `top_p` that Claude takes while it thinks."""


def clashing(conversation: Conversation, target: Format) -> tuple[str, ...]:
    """Return the fields of a Conversation that are to be left out for `target`."""
    if target != "messages":
        return ()
    unthinkable = _thinks(conversation) and _forbids_thinking(conversation)
    if unthinkable:
        conversation = msgspec.structs.replace(conversation, thinking=None)
    return (*(("thinking",) if unthinkable else ()), *_sampling(conversation))


def _thinks(conversation: Conversation) -> bool:
    thinking = conversation.thinking
    if thinking is None or thinking.budget_tokens == 0 or thinking.effort == "none":
        return False
    return bool(thinking.budget_tokens or thinking.adaptive or thinking.effort or thinking.summary)


def _forbids_thinking(conversation: Conversation) -> bool:
    """Tell whether a call is forced; or, with a budget, whether there is no room or the thread is lost."""
    choice, thinking = conversation.tool_choice, conversation.thinking
    if conversation.tools and choice is not None and choice.mode == "required":
        return True
    if thinking is None or thinking.budget_tokens is None or thinking.adaptive:
        return False
    limit = conversation.max_tokens
    return (limit is not None and limit <= LEAST_BUDGET_TOKENS) or _called_unthinking(conversation)


def _called_unthinking(conversation: Conversation) -> bool:
    """Tell whether the last calls were made without thoughts that Claude can check to be its own."""
    last = next((turn for turn in reversed(conversation.turns) if turn.role == "assistant"), None)
    if last is None or not any(isinstance(part, ToolCall) for part in last.parts):
        return False
    return not any(
        isinstance(part, Reasoning)
        and (part.signature or part.encrypted)
        and accepts("messages", part.origin)
        for part in last.parts
    )


def _sampling(conversation: Conversation) -> Iterator[str]:
    """Name what cannot be said of sampling: temperatures end at 1, which is the only one while thinking."""
    temperature, top_p = conversation.temperature, conversation.top_p
    thinks = _thinks(conversation)
    if temperature is not None and (temperature > 1 or (thinks and temperature != 1)):
        yield "temperature"
    if thinks and top_p is not None and top_p < LEAST_TOP_P:
        yield "top_p"
    if thinks and conversation.top_k is not None:
        yield "top_k"
