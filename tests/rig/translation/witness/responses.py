"""OpenAI's Responses."""

from __future__ import annotations

import json
from typing import Any

from rig.translation.witness.facts import Facts, Said, Tokens, arguments, count, sse


def whole(body: bytes) -> Facts:
    return _facts(json.loads(body))


def stream(body: bytes) -> Facts:
    """Only the last event counts: it repeats the whole answer. Its items may be told earlier alone."""
    last: dict[str, Any] = {}
    items: list[dict[str, Any]] = []
    failed = False
    for event in sse(body):
        kind = event.get("type")
        failed = failed or kind in {"error", "response.failed"}
        if kind == "response.output_item.done":
            items.append(event["item"])
        if kind in {"response.completed", "response.incomplete", "response.failed"}:
            last = event["response"]
    return _facts(last | {"output": last.get("output") or items}, failed=failed)


def _facts(answer: dict[str, Any], *, failed: bool = False) -> Facts:
    text, refusal, calls = "", "", []
    for item in answer.get("output") or ():
        if item["type"] == "message":
            for part in item["content"]:
                text += part.get("text", "")
                refusal += part.get("refusal", "")
        elif item["type"] == "function_call":
            calls.append((item["name"], arguments(item["arguments"])))
        elif item["type"] == "custom_tool_call":
            calls.append((item["name"], item["input"]))
    finish = frozenset({_finish(answer, calls, refusal)})
    return Facts((Said(text, tuple(calls), finish, refusal),), _tokens(answer.get("usage")), failed)


def _finish(answer: dict[str, Any], calls: list[Any], refusal: str) -> str:
    if answer.get("status") == "incomplete":
        reason = (answer.get("incomplete_details") or {}).get("reason")
        return {"max_output_tokens": "length", "content_filter": "content_filter"}[reason]
    if answer.get("status") != "completed":
        return "error" if answer.get("status") == "failed" else ""
    if calls:
        return "tool_calls"
    return "refusal" if refusal else "stop"


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if not usage:
        return None
    given, taken = usage.get("input_tokens_details") or {}, usage.get("output_tokens_details") or {}
    return Tokens(
        count(usage["input_tokens"]),
        count(usage["output_tokens"]),
        count(given.get("cached_tokens")),
        count(given.get("cache_write_tokens")),
        count(taken.get("reasoning_tokens")),
    )
