"""Google's generateContent."""

from __future__ import annotations

import json
from typing import Any

from rig.translation.witness.facts import Facts, Said, Tokens, arguments, count, ends, sse

WORDS = {
    "STOP": "stop",
    "1": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "UNEXPECTED_TOOL_CALL": "error",
}


def whole(body: bytes) -> Facts:
    return _facts([json.loads(body)])


def stream(body: bytes) -> Facts:
    return _facts(json.loads(body) if body.lstrip().startswith(b"[") else sse(body))


def _facts(chunks: list[dict[str, Any]]) -> Facts:
    texts: dict[int, str] = {}
    calls: dict[int, list[tuple[str, Any]]] = {}
    words: dict[int, str] = {}
    usage, blocked = None, False
    for chunk in chunks:
        usage = chunk.get("usageMetadata") or usage
        blocked = blocked or "blockReason" in (chunk.get("promptFeedback") or {})
        for candidate in chunk.get("candidates") or ():
            number = candidate.get("index", 0)
            texts.setdefault(number, "")
            for part in (candidate.get("content") or {}).get("parts") or ():
                if not part.get("thought"):
                    texts[number] += part.get("text", "")
                if call := part.get("functionCall"):
                    calls.setdefault(number, []).append((call["name"], arguments(call.get("args"))))
            if candidate.get("finishReason"):
                words[number] = str(candidate["finishReason"])
    choices = [
        Said(text, tuple(calls.get(number, ())), _finish(words.get(number), calls.get(number)))
        for number, text in sorted(texts.items())
    ]
    if blocked and not choices:
        choices = [Said(finish=frozenset({"content_filter"}))]
    return Facts(tuple(choices) or (Said(finish=frozenset({""})),), _tokens(usage))


def _finish(word: str | None, calls: object) -> frozenset[str]:
    # A call of a tool that was not declared is an error to Google, and still a call to the client.
    called = frozenset({"tool_calls"} if calls and word == "UNEXPECTED_TOOL_CALL" else ())
    return ends(word, WORDS, calls) | called


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if not usage or "totalTokenCount" not in usage:  # Model Armor leaves only the kind of traffic
        return None
    thoughts = count(usage.get("thoughtsTokenCount"))
    return Tokens(
        count(usage.get("promptTokenCount"), usage.get("toolUsePromptTokenCount")),
        count(usage.get("candidatesTokenCount"), thoughts),
        count(usage.get("cachedContentTokenCount")),
        0,
        thoughts,
    )
