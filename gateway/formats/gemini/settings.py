"""How an answer is to be made, both ways: Google's tools, toolConfig and generationConfig.

Members of generationConfig and toolConfig that nobody else has are kept as `generationConfig.NAME` and
`toolConfig.NAME` among the extras. Efforts of others are written as budgets: each model takes those, levels
only the models since Gemini 3.

Sources: Gemini API reference, "GenerationConfig", "ToolConfig", "FunctionDeclaration"; Gemini API,
"Thinking" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.gemini.schemas import json_schema
from gateway.formats.gemini.types import (
    DeclaredTool,
    FunctionCallingConfig,
    FunctionDeclaration,
    GenerationConfig,
    Message,
    Request,
    SaidOutput,
    SaidThinking,
    ThinkingConfig,
    ToolConfig,
)
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
from gateway.formats.neutral.effort import budget_of

_SAME = {
    "temperature": "temperature",
    "top_p": "top_p",
    "candidate_count": "choices",
    "max_output_tokens": "max_tokens",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "response_logprobs": "logprobs",
    "logprobs": "top_logprobs",
}
"""Members of generationConfig and the fields of a conversation that say the same."""

_MODES = {1: "AUTO", 2: "ANY", 3: "NONE", 4: "VALIDATED"}
_MEANINGS: dict[str, Literal["auto", "none", "required"]] = {
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "auto",
}
_MODALITIES = {1: "TEXT", 2: "IMAGE", 3: "AUDIO"}
_LEVELS = {1: "LOW", 2: "HIGH", 3: "MEDIUM", 4: "MINIMAL"}

_MOST_BUDGET_TOKENS = 24_576
"""The largest budget that each model with budgets takes."""

_AS_IT_LIKES = -1
"""The budget that leaves it to the model."""

JSON = "application/json"
_PLAIN = "text/plain"


def decode_settings(request: Request, members: Mapping[str, Any]) -> dict[str, Any]:
    """Read all but the turns: the fields of a Conversation. `members` are the request's as JSON values."""
    config = request.generation_config or GenerationConfig()
    settings: dict[str, Any] = {
        field: value for name, field in _SAME.items() if (value := getattr(config, name)) is not None
    }
    if config.top_k is not None:
        settings["top_k"] = int(config.top_k)
    settings["stop"] = tuple(config.stop_sequences or ())
    settings["modalities"] = tuple(
        _word(each, _MODALITIES, "generationConfig.responseModalities").lower()
        for each in config.response_modalities or ()
    )
    settings["output"] = _decode_output(config)
    settings["thinking"] = _decode_thinking(config.thinking_config)
    settings["tools"] = tuple(_decode_tools(request, members.get("tools") or []))
    settings["tool_choice"] = _decode_choice(request.tool_config)
    settings["metadata"] = request.labels
    settings["extra"] = dict(_extras(request, members))
    return settings


def _word(value: str | int, numbers: Mapping[int, str], place: str) -> str:
    if isinstance(value, str):
        return value.upper()
    if value not in numbers:
        raise BadRequest(f"{place} has no value of the number {value}", param=place)
    return numbers[value]


