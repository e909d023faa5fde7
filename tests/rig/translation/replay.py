"""How a client goes on after an answer that calls tools: it sends back what it got, and the results."""

from __future__ import annotations

from typing import Any


def next_turn(client: str, request: dict[str, Any], answer: dict[str, Any], result: str) -> dict[str, Any]:
    """The body of the next request: the first one, the answer as it came, a result for each call."""
    return _NEXT[client](request, answer, result)


def _chat(request: dict[str, Any], answer: dict[str, Any], result: str) -> dict[str, Any]:
    message = answer["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": result}
        for call in message.get("tool_calls", ())
    ]
    return request | {"messages": [*request["messages"], message, *results]}


def _responses(request: dict[str, Any], answer: dict[str, Any], result: str) -> dict[str, Any]:
    before = request["input"]
    items = [{"role": "user", "content": before}] if isinstance(before, str) else before
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": result}
        for item in answer["output"]
        if item["type"] == "function_call"
    ]
    return request | {"input": [*items, *answer["output"], *results]}


def _messages(request: dict[str, Any], answer: dict[str, Any], result: str) -> dict[str, Any]:
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": result}
        for block in answer["content"]
        if block["type"] == "tool_use"
    ]
    told = {"role": "assistant", "content": answer["content"]}
    return request | {"messages": [*request["messages"], told, {"role": "user", "content": results}]}


def _gemini(request: dict[str, Any], answer: dict[str, Any], result: str) -> dict[str, Any]:
    content = answer["candidates"][0]["content"]
    results = [
        {
            "functionResponse": {
                **({"id": part["functionCall"]["id"]} if "id" in part["functionCall"] else {}),
                "name": part["functionCall"]["name"],
                "response": {"output": result},
            }
        }
        for part in content["parts"]
        if "functionCall" in part
    ]
    return request | {"contents": [*request["contents"], content, {"role": "user", "parts": results}]}


_NEXT = {"chat": _chat, "responses": _responses, "messages": _messages, "gemini": _gemini}
