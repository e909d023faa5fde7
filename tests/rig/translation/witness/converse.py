"""Amazon Bedrock's Converse."""

from __future__ import annotations

import json
from typing import Any

from rig.translation.witness.facts import Facts, Said, Tokens, arguments, aws_frames, count, ends

WORDS = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}


def whole(body: bytes) -> Facts:
    answer = json.loads(body)
    return _facts(answer["output"]["message"]["content"], answer["stopReason"], answer.get("usage"))


def stream(body: bytes) -> Facts:
    blocks: dict[int, dict[str, Any]] = {}
    word, usage, failed = None, None, False
    for name, event in aws_frames(body):
        failed = failed or name.endswith("Exception")
        if name == "contentBlockStart":
            blocks[event["contentBlockIndex"]] = event["start"]
        elif name == "contentBlockDelta":
            block, delta = blocks.setdefault(event["contentBlockIndex"], {}), event["delta"]
            if "text" in delta:
                block["text"] = block.get("text", "") + delta["text"]
            elif "toolUse" in delta:
                block["toolUse"]["input"] = block["toolUse"].get("input", "") + delta["toolUse"]["input"]
        elif name == "messageStop":
            word = event["stopReason"]
        elif name == "metadata":
            usage = event["usage"]
    facts = _facts(list(blocks.values()), word, usage)
    return Facts(facts.choices, facts.tokens, failed)


def _facts(content: list[dict[str, Any]], word: str | None, usage: dict[str, Any] | None) -> Facts:
    text, calls = "", []
    for block in content:
        text += block.get("text", "")
        text += "".join(piece["text"] for piece in block.get("citationsContent", {}).get("content", ()))
        call = block.get("toolUse")
        if call and call.get("type") != "server_tool_use":
            calls.append((call["name"], arguments(call.get("input"))))
    return Facts((Said(text, tuple(calls), ends(word, WORDS, calls)),), _tokens(usage))


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if not usage:
        return None
    cached, written = count(usage.get("cacheReadInputTokens")), count(usage.get("cacheWriteInputTokens"))
    return Tokens(count(usage["inputTokens"], cached, written), count(usage["outputTokens"]), cached, written)
