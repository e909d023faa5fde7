"""Say what a request asks of a model: tools, images, audio, files, a schema for its answer, reasoning.

Names of all formats are looked up in turn; nothing raises. Must not know models.

Sources: the API references named in `gateway.formats.*.types`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.exchange import Feature
from gateway.routing.signals.body import inner_of, value_of

_TOOLS = ("tools", "functions", "toolConfig")
_NO_TOOLS = frozenset({b"null", b"[]", b"{}"})
_LIMITS = ("max_completion_tokens", "max_output_tokens", "max_tokens", "max_tokens_to_sample")
_SETTINGS = ("generationConfig", "generation_config", "inferenceConfig", "options")
_INNER_LIMITS = ("maxOutputTokens", "max_output_tokens", "maxTokens", "num_predict")
_SCHEMAS = ("responseSchema", "responseJsonSchema", "response_schema", "response_json_schema")
_EFFORTS = ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "think")
_THINKING = ("thinkingConfig", "thinking_config")
_LIMITED = frozenset((*_LIMITS, *_SETTINGS))
_ASKING = frozenset(
    (
        *(*_TOOLS, *_EFFORTS, "generationConfig", "generation_config", "additionalModelRequestFields"),
        *("format", "text", "output_config", "response_format", "output_format"),
    )
)
"""All that is looked at for limits, and for features. Most requests have none of it."""
_OFF = frozenset({"none", "disabled", "off", "false", ""})


def max_tokens_of(members: Mapping[str, msgspec.Raw]) -> int | None:
    """Return how many tokens the answer may have, as the request says; None: it does not."""
    if _LIMITED.isdisjoint(members):
        return None
    limit = value_of(members, *_LIMITS)
    if limit is None:
        limit = value_of(inner_of(members, *_SETTINGS), *_INNER_LIMITS)
    is_count = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
    return limit if is_count else None


def features_of(members: Mapping[str, msgspec.Raw], media: Iterable[Feature]) -> frozenset[Feature]:
    """Return what the request holds, with the kinds of its `media`, or asks for."""
    if _ASKING.isdisjoint(members):
        return frozenset(media)
    found = set(media)
    if any(name in members and bytes(members[name]) not in _NO_TOOLS for name in _TOOLS):
        found.add("tools")
    if _wants_schema(members):
        found.add("json_schema")
    if _wants_reasoning(members):
        found.add("reasoning")
    return frozenset(found)


def _wants_schema(members: Mapping[str, msgspec.Raw]) -> bool:
    settings = inner_of(members, "generationConfig", "generation_config")
    if any(value_of(settings, name) is not None for name in _SCHEMAS):
        return True
    if isinstance(value_of(members, "format"), dict):  # ollama
        return True
    outer = inner_of(members, "text", "output_config")
    wanted = value_of(members, "response_format", "output_format")
    wanted = value_of(outer, "format") if wanted is None else wanted
    if not isinstance(wanted, dict):
        return False
    return wanted.get("type") == "json_schema" or any(
        wanted.get(name) is not None for name in ("schema", "json_schema")
    )


def _wants_reasoning(members: Mapping[str, msgspec.Raw]) -> bool:
    if any(name in members and _is_on(value_of(members, name)) for name in _EFFORTS):
        return True
    settings = inner_of(members, "generationConfig", "generation_config")
    if _is_on(value_of(settings, *_THINKING)):
        return True
    more = inner_of(members, "additionalModelRequestFields")
    return bool(more) and _wants_reasoning({name: more[name] for name in _EFFORTS if name in more})


def _is_on(value: Any) -> bool:
    """Whether an option about thinking asks for it: it is there, and does not say that it is off."""
    if isinstance(value, str):
        return value.lower() not in _OFF
    if not isinstance(value, dict):
        return value is True
    said = [value[name] for name in ("type", "effort", "thinkingLevel", "enabled") if name in value]
    if any(word is False or (isinstance(word, str) and word.lower() in _OFF) for word in said):
        return False
    budgets = [value[name] for name in ("budget_tokens", "max_tokens", "thinkingBudget") if name in value]
    return bool(said or budgets) and 0 not in budgets
