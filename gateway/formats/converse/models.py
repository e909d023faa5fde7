"""Fit a request to the family of its model: what Converse leaves to the models, and they take differently.

The codec does not know the model and says how much to think in the words of Claude's newer models. Models
are known by their names, which stand in identifiers, inference profiles and ARNs alike. An ARN that tells
no name (an application's profile, an imported model) may hide any model: such a request stays as it is.

Sources: Amazon Bedrock User Guide, "Extended thinking", "Adaptive thinking", "OpenAI models"; Amazon Nova 2
User Guide, "Extended thinking"; Anthropic, "Extended thinking", "Migrating to Claude 4.5" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.formats.messages.sampling import encode_sampling, takes_sampling
from gateway.formats.messages.thinking import fit_thinking
from gateway.formats.messages.types import OutputConfig, ThinkingConfig
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.effort import effort_of

FIELDS = "additionalModelRequestFields"
_LEVELS: Mapping[str, str] = {"minimal": "low", "low": "low", "medium": "medium"}
"""The levels of models that know three; any other effort is their highest."""
_BOUNDED_BY_HIGH = frozenset({"maxTokens", "temperature", "topP"})
"""What Nova refuses together with its highest effort."""


class _Thinking(msgspec.Struct, frozen=True):
    """What a request says of thinking, in Claude's words."""

    config: ThinkingConfig | None
    effort: str

    @property
    def level(self) -> str:
        """Return "none", "low", "medium" or "high", "" where nothing is said."""
        if self.config is not None and self.config.type == "disabled":
            return "none"
        budget = self.config.budget_tokens if self.config else None
        effort = self.effort or (effort_of(budget) if budget is not None else "")
        if not effort:
            return "medium" if self.config else ""
        return _LEVELS.get(effort, "high")


def tells_its_model(model: str) -> bool:
    """Tell whether a name is a model's own, whatever stands around it: it begins with its provider's."""
    return "." in model.rpartition("/")[2]


def fit_to_model(members: Mapping[str, Any], model: str) -> dict[str, Any]:
    """Return the members of a translated request as the family of `model` takes them."""
    if not tells_its_model(model):
        return dict(members)
    name = model.lower().rpartition("/")[2]
    fit = next((fit for mark, fit in _FAMILIES.items() if mark in name), _without_thinking)
    rest = dict(members)
    fields, output = dict(rest.pop(FIELDS, {})), dict(rest.pop("outputConfig", {}))
    told = fields.pop("thinking", None)
    config = None if told is None else msgspec.convert(told, ThinkingConfig)
    thinking = _Thinking(config, output.pop("effort", ""))
    rest = {name: value for name, value in ((FIELDS, fields), ("outputConfig", output)) if value} | rest
    return fit(rest, thinking, name)


def lost(given: Mapping[str, Any], sent: Mapping[str, Any]) -> tuple[str, ...]:
    """Name what `fit_to_model` has left out."""
    before, after = given.get("inferenceConfig", {}), sent.get("inferenceConfig", {})
    sampling = tuple(name for name in ("temperature", "topP") if name in before and name not in after)
    return ("thinking", *sampling) if _thinks(given) and not _thinks(sent) else sampling


def _thinks(members: Mapping[str, Any]) -> bool:
    return not _THINKING.isdisjoint(members.get(FIELDS, ())) or "effort" in members.get("outputConfig", ())


_THINKING = frozenset({"thinking", "reasoningConfig", "reasoning_effort"})
"""What the families call it among the additional fields."""


