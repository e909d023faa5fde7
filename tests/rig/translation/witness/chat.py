"""Chat completions, as 25 hosts write them."""

from __future__ import annotations

import json
from typing import Any

from rig.translation.witness.facts import Facts, Said, Tokens, arguments, count, ends, sse

WORDS = {
    "stop": "stop",
    "eos": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "error": "error",
}


def whole(body: bytes) -> Facts:
    answer = json.loads(body)
    choices = [
        _said(choice.get("message") or {}, choice.get("finish_reason")) for choice in answer["choices"]
    ]
    return Facts(tuple(choices), _tokens(answer.get("usage")), bool(answer.get("error")))


def stream(body: bytes) -> Facts:
    messages: dict[int, dict[str, Any]] = {}
    ended: dict[int, str] = {}
    usage, failed = None, False
    for chunk in sse(body):
        failed = failed or bool(chunk.get("error"))
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage") or usage
        for choice in chunk.get("choices") or ():
            number = choice.get("index", 0)
            _grow(messages.setdefault(number, {"content": "", "calls": {}}), choice.get("delta") or {})
            if choice.get("finish_reason"):
                ended[number] = choice["finish_reason"]
    choices = [
        _said(message | {"tool_calls": list(message["calls"].values())}, ended.get(number))
        for number, message in sorted(messages.items())
    ]
    return Facts(tuple(choices) or (Said(finish=frozenset({""})),), _tokens(usage), failed)


def _grow(message: dict[str, Any], delta: dict[str, Any]) -> None:
    message["content"] += _text(delta.get("content"))
    message["refusal"] = message.get("refusal", "") + (delta.get("refusal") or "")
    for call in delta.get("tool_calls") or ():
        calls = message["calls"]
        number = call.get("index")
        place = (number if number is not None else 0, call["id"] if number is None else "")
        # The same index under another id is another call; without an index each id is one.
        while place in calls and call.get("id") and calls[place]["id"] != call["id"]:
            place = (place[0], place[1] + "+")
        if place not in calls and not call.get("id"):
            place = [known for known in calls if known[0] == place[0]][-1]
        function = call.get("function") or {}
        known = calls.setdefault(place, {"id": call.get("id"), "function": {"name": "", "arguments": ""}})
        known["function"]["name"] = known["function"]["name"] or function.get("name") or ""
        said = function.get("arguments") or ""
        known["function"]["arguments"] += said if isinstance(said, str) else json.dumps(said)


def _said(message: dict[str, Any], word: str | None) -> Said:
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    legacy = message.get("function_call")
    if legacy and legacy["name"]:  # Snowflake writes an empty one
        calls.append((legacy["name"], arguments(legacy["arguments"])))
    refusal = message.get("refusal") or ""
    finish = ends(word, WORDS, calls) | ({"refusal"} if refusal else set())
    return Said(_text(message.get("content")), tuple(calls), finish, refusal)


def _call(call: dict[str, Any]) -> tuple[str, Any]:
    if call.get("type") == "custom":
        return call["custom"]["name"], call["custom"]["input"]
    return call["function"]["name"], arguments(call["function"].get("arguments"))


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if part.get("type") == "text")
    return content or ""


def _tokens(usage: dict[str, Any] | None) -> Tokens | None:
    if not usage:
        return None
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    reasoning = count(completion.get("reasoning_tokens"))
    given, taken = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    if reasoning and count(usage.get("total_tokens")) == given + taken + reasoning:
        taken += reasoning
    cached = prompt.get("cached_tokens") or usage.get("prompt_cache_hit_tokens")
    return Tokens(
        given,
        taken,
        min(given, count(cached or usage.get("cache_read_input_tokens") or usage.get("num_cached_tokens"))),
        count(prompt.get("cache_write_tokens") or usage.get("cache_creation_input_tokens")),
        reasoning,
    )
