"""How Claude is to sample: `temperature`, `top_p` and `top_k` of a translated request.

What is left out because of thinking is named by `neutral.clashes`; what depends on the model cannot be
known there.
Source: Anthropic API reference, "Messages"; "Extended thinking"; "Migration guide": 4.5, 4.7, Sonnet 5,
Haiku 5.5 (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.formats.messages.thinking import knows_budgets_only
from gateway.formats.messages.types import ThinkingConfig
from gateway.formats.neutral.clashes import LEAST_TOP_P
from gateway.formats.neutral.conversation import Conversation

_NAMES = frozenset({"temperature", "top_p", "top_k"})
_LAST_TO_SAMPLE = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-2", "claude-instant")
"""Beginnings of the names of models that take a way to sample, beside those that know budgets only."""


def encode_sampling(conversation: Conversation, thinking: ThinkingConfig | None) -> dict[str, Any]:
    """Write how to sample: the scale of temperatures ends at 1, which is the only one while thinking.

    Models since 4.1 refuse a temperature together with `top_p`: where one of the two is 1, and so changes
    nothing, it is left out. Many clients always send both.
    """
    temperature, top_p, top_k = conversation.temperature, conversation.top_p, conversation.top_k
    if temperature is not None:
        temperature = min(temperature, 1.0)
    if thinking is not None and thinking.type != "disabled":
        temperature = temperature if temperature == 1 else None
        top_p = top_p if top_p is not None and top_p >= LEAST_TOP_P else None
        top_k = None
    if temperature is not None and top_p == 1:
        top_p = None
    elif temperature == 1 and top_p is not None:
        temperature = None
    return {"temperature": temperature, "top_p": top_p, "top_k": top_k}


def takes_sampling(model: str) -> bool:
    """Tell whether a model takes a way to sample: Claude's since 4.7 answer 400 to any but the default.

    Models of other makers that speak this format are taken to do so.
    """
    name = model.lower().rpartition("anthropic.")[2]
    return not name.startswith("claude-") or knows_budgets_only(model) or name.startswith(_LAST_TO_SAMPLE)


def fit_sampling(members: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """Leave out of a translated request how to sample where its model would refuse that."""
    if takes_sampling(model) or _NAMES.isdisjoint(members):
        return members
    return {name: value for name, value in members.items() if name not in _NAMES}
