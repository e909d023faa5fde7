"""Ollama chat requests in both directions.

There is no choice of tools here: that none, or only some, may be called is said by declaring only these.

Source: Ollama API reference, "Generate a chat message" and "Modelfile: PARAMETER" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.neutral.check import tool_names
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
from gateway.formats.neutral.effort import effort_of
from gateway.formats.neutral.parts import Media, Text, ToolResult
from gateway.formats.neutral.reading import read_members, read_request
from gateway.formats.ollama import types
from gateway.formats.ollama.messages import image_in, read_message, write_message

_OPTIONS: Mapping[str, str] = {
    "num_predict": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repetition_penalty",
}
"""What `options` calls the fields of a Conversation; `stop` is a text or a list."""

_READ = frozenset(
    {
        *("messages", "model", "stream", "tools", "options", "format", "think"),
        *("logprobs", "top_logprobs"),
    }
)
"""Members that a Conversation has a field for; all others are kept as they are."""

_ROLES: Mapping[str, Role] = {"system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
_THINK: Mapping[str, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}


def decode_request(members: Mapping[str, msgspec.Raw]) -> Conversation:
    """Read a request. Raises BadRequest naming the place at fault."""
    seen = read_members(members, types.Request)
    options = dict(seen.options or {})
    extra: dict[str, Any] = {
        name: read_request(raw, Any) for name, raw in members.items() if name not in _READ
    }
    said = _read_options(options)
    if options:
        extra["options"] = options
    return Conversation(
        turns=tuple(_read_turn(i, message) for i, message in enumerate(seen.messages)),
        stream=seen.stream is not False,
        tools=_read_tools(seen, members),
        output=_read_output(seen.format),
        thinking=_read_thinking(seen),
        logprobs=seen.logprobs,
        top_logprobs=seen.top_logprobs,
        extra=extra,
        **said,
    )


def _read_options(options: dict[str, Any]) -> dict[str, Any]:
    """Take out of the options those that a Conversation has; returns them by their names there.

    A negative `num_predict` is none: without a limit, or until the context is full.
    """
    try:
        seen = msgspec.convert(options, types.Sampling)
    except msgspec.ValidationError as error:
        raise BadRequest(f"options: {error}", param="options", code="invalid_type") from None
    if seen.num_predict is not None and seen.num_predict < 0:
        seen.num_predict = None
    said = {ours: value for name, ours in _OPTIONS.items() if (value := getattr(seen, name)) is not None}
    for name, ours in _OPTIONS.items():
        if ours in said or options.get(name, 0) is None:
            options.pop(name, None)
    stop = options.pop("stop", None)
    return said | {"stop": (stop,) if isinstance(stop, str) else tuple(stop or ())}


def _read_turn(i: int, message: types.Message) -> Turn:
    place = f"messages[{i}]"
    role = _ROLES.get(message.role)
    if role is None:
        raise BadRequest(f"{place}.role is not one of {', '.join(_ROLES)}", param=f"{place}.role")
    if role == "tool":
        given = tuple(part for part in read_message(message) if isinstance(part, Text | Media))
        return Turn("tool", (ToolResult(message.tool_call_id or "", given, message.tool_name or ""),))
    return Turn(role, tuple(read_message(message)))


def _read_tools(seen: types.Request, members: Mapping[str, msgspec.Raw]) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    values: Any = None
    for i, tool in enumerate(seen.tools or ()):
        declared = tool.function
        if tool.type in {"function", ""} and declared is not None:
            tools.append(FunctionTool(declared.name, declared.description or "", declared.parameters))
        else:
            values = values or read_request(members["tools"], Any)
            tools.append(OpaqueTool("ollama", tool.type, values[i]))
    return tuple(tools)


def _read_output(format_: Any) -> JsonOutput | None:
    if format_ in (None, ""):
        return None
    if format_ == "json":
        return JsonOutput()
    if isinstance(format_, dict):
        return JsonOutput(format_)
    raise BadRequest('format is neither "json" nor a JSON schema', param="format")


def _read_thinking(seen: types.Request) -> Thinking | None:
    if seen.think is None or isinstance(seen.think, str):
        return Thinking(seen.think) if seen.think else None
    return Thinking(adaptive=True) if seen.think else Thinking("none")


def encode_request(conversation: Conversation) -> dict[str, Any]:
    """Write the members of a request but its model.

    Raises Unsupported for what Ollama has no place for, BadRequest for arguments that are no object.
    """
    names = tool_names(conversation)
    options = {name: getattr(conversation, ours) for name, ours in _OPTIONS.items()}
    options = {name: value for name, value in options.items() if value is not None}
    options |= {"stop": list(conversation.stop)} if conversation.stop else {}
    options |= conversation.extra.get("options") or {}
    members: dict[str, Any] = {
        "messages": [
            message for i, turn in enumerate(conversation.turns) for message in _write_turn(i, turn, names)
        ],
        "stream": conversation.stream,
        "tools": _write_tools(conversation.tools, conversation.tool_choice),
        "format": _write_output(conversation.output),
        "think": _write_thinking(conversation.thinking),
        "logprobs": conversation.logprobs,
        "top_logprobs": conversation.top_logprobs,
        **conversation.extra,
        "options": options or None,
    }
    return {name: value for name, value in members.items() if value is not None}


def _write_turn(i: int, turn: Turn, names: Mapping[str, str]) -> list[types.Message]:
    place = f"messages[{i}]"
    if turn.role == "tool":
        return [_write_result(part, place, names) for part in turn.parts if isinstance(part, ToolResult)]
    role = turn.role if turn.role in {"user", "assistant"} else "system"
    return [write_message(role, turn.parts, place)]


def _write_result(result: ToolResult, place: str, names: Mapping[str, str]) -> types.Message:
    """Write a tool's result: newer servers find its call by the id, templates of models by the name."""
    texts = [part.text for part in result.parts if isinstance(part, Text)]
    images = [image_in(part, place) for part in result.parts if not isinstance(part, Text)]
    return types.Message(
        "tool",
        content="\n".join(texts),
        images=images or None,
        tool_name=result.name or (names.get(result.call_id) if result.call_id else None) or None,
        tool_call_id=result.call_id or None,
    )


