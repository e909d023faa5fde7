"""Small answers in OpenAI's dialect, for tests in which the content does not matter but the shape does."""

from __future__ import annotations

from typing import Any

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
UPSTREAM_MODEL = "gpt-4o-mini-2024-07-18"
WORDS = ("Hello", ", ", "world")


def completion(**message: Any) -> dict[str, Any]:
    """A whole chat answer; by default it says "Hello, world"."""
    said = {"role": "assistant", "content": "".join(WORDS), "refusal": None} | message
    reason = "tool_calls" if "tool_calls" in message else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": UPSTREAM_MODEL,
        "choices": [{"index": 0, "message": said, "logprobs": None, "finish_reason": reason}],
        "usage": USAGE,
        "system_fingerprint": "fp_1",
    }


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None, **members: Any) -> dict[str, Any]:
    """One chunk of a chat stream; a delta of None makes the one without choices."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1700000000,
        "model": UPSTREAM_MODEL,
        "choices": choices,
    } | members


def chunks(*, usage: bool = True) -> list[dict[str, Any]]:
    """The same answer as a stream, with the usage chunk that OpenAI sends when asked."""
    said = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": word}) for word in WORDS)]
    end = [chunk({}, "stop")] + ([chunk(None, usage=USAGE)] if usage else [])
    return said + end


def tool_call(name: str, arguments: str) -> dict[str, Any]:
    """A call of one function, as it stands in a message."""
    return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}


def tool_chunks(name: str, arguments: str) -> list[dict[str, Any]]:
    """A call of one function, streamed: its name, its arguments in two pieces, the end."""
    half = len(arguments) // 2
    call = {"index": 0, **tool_call(name, "")}
    parts = [{"index": 0, "function": {"arguments": part}} for part in (arguments[:half], arguments[half:])]
    deltas = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        *({"tool_calls": [p]} for p in parts),
    ]
    return [*map(chunk, deltas), chunk({}, "tool_calls"), chunk(None, usage=USAGE)]


def text_completion(text: str = "".join(WORDS), finish_reason: str | None = "stop") -> dict[str, Any]:
    """An answer, or a chunk, of the older completions API."""
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1700000000,
        "model": "gpt-3.5-turbo-instruct",
        "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}],
    }


def error(message: str, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """An error body of OpenAI's shape."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