def _claude(members: dict[str, Any], thinking: _Thinking, model: str) -> dict[str, Any]:
    """Fit to the generation, and leave out what Claude refuses together.

    A forced call switches thinking off, and so does, with a budget, a last call made without thinking.
    """
    limit = members.get("inferenceConfig", {}).get("maxTokens")
    asked = {
        "thinking": thinking.config,
        "output_config": OutputConfig(thinking.effort) if thinking.effort else None,
        "max_tokens": limit,
        "messages": [],
    }
    fitted = fit_thinking(asked, model)
    config, output = fitted.get("thinking"), fitted.get("output_config")
    if _clashes(config, members):
        config = None
    if config is not None:
        members = _with(members, FIELDS, thinking=msgspec.to_builtins(config))
    if output is not None and output.effort:
        members = _with(members, "outputConfig", effort=output.effort)
    return _sampled(members, config, model)


def _nova(members: dict[str, Any], thinking: _Thinking, _model: str) -> dict[str, Any]:
    level = thinking.level
    if not level:
        return members
    if level == "none":
        return _with(members, FIELDS, reasoningConfig={"type": "disabled"})
    if level == "high" and not _BOUNDED_BY_HIGH.isdisjoint(members.get("inferenceConfig", ())):
        level = "medium"
    return _with(members, FIELDS, reasoningConfig={"type": "enabled", "maxReasoningEffort": level})


def _gpt_oss(members: dict[str, Any], thinking: _Thinking, _model: str) -> dict[str, Any]:
    """Write the effort; the least there is stands for none, because this model always thinks."""
    level = "low" if thinking.level == "none" else thinking.level
    return _with(members, FIELDS, reasoning_effort=level) if level else members


def _without_thinking(members: dict[str, Any], _thinking: _Thinking, _model: str) -> dict[str, Any]:
    """Leave out how much to think, and earlier thoughts: a model that has no word for them refuses both."""
    messages = [
        {**message, "content": [block for block in message["content"] if "reasoningContent" not in block]}
        for message in members["messages"]
    ]
    return {**members, "messages": messages}


_FAMILIES: Mapping[str, Callable[[dict[str, Any], _Thinking, str], dict[str, Any]]] = {
    "anthropic.claude-3-7": _claude,
    "anthropic.claude-3": _without_thinking,
    "anthropic.claude-v2": _without_thinking,
    "anthropic.claude-instant": _without_thinking,
    "anthropic.": _claude,
    "amazon.nova-2": _nova,
    "openai.gpt-oss": _gpt_oss,
}
"""By what the names of a family's models hold; the first that fits counts."""


def _with(members: Mapping[str, Any], name: str, **more: Any) -> dict[str, Any]:
    return {**members, name: {**members.get(name, {}), **more}}


def _clashes(config: ThinkingConfig | None, members: Mapping[str, Any]) -> bool:
    """Tell whether Claude refuses to think in this request."""
    if config is None or config.type == "disabled":
        return False
    return _forces_a_call(members) or (config.type == "enabled" and _lacks_thinking(members))


def _forces_a_call(members: Mapping[str, Any]) -> bool:
    return not {"any", "tool"}.isdisjoint(members.get("toolConfig", {}).get("toolChoice", ()))


def _lacks_thinking(members: Mapping[str, Any]) -> bool:
    """Tell whether the last answer calls tools and does not begin with its thinking."""
    last = next((one for one in reversed(members["messages"]) if one["role"] == "assistant"), None)
    blocks = last["content"] if last else []
    return any("toolUse" in block for block in blocks) and "reasoningContent" not in blocks[0]


def _sampled(members: dict[str, Any], config: ThinkingConfig | None, model: str) -> dict[str, Any]:
    """Leave out how to sample where the model, or its thinking, allows one way only."""
    told = dict(members.get("inferenceConfig", {}))
    temperature, top_p = told.pop("temperature", None), told.pop("topP", None)
    if takes_sampling(model):
        asked = Conversation((), temperature=temperature, top_p=top_p)
        written = encode_sampling(asked, config)
        kept = {"temperature": written["temperature"], "topP": written["top_p"]}
        told |= {name: value for name, value in kept.items() if value is not None}
    rest = {name: value for name, value in members.items() if name != "inferenceConfig"}
    return {**rest, "inferenceConfig": told} if told else rest