def _write_tools(tools: tuple[Tool, ...], choice: ToolChoice | None) -> list[Any] | None:
    """Declare the tools that may be called."""
    if choice is not None and choice.mode == "required":
        raise Unsupported("Ollama cannot be made to call a tool", param="tool_choice")
    if choice is not None and choice.mode == "none":
        return None
    names = choice.names if choice else ()
    offered = (
        (i, tool)
        for i, tool in enumerate(tools)
        if not names or not isinstance(tool, FunctionTool) or tool.name in names
    )
    return [_write_tool(i, tool) for i, tool in offered] or None


def _write_tool(i: int, tool: Tool) -> Any:
    if isinstance(tool, FunctionTool):
        function = types.ToolFunction(tool.name, tool.description or None, tool.parameters)
        return types.Tool("function", function)
    if isinstance(tool, OpaqueTool) and tool.format == "ollama":
        return tool.value
    raise Unsupported(f"tools[{i}] is of a kind that Ollama has no place for", param=f"tools[{i}]")


def _write_output(output: JsonOutput | None) -> Any:
    if output is None:
        return None
    return "json" if output.schema is None else output.schema


def _write_thinking(thinking: Thinking | None) -> bool | str | None:
    """Write a level where one is named or follows from a budget; a budget of 0 is off in any case."""
    if thinking is None:
        return None
    budget = thinking.budget_tokens
    if budget == 0:
        return False
    effort = thinking.effort or (effort_of(budget) if budget is not None else "")
    if effort:
        return _THINK.get(effort, True)
    return True if thinking.adaptive else None
