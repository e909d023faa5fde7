"""How much Claude is to think: `thinking` and `output_config.effort` from and to neutral Thinking.

There are two generations of models. Up to 4.5 a client sets a budget in tokens (`enabled`); since 4.6 the
model decides (`adaptive`) and a client sets an effort, and since 4.7 a budget is refused. A request does
not know its model while it is translated: an effort is written as `adaptive`, a budget as `enabled`, and
`fit_thinking` rewrites what the model that it goes to would refuse.
Source: Anthropic, "Extended thinking", "Adaptive thinking", "Effort" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.formats.messages.types import Message, OutputConfig, ThinkingConfig
from gateway.formats.neutral.clashes import LEAST_BUDGET_TOKENS
from gateway.formats.neutral.conversation import Thinking
from gateway.formats.neutral.effort import BUDGETS, budget_of, effort_of

DEFAULT_MAX_TOKENS = 32_000
"""What is sent where the client named no limit: the API requires one. OpenAI's clients expect "as much as
the model can"; this is the largest that each model still served takes (Opus 4.1 has the least)."""

_EFFORTS: Mapping[str, str] = {"minimal": "low"} | {
    word: word for word in ("low", "medium", "high", "xhigh", "max")
}
_BUDGET_MODELS = (
    "claude-3",
    "claude-4-",
    "claude-haiku-4-",
    *(
        f"claude-{family}-{version}"
        for family in ("opus", "sonnet")
        for version in ("4-0", "4-1", "4-2", "4-5", "4@")
    ),
)
"""Beginnings of the names of models that know budgets only ("4-2": 4 with its date, 20250514)."""

_EXACTLY_BUDGET_MODELS = frozenset({"claude-opus-4", "claude-sonnet-4"})


def decode_thinking(config: ThinkingConfig | None, effort: str) -> Thinking | None:
    """Read both members; None when neither says anything."""
    if config is None:
        return Thinking(effort) if effort else None
    visible = None if config.display is None else config.display != "omitted"
    if config.type == "disabled":
        return Thinking(effort, budget_tokens=0, visible=visible)
    adaptive = config.type == "adaptive"
    return Thinking(effort, budget_tokens=config.budget_tokens, adaptive=adaptive, visible=visible)


def encode_effort(thinking: Thinking | None) -> str | None:
    """Write the effort in Anthropic's words; None for one that it has no word for."""
    return _EFFORTS.get(thinking.effort) if thinking else None


def encode_thinking(thinking: Thinking | None, max_tokens: int | None) -> ThinkingConfig | None:
    """Write whether to think.

    A budget has to lie below `max_tokens` and is cut to that; where that leaves less than the least
    budget, there is no thinking.
    """
    if thinking is None:
        return None
    display = _display(thinking)
    if thinking.budget_tokens == 0 or thinking.effort == "none":
        return ThinkingConfig("disabled", display=display if thinking.visible is not None else None)
    if thinking.budget_tokens is not None and not thinking.adaptive:
        budget = bounded_budget(thinking.budget_tokens, max_tokens)
        return ThinkingConfig("enabled", budget, display) if budget else None
    if thinking.adaptive or thinking.effort or display == "summarized":
        return ThinkingConfig("adaptive", display=display)
    return None


def _display(thinking: Thinking) -> str | None:
    if thinking.visible is not None:
        return "summarized" if thinking.visible else "omitted"
    return "summarized" if thinking.summary else None


def bounded_budget(budget_tokens: int, max_tokens: int | None) -> int:
    """Return a budget that is accepted together with `max_tokens`; 0 when there is none.

    A budget below the limit is the client's own choice and stays; one that is not leaves half of the limit
    to the answer.
    """
    budget = max(budget_tokens, LEAST_BUDGET_TOKENS)
    if max_tokens is None or budget < max_tokens:
        return budget
    half = max(max_tokens // 2, LEAST_BUDGET_TOKENS)
    return half if half < max_tokens else 0


def limit_of(max_tokens: int | None, config: ThinkingConfig | None) -> int:
    """Choose `max_tokens`: the client's, or the default, above the budget of thinking in any case."""
    if max_tokens is not None:
        return max_tokens
    budget = config.budget_tokens if config else None
    return DEFAULT_MAX_TOKENS if not budget else max(DEFAULT_MAX_TOKENS, budget + LEAST_BUDGET_TOKENS)


def knows_budgets_only(model: str) -> bool:
    """Tell whether a model is of the older generation, whatever platform names it."""
    name = model.lower().rpartition("anthropic.")[2]
    return name in _EXACTLY_BUDGET_MODELS or name.startswith(_BUDGET_MODELS)


def fit_thinking(members: Mapping[str, Any], model: str) -> Mapping[str, Any]:
    """Rewrite the thinking of a translated request in the way that its model takes it.

    A client's own request is not to come here: what it asks for is for the provider to judge.
    """
    config = members.get("thinking")
    output = members.get("output_config")
    if knows_budgets_only(model):
        if isinstance(output, OutputConfig) or isinstance(config, ThinkingConfig):
            return _with_budget(members, output or OutputConfig())
    elif isinstance(config, ThinkingConfig) and config.type == "enabled":
        output = output or OutputConfig()
        effort = output.effort or effort_of(config.budget_tokens or 0)
        return {
            **members,
            "thinking": ThinkingConfig("adaptive", display=config.display),
            "output_config": OutputConfig(effort, output.format, output.task_budget),
        }
    return members


def _with_budget(members: Mapping[str, Any], output: OutputConfig) -> dict[str, Any]:
    """Write a budget in place of the effort, which older models do not know."""
    changed = {name: value for name, value in members.items() if name != "output_config"}
    if output.format is not None or output.task_budget is not None:
        changed["output_config"] = OutputConfig(None, output.format, output.task_budget)
    config = members.get("thinking")
    if isinstance(config, ThinkingConfig) and config.type == "adaptive":
        del changed["thinking"]
        wanted = budget_of(output.effort or "") or BUDGETS["medium"]
        budget = bounded_budget(wanted, members.get("max_tokens"))
        if budget and not lacks_thinking(members["messages"]):
            changed["thinking"] = ThinkingConfig("enabled", budget, config.display)
    return changed


def lacks_thinking(messages: list[Message]) -> bool:
    """Tell whether the last assistant message calls tools and does not begin with its thinking.

    With a budget such a request is refused; that thinking was made by another provider, or not at all.
    """
    last = next((one for one in reversed(messages) if one.role == "assistant"), None)
    if last is None or isinstance(last.content, str):
        return False
    kinds = [block.type for block in last.content if not isinstance(block, dict)]
    return "tool_use" in kinds and kinds[0] not in {"thinking", "redacted_thinking"}
