"""An answer, whatever the wire format: what was generated, why it ended, what it used, who gave it.

Nobody's answer fails for a class of service or a name that is none: it is not told. Pure.
Sources of the classes: OpenAI "Priority processing", "Flex processing"; Anthropic "Service tiers", "Fast
mode"; Groq "Service tiers"; Google "TrafficType", "UsageMetadata"; AWS "ServiceTier",
"PerformanceConfiguration" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from gateway.exchange import Usage
from gateway.formats.neutral.parts import Part

Finish = Literal[
    "stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause", "error"
]
"""Why a model stopped: it was done; it wrote a stop sequence; it met a limit (max_tokens or the context
window); it calls tools; a filter of the provider stopped it; it declined; it waits to be continued; it
failed."""


MOST_CHARS = 200
"""Of a model's name: it goes into every row of the ledger."""
_MOST_TIER_CHARS = 32

_TIERS: Mapping[str, str] = {
    "": "",
    "default": "",
    "standard": "",
    "auto": "",  # asked for; what it became is said later, or never
    "on_demand": "",  # Groq, Vertex
    "unspecified": "",
    "traffic_type_unspecified": "",
    "service_tier_unspecified": "",
    "on_demand_priority": "priority",  # Vertex, as the next
    "on_demand_flex": "flex",
}
"""Words that say nothing special, or the same as another's; one that is not here is its own."""


MUTE: frozenset[Finish | None] = frozenset({"stop", "stop_sequence", "error", None})
"""The ends that say nothing by themselves: an answer with one of these and nothing else is empty."""


class TopLogprob(msgspec.Struct, frozen=True, gc=False):
    """A token that could have stood there, with its natural logarithm of probability."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class TokenLogprob(msgspec.Struct, frozen=True, gc=False):
    """A token of the answer with its alternatives."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TopLogprob, ...] = ()


class Choice(msgspec.Struct, frozen=True, gc=False):
    """One of the alternative answers; nearly always there is only one.

    `finish_raw` is the provider's own word, for going back into its format. None: it did not end.
    """

    parts: tuple[Part, ...] = ()
    finish: Finish | None = None
    finish_raw: str = ""
    stop_sequence: str = ""
    logprobs: tuple[TokenLogprob, ...] | None = None
    raw: Any = None
    """What only the format it came from says of the choice (safety ratings, a filter's findings)."""


class Completion(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. `usage` None: the upstream told none. `created_unix_s` 0: not said."""

    choices: tuple[Choice, ...]
    id: str = ""
    model: str = ""
    created_unix_s: int = 0
    usage: Usage | None = None
    service_tier: str = ""
    extra: dict[str, Any] = {}
    """Members of the answer that only its own format has, by their names there."""


class About(msgspec.Struct, frozen=True, gc=False):
    """Empty: it did not tell. Of several choices the first counts. `tier` is as in `Usage`."""

    model: str = ""
    finish: Finish | Literal[""] = ""
    tier: str = ""


NOTHING = About()


def tier_of(word: object) -> str:
    """Name the class of service; empty for the standard one, and for what is no name."""
    if type(word) is not str:
        return ""
    tier = _TIERS.get(word)
    if tier is None:
        lower = word.strip().lower()
        tier = _TIERS.get(lower, lower)[:_MOST_TIER_CHARS]
    return tier


def in_tier(usage: Usage | None, tier: str) -> Usage | None:
    """Say of what was used in which class of service it was, where that is told beside it."""
    return usage if usage is None or not tier else msgspec.structs.replace(usage, tier=tier)


def about_of(completion: Completion) -> About:
    """Return what a decoded answer tells of itself."""
    choices, usage = completion.choices, completion.usage
    return About(
        completion.model[:MOST_CHARS],
        (choices[0].finish or "") if choices else "",
        tier_of(completion.service_tier) if usage is None else usage.tier,
    )
