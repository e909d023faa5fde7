"""Tokens as the Responses API counts them: the input includes cached ones, the output includes reasoning.

Searches of the web are billed by the call, and are items of the output: each that was done counts, where no
count is told beside them. To open a page, or to find something in one, is free. Searches of X cost with xAI
what those of the web do. Searches in files have no price here.

Sources: OpenAI, "Web search: output and citations"; xAI, "Tools: usage"; Perplexity, "Responses: usage"
(checked 2026-11); recorded answers of OpenAI, xAI and DeepSeek.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.exchange import Usage
from gateway.formats.neutral.reading import believed, count_in
from gateway.formats.responses.types import InputDetails, OutputDetails, UsageObject

SEARCH = "web_search_call"
"""The kind of items that are searches of the web."""
_FREE = frozenset({"open_page", "find_in_page", "find"})
_UNDONE = frozenset({"failed", "in_progress", "searching", "incomplete"})


def is_billed(status: object, action: object) -> bool:
    """Tell whether an item that searches the web costs something: it was done, and was a search."""
    kind = action.get("type") if isinstance(action, dict) else None
    return not (isinstance(status, str) and status in _UNDONE) and not (
        isinstance(kind, str) and kind in _FREE
    )


def read_searches(seen: UsageObject | None, done: int, tool_usage: object = None) -> int:
    """Say how many searches are billed: as many as the provider tells, or else were `done`."""
    if seen is not None and isinstance(seen.server_side_tool_usage_details, dict):
        told: Mapping[str, Any] = seen.server_side_tool_usage_details
        if "web_search_calls" in told or "x_search_calls" in told:
            return count_in(told.get("web_search_calls")) + count_in(told.get("x_search_calls"))
    if seen is not None and isinstance(seen.tool_calls_details, dict):
        called = seen.tool_calls_details.get("search_web")
        return (count_in(called.get("invocation")) if isinstance(called, dict) else 0) or done
    if done and isinstance(tool_usage, dict) and isinstance(tool_usage.get("web_search"), dict):
        return count_in(tool_usage["web_search"].get("num_requests")) or done
    return done


def is_same(told: Usage | None, usage: Usage | None) -> bool:
    """Tell whether two usages count the same tokens: usage objects of this format tell no searches."""
    if told is None or usage is None:
        return told is usage
    return told == usage or msgspec.structs.replace(told, searches=usage.searches) == usage


def read_usage(seen: UsageObject | None, searches: int = 0) -> Usage | None:
    """Read a `usage` member; None when it is missing, or its numbers are nonsense."""
    if seen is None or (seen.input_tokens is None and seen.output_tokens is None):
        return None
    given, made = seen.input_tokens_details or InputDetails(), seen.output_tokens_details or OutputDetails()
    usage = Usage(
        input_tokens=seen.input_tokens or 0,
        output_tokens=seen.output_tokens or 0,
        cached_tokens=given.cached_tokens or 0,
        cache_write_tokens=given.cache_write_tokens or 0,
        reasoning_tokens=made.reasoning_tokens or 0,
        searches=searches,
    )
    return believed(usage)


def write_usage(usage: Usage | None) -> dict[str, Any] | None:
    """Write a `usage` member; None where nobody counted."""
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
