"""Tools and the choice among them, from and to the Messages API.

A tool that Anthropic runs or defines, or one of the client that only Anthropic's code may call, stays as it
is. `OFFERED` are members that say how a tool is offered, not what it is: other formats do without. One that
is to be loaded late is there from the beginning then, which a client that searches itself (Claude Code) can
live with; Anthropic's own search is a tool of its own, and refused.
Source: Anthropic API reference, "Tools", "Tool choice" (checked 2026-11).
"""

from __future__ import annotations

from typing import Any

from gateway.errors import BadRequest, Unsupported
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

OFFERED = ("defer_loading", "allowed_callers", "eager_input_streaming", "input_examples")
_BY_THE_MODEL = "direct"
"""The caller that every API knows: the model itself, not code that the provider runs."""

_NO_PARAMETERS = {"type": "object", "properties": {}}


def decode_tools(tools: list[WireTool], place: Place) -> tuple[Tool, ...]:
    """Read the tools of a request. Raises BadRequest for one without a name."""
    return tuple(_decode_tool(tool, place.inner(i)) for i, tool in enumerate(tools))


def _decode_tool(tool: WireTool, place: Place) -> Tool:
    if tool.type and tool.type != "custom":
        return OpaqueTool(OWN, tool.type, place.value())
    if not tool.name:
        raise BadRequest(f"{place}.name is missing", param=f"{place}.name")
    if tool.allowed_callers and _BY_THE_MODEL not in tool.allowed_callers:
        return OpaqueTool(OWN, tool.name, place.value())
    mark = decode_mark(tool.cache_control)
    raw = {name: value for name in OFFERED if (value := getattr(tool, name)) is not None}
    return FunctionTool(tool.name, tool.description or "", tool.input_schema, tool.strict, mark, raw or None)


def offered_members(tools: tuple[Tool, ...]) -> dict[str, bool]:
    """Name the members that say how tools are offered, as far as they ask for something."""
    raws = [tool.raw for tool in tools if isinstance(tool, FunctionTool) and tool.raw]
    nothing: tuple[Any, ...] = (False, [], [_BY_THE_MODEL])
    return {f"tools.{name}": True for name in OFFERED for raw in raws if raw.get(name, False) not in nothing}


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

    A choice among some of the tools has no name here, but for one that is forced: the others are not offered.
    """
    choice = conversation.tool_choice
    names = choice.names if choice else ()
    if choice and choice.mode == "required" and len(names) == 1:
        names = ()
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
        **(tool.raw or {}),
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