def _extras(request: Request, members: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name what only this format has: what is modelled is not among the members that are walked."""
    understood = {"model", "stream", "contents", "systemInstruction", "tools", "labels"}
    for name, value in members.items():
        if name in {"generationConfig", "toolConfig"}:
            known = _names_of(GenerationConfig if name == "generationConfig" else ToolConfig)
            known -= {"retrievalConfig", "includeServerSideToolInvocations"}
            yield from ((f"{name}.{inner}", of) for inner, of in (value or {}).items() if inner not in known)
        elif name not in understood and value is not None:
            yield name, value
    config = request.generation_config
    if config is not None and config.response_mime_type not in {None, JSON, _PLAIN}:
        yield "generationConfig.responseMimeType", config.response_mime_type


def _names_of(kind: type[Message]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(kind)}


def _decode_output(config: GenerationConfig) -> JsonOutput | None:
    if config.response_json_schema is not None:
        return JsonOutput(schema=config.response_json_schema)
    if config.response_schema is not None:
        return SaidOutput(schema=json_schema(config.response_schema), said=config.response_schema)
    return JsonOutput() if config.response_mime_type == JSON else None


def _decode_thinking(config: ThinkingConfig | None) -> Thinking | None:
    if config is None:
        return None
    budget, level = config.thinking_budget, config.thinking_level
    effort = "" if level is None else _word(level, _LEVELS, "generationConfig.thinkingConfig").lower()
    return SaidThinking(
        effort=effort,
        budget_tokens=None if budget is None or budget < 0 else budget,
        adaptive=budget == _AS_IT_LIKES,
        visible=config.include_thoughts,
        said=config,
    )


def _decode_tools(request: Request, members: list[Any]) -> Iterator[Tool]:
    for i, (tool, member) in enumerate(zip(request.tools or [], members, strict=True)):
        for name, value in member.items():
            if name != "functionDeclarations":
                yield OpaqueTool("gemini", name, {name: value})
                continue
            for j, declaration in enumerate(tool.function_declarations or []):
                yield _decode_declaration(declaration, f"tools[{i}].functionDeclarations[{j}]")


def _decode_declaration(said: FunctionDeclaration, place: str) -> FunctionTool:
    if not said.name:
        raise BadRequest(f"{place} has no name", param=f"{place}.name")
    schema = said.parameters_json_schema
    if schema is None:
        schema = json_schema(said.parameters)
    return DeclaredTool(said.name, said.description or "", schema, said=said)


def _decode_choice(config: ToolConfig | None) -> ToolChoice | None:
    calling = config.function_calling_config if config is not None else None
    if calling is None or calling.mode is None:
        return None
    place = "toolConfig.functionCallingConfig.mode"
    mode = _word(calling.mode, _MODES, place)
    if mode not in _MEANINGS:
        raise BadRequest(f"{place} must be one of {', '.join(_MEANINGS)}", param=place)
    choice = ToolChoice(_MEANINGS[mode], tuple(calling.allowed_function_names or ()))
    if _encode_choice(choice) == calling:
        return choice
    return msgspec.structs.replace(choice, format="gemini", raw=msgspec.to_builtins(calling))


def encode_settings(conversation: Conversation) -> Request:
    """Write all but the turns. Raises Unsupported for a tool that Google cannot call."""
    config = GenerationConfig(
        stop_sequences=list(conversation.stop) or None,
        top_k=conversation.top_k,
        response_modalities=[each.upper() for each in conversation.modalities] or None,
        thinking_config=_encode_thinking(conversation.thinking),
    )
    for name, field in _SAME.items():
        setattr(config, name, getattr(conversation, field))
    _set_output(config, conversation.output)
    return Request(
        tools=list(_encode_tools(conversation.tools)) or None,
        tool_config=_encode_tool_config(conversation.tool_choice),
        generation_config=None if config == GenerationConfig() else config,
        labels=conversation.metadata,
    )


def add_extras(members: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Put the members that only this format has back where they were."""
    for name, value in extra.items():
        outer, _, inner = name.partition(".")
        if inner:
            members.setdefault(outer, {})[inner] = value
        else:
            members[name] = value


def _set_output(config: GenerationConfig, output: JsonOutput | None) -> None:
    if output is None:
        return
    config.response_mime_type = JSON
    if isinstance(output, SaidOutput):
        config.response_schema = output.said
    else:
        config.response_json_schema = output.schema


def _encode_thinking(thinking: Thinking | None) -> ThinkingConfig | None:
    if thinking is None:
        return None
    if isinstance(thinking, SaidThinking):
        return thinking.said
    budget = thinking.budget_tokens
    if budget is None:
        budget = budget_of(thinking.effort)
    if budget is None and thinking.adaptive:
        budget = _AS_IT_LIKES
    visible = thinking.visible if thinking.visible is not None else bool(thinking.summary) or None
    config = ThinkingConfig(
        include_thoughts=visible,
        thinking_budget=None if budget is None else min(budget, _MOST_BUDGET_TOKENS),
    )
    return None if config == ThinkingConfig() else config


def _encode_tools(tools: tuple[Tool, ...]) -> Iterator[Any]:
    """Write tools, neighbouring functions together: Vertex takes one list of functions only."""
    functions = list[FunctionDeclaration]()
    for tool in tools:
        if isinstance(tool, FunctionTool):
            functions.append(_encode_function(tool))
            if len(functions) == 1:
                yield {"functionDeclarations": functions}
        elif isinstance(tool, CustomTool) or tool.format != "gemini":
            name = tool.name if isinstance(tool, CustomTool) else tool.kind
            raise Unsupported(f"the tool {name!r} cannot be expressed in the gemini format", param="tools")
        else:
            yield tool.value


def _encode_function(tool: FunctionTool) -> FunctionDeclaration:
    if isinstance(tool, DeclaredTool) and tool.said is not None:
        return tool.said
    return FunctionDeclaration(
        name=tool.name, description=tool.description or None, parameters_json_schema=tool.parameters
    )


def _encode_tool_config(choice: ToolChoice | None) -> Any:
    if choice is None:
        return None
    said = choice.format == "gemini" and choice.raw is not None
    return {"functionCallingConfig": choice.raw if said else _encode_choice(choice)}


def _encode_choice(choice: ToolChoice) -> FunctionCallingConfig:
    names = list(choice.names) or None
    if choice.mode == "none":
        return FunctionCallingConfig(mode="NONE")
    if choice.mode == "required":
        return FunctionCallingConfig(mode="ANY", allowed_function_names=names)
    # Only this mode lets a model choose among some functions and words.
    return FunctionCallingConfig(mode="VALIDATED" if names else "AUTO", allowed_function_names=names)
