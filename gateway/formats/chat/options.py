"""What a request asks for beside its messages: tools, limits, sampling, thinking; in both directions.

Members that mean the same stand in one group (`_WAYS`), the current one of OpenAI's reference first.
Source: OpenAI API reference, "Create chat completion"; Mistral API reference, "Chat"; OpenRouter,
"Reasoning tokens"; Anthropic, "OpenAI SDK compatibility"; Z.ai, "Thinking mode" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.chat.content import read_cache, write_cache
from gateway.formats.chat.types import Declared, Request
from gateway.formats.chat.types import Tool as WireTool
from gateway.formats.chat.types import ToolChoice as WireChoice
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

_SAME_NAME = (
    "parallel_tool_calls",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "audio",
    "metadata",
    "store",
)
"""Members that a Conversation has under the same name, with None for what is not said."""

_TEXTS = {
    "verbosity": "verbosity",
    "user": "user",
    "service_tier": "service_tier",
    "prompt_cache_key": "cache_key",
}
"""Members that are a text, by the Conversation's name for them."""

_WAYS: Mapping[str, tuple[str, ...]] = {
    "max_tokens": ("max_completion_tokens", "max_tokens"),
    "seed": ("seed", "random_seed"),
    "stop": ("stop",),
    "tools": ("tools", "functions"),
    "tool_choice": ("tool_choice", "function_call"),
    "thinking": ("reasoning_effort", "reasoning", "enable_thinking", "thinking"),
    "output": ("response_format",),
}
"""The members that say a field of the Conversation."""

_MODES: Mapping[str, Literal["auto", "none", "required"]] = {
    "auto": "auto",
    "none": "none",
    "required": "required",
    "any": "required",
}
"""The words for a choice of tools; "any" is Mistral's."""

_EFFORTS = {"max": "xhigh"}
"""Efforts that others offer and chat completions do not."""


ValueOf = Callable[[str], Any]
"""Gives the JSON value of a member, all of it."""


def read_options(wire: Request, value_of: ValueOf) -> dict[str, Any]:
    """Read the fields of a Conversation that are neither its turns nor members of single hosts.

    Raises BadRequest or Unsupported naming the place at fault.
    """
    fields = {name: value for name in _SAME_NAME if (value := getattr(wire, name)) is not None}
    fields |= {field: value for name, field in _TEXTS.items() if (value := getattr(wire, name))}
    if wire.n is not None:
        fields["choices"] = wire.n
    if wire.modalities:
        fields["modalities"] = tuple(wire.modalities)
    fields |= {field: read(wire, value_of) for field, read in _READERS.items()}
    if spelled := _spelled(wire, fields, value_of):
        fields["spelling"] = {"chat": spelled}
    return fields


def write_options(conversation: Conversation) -> dict[str, Any]:
    """Write what `read_options` reads, in the way it was put before where that still says the same."""
    members = {name: value for name in _SAME_NAME if (value := getattr(conversation, name)) is not None}
    members |= {name: value for name, field in _TEXTS.items() if (value := getattr(conversation, field))}
    if conversation.choices is not None:
        members["n"] = conversation.choices
    if conversation.modalities:
        members["modalities"] = list(conversation.modalities)
    members |= _current(conversation)
    spelled = conversation.spelling.get("chat", {})
    for field, names in _WAYS.items():
        said = {name: spelled[name] for name in names if name in spelled}
        if said and _meaning(said, field) == getattr(conversation, field):
            members = {name: value for name, value in members.items() if name not in names} | said
    return members


def _spelled(wire: Request, fields: Mapping[str, Any], value_of: ValueOf) -> dict[str, Any]:
    """Return the members of each field that is put in another way than it would be written."""
    written = _current(Conversation((), **{field: fields[field] for field in _WAYS}))
    spelled: dict[str, Any] = {}
    for names in _WAYS.values():
        said = {name: value_of(name) for name in names if getattr(wire, name) is not None}
        if said != {name: written[name] for name in names if name in written}:
            spelled |= said
    return spelled


def _meaning(said: dict[str, Any], field: str) -> Any:
    return _READERS[field](msgspec.convert(said, Request), said.__getitem__)


def _current(conversation: Conversation) -> dict[str, Any]:
    """Write the fields that there are several ways for in OpenAI's current way."""
    members = {
        "max_completion_tokens": conversation.max_tokens,
        "seed": conversation.seed,
        "stop": list(conversation.stop) or None,
        "tools": [_write_tool(tool) for tool in conversation.tools] or None,
        "tool_choice": _write_choice(conversation.tool_choice, conversation.tools),
        "reasoning_effort": _write_effort(conversation.thinking),
        "response_format": _write_output(conversation.output),
    }
    return {name: value for name, value in members.items() if value is not None}


def _read_limit(wire: Request, _: ValueOf) -> int | None:
    return wire.max_tokens if wire.max_completion_tokens is None else wire.max_completion_tokens


def _read_seed(wire: Request, _: ValueOf) -> int | None:
    return wire.random_seed if wire.seed is None else wire.seed


def _read_stop(wire: Request, _: ValueOf) -> tuple[str, ...]:
    return (wire.stop,) if isinstance(wire.stop, str) else tuple(wire.stop or ())


_DECLARED = frozenset({"", "function", "custom"})
"""Types of tools that have to say more of themselves; others are the provider's own."""


