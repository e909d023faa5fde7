"""Ollama's own chat."""

from __future__ import annotations

import json
from typing import Any

from rig.translation.witness.facts import Facts, Said, Tokens, arguments, count, ends, ndjson

WORDS = {"stop": "stop", "length": "length"}


def whole(body: bytes) -> Facts:
    return _facts([json.loads(body)])


def stream(body: bytes) -> Facts:
    return _facts(ndjson(body))


def _facts(lines: list[dict[str, Any]]) -> Facts:
    text, calls = "", []
    for line in lines:
        message = line.get("message") or {}
        text += message.get("content") or ""
        for call in message.get("tool_calls") or ():
            calls.append((call["function"]["name"], arguments(call["function"].get("arguments"))))
    last = lines[-1]
    tokens = Tokens(count(last.get("prompt_eval_count")), count(last.get("eval_count")))
    told = "eval_count" in last or "prompt_eval_count" in last
    finish = ends(last.get("done_reason"), WORDS, calls)
    failed = any("error" in line for line in lines)
    return Facts((Said(text, tuple(calls), finish),), tokens if told else None, failed)
