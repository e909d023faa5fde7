"""Cohere's chat, version 2."""

from __future__ import annotations

import json
from typing import Any

from rig.translation.witness.facts import Facts, Said, Tokens, arguments, count, ends, sse

WORDS = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop_sequence",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR": "error",
}


def whole(body: bytes) -> Facts:
    answer = json.loads(body)
    message = answer["message"]
    content = message.get("content") or ()
    text = content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
    calls = [
        (call["function"]["name"], arguments(call["function"].get("arguments")))
        for call in message.get("tool_calls") or ()
    ]
    finish = ends(answer["finish_reason"], WORDS, calls)
    return Facts((Said(text, tuple(calls), finish),), _tokens(answer.get("usage")))


def stream(body: bytes) -> Facts:
    text, word, usage, failed = "", None, None, False
    calls: dict[int, list[str]] = {}
    for event in sse(body):
        delta = event.get("delta") or {}
        message = delta.get("message") or {}
        match event["type"]:
            case "content-start" | "content-delta":
                text += message["content"].get("text", "")
            case "tool-call-start":
                function = message["tool_calls"]["function"]
                calls[event["index"]] = [function["name"], function.get("arguments", "")]
            case "tool-call-delta":
                calls[event["index"]][1] += message["tool_calls"]["function"]["arguments"]
            case "message-end":
                word, usage = delta.get("finish_reason"), delta.get("usage")
                failed = "error" in delta
    found = tuple((name, arguments(said)) for name, said in calls.values())
    return Facts((Said(text, found, ends(word, WORDS, found)),), _tokens(usage), failed)


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if not usage:
        return None
    if billed := usage.get("billed_units"):
        return Tokens(count(billed.get("input_tokens")), count(billed.get("output_tokens")), 0, 0, 0)
    tokens = usage["tokens"]
    return Tokens(
        count(tokens.get("input_tokens"), tokens.get("image_tokens")),
        count(tokens.get("output_tokens")),
        count(usage.get("cached_tokens")),
        0,
        count(tokens.get("reasoning_tokens")),
    )
