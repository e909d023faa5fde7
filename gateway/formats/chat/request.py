"""A request for a chat completion, in both directions.

Where the format has several ways to say a thing (`max_tokens` and `max_completion_tokens`, `functions` and
`tools`, four ways to ask for thinking), each is read, and the current one of OpenAI's reference is written.
`Conversation.spelling` keeps the members of the way that was taken, which go back while they still say the
same. That a host knows only an older name is for its backend to know: `max_completion_tokens` is written
because the reasoning models of OpenAI and Azure refuse `max_tokens`.

Must not know answers or hosts.
Source: OpenAI API reference, "Create chat completion"; OpenRouter, "Parameters" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import msgspec

from gateway.errors import BadRequest
from gateway.formats.chat.content import write_content
from gateway.formats.chat.message import read_parts, read_raw, read_signature, write_message
from gateway.formats.chat.options import read_options, write_options
from gateway.formats.chat.types import HostsOfRequest, Message, Request
from gateway.formats.neutral.conversation import Conversation, Role, Turn
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from gateway.formats.neutral.reading import read_members
from gateway.formats.neutral.seals import accepts, unseal

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_KNOWN = frozenset(Request.__struct_fields__) - frozenset(HostsOfRequest.__struct_fields__)
_NULL = b"null"
_ANNOTATIONS = "messages.annotations"
"""The name in `extra` of the sources of earlier answers, which no other format takes back."""


class _Values:
    """The messages as plain JSON values, decoded once and only when somebody asks for one."""

    def __init__(self, members: Mapping[str, msgspec.Raw]) -> None:
        self._raw = members["messages"]

    @cached_property
    def messages(self) -> Any:
        return msgspec.json.decode(self._raw)


def decode_request(members: Mapping[str, msgspec.Raw]) -> Conversation:
    """Read the members of a client's body. Raises BadRequest naming the place at fault."""
    wire = read_members(members, Request)
    if not wire.messages:
        raise BadRequest("there is no message to answer", param="messages")
    try:
        return _read_conversation(wire, members)
    except RecursionError:
        raise BadRequest("the request body is nested too deeply", code="invalid_json") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the request body is not valid JSON: {error}", code="invalid_json") from None


def _read_conversation(wire: Request, members: Mapping[str, msgspec.Raw]) -> Conversation:
    extra = {
        name: msgspec.json.decode(value)
        for name, value in members.items()
        if name not in _KNOWN and bytes(value) != _NULL
    }
    turns = tuple(_read_turns(wire.messages, _Values(members)))
    if any(isinstance(part, Text) and part.citations for turn in turns for part in turn.parts):
        extra[_ANNOTATIONS] = True
    options = read_options(wire, lambda name: msgspec.json.decode(members[name]))
    return Conversation(turns=turns, stream=bool(wire.stream), extra=extra, **options)


def _read_turns(messages: list[Message], values: _Values) -> Iterator[Turn]:
    legacy_id = ""
    for i, message in enumerate(messages):
        where = f"messages[{i}]"
        role = _ROLES.get(message.role or "")
        if role is None:
            raise BadRequest(f"{where}.role {(message.role or '')[:50]!r} is unknown", param=f"{where}.role")
        if message.function_call is not None and message.function_call.name:
            legacy_id = f"function_call_{i}"

        def value_at(j: int, i: int = i) -> Any:
            return values.messages[i]["content"][j]

        parts = read_parts(message, where, value_at, legacy_id)
        if role != "assistant" and not all(isinstance(part, Text | Media | Opaque) for part in parts):
            raise BadRequest(f"{where} holds what only an assistant's message can", param=where)
        if role == "tool":
            yield _result(message, parts, where, legacy_id)
        else:
            parts = _signed(tuple(_unsealed(part) for part in parts), read_signature(message.extra_content))
            raw = {**read_raw(message), **({"role": role} if role == "developer" else {})}
            yield Turn(role, parts, name=message.name or "", raw=raw or None)


