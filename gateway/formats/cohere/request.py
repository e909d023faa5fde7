"""Cohere chat requests in both directions.

What is said otherwise than elsewhere: a choice of some tools is said by declaring only these; strictness
is one switch for all tools; tools cannot be named as the one to call.

Source: Cohere API reference, "Chat" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.cohere import types
from gateway.formats.cohere.messages import read_content, read_message, write_assistant, write_part
from gateway.formats.neutral.conversation import (
    Conversation,
    FunctionTool,
    JsonOutput,
    OpaqueTool,
    Role,
    Thinking,
    Tool,
    ToolChoice,
    Turn,
)
from gateway.formats.neutral.effort import budget_of
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from gateway.formats.neutral.reading import read_members, read_request
from gateway.formats.neutral.seals import accepts

_SAME = ("max_tokens", "temperature", "seed", "frequency_penalty", "presence_penalty", "logprobs")
"""Members that have the same name and meaning here and in a Conversation."""

_READ = frozenset(
    {
        *_SAME,
        *("messages", "model", "stream", "tools", "tool_choice", "stop_sequences", "k", "p", "thinking"),
    }
)
"""Members that a Conversation has a field for; all others are kept as they are."""

_ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_CHOICES: Mapping[str, ToolChoice] = {"REQUIRED": ToolChoice("required"), "NONE": ToolChoice("none")}
_CHOICE_WORDS = {"required": "REQUIRED", "none": "NONE"}


def decode_request(members: Mapping[str, msgspec.Raw]) -> Conversation:
    """Read a request. Raises BadRequest naming the place at fault."""
    seen = read_members(members, types.Request)
    originals = _Originals(members)
    output = _read_output(seen.response_format)
    tools = _read_tools(seen, originals)
    read = _READ | ({"response_format"} if output else set()) | ({"strict_tools"} if tools else set())
    return Conversation(
        turns=tuple(_read_turn(i, message, originals) for i, message in enumerate(seen.messages)),
        stream=bool(seen.stream),
        tools=tools,
        tool_choice=_read_choice(seen.tool_choice),
        output=output,
        thinking=_read_thinking(seen.thinking),
        top_p=seen.p,
        top_k=seen.k,
        stop=tuple(seen.stop_sequences or ()),
        extra={name: read_request(raw, Any) for name, raw in members.items() if name not in read},
        **{name: getattr(seen, name) for name in _SAME},
    )


class _Originals:
    """Members as plain JSON values, decoded once, when a part of an unknown kind is met."""

    def __init__(self, members: Mapping[str, msgspec.Raw]) -> None:
        self._members = members
        self._values: dict[str, Any] = {}

    def of(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = read_request(self._members[name], Any)
        return self._values[name]

    def content(self, i: int) -> Any:
        return self.of("messages")[i]["content"]


def _read_turn(i: int, message: types.Message, originals: _Originals) -> Turn:
    place = f"messages[{i}]"
    role = _ROLES.get(message.role)
    if role is None:
        raise BadRequest(f"{place}.role is not one of {', '.join(_ROLES)}", param=f"{place}.role")
    original = partial(originals.content, i)
    if role == "tool":
        content = read_content(message.content, original, f"{place}.content")
        given = tuple(part for part in content if isinstance(part, Text | Media | Opaque))
        return Turn("tool", (ToolResult(message.tool_call_id or "", given),))
    parts, loose = read_message(message, original, place)
    return Turn(role, tuple(parts), raw=loose)


def _read_tools(seen: types.Request, originals: _Originals) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    for i, tool in enumerate(seen.tools or ()):
        declared = tool.function
        if tool.type == "function" and declared is not None:
            description = declared.description or ""
            tools.append(FunctionTool(declared.name, description, declared.parameters, seen.strict_tools))
        else:
            tools.append(OpaqueTool("cohere", tool.type, originals.of("tools")[i]))
    return tuple(tools)


def _read_choice(word: str | None) -> ToolChoice | None:
    if word is None:
        return None
    if word not in _CHOICES:
        raise BadRequest("tool_choice is neither REQUIRED nor NONE", param="tool_choice")
    return _CHOICES[word]


def _read_output(seen: types.ResponseFormat | None) -> JsonOutput | None:
    return JsonOutput(seen.schema) if seen is not None and seen.type == "json_object" else None


def _read_thinking(seen: types.Thinking | None) -> Thinking | None:
    if seen is None:
        return None
    if seen.type == "disabled":
        return Thinking("none")
    return Thinking(budget_tokens=seen.token_budget, adaptive=seen.token_budget is None)


def encode_request(conversation: Conversation) -> dict[str, Any]:
    """Write the members of a request but its model. Raises Unsupported for what Cohere has no word for."""
    functions = [tool for tool in conversation.tools if isinstance(tool, FunctionTool)]
    choice = conversation.tool_choice
    members: dict[str, Any] = {
        "messages": [
            message for i, turn in enumerate(conversation.turns) for message in _write_turn(i, turn)
        ],
        "stream": conversation.stream,
        "tools": _write_tools(conversation.tools, choice),
        "strict_tools": _strictness({tool.strict for tool in functions}),
        "tool_choice": _CHOICE_WORDS.get(choice.mode) if choice else None,
        "response_format": _write_output(conversation.output),
        "thinking": _write_thinking(conversation.thinking),
        "p": conversation.top_p,
        "k": conversation.top_k,
        "stop_sequences": list(conversation.stop) or None,
        **{name: getattr(conversation, name) for name in _SAME},
    }
    return {name: value for name, value in members.items() if value is not None} | conversation.extra


def _write_turn(i: int, turn: Turn) -> list[dict[str, Any]]:
    place = f"messages[{i}]"
    if turn.role == "tool":
        return [_write_result(part, place) for part in turn.parts if isinstance(part, ToolResult)]
    if turn.role == "assistant":
        return [_write_assistant(turn, place)]
    role = "user" if turn.role == "user" else "system"
    return [{"role": role, "content": _write_content(turn.parts, place)}]


def _write_assistant(turn: Turn, place: str) -> dict[str, Any]:
    """Write an earlier answer: without the thoughts and citations of others, which Cohere cannot check."""
    parts = tuple(_own(part) for part in turn.parts if not _is_foreign(part))
    _refuse_rest(parts, place)
    message = write_assistant(parts, turn.raw)
    return message if len(message) > 1 else message | {"content": ""}


def _is_foreign(part: Part) -> bool:
    return isinstance(part, Reasoning) and not accepts("cohere", part.origin)


def _own(part: Part) -> Part:
    if isinstance(part, Text) and part.citations:
        kept = tuple(citation for citation in part.citations if citation.origin == "cohere")
        return msgspec.structs.replace(part, citations=kept)
    if isinstance(part, ToolCall) and not part.arguments:
        return msgspec.structs.replace(part, arguments="{}")
    return part


def _refuse_rest(parts: tuple[Part, ...], place: str) -> None:
    for j, part in enumerate(parts):
        is_call = isinstance(part, ToolCall) and not part.custom
        if not is_call and not isinstance(part, Reasoning) and write_part(part) is None:
            raise Unsupported(
                f"{place} holds a part that Cohere has no word for", param=f"{place}.content[{j}]"
            )


def _write_content(parts: tuple[Part, ...], place: str) -> Any:
    """Write one text as such, anything else as a list."""
    if len(parts) == 1 and isinstance(parts[0], Text | Refusal):
        return parts[0].text
    _refuse_rest(parts, place)
    return [written for part in parts if (written := write_part(part)) is not None]


def _write_result(result: ToolResult, place: str) -> dict[str, Any]:
    return {
        "role": "tool",
        "tool_call_id": result.call_id,
        "content": _write_content(result.parts, place) or "",
    }


def _write_tools(tools: tuple[Tool, ...], choice: ToolChoice | None) -> list[Any] | None:
    """Declare the tools, or of a choice only those that may be called."""
    names = choice.names if choice else ()
    written: list[Any] = []
    for i, tool in enumerate(tools):
        if isinstance(tool, FunctionTool):
            function = types.ToolFunction(tool.name, tool.description or None, tool.parameters)
            if not names or tool.name in names:
                written.append(types.Tool("function", function))
        elif isinstance(tool, OpaqueTool) and tool.format == "cohere":
            written.append(tool.value)
        else:
            raise Unsupported(f"tools[{i}] is of a kind that Cohere has no word for", param=f"tools[{i}]")
    return written or None


def _strictness(said: set[bool | None]) -> bool | None:
    """One switch for all: strict as soon as one tool is to be, because that is a promise."""
    return True if True in said else (False if False in said else None)


def _write_output(output: JsonOutput | None) -> types.ResponseFormat | None:
    return types.ResponseFormat("json_object", output.schema) if output is not None else None


def _write_thinking(thinking: Thinking | None) -> types.Thinking | None:
    if thinking is None:
        return None
    budget = budget_of(thinking.effort) if thinking.budget_tokens is None else thinking.budget_tokens
    if budget == 0:
        return types.Thinking("disabled")
    if budget is None and not thinking.adaptive and not thinking.effort:
        return None
    return types.Thinking("enabled", budget)
