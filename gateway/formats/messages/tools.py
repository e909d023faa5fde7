"""Tools and the choice among them, from and to the Messages API.

A tool that Anthropic runs or defines, or one of the client that only Anthropic can offer in the way that is
asked for (found by its search, called from its code), stays as it is. `eager_input_streaming` and
`input_examples` say how a tool is offered, not what it is: other formats do without.
Source: Anthropic API reference, "Tools", "Tool choice" (checked 2026-11).
"""

from __future__ import annotations

from typing import Any

from gateway.errors import Unsupported
from gateway.formats.messages.blocks import OWN, Place, decode_mark, encode_mark
from gateway.formats.messages.types import Tool as WireTool
from gateway.formats.messages.types import ToolChoice as WireChoice
from gateway.formats.neutral.conversation import (
    Conversation,
    CustomTool,
    FunctionTool,
    OpaqueTool,
    Tool,
    ToolChoice,
)

_NO_PARAMETERS = {"type": "object", "properties": {}}


def decode_tools(tools: list[WireTool], place: Place) -> tuple[Tool, ...]:
    """Read the tools of a request."""
    return tuple(_decode_tool(tool, place.inner(i)) for i, tool in enumerate(tools))


def _decode_tool(tool: WireTool, place: Place) -> Tool:
    kind = tool.type or "custom"
    if kind != "custom" or tool.name is None or tool.defer_loading or tool.allowed_callers:
        return OpaqueTool(OWN, kind, place.value())
    mark = decode_mark(tool.cache_control)
    return FunctionTool(tool.name, tool.description or "", tool.input_schema, tool.strict, mark)


def decode_choice(choice: WireChoice | None, place: Place) -> tuple[ToolChoice | None, bool | None]:
    """Read the choice, and whether several tools may be called at once (None: not said)."""
    if choice is None:
        return None, None
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    if choice.type == "auto":
        return ToolChoice("auto"), parallel
    if choice.type == "none":
        return ToolChoice("none"), parallel
    if choice.type == "any":
        return ToolChoice("required"), parallel
    if choice.type == "tool" and choice.name:
        return ToolChoice("required", (choice.name,)), parallel
    return ToolChoice("required", format=OWN, raw=place.value()), parallel


def encode_tools(conversation: Conversation) -> list[Any]:
    """Write the tools that may be called. Raises Unsupported for what is not a function.

    A choice among some of the tools has no name here: the others are not offered.
    """
    choice = conversation.tool_choice
    names = choice.names if choice and len(choice.names) > 1 else ()
    return [
        _encode_tool(tool, f"tools[{i}]")
        for i, tool in enumerate(conversation.tools)
        if not names or getattr(tool, "name", None) in names
    ]


def _encode_tool(tool: Tool, place: str) -> Any:
    if isinstance(tool, OpaqueTool):
        return tool.value
    if isinstance(tool, CustomTool):
        raise Unsupported(f"{place}: the messages format has no tools that take free text", param=place)
    return WireTool(
        name=tool.name,
        description=tool.description or None,
        input_schema=_schema(tool.parameters),
        strict=tool.strict,
        cache_control=encode_mark(tool.cache),
    )


def _schema(parameters: Any) -> Any:
    """Return the schema that the API requires: always there, always of an object."""
    if not parameters:
        return _NO_PARAMETERS
    if isinstance(parameters, dict) and "type" not in parameters:
        return {"type": "object", **parameters}
    return parameters


def encode_choice(conversation: Conversation) -> WireChoice | Any | None:
    """Write the choice; None when there is nothing to say, or nothing to choose from."""
    choice, parallel = conversation.tool_choice, conversation.parallel_tool_calls
    if not conversation.tools or (choice is None and parallel is not False):
        return None
    alone = None if parallel is None else not parallel
    if choice is None or choice.mode == "auto":
        return WireChoice("auto", disable_parallel_tool_use=alone)
    if choice.format == OWN and choice.raw is not None:
        return choice.raw
    if choice.mode == "none":
        return WireChoice("none")
    if len(choice.names) == 1:
        return WireChoice("tool", choice.names[0], alone)
    return WireChoice("any", disable_parallel_tool_use=alone)


def forces_a_call(conversation: Conversation) -> bool:
    """Tell whether the answer has to call a tool: Claude does not think then."""
    return bool(conversation.tools and conversation.tool_choice) and (
        conversation.tool_choice is not None and conversation.tool_choice.mode == "required"
    )