def _result(message: Message, parts: tuple[Part, ...], where: str, legacy_id: str) -> Turn:
    legacy = message.role == "function"
    call_id = legacy_id if legacy else message.tool_call_id
    if not call_id:
        raise BadRequest(f"{where} names no call that it is the result of", param=f"{where}.tool_call_id")
    held = tuple(part for part in parts if isinstance(part, Text | Media | Opaque))
    result = ToolResult(call_id, held, name=message.name or "")
    raw = {**read_raw(message), **({"role": "function"} if legacy else {})}
    return Turn("tool", (result,), raw=raw or None)


def _unsealed(part: Part) -> Part:
    """Tell who made the signatures that a client sends back."""
    if isinstance(part, Reasoning) and (part.signature or part.encrypted):
        signature, origin = unseal(part.signature, "chat")
        encrypted, maker = unseal(part.encrypted, "chat")
        origin = maker if encrypted else origin
        return msgspec.structs.replace(part, signature=signature, encrypted=encrypted, origin=origin)
    if isinstance(part, ToolCall) and part.signature:
        signature, origin = unseal(part.signature, "chat")
        return msgspec.structs.replace(part, signature=signature, origin=origin)
    return part


def _signed(parts: tuple[Part, ...], sealed: str) -> tuple[Part, ...]:
    """Give Gemini's signature of a text back to the message's last text, which may be empty."""
    signature, origin = unseal(sealed, "chat")
    if not signature or origin != "gemini":
        return parts
    for i in reversed(range(len(parts))):
        part = parts[i]
        if isinstance(part, Text):
            return (*parts[:i], msgspec.structs.replace(part, signature=signature), *parts[i + 1 :])
    return (*parts, Text("", signature=signature))


def encode_request(conversation: Conversation) -> dict[str, Any]:
    """Give the members of an upstream's body but its `model`. Raises Unsupported."""
    members: dict[str, Any] = {
        "messages": [message for turn in conversation.turns for message in _write_turn(turn)]
    }
    if conversation.stream:
        members |= {"stream": True, "stream_options": {"include_usage": True}}
    own = {name: value for name, value in conversation.extra.items() if name != _ANNOTATIONS}
    return {**members, **write_options(conversation), **own}


def _write_turn(turn: Turn) -> Iterator[dict[str, Any]]:
    named = {"name": turn.name} if turn.name else {}
    if turn.role == "tool":
        for part in turn.parts:
            if isinstance(part, ToolResult):
                yield _write_result(part, turn.raw)
    elif turn.role == "assistant":
        parts = [_acceptable(part) for part in turn.parts if not _is_strange(part)]
        yield {"role": turn.role, **named, **write_message(parts, turn.raw, answer=False)}
    else:
        yield {"role": _asking_role(turn), **named, "content": write_content(turn.parts) or ""}


def _asking_role(turn: Turn) -> Role:
    """Return the role; a developer of another format is the system: every host knows it, and OpenAI too."""
    own = isinstance(turn.raw, dict) and turn.raw.get("role") == turn.role
    return "system" if turn.role == "developer" and not own else turn.role


def _write_result(result: ToolResult, raw: Any) -> dict[str, Any]:
    content = write_content(result.parts) or ""
    if isinstance(raw, dict) and raw.get("role") == "function":
        return {"role": "function", "name": result.name, "content": content}
    named = {"name": result.name} if result.name else {}
    return {"role": "tool", "tool_call_id": result.call_id, **named, "content": content}


def _is_strange(part: Part) -> bool:
    return isinstance(part, Reasoning) and not accepts("chat", part.origin)


def _acceptable(part: Part) -> Part:
    """Take off what another provider signed: a host might refuse a member that it does not know."""
    if isinstance(part, ToolCall) and part.signature and not accepts("chat", part.origin):
        return msgspec.structs.replace(part, signature="")
    return part
