"""Mistral's API: OpenAI's dialect under some names of its own, with no patience for any other.

It answers 422 to a member that it does not know. So what has another name there is renamed, and what does
not change the answer is left out; a member that would change it is sent as it is, because the 422 names it.
It takes no ids of calls but its own: others, made before by another provider, are written in its way.
Streams always tell their usage.
Source: Mistral API reference, "Chat" and "Embeddings" (checked 2026-11); reports of 422 answers by users.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from backends.host import left_out
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
_BRIDGE = {"role": "assistant", "content": "OK."}
"""It must not be empty."""

_TAKEN_ID = re.compile("[a-zA-Z0-9]{9}")


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
            fitted = _fitted(members["messages"])
            members["messages"] = _bridged(fitted) if call.translated else fitted
        return encode_request(members, model, ask_usage=False)

    def dropped(self, call: Call, /) -> tuple[str, ...]:
        """Name the members that Mistral refuses, but the gateway's own."""
        return left_out(call.members, {"stream_options"}, sorted(LEFT_OUT.get(call.format, ())))


def _fitted(messages: Any) -> Any:
    """Write messages as Mistral takes them; what is no list of messages stays, for Mistral to refuse."""
    try:
        listed = msgspec.json.decode(msgspec.json.encode(messages), type=_Messages)
        known: set[str] = set()
        return [_fitted_message(message, known) for message in listed]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return messages


def _bridged(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Let the assistant have a word between the results of tools and what the user says then.

    Mistral refuses a user after a tool; Anthropic's clients send both in one message. A client that speaks
    this format itself is told so by Mistral.
    """
    bridged: list[dict[str, Any]] = []
    for message in messages:
        if bridged and (_role_of(bridged[-1]), _role_of(message)) == ("tool", "user"):
            bridged.append(_BRIDGE)
        bridged.append(message)
    return bridged


def _role_of(message: Mapping[str, Any]) -> Any:
    role = message.get("role")
    return msgspec.json.decode(role) if isinstance(role, msgspec.Raw) else role


def _fitted_message(message: Mapping[str, msgspec.Raw], known: set[str]) -> dict[str, Any]:
    """Write one message: Mistral has no developers, and names nobody but tools. `known` are ids of calls."""
    fitted: dict[str, Any] = {
        name: value for name, value in message.items() if name not in LEFT_OUT_OF_MESSAGES
    }
    role = _role_of(message)
    if role == "developer":
        fitted["role"] = "system"
    if role != "tool":
        fitted.pop("name", None)
    if bytes(message.get("tool_calls", b"")).startswith(b"["):
        fitted["tool_calls"] = [_fitted_call(call, known) for call in _listed(message["tool_calls"])]
    elif role == "tool" and (told := _id_in(message.get("tool_call_id"))) in known:
        fitted["tool_call_id"] = _short(told)
    if b"file_data" in bytes(message.get("content", b"")):
        fitted["content"] = [_fitted_part(part) for part in _listed(message["content"])]
    return fitted


def _listed(raw: msgspec.Raw) -> _Messages:
    return msgspec.json.decode(raw, type=_Messages)


def _fitted_call(call: Mapping[str, msgspec.Raw], known: set[str]) -> dict[str, Any]:
    """Write one call; the ids that other providers make are too long, or have other signs."""
    told = _id_in(call.get("id"))
    if not told or _TAKEN_ID.fullmatch(told):
        return dict(call)
    known.add(told)
    return {**call, "id": _short(told)}


def _id_in(raw: msgspec.Raw | None) -> str:
    told = None if raw is None else msgspec.json.decode(raw)
    return told if isinstance(told, str) else ""


def _short(told: str) -> str:
    """Make an id of the nine letters and digits that Mistral wants: always the same of the same."""
    return hashlib.sha256(told.encode(errors="replace")).hexdigest()[:9]


def _fitted_part(part: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    """Write one part of a content: a document inside the request is one by its address, a data URL."""
    if "file" not in part or b"file_data" not in bytes(part["file"]):
        return dict(part)
    file = msgspec.json.decode(part["file"], type=dict[str, msgspec.Raw])
    named = {"document_name": file["filename"]} if "filename" in file else {}
    return {"type": "document_url", "document_url": file["file_data"], **named}