def _read_tools(wire: Request, value_of: ValueOf) -> tuple[Tool, ...]:
    tools: list[Tool] = []
    values: Any = None
    for i, tool in enumerate(wire.tools or ()):
        if tool.function is not None:
            tools.append(_function(tool.function, tool))
        elif tool.custom is not None:
            tools.append(CustomTool(tool.custom.name, tool.custom.description or "", tool.custom.format))
        elif tool.type in _DECLARED:
            missing = tool.type or "type"
            raise BadRequest(f"tools[{i}].{missing} is missing", param=f"tools[{i}].{missing}")
        else:
            values = value_of("tools") if values is None else values
            tools.append(OpaqueTool("chat", tool.type, values[i]))
    tools += [_function(function, None) for function in wire.functions or ()]
    return tuple(tools)


def _function(function: Declared, tool: WireTool | None) -> FunctionTool:
    cache = read_cache(tool.cache_control) if tool is not None else ""
    return FunctionTool(
        function.name, function.description or "", function.parameters, function.strict, cache
    )


def _write_tool(tool: Tool) -> Any:
    if isinstance(tool, OpaqueTool):
        if tool.format != "chat":
            raise Unsupported(f"the tool {tool.kind!r} cannot be named in a chat completion", param="tools")
        return tool.value
    described = {"description": tool.description} if tool.description else {}
    if isinstance(tool, CustomTool):
        grammar = {"format": tool.grammar} if tool.grammar is not None else {}
        return {"type": "custom", "custom": {"name": tool.name, **described, **grammar}}
    parameters = {"parameters": tool.parameters} if tool.parameters is not None else {}
    strict = {"strict": tool.strict} if tool.strict is not None else {}
    function = {"name": tool.name, **described, **parameters, **strict}
    return {"type": "function", "function": function, **write_cache(tool.cache)}


def _read_choice(wire: Request, value_of: ValueOf) -> ToolChoice | None:
    choice = wire.tool_choice
    if choice is None:
        return _read_legacy_choice(wire.function_call)
    if isinstance(choice, str):
        return ToolChoice(_mode(choice, "tool_choice"))
    if (named := choice.function or choice.custom) is not None:
        return ToolChoice("required", (named.name,))
    if (allowed := choice.allowed_tools) is not None:
        return ToolChoice(_mode(allowed.mode, "tool_choice.allowed_tools.mode"), _allowed(allowed.tools))
    return ToolChoice("required", format="chat", raw=value_of("tool_choice"))


def _read_legacy_choice(choice: str | Declared | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        return ToolChoice(_mode(choice, "function_call"))
    return ToolChoice("required", (choice.name,))


def _mode(word: str, where: str) -> Literal["auto", "none", "required"]:
    if word not in _MODES:
        raise BadRequest(f"{where} must be one of {', '.join(_MODES)}, or name a tool", param=where)
    return _MODES[word]


def _allowed(tools: Sequence[WireChoice]) -> tuple[str, ...]:
    return tuple(named.name for tool in tools if (named := tool.function or tool.custom) is not None)


def _write_choice(choice: ToolChoice | None, tools: Sequence[Tool]) -> Any:
    if choice is None:
        return None
    if choice.format == "chat":
        return choice.raw
    if choice.format:
        raise Unsupported("this choice of a tool cannot be named in a chat completion", param="tool_choice")
    if not choice.names:
        return choice.mode
    custom = {tool.name for tool in tools if isinstance(tool, CustomTool)}
    kinds = {name: "custom" if name in custom else "function" for name in choice.names}
    named = [{"type": kind, kind: {"name": name}} for name, kind in kinds.items()]
    if choice.mode == "required" and len(named) == 1:
        return named[0]
    if choice.mode == "none":
        return "none"
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": named}}


def _read_thinking(wire: Request, _: ValueOf) -> Thinking | None:
    option, switch = wire.reasoning, wire.thinking
    if wire.reasoning_effort is None and option is None and wire.enable_thinking is None and switch is None:
        return None
    effort = wire.reasoning_effort or (option and option.effort) or ""
    budget = switch.budget_tokens if switch is not None else None
    if option is not None and option.max_tokens is not None:
        budget = option.max_tokens
    switches = (option and option.enabled, wire.enable_thinking, switch and switch.type != "disabled")
    if False in switches and not effort:
        effort = "none"
    return Thinking(
        effort,
        budget,
        adaptive=True in switches and not effort and budget is None,
        summary=(option and option.summary) or "",
        visible=None if option is None or option.exclude is None else not option.exclude,
    )


def _write_effort(thinking: Thinking | None) -> str | None:
    if thinking is None:
        return None
    if thinking.effort:
        return _EFFORTS.get(thinking.effort, thinking.effort)
    return None if thinking.budget_tokens is None else effort_of(thinking.budget_tokens)


def _read_output(wire: Request, _: ValueOf) -> JsonOutput | None:
    wanted = wire.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return JsonOutput(wanted.schema)
    if wanted.type != "json_schema":
        raise Unsupported(f"response_format {wanted.type[:50]!r} is unknown", param="response_format.type")
    if (of := wanted.json_schema) is None:
        raise BadRequest("response_format.json_schema is missing", param="response_format.json_schema")
    schema = {} if of.schema is None else of.schema
    return JsonOutput(schema, of.name or "", of.description or "", of.strict)


def _write_output(output: JsonOutput | None) -> Any:
    if output is None:
        return None
    if output.schema is None:
        return {"type": "json_object"}
    schema = {"name": output.name or "answer", "schema": output.schema}
    if output.description:
        schema["description"] = output.description
    if output.strict is not None:
        schema["strict"] = output.strict
    return {"type": "json_schema", "json_schema": schema}


_READERS: Mapping[str, Callable[[Request, ValueOf], Any]] = {
    "max_tokens": _read_limit,
    "seed": _read_seed,
    "stop": _read_stop,
    "tools": _read_tools,
    "tool_choice": _read_choice,
    "thinking": _read_thinking,
    "output": _read_output,
}
