"""The class of service that a call asks for, in whichever member its format says it.

What is billed the answer tells, as in `Usage.tier`; this is for reckoning with it before. Nobody's call fails
for a class that is none: then it is the standard one, and the provider may refuse it.

Sources: OpenAI, "Priority processing", "Flex processing": `service_tier`; "auto" is what the project is set
to; Anthropic, "Service tiers" (`service_tier`: auto, standard_only; no list has prices of what auto may
become), "Fast mode" (`speed`); Google, "GenerateContentRequest" (`serviceTier`); AWS, "Converse"
(`serviceTier`, `performanceConfig`) (checked 2026-11).

Cost: 0.1 us for a call that names none.
"""

from __future__ import annotations

import msgspec

from gateway.exchange import Call
from gateway.exchange.price import ANY_TIER
from gateway.formats.neutral.completion import tier_of
from gateway.formats.neutral.reading import any_in

_STANDARD_ONLY = "standard_only"
_SETTABLE = frozenset({"chat", "completions", "responses"})
"""The formats in which "auto" leaves the choice to what somebody has set."""


def tier_asked(call: Call) -> str:
    """Name it; empty for the standard one, ANY_TIER where the provider is to choose."""
    members = call.members
    if "service_tier" in members:
        told = _value(call, "service_tier")
        if told == "auto" and call.format in _SETTABLE:
            return ANY_TIER
        tier = "" if told == _STANDARD_ONLY else _named(told)
        if tier or "speed" not in members:
            return tier
    if "speed" in members:
        return _named(_value(call, "speed"))
    if "serviceTier" in members and (tier := _named(_value(call, "serviceTier"))):
        return tier
    return _named(_value(call, "performanceConfig")) if "performanceConfig" in members else ""


def _value(call: Call, name: str) -> object:
    value = call.members[name]
    return any_in(value) if isinstance(value, msgspec.Raw) else value


def _named(told: object) -> str:
    """Name a class of service; Bedrock has it in an object."""
    if isinstance(told, dict):
        told = told.get("type") or told.get("latency")
    return tier_of(told)
