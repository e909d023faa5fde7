"""Why a target cannot take a call, in words for whoever wrote the routes; empty: it can.

Also what a call is expected to generate and to cost. Pure. One function for each reason; `choice` asks them
in turn, and knows what follows from an answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.exchange import Facts, Feature, Format, Price
from gateway.routing.health.health import Health
from gateway.routing.routes import Limits, Site
from gateway.routing.sensitivity import Sensitivity
from gateway.routing.signals.signals import Signals

EXPECTED_OUTPUT_TOKENS = 64
"""How long an answer is taken to be; a shorter limit that the client names counts instead.

A limit is no expectation: clients of Anthropic's API must name one, and name 1024 or 4096 for an answer of
one word. The number is small on purpose: a target that is left out wrongly may fail the call, one that is
asked wrongly costs a fraction of a cent more. With it a ceiling of $0.001 leaves room for 680 tokens of
prompt at $1 and $5 for a million.
"""

WORDLESS: frozenset[Format] = frozenset(
    (
        *("count_tokens", "gemini_count", "converse_count", "responses_count"),
        *("embeddings", "gemini_embeddings", "cohere_embeddings", "titan_embeddings", "ollama_embeddings"),
        *("rerank", "voyage_rerank", "moderations"),
    )
)
"""Calls whose answers have no generated tokens."""

ESTIMATE_MARGIN = 0.10
"""By so much a prompt may be shorter than estimated. Only what would not fit even then is left out: one that
is too long all the same is refused by the upstream at once, and the next target is asked."""

LATE = 2.0
"""So many times over its limit, a deployment is taken to be slow, and not only to have had a slow call."""

_SURELY_FITS = 8
"""A request of so many times fewer bytes than a window has tokens is not measured: that takes 10 us."""

_NAMES: Mapping[Feature, str] = {"json_schema": "JSON schemas"}


def forbidden(sensitivity: Sensitivity, signals: Signals, site: Site) -> str:
    """The call's data may not go there."""
    if not (labels := signals.labels):
        return ""
    label = sensitivity.forbids(labels, site.region, self_hosted=site.self_hosted)
    return f"may not have {label} data" if label else ""


def not_taken(facts: Facts, signals: Signals) -> str:
    """The model does not take something that the call holds or asks for."""
    if facts.takes is None or signals.features <= facts.takes:
        return ""
    missing = signals.features - facts.takes
    return f"does not take {' or '.join(_NAMES.get(feature, feature) for feature in sorted(missing))}"


def too_long(facts: Facts, signals: Signals) -> str:
    """Prompt and answer do not fit into the model's context window."""
    window_tokens = facts.context_tokens
    if window_tokens is None:
        return ""
    asked_tokens = signals.max_tokens or 0
    if signals.size_bytes * _SURELY_FITS + asked_tokens <= window_tokens:
        return ""
    prompt_tokens = signals.prompt_tokens
    if prompt_tokens * (1 - ESTIMATE_MARGIN) + asked_tokens <= window_tokens:
        return ""
    asks = f" and asks for {asked_tokens} more" if asked_tokens else ""
    return f"context window of {window_tokens} tokens, the call has about {prompt_tokens}{asks}"


def too_dear(cost_nanousd: int | None, limits: Limits) -> str:
    """The call costs more there than it may; an unknown price is no reason."""
    limit_nanousd = limits.cost_nanousd
    if limit_nanousd is None or cost_nanousd is None or cost_nanousd <= limit_nanousd:
        return ""
    return f"would cost about {_usd(cost_nanousd)}, the limit is {_usd(limit_nanousd)}"


def expected_output_tokens(signals: Signals) -> int:
    """How many tokens the answer will have."""
    if signals.format in WORDLESS:
        return 0
    asked = signals.max_tokens
    return EXPECTED_OUTPUT_TOKENS if asked is None else min(asked, EXPECTED_OUTPUT_TOKENS)


def expected_cost_nanousd(price: Price, signals: Signals) -> int:
    """What the call will cost; nothing of its prompt is taken to be cached."""
    return price.plainly(signals.prompt_tokens, expected_output_tokens(signals))


def latest_s(limits: Limits, *, stream: bool) -> float | None:
    """How long a target has: of a stream until its first token, else for the whole answer; None: no limit."""
    if not stream or limits.first_token_s is None:
        return limits.latency_s
    return limits.first_token_s if limits.latency_s is None else min(limits.first_token_s, limits.latency_s)


def is_late(health: Health, limit_s: float, *, stream: bool) -> bool:
    """Whether it lately took far longer than it has."""
    lately_s = health.first_token_s if stream else health.latency_s
    return lately_s is not None and lately_s > LATE * limit_s


def _usd(nanousd: int) -> str:
    """Write an amount without trailing zeros."""
    whole, part = divmod(nanousd, 1_000_000_000)
    return f"${whole}.{part:09d}".rstrip("0").rstrip(".")
