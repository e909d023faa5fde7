"""How an answer is to be made, both ways: Google's tools, toolConfig and generationConfig.

Members of generationConfig and toolConfig that nobody else has are kept as `generationConfig.NAME` and
`toolConfig.NAME` among the extras.

Source: Gemini API reference, "GenerationConfig", "ToolConfig", "FunctionDeclaration" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.exchange import Format
from gateway.formats.gemini.names import members_of, word_of_enum
from gateway.formats.gemini.schemas import json_schema
from gateway.formats.gemini.thinking import decode_thinking, encode_thinking
from gateway.formats.gemini.types import (
    DeclaredTool,
    FunctionCallingConfig,
    FunctionDeclaration,
    GenerationConfig,
    Request,
    SaidOutput,
    ToolConfig,
)
from gateway.formats.neutral.conversation import (
    Conversation,
    CustomTool,
    FunctionTool,
    JsonOutput,
    OpaqueTool,
    Tool,
    ToolChoice,
)

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
        word_of_enum(each, _MODALITIES, "generationConfig.responseModalities").lower()
        for each in config.response_modalities or ()
    )
    settings["output"] = _decode_output(config)
    settings["thinking"] = decode_thinking(config.thinking_config)
    settings["tools"] = tuple(_decode_tools(request, members.get("tools") or []))
    calling = request.tool_config.function_calling_config if request.tool_config else None
    settings["tool_choice"] = _decode_choice(calling)
    settings["spelling"] = _spelling(calling, settings["tool_choice"])
    settings["metadata"] = request.labels
    settings["extra"] = dict(_extras(request, members))
    return settings


_NESTED = frozenset({"generationConfig", "toolConfig"})
"""The members whose own unknown members are extras, by names like `generationConfig.NAME`."""


def _extras(request: Request, members: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name what only this format has: what is modelled is not among the members that are walked."""
    understood = {"model", "stream", "contents", "systemInstruction", "tools", "labels"}
    for name, value in members.items():
        if name in _NESTED:
            known = members_of(GenerationConfig if name == "generationConfig" else ToolConfig)
            known -= {"retrievalConfig", "includeServerSideToolInvocations"}
            yield from ((f"{name}.{inner}", of) for inner, of in (value or {}).items() if inner not in known)
        elif name not in understood and value is not None:
            yield name, value
    config = request.generation_config
    if config is not None and config.response_mime_type not in {None, JSON, _PLAIN}:
        yield "generationConfig.responseMimeType", config.response_mime_type


def _decode_output(config: GenerationConfig) -> JsonOutput | None:
    if config.response_json_schema is not None:
        return JsonOutput(schema=config.response_json_schema)
    if config.response_schema is not None:
        return SaidOutput(schema=json_schema(config.response_schema), said=config.response_schema)
    return JsonOutput() if config.response_mime_type == JSON else None


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


def _decode_choice(calling: FunctionCallingConfig | None) -> ToolChoice | None:
    if calling is None or calling.mode is None:
        return None
    place = "toolConfig.functionCallingConfig.mode"
    mode = word_of_enum(calling.mode, _MODES, place)
    if mode not in _MEANINGS:
        raise BadRequest(f"{place} must be one of {', '.join(_MEANINGS)}", param=place)
    choice = ToolChoice(_MEANINGS[mode], tuple(calling.allowed_function_names or ()))
    if _encode_choice(choice).mode == mode and not calling.stream_function_call_arguments:
        return choice
    return msgspec.structs.replace(choice, format="gemini", raw=msgspec.to_builtins(calling))


def _spelling(calling: FunctionCallingConfig | None, choice: ToolChoice | None) -> dict[Format, Any]:
    """Keep a choice that is said in another way than ours: in numbers, with an empty list of names."""
    if choice is None or choice.raw is not None or _encode_choice(choice) == calling:
        return {}
    return {"gemini": {"functionCallingConfig": calling}}


def encode_settings(conversation: Conversation) -> Request:
    """Write all but the turns. Raises Unsupported for a tool that Google cannot call."""
    config = GenerationConfig(
        stop_sequences=list(conversation.stop) or None,
        top_k=conversation.top_k,
        response_modalities=[each.upper() for each in conversation.modalities] or None,
        thinking_config=encode_thinking(conversation.thinking),
    )
    for name, field in _SAME.items():
        setattr(config, name, getattr(conversation, field))
    if not config.response_logprobs:  # Google turns their number away where they are not wanted
        config.logprobs = None
    _set_output(config, conversation.output)
    return Request(
        tools=list(_encode_tools(conversation.tools)) or None,
        tool_config=_encode_tool_config(conversation),
        generation_config=None if config == GenerationConfig() else config,
        labels=conversation.metadata,
    )


def add_extras(members: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Put the members that only this format has back where they were."""
    for name, value in extra.items():
        outer, _, inner = name.partition(".")
        if outer in _NESTED and inner:
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


def _encode_tool_config(conversation: Conversation) -> Any:
    choice = conversation.tool_choice
    if choice is None:
        return None
    if choice.format == "gemini" and choice.raw is not None:
        return {"functionCallingConfig": choice.raw}
    spelled = conversation.spelling.get("gemini", {}).get("functionCallingConfig")
    said = spelled if _decode_choice(spelled) == choice else _encode_choice(choice)
    return {"functionCallingConfig": said}


def _encode_choice(choice: ToolChoice) -> FunctionCallingConfig:
    names = list(choice.names) or None
    if choice.mode == "none":
        return FunctionCallingConfig(mode="NONE")
    if choice.mode == "required":
        return FunctionCallingConfig(mode="ANY", allowed_function_names=names)
    # Only this mode lets a model choose among some functions and words.
    return FunctionCallingConfig(mode="VALIDATED" if names else "AUTO", allowed_function_names=names)
