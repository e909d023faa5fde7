"""Anthropic's Messages."""

from __future__ import annotations

import json
from typing import Any

from rig.translation.witness.facts import Facts, Said, Tokens, arguments, count, ends, sse

WORDS = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}


def whole(body: bytes) -> Facts:
    answer = json.loads(body)
    return _facts(answer["content"], answer["stop_reason"], answer["usage"])


def stream(body: bytes) -> Facts:
    blocks: dict[int, dict[str, Any]] = {}
    usage: dict[str, Any] = {}
    word, failed = None, False
    for event in sse(body):
        kind = event["type"]
        failed = failed or kind == "error"
        if kind == "message_start":
            usage = dict(event["message"]["usage"])
        elif kind == "content_block_start":
            blocks[event["index"]] = event["content_block"] | {"json": ""}
        elif kind == "content_block_delta":
            block, delta = blocks[event["index"]], event["delta"]
            block["json"] += delta.get("partial_json", "")
            if delta["type"] == "text_delta":
                block["text"] += delta["text"]
        elif kind == "message_delta":
            word = event["delta"].get("stop_reason") or word
            usage |= {name: value for name, value in event["usage"].items() if value is not None}
    content = [block | ({"input": block["json"]} if block["json"] else {}) for block in blocks.values()]
    return _facts(content, word, usage, failed=failed)


def _facts(
    content: list[dict[str, Any]], word: str | None, usage: dict[str, Any], *, failed: bool = False
) -> Facts:
    text = "".join(block["text"] for block in content if block["type"] == "text")
    calls = [(block["name"], arguments(block["input"])) for block in content if block["type"] == "tool_use"]
    cached, written = (
        count(usage.get("cache_read_input_tokens")),
        count(usage.get("cache_creation_input_tokens")),
    )
    thinking = (usage.get("output_tokens_details") or {}).get("thinking_tokens")
    tokens = Tokens(
        count(usage.get("input_tokens"), cached, written),
        count(usage.get("output_tokens")),
        cached,
        written,
        count(thinking),
    )
    return Facts((Said(text, tuple(calls), ends(word, WORDS, calls)),), tokens if usage else None, failed)
