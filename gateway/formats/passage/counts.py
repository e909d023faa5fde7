"""Ask a provider how many tokens a request has, and tell a client of Anthropic's `count_tokens`.

Each wire is a provider's request for generation without what only steers the answer, in a wrapping of its
own; where the provider has no use for a member, it refuses it.
Source: API references of Anthropic ("Count tokens"), Google ("countTokens"), AWS ("CountTokens") and OpenAI
("Get input token counts"), checked 2026-11; recorded counts of all four.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import BadAnswer
from gateway.exchange import Format
from gateway.formats.neutral.conversation import Conversation
from gateway.formats.neutral.reading import read_answer
from gateway.formats.passage.codecs import CODECS

COUNTED_IN: Mapping[Format, Format] = {
    "count_tokens": "messages",
    "gemini_count": "gemini",
    "converse_count": "converse",
    "responses_count": "responses",
}
"""The format in which a provider wants the request that it is to count."""

_COUNTED: Mapping[Format, frozenset[str]] = {
    "count_tokens": frozenset(
        {
            *("messages", "system", "tools", "tool_choice", "thinking", "output_config", "cache_control"),
            *("context_management", "mcp_servers", "speed"),
        }
    ),
    "converse_count": frozenset({"messages", "system", "toolConfig", "additionalModelRequestFields"}),
    "responses_count": frozenset(
        {
            *("input", "instructions", "conversation", "previous_response_id", "tools", "tool_choice"),
            *("parallel_tool_calls", "reasoning", "text", "truncation"),
        }
    ),
}
"""The members that a provider takes where it counts; Google takes all."""


_NAMES: Mapping[Format, str] = {
    "count_tokens": "input_tokens",
    "responses_count": "input_tokens",
    "converse_count": "inputTokens",
    "gemini_count": "totalTokens",
}
"""What the count is called in an answer."""


def encode_count(conversation: Conversation, wire: Format, model: str) -> dict[str, Any]:
    """Write the members of a request that counts; the envelope's `model` is the backend's to add.

    Raises what the wire's codec raises for a conversation that it cannot express.
    """
    # A limit on the answer counts nothing, and some are refused that only probe.
    asked = msgspec.structs.replace(conversation, max_tokens=None)
    members = CODECS[COUNTED_IN[wire]].encode_request(asked)
    if wire == "gemini_count":
        return {"generateContentRequest": {"model": f"models/{model}", **members}}
    kept = {name: value for name, value in members.items() if name in _COUNTED[wire]}
    return {"input": {"converse": kept}} if wire == "converse_count" else kept


def decode_count(body: bytes, wire: Format) -> int:
    """Read how many tokens there are. Raises Failed for an answer that does not say so."""
    tokens = read_answer(body, dict[str, Any]).get(_NAMES[wire])
    if type(tokens) is not int or tokens < 0:
        raise BadAnswer("the upstream's answer has no count of tokens")
    return tokens


def encode_counted(tokens: int) -> bytes:
    """Write the count as Anthropic does."""
    return msgspec.json.encode({"input_tokens": tokens})
