"""Mistral's API: OpenAI's dialect under some names of its own, with no patience for any other.

It answers 422 to a member that it does not know. So what has another name there is renamed, and what does
not change the answer is left out; a member that would change it is sent as it is, because the 422 names it.
Streams always tell their usage.
Source: Mistral API reference, "Chat" and "Embeddings" (checked 2026-11); reports of 422 answers by users.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from backends.openai_compatible import OpenAICompatible
from gateway.exchange import Call, Format
from gateway.formats.envelope import encode_request

RENAMED: Mapping[Format, Mapping[str, str]] = {
    "chat": {"max_completion_tokens": "max_tokens", "seed": "random_seed"},
    "embeddings": {"dimensions": "output_dimension"},
}
"""OpenAI's names, and Mistral's; where a request has both, Mistral's counts."""

LEFT_OUT: Mapping[Format, frozenset[str]] = {
    "chat": frozenset(
        {
            "prompt_cache_retention",
            "safety_identifier",
            "service_tier",
            "store",
            "stream_options",
            "user",
            "verbosity",
        }
    ),
    "embeddings": frozenset({"user"}),
}
"""Members that Mistral refuses and that do not change what is answered."""

LEFT_OUT_OF_MESSAGES = frozenset(
    {"annotations", "audio", "reasoning", "reasoning_content", "reasoning_details", "refusal"}
)
"""What clients send back of an assistant's message beside what was said; Mistral refuses all of it."""

_Messages = list[dict[str, msgspec.Raw]]


class Mistral(OpenAICompatible):
    """Mistral under its name; `base_url` is https://api.mistral.ai/v1."""

    def body(self, call: Call, model: str) -> bytes:
        """Write the JSON body under Mistral's names."""
        renamed, left_out = RENAMED.get(call.format, {}), LEFT_OUT.get(call.format, frozenset())
        members: dict[str, Any] = {
            renamed.get(name, name): value
            for name, value in call.members.items()
            if name not in left_out and renamed.get(name) not in call.members
        }
        if "messages" in members:
            members["messages"] = _fitted(members["messages"])
        return encode_request(members, model, ask_usage=False)


def _fitted(messages: Any) -> Any:
    """Take out of messages what Mistral refuses; what is no list of messages stays, for Mistral to refuse."""
    try:
        listed = msgspec.json.decode(msgspec.json.encode(messages), type=_Messages)
        return [_fitted_message(message) for message in listed]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return messages


def _fitted_message(message: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Write one message: Mistral has no developers, and names nobody but tools."""
    fitted: dict[str, Any] = {
        name: value for name, value in message.items() if name not in LEFT_OUT_OF_MESSAGES
    }
    role = msgspec.json.decode(message["role"]) if "role" in message else None
    if role == "developer":
        fitted["role"] = "system"
    if role != "tool":
        fitted.pop("name", None)
    return fitted
