"""The tools of a request, and which of them may or must be called.

Two facts of Converse have no counterpart elsewhere. It has no choice "none": the tools are left out, which
comes to the same, unless earlier messages have calls. It refuses calls in the messages of a request that
has no tools: those that were called are declared, as tools that are gone.
Source: Amazon Bedrock API reference, ToolConfiguration (checked 2026-11).
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.errors import Unsupported
from gateway.formats.converse import types
from gateway.formats.converse.content import OWN, Unread, decode_mark, encode_mark
from gateway.formats.neutral.check import tool_names
from gateway.formats.neutral.conversation import Conversation, FunctionTool, OpaqueTool, Tool, ToolChoice

_ANYTHING = {"type": "object", "properties": {}}
_GONE = "Not available any more. Do not call it."


def decode_tools(config: types.ToolConfig, unread: Unread) -> tuple[Tool, ...]:
    """Read the tools; a cache point marks the tool before it."""
    tools: list[Tool] = []
    for index, tool in enumerate(config.tools):
        last = tools[-1] if tools else None
        if tool.tool_spec is not None:
            tools.append(_function(tool.tool_spec))
        elif tool.cache_point is not None and isinstance(last, FunctionTool) and not last.cache:
            tools[-1] = msgspec.structs.replace(last, cache=decode_mark(tool.cache_point))
        else:
            value = unread.at("tools", index)
            tools.append(OpaqueTool(OWN, next(iter(value), ""), value))
    return tuple(tools)


def _function(spec: types.ToolSpec) -> FunctionTool:
    schema = spec.input_schema.json if spec.input_schema else None
    return FunctionTool(spec.name, spec.description, schema, spec.strict)


def decode_tool_choice(choice: types.ToolChoice) -> ToolChoice | None:
    """Read which tools to call; None for a choice that is not known."""
    if choice.tool is not None:
        return ToolChoice("required", (choice.tool.name,))
    if choice.any is not None:
        return ToolChoice("required")
    return ToolChoice("auto") if choice.auto is not None else None


def encode_tool_config(conversation: Conversation) -> dict[str, Any]:
    """Write the tools and the choice; {} without any. Raises Unsupported for what cannot be said."""
    choice = conversation.tool_choice
    called = tool_names(conversation)
    if choice is not None and choice.raw is not None and choice.format != OWN:
        raise Unsupported("this choice of tools cannot be made with this model", param="tool_choice")
    if choice is not None and choice.mode == "none":
        if called and conversation.tools:
            raise Unsupported(
                "this model cannot be kept from calling tools when earlier messages have calls",
                param="tool_choice",
            )
        return _gone(called)
    tools = [block for tool in conversation.tools if _allowed(tool, choice) for block in _tool(tool)]
    if not tools:
        return _gone(called)
    return {"tools": tools, **({"toolChoice": _choice(choice)} if choice else {})}


def _allowed(tool: Tool, choice: ToolChoice | None) -> bool:
    """Tell whether a choice leaves a tool: Converse can name one that must be called, but not several."""
    if choice is None or not choice.names or _forces_one(choice) or not isinstance(tool, FunctionTool):
        return True
    return tool.name in choice.names


def _forces_one(choice: ToolChoice) -> bool:
    return choice.mode == "required" and len(choice.names) == 1


def _choice(choice: ToolChoice) -> dict[str, Any]:
    if _forces_one(choice):
        return {"tool": {"name": choice.names[0]}}
    return {"any": {}} if choice.mode == "required" else {"auto": {}}


def _tool(tool: Tool) -> list[dict[str, Any]]:
    if isinstance(tool, OpaqueTool) and tool.format == OWN:
        return [tool.value]
    if not isinstance(tool, FunctionTool):
        raise Unsupported("this model takes only tools that are functions", param="tools")
    schema = _ANYTHING if tool.parameters is None else tool.parameters
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict is not None:
        spec["strict"] = tool.strict
    return [{"toolSpec": spec}, *([encode_mark(tool.cache)] if tool.cache else [])]


def _gone(called: dict[str, str]) -> dict[str, Any]:
    tools = [FunctionTool(name, _GONE) for name in dict.fromkeys(called.values())]
    return {"tools": [block for tool in tools for block in _tool(tool)]} if tools else {}
