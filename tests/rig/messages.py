"""Small answers in Anthropic's dialect, for tests in which the content does not matter but the shape does."""

from __future__ import annotations

import json
from typing import Any

UPSTREAM_MODEL = "claude-opus-4-8"
TEXT = {"type": "text", "text": "Hello, world"}


def tool_use(name: str, **given: Any) -> dict[str, Any]:
    """A call of one of the client's tools."""
    return {"type": "tool_use", "id": "toolu_1", "name": name, "input": given}


def message(*blocks: dict[str, Any]) -> dict[str, Any]:
    """A whole answer; by default it says "Hello, world"."""
    content = list(blocks or (TEXT,))
    called = any(block["type"] == "tool_use" for block in content)
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": UPSTREAM_MODEL,
        "content": content,
        "stop_reason": "tool_use" if called else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 3},
    }


def streamed(*blocks: dict[str, Any]) -> list[bytes]:
    """The same answer as a stream, one piece for each event."""
    whole = message(*blocks)
    begun = whole | {"content": [], "stop_reason": None, "usage": {"input_tokens": 9, "output_tokens": 1}}
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(whole["content"]):
        empty, delta = _begun(block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": 3}})
    events.append({"type": "message_stop"})
    return [event(one) for one in events]


def event(value: dict[str, Any]) -> bytes:
    """One event, framed as Anthropic frames it."""
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


def _begun(block: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    if block["type"] == "tool_use":
        return block | {"input": {}}, {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    return block | {"text": ""}, {"type": "text_delta", "text": block["text"]}


def error(kind: str, text: str) -> dict[str, Any]:
    """An error body of Anthropic's shape."""
    return {"type": "error", "error": {"type": kind, "message": text}}
