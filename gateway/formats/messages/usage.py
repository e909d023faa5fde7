"""Tokens as the Messages API counts them, from and to neutral usage.

Here `input_tokens` leaves out what was read from the cache or written to it; there it is all of the input.
Searches of the web are billed for each, and counted; pages that were fetched cost only their tokens. What
neutral usage has no field for (those pages, the region, the parts of a long turn) travels in `extra[USAGE]`
of the answer: other formats keep theirs there too, with members of the same names.
Source: Anthropic API reference, "Messages", usage; "Prompt caching"; "Web search tool" (checked 2026-11).
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.exchange import Usage
from gateway.formats.messages.types import CacheCreation, OutputDetails
from gateway.formats.messages.types import Usage as WireUsage
from gateway.formats.neutral.completion import tier_of
from gateway.formats.neutral.reading import believed, searches_in

USAGE = "messages.usage"
_TIERS = frozenset({"standard", "priority", "batch"})
_REST = ("cache_creation", "output_tokens_details", "server_tool_use", "inference_geo", "speed", "iterations")


def decode_usage(told: WireUsage) -> Usage | None:
    """Read a usage object; members that are missing or null count as none. None where one is nonsense.

    The fast mode has a price of its own, and goes with no other class than the standard one.
    """
    cached, written = told.cache_read_input_tokens or 0, told.cache_creation_input_tokens or 0
    hourly = (told.cache_creation.ephemeral_1h_input_tokens or 0) if told.cache_creation else 0
    details = told.output_tokens_details
    usage = Usage(
        input_tokens=(told.input_tokens or 0) + cached + written,
        output_tokens=told.output_tokens or 0,
        cached_tokens=cached,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(hourly, written),
        reasoning_tokens=(details.thinking_tokens or 0) if details else 0,
        searches=searches_in(told.server_tool_use) if told.server_tool_use else 0,
        tier=tier_of(told.service_tier) or tier_of(told.speed),
    )
    return believed(usage, told.input_tokens)


def rest_of(told: WireUsage) -> dict[str, Any]:
    """Return what `extra` is to hold: the members that only this format has, by their names."""
    rest = {name: value for name in _REST if (value := getattr(told, name)) is not None}
    return {USAGE: rest} if rest else {}


def merge_usage(before: WireUsage, told: WireUsage) -> WireUsage:
    """Return the usage so far: each member counts as it was told last, if it was told at all."""
    changes = {
        name: value for name in WireUsage.__struct_fields__ if (value := getattr(told, name)) is not None
    }
    return msgspec.structs.replace(before, **changes)


def encode_usage(usage: Usage | None, extra: dict[str, Any], service_tier: str = "") -> WireUsage:
    """Write usage; zeros where nothing was told. `extra` is that of the answer.

    The tiers of other providers are left out: the words for them are not those that clients know.
    """
    usage = usage or Usage()
    cached, written = usage.cached_tokens, usage.cache_write_tokens
    rest: dict[str, Any] = dict(extra.get(USAGE, {}))
    if written and "cache_creation" not in rest:
        hourly = usage.cache_write_1h_tokens
        rest["cache_creation"] = CacheCreation(written - hourly, hourly)
    if usage.reasoning_tokens and "output_tokens_details" not in rest:
        rest["output_tokens_details"] = OutputDetails(usage.reasoning_tokens)
    return WireUsage(
        input_tokens=max(usage.input_tokens - cached - written, 0),
        cache_creation_input_tokens=written,
        cache_read_input_tokens=cached,
        output_tokens=usage.output_tokens,
        service_tier=service_tier if service_tier in _TIERS else None,
        **rest,
    )
