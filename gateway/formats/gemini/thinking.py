"""How much Gemini is to think: `thinkingConfig` from and to neutral Thinking.

There are two generations of models. Those of 2.5 take a budget in tokens and turn a level away; since 3
they take a level and turn some budgets away. A request does not know its model while it is translated:
efforts are written as budgets, and `fit_thinking` rewrites what the model that it goes to would refuse.

Sources: Gemini API, "Thinking", "OpenAI compatibility"; Vertex AI, "Thinking", tables of levels and of
budgets (checked 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.formats.gemini.names import word_of_enum
from gateway.formats.gemini.types import SaidThinking, ThinkingConfig
from gateway.formats.neutral.conversation import Thinking
from gateway.formats.neutral.effort import budget_of, effort_of

_LEVELS = {1: "LOW", 2: "HIGH", 3: "MEDIUM", 4: "MINIMAL"}

_MOST_BUDGET_TOKENS = 24_576
"""The largest budget that each model with budgets takes."""

_MINIMAL_BUDGET_TOKENS = 512
"""What is less than a low effort, and not too little for any model."""

_AS_IT_LIKES = -1
"""The budget that leaves it to the model."""

_LEAST_BUDGETS = {"gemini-2.5-pro": 128, "gemini-2.5-flash-lite": 512}
"""The least budgets by the beginnings of models' names, other than 0 for not to think at all."""

_ALWAYS_THINK = "gemini-2.5-pro"
_WITHOUT_MEDIUM = "gemini-3-pro"
_WITH_MINIMAL = ("gemini-3-flash", "gemini-3.1-flash-lite", "gemini-3.5-flash", "gemini-3.6-flash")
"""Beginnings of the names of models that differ: the others since 3 know LOW, MEDIUM and HIGH."""

_VERSION = re.compile(r"gemini-(?:(\d+)|[a-z-]+-latest$)")


def decode_thinking(config: ThinkingConfig | None) -> Thinking | None:
    """Read how much to think. Raises BadRequest for a level of an unknown number."""
    if config is None:
        return None
    budget, level = config.thinking_budget, config.thinking_level
    place = "generationConfig.thinkingConfig"
    return SaidThinking(
        effort="" if level is None else word_of_enum(level, _LEVELS, place).lower(),
        budget_tokens=None if budget is None or budget < 0 else budget,
        adaptive=budget == _AS_IT_LIKES,
        visible=config.include_thoughts,
        said=config,
    )


def encode_thinking(thinking: Thinking | None) -> ThinkingConfig | None:
    """Write how much to think: in Google's own words where a client used them, else as a budget."""
    if thinking is None:
        return None
    if isinstance(thinking, SaidThinking):
        return thinking.said
    budget = thinking.budget_tokens
    if budget is None:
        budget = _MINIMAL_BUDGET_TOKENS if thinking.effort == "minimal" else budget_of(thinking.effort)
    if budget is None and thinking.adaptive:
        budget = _AS_IT_LIKES
    visible = thinking.visible if thinking.visible is not None else bool(thinking.summary) or None
    config = ThinkingConfig(
        include_thoughts=visible,
        thinking_budget=None if budget is None else min(budget, _MOST_BUDGET_TOKENS),
    )
    return None if config == ThinkingConfig() else config


def is_since_gemini_3(model: str) -> bool:
    """Tell whether a model, whatever resource names it, is of the newer generation."""
    version = _VERSION.match(_bare(model))
    return version is not None and (version.group(1) is None or int(version.group(1)) >= 3)


def _bare(model: str) -> str:
    return model.rpartition("/")[2].lower()


def fit_thinking(members: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """Rewrite the thinking of a translated request in the way that its model takes it.

    A client's own request is not to come here: what it asks for is for the provider to judge.
    """
    config = members.get("generationConfig")
    said = config.get("thinkingConfig") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(said, dict) or "thinkingBudget" not in said:
        return members
    thinking = {name: value for name, value in said.items() if name != "thinkingBudget"}
    budget: int = said["thinkingBudget"]
    if not is_since_gemini_3(model):
        thinking["thinkingBudget"] = _bounded(budget, _bare(model))
    elif budget != _AS_IT_LIKES:  # that is what a model does where nothing is said
        thinking["thinkingLevel"] = _level(budget, _bare(model))
    return {**members, "generationConfig": {**config, "thinkingConfig": thinking}}


def _bounded(budget: int, model: str) -> int:
    if budget < 0 or (budget == 0 and not model.startswith(_ALWAYS_THINK)):
        return budget
    return max(budget, *(least for name, least in _LEAST_BUDGETS.items() if model.startswith(name)), 0)


def _level(budget: int, model: str) -> str:
    """Return the least level that covers a budget, of those that the model has."""
    if budget <= _MINIMAL_BUDGET_TOKENS:
        return "MINIMAL" if model.startswith(_WITH_MINIMAL) else "LOW"
    effort = effort_of(budget)
    if effort == "medium" and not model.startswith(_WITHOUT_MEDIUM):
        return "MEDIUM"
    return "LOW" if effort == "low" else "HIGH"
