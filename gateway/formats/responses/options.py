"""What a request asks for beside its items: tools, the shape of the answer, how much to think.

Must not know items. Source: as in `types`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.neutral.conversation import (
    Conversation,
    CustomTool,
    FunctionTool,
    JsonOutput,
    OpaqueTool,
    Thinking,
    Tool,
    ToolChoice,
)
from gateway.formats.neutral.effort import effort_of
from gateway.formats.responses import types

_MEMBERS: Mapping[str, frozenset[str]] = {
    "function": frozenset({"type", "name", "description", "parameters", "strict"}),
    "custom": frozenset({"type", "name", "description", "format"}),
}
"""A tool with further members (`defer_loading`, `output_schema`) means nothing elsewhere: kept whole."""

_MODES: Mapping[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
}
_NO_PARAMETERS = {"type": "object", "properties": {}}
_SCHEMA_NAME = "answer"
"""A schema must have a name; other formats have none."""


def read_tools(seen: Sequence[dict[str, Any]] | None) -> tuple[Tool, ...]:
    """Read `tools`. Raises BadRequest naming the tool at fault."""
    return tuple(_read_tool(value, f"tools[{i}]") for i, value in enumerate(seen or ()))


def _read_tool(value: dict[str, Any], place: str) -> Tool:
    kind = value.get("type")
    if not isinstance(kind, str):
        raise BadRequest(f"{place} must have a type", param=f"{place}.type", code="invalid_type")
    told = {name for name, member in value.items() if member is not None}
    if not told <= _MEMBERS.get(kind, frozenset()):
        return OpaqueTool("responses", kind, value)
    try:
        tool = msgspec.convert(value, types.Tool)
    except msgspec.ValidationError as error:
        raise BadRequest(f"{place}: {error}", param=place, code="invalid_type") from None
    if kind == "custom":
        return CustomTool(tool.name, tool.description or "", _read_grammar(tool.format))
    return FunctionTool(tool.name, tool.description or "", tool.parameters, tool.strict)


def write_tools(tools: Sequence[Tool], *, own: bool) -> list[dict[str, Any]]:
    """Write `tools`; `own` tells that they came in this format.

    A function that says nothing of `strict` is strict here and is not anywhere else.
    """
    return [_write_tool(tool, own=own) for tool in tools]


def _write_tool(tool: Tool, *, own: bool) -> dict[str, Any]:
    if isinstance(tool, OpaqueTool):
        if tool.format != "responses" or not isinstance(tool.value, dict):
            raise Unsupported(f"the tool {tool.kind!r} is known to its own provider only", param="tools")
        return tool.value
    written: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        written["description"] = tool.description
    if isinstance(tool, CustomTool):
        restricted = {"format": _write_grammar(tool.grammar)} if tool.grammar is not None else {}
        return written | {"type": "custom"} | restricted
    if own:
        told = {"parameters": tool.parameters, "strict": tool.strict}
        return written | {name: value for name, value in told.items() if value is not None}
    parameters = _NO_PARAMETERS if tool.parameters is None else tool.parameters
    return written | {"parameters": parameters, "strict": bool(tool.strict)}


def _read_grammar(seen: Any) -> Any:
    """Nest a grammar as OpenAI's other format does, so that both mean the same by it."""
    if not isinstance(seen, dict) or seen.get("type") != "grammar":
        return seen
    return {"type": "grammar", "grammar": {name: value for name, value in seen.items() if name != "type"}}


def _write_grammar(grammar: Any) -> Any:
    inner = grammar.get("grammar") if isinstance(grammar, dict) else None
    return {"type": "grammar", **inner} if isinstance(inner, dict) else grammar


def read_tool_choice(seen: str | dict[str, Any] | None) -> ToolChoice | None:
    """Read `tool_choice`. Raises BadRequest for a word that is none."""
    if seen is None:
        return None
    if isinstance(seen, str):
        if seen not in _MODES:
            raise BadRequest(
                f"tool_choice must be auto, none, required or an object, not {seen[:50]!r}",
                param="tool_choice",
            )
        return ToolChoice(_MODES[seen])
    if seen.get("type") == "allowed_tools":
        tools = seen.get("tools")
        names = _names(tools if isinstance(tools, list) else [])
        mode = _MODES["required" if seen.get("mode") == "required" else "auto"]
    else:
        names, mode = _names([seen]), _MODES["required"]
    if names is None:
        return ToolChoice(mode, format="responses", raw=seen)
    return ToolChoice(mode, names)


