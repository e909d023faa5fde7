"""What is asked and what is answered in every benchmark: requests and answers of OpenAI's shape, as data.

The stream is what OpenAI sends when usage was asked for: each chunk carries `"usage":null`, the last but
one has no choices and the usage. Shapes: OpenAI API reference, chat completions, checked 2025-11.
"""

from __future__ import annotations

import json
from typing import Any, Literal

Kind = Literal["json", "sse", "paced"]
"""One answer; 64 chunks as fast as they go; 64 chunks `PACE_S` apart."""

Dialect = Literal["chat", "messages"]
"""Whose API the client speaks; the fake upstream speaks OpenAI's."""

KINDS: tuple[Kind, ...] = ("json", "sse", "paced")
CHUNKS = 64
PACE_S = 0.02
MODEL = "gpt-4o-mini-2024-07-18"
ID = "chatcmpl-BxYz0123456789abcdefghij"
TEXT = "The capital of France is Paris. It has been the seat of government for most of the time since 987."
TOKEN = " token"
STREAMED_TEXT = TOKEN * (CHUNKS - 2)

_USAGE = {"prompt_tokens": 25, "completion_tokens": 62, "total_tokens": 87}
_DETAILS = {
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}


def compact(value: Any) -> str:
    """JSON without spaces, as OpenAI sends it."""
    return json.dumps(value, separators=(",", ":"))


def request_body(model: str, *, stream: bool, padding_bytes: int = 0) -> bytes:
    """A short chat request; `padding_bytes` of prose make its prompt long."""
    user = "What is the capital of France?"
    if padding_bytes:
        line = 'The mill\'s "head race" was dug in 1871; it still carries 3.2 m3/s.\n'
        user += "\n" + (line * (padding_bytes // len(line) + 1))[:padding_bytes]
    messages = [
        {"role": "system", "content": "You are a helpful assistant."},
        {"role": "user", "content": user},
    ]
    asked: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0.2}
    # No stream_options: most clients do not ask for usage, so a gateway that meters has to see to it itself.
    return compact(asked | {"stream": True} if stream else asked).encode()


def messages_body(model: str, *, stream: bool) -> bytes:
    """The same short request in Anthropic's dialect."""
    asked: dict[str, Any] = {
        "model": model,
        "max_tokens": 1024,
        "system": "You are a helpful assistant.",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "temperature": 0.2,
    }
    return compact(asked | {"stream": True} if stream else asked).encode()


def completion() -> str:
    """The whole answer, about 700 bytes."""
    message = {"role": "assistant", "content": TEXT, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return compact(
        {
            "id": ID,
            "object": "chat.completion",
            "created": 1763700000,
            "model": MODEL,
            "choices": [choice],
            "usage": _USAGE | _DETAILS,
            "service_tier": "default",
            "system_fingerprint": "fp_0123456789",
        }
    )


def _event(delta: dict[str, Any] | None, finish: str | None, usage: dict[str, Any] | None) -> str:
    choices = (
        [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
    )
    chunk = {
        "id": ID,
        "object": "chat.completion.chunk",
        "created": 1763700000,
        "model": MODEL,
        "service_tier": "default",
        "system_fingerprint": "fp_0123456789",
        "choices": choices,
        "usage": usage,
    }
    return f"data: {compact(chunk)}\n\n"


def stream_events() -> list[str]:
    """`CHUNKS` events with a choice (role, tokens, finish), one with the usage, and `[DONE]`."""
    return [
        _event({"role": "assistant", "content": "", "refusal": None}, None, None),
        *(_event({"content": TOKEN}, None, None) for _ in range(CHUNKS - 2)),
        _event({}, "stop", None),
        _event(None, None, _USAGE | _DETAILS),
        "data: [DONE]\n\n",
    ]