def _names(tools: Sequence[Any]) -> tuple[str, ...] | None:
    """Return the names of the tools of the client; None when another kind is among them."""
    names = [
        tool["name"]
        for tool in tools
        if isinstance(tool, dict) and tool.get("type") in _MEMBERS and isinstance(tool.get("name"), str)
    ]
    return tuple(names) if names and len(names) == len(tools) else None


def write_tool_choice(choice: ToolChoice, tools: Sequence[Tool]) -> str | dict[str, Any]:
    """Write `tool_choice`. Raises Unsupported for a choice that another format alone can express."""
    if choice.raw is not None:
        if choice.format != "responses" or not isinstance(choice.raw, dict):
            raise Unsupported("tool_choice is known to its own provider only", param="tool_choice")
        return choice.raw
    if not choice.names:
        return choice.mode
    custom = {tool.name for tool in tools if isinstance(tool, CustomTool)}
    named = [{"type": "custom" if name in custom else "function", "name": name} for name in choice.names]
    if choice.mode == "required" and len(named) == 1:
        return dict(named[0])
    return {"type": "allowed_tools", "mode": choice.mode, "tools": named}


def read_output(text: Mapping[str, Any]) -> JsonOutput | None:
    """Read `text.format`; None for plain text. Raises BadRequest when it is unknown."""
    if text.get("format") is None:
        return None
    try:
        seen = msgspec.convert(text["format"], types.TextFormat)
    except msgspec.ValidationError as error:
        raise BadRequest(f"text.format: {error}", param="text.format", code="invalid_type") from None
    if seen.type == "text":
        return None
    if seen.type == "json_object":
        return JsonOutput()
    if seen.type != "json_schema":
        raise BadRequest(
            "text.format.type must be text, json_object or json_schema", param="text.format.type"
        )
    if seen.schema is None:
        raise BadRequest("text.format.schema is missing", param="text.format.schema")
    return JsonOutput(seen.schema, seen.name or "", seen.description or "", seen.strict)


def write_text(conversation: Conversation) -> dict[str, Any]:
    """Write `text`; empty when nothing was asked for."""
    written: dict[str, Any] = {}
    if conversation.output is not None:
        written["format"] = _write_format(conversation.output)
    if conversation.verbosity:
        written["verbosity"] = conversation.verbosity
    return written


def _write_format(output: JsonOutput) -> dict[str, Any]:
    if output.schema is None:
        return {"type": "json_object"}
    written = {"type": "json_schema", "name": output.name or _SCHEMA_NAME, "schema": output.schema}
    if output.description:
        written["description"] = output.description
    if output.strict is not None:
        written["strict"] = output.strict
    return written


def read_thinking(seen: Mapping[str, Any]) -> Thinking | None:
    """Read `reasoning`; None when it asks for nothing. `generate_summary` is the older name of `summary`."""
    words = [seen.get(name) or "" for name in ("effort", "summary", "generate_summary")]
    for name, word in zip(("effort", "summary", "generate_summary"), words, strict=True):
        if not isinstance(word, str):
            raise BadRequest(
                f"reasoning.{name} must be a string", param=f"reasoning.{name}", code="invalid_type"
            )
    effort, summary = words[0], words[1] or words[2]
    return Thinking(effort, summary=summary) if effort or summary else None


def write_thinking(thinking: Thinking | None) -> dict[str, str]:
    """Write `reasoning`; a budget in tokens becomes the least effort that covers it.

    Summaries are asked for only where thoughts are to be shown: some models refuse that to some accounts.
    """
    if thinking is None:
        return {}
    effort = thinking.effort
    if not effort and thinking.budget_tokens is not None:
        effort = effort_of(thinking.budget_tokens)
    summary = thinking.summary or ("auto" if thinking.visible else "")
    return {name: word for name, word in (("effort", effort), ("summary", summary)) if word}
