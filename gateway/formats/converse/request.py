"""Requests in Amazon Bedrock's Converse format, to and from the neutral conversation.

Must not know which model is asked: its name stands in the URL. Where models differ, what is written is
what Claude takes; `models.fit_to_model` makes of it what others take.

What Converse demands of messages is seen to: roles alternate, so turns of the same side become one
message; results of tools are the user's; what is refused is left out: text that is blank, and a message of
nothing but thoughts.
Source: Amazon Bedrock API reference, Converse (checked 2026-11); recorded traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.converse import types
from gateway.formats.converse.content import (
    OWN,
    Unread,
    decode_parts,
    encode_mark,
    encode_reasoning,
    encode_text,
)
from gateway.formats.converse.media import MediaWriter
from gateway.formats.converse.tools import decode_tool_choice, decode_tools, encode_tool_config
from gateway.formats.messages.thinking import decode_thinking, encode_effort, encode_thinking
from gateway.formats.messages.types import ThinkingConfig
from gateway.formats.neutral.conversation import Conversation, JsonOutput, Role, Thinking, Turn
from gateway.formats.neutral.parts import (
    CacheMark,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from gateway.formats.neutral.reading import read_members, read_request
from gateway.formats.neutral.seals import accepts

_READ = frozenset(
    {
        *("messages", "system", "inferenceConfig", "toolConfig", "outputConfig", "requestMetadata"),
        *("serviceTier", "additionalModelRequestFields", "model", "modelId", "stream"),
    }
)
"""The members with a place in the conversation, or in the URL; all others are kept as they are."""
_ROLES: Mapping[str, Role] = {"user": "user", "assistant": "assistant", "system": "system"}
_INSTRUCTIONS = frozenset({"system", "developer"})
_TIERS = frozenset({"priority", "default", "flex", "reserved"})
_HOTTEST = 1.0
"""The scale of temperatures ends here for every model; that of other formats at 2."""
_NOTHING: dict[str, Any] = {"json": {}}
"""The result of a tool that gave nothing: Converse wants a block, and refuses blank text."""


def decode_request(members: Mapping[str, msgspec.Raw]) -> Conversation:
    """Read a request's members. Raises BadRequest naming the place at fault."""
    request = read_members(members, types.Request)
    extra = {name: _again(members, name) for name in members if name not in _READ}
    thinking = _decode_thinking(request, extra)
    inference = request.inference_config or types.InferenceConfig()
    config = request.tool_config or types.ToolConfig()
    return Conversation(
        turns=tuple(_turns(request, members)),
        tools=decode_tools(config, Unread(lambda: _again(members, "toolConfig"))),
        tool_choice=decode_tool_choice(config.tool_choice) if config.tool_choice else None,
        output=_decode_output(request.output_config),
        thinking=thinking,
        max_tokens=inference.max_tokens,
        temperature=inference.temperature,
        top_p=inference.top_p,
        stop=tuple(inference.stop_sequences),
        metadata=request.request_metadata,
        service_tier=request.service_tier.type if request.service_tier else "",
        extra=extra,
    )


def _again(members: Mapping[str, msgspec.Raw], name: str) -> Any:
    return read_request(bytes(members[name]), Any)


def _turns(request: types.Request, members: Mapping[str, msgspec.Raw]) -> Iterator[Turn]:
    if request.system:
        unread = Unread(lambda: _again(members, "system"))
        yield Turn("system", tuple(decode_parts(request.system, unread)))
    unread = Unread(lambda: _again(members, "messages"))
    for index, message in enumerate(request.messages):
        role = _ROLES.get(message.role)
        if role is None:
            place = f"messages[{index}].role"
            raise BadRequest(f"{place} must be one of {', '.join(_ROLES)}", param=place)
        generated = role == "assistant"
        parts = decode_parts(message.content, unread, index, "content", generated=generated)
        yield from _sides(parts) if role == "user" else (Turn(role, tuple(parts)),)


def _sides(parts: list[Part]) -> Iterator[Turn]:
    """Split a user's message into what the user says and what tools gave back."""
    begin = 0
    for end in range(1, len(parts) + 1):
        is_result = isinstance(parts[begin], ToolResult)
        if end == len(parts) or isinstance(parts[end], ToolResult) != is_result:
            yield Turn("tool" if is_result else "user", tuple(parts[begin:end]))
            begin = end


def _decode_thinking(request: types.Request, extra: dict[str, Any]) -> Thinking | None:
    """Read how much to think; what else is asked of the model beyond the API goes into `extra`."""
    asked = request.additional_model_request_fields
    rest = dict(asked) if isinstance(asked, dict) else {}
    config = _thinking_config(rest.get("thinking"))
    if config is not None:
        del rest["thinking"]
    if rest:
        extra["additionalModelRequestFields"] = rest
    effort = request.output_config.effort if request.output_config else ""
    if config is None and effort:
        extra["outputConfig"] = {"effort": effort}
    return decode_thinking(config, effort) if config else None


def _thinking_config(value: Any) -> ThinkingConfig | None:
    """Read Claude's own words; None for those that say more, or less, than is understood."""
    try:
        config = msgspec.convert(value, ThinkingConfig)
    except msgspec.ValidationError:
        return None
    is_known = config.type in {"adaptive", "disabled"} or (config.type == "enabled" and config.budget_tokens)
    return config if is_known and msgspec.to_builtins(config) == value else None


def _decode_output(config: types.OutputConfig | None) -> JsonOutput | None:
    structure = config.text_format.structure if config and config.text_format else None
    told = structure.json_schema if structure else None
    if told is None:
        return None
    place = "outputConfig.textFormat.structure.jsonSchema.schema"
    try:
        schema = msgspec.json.decode(told.schema)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"{place} is not valid JSON: {error}", param=place, code="invalid_json") from None
    return JsonOutput(schema, told.name, told.description)


def encode_request(conversation: Conversation) -> dict[str, Any]:
    """Write the members of a request but its model. Raises BadRequest or Unsupported with their place."""
    messages = _messages(conversation.turns)
    if not messages:
        raise BadRequest("there is no message to answer", param="messages")
    fields, output = _encode_thinking(conversation)
    if conversation.output is not None:
        output["textFormat"] = _encode_output(conversation.output)
    kept = dict(conversation.extra)
    fields |= kept.pop("additionalModelRequestFields", {})
    output |= kept.pop("outputConfig", {})
    members: dict[str, Any] = {
        "messages": messages,
        "system": _system(conversation.turns),
        "inferenceConfig": _inference(conversation),
        "toolConfig": encode_tool_config(conversation),
        "outputConfig": output,
        "additionalModelRequestFields": fields,
        "requestMetadata": conversation.metadata,
    }
    if conversation.service_tier in _TIERS:
        members["serviceTier"] = {"type": conversation.service_tier}
    return {name: value for name, value in members.items() if value} | kept


def _messages(turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    writer = _Writer()
    written = (
        {
            "role": "assistant" if turn.role == "assistant" else "user",
            "content": writer.blocks(turn.parts, f"messages[{index}]"),
        }
        for index, turn in enumerate(turns)
        if turn.role not in _INSTRUCTIONS
    )
    messages = _alternating(message for message in written if message["content"])
    return _alternating(message for message in messages if not _is_thought(message["content"]))


def _is_thought(content: list[dict[str, Any]]) -> bool:
    return all("reasoningContent" in block for block in content)


def _alternating(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put neighbours of the same role together."""
    merged: list[dict[str, Any]] = []
    for message in messages:
        if merged and merged[-1]["role"] == message["role"]:
            merged[-1]["content"] += message["content"]
        else:
            merged.append(message)
    return merged


def _system(turns: tuple[Turn, ...]) -> list[dict[str, Any]]:
    """Write all instructions: Converse has them before the messages, wherever they stood."""
    blocks: list[dict[str, Any]] = []
    writer = _Writer()
    for index, turn in enumerate(turns):
        if turn.role in _INSTRUCTIONS:
            place = f"messages[{index}]"
            if any(not isinstance(part, Text | Opaque) for part in turn.parts):
                raise Unsupported("this model takes instructions as text only", param=place)
            blocks += writer.blocks(turn.parts, place)
    return blocks


def _inference(conversation: Conversation) -> dict[str, Any]:
    heat = conversation.temperature
    told = {
        "maxTokens": conversation.max_tokens,
        "temperature": None if heat is None else min(heat, _HOTTEST),
        "topP": conversation.top_p,
        "stopSequences": list(conversation.stop) or None,
    }
    return {name: value for name, value in told.items() if value is not None}


def _encode_thinking(conversation: Conversation) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write how much to think, as model fields and as members of `outputConfig`."""
    config = encode_thinking(conversation.thinking, conversation.max_tokens)
    effort = encode_effort(conversation.thinking)
    fields = {"thinking": msgspec.to_builtins(config)} if config else {}
    return fields, {"effort": effort} if effort else {}


def _encode_output(output: JsonOutput) -> dict[str, Any]:
    if output.schema is None:
        raise Unsupported("this model gives JSON only of a schema", param="response_format")
    # One line with spaces, as most clients write it: one and the same schema is compiled once by Bedrock.
    schema = msgspec.json.format(msgspec.json.encode(output.schema), indent=0).decode()
    told = {"schema": schema, "name": output.name, "description": output.description}
    return {
        "type": "json_schema",
        "structure": {"jsonSchema": {name: value for name, value in told.items() if value}},
    }


class _Writer:
    """Writes the parts of one request as blocks."""

    def __init__(self) -> None:
        self._media = MediaWriter()

    def blocks(self, parts: tuple[Part, ...], place: str) -> list[dict[str, Any]]:
        """Write a turn's parts, with the cache points that follow them."""
        blocks: list[dict[str, Any]] = []
        for index, part in enumerate(parts):
            blocks += self._blocks_of(part, f"{place}.content[{index}]")
            cache: CacheMark = getattr(part, "cache", "")
            if cache and blocks:
                blocks.append(encode_mark(cache))
        return blocks

    def _blocks_of(self, part: Part, place: str) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = []
        match part:
            case Text():
                blocks = _text(part)
            case Refusal():
                blocks = _text(Text(part.text))
            case Media():
                blocks = [self._media.encode(part, place)]
            case ToolCall():
                blocks = [_tool_use(part, place)]
            case ToolResult():
                blocks = [self._tool_result(part, place)]
            case Reasoning() if accepts(OWN, part.origin):
                blocks = encode_reasoning(part, str)
            case Opaque():
                blocks = [_opaque(part, place)]
        return blocks

    def _tool_result(self, part: ToolResult, place: str) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        for inner in part.parts:
            if isinstance(inner, Media) and inner.kind == "audio":
                raise Unsupported("this model takes no sound as the result of a tool", param=place)
            if isinstance(inner, Text) and part.json:
                content.append(_json_piece(inner.text))
            else:
                content += self._blocks_of(inner, place)
        status = {"status": "error"} if part.is_error else {}
        return {"toolResult": {"toolUseId": part.call_id, "content": content or [_NOTHING], **status}}


def _text(part: Text) -> list[dict[str, Any]]:
    """Write text; citations by others are left out: of no use to a model, and refused by some."""
    citations = [citation for citation in part.citations if citation.origin == OWN]
    return [encode_text(part.text, citations)] if citations or part.text.strip() else []


def _tool_use(part: ToolCall, place: str) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(part.arguments) if part.arguments.strip() else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(
            f"the arguments of the call {part.id!r} are not JSON: {error}", param=place
        ) from None
    if not isinstance(value, dict):
        raise BadRequest(f"the arguments of the call {part.id!r} are not a JSON object", param=place)
    return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": value}}


def _json_piece(text: str) -> dict[str, Any]:
    """Write a result as the JSON object it is, as text when it is anything else."""
    try:
        return {"json": msgspec.json.decode(text, type=dict[str, Any])}
    except (msgspec.DecodeError, RecursionError):
        return {"text": text}


def _opaque(part: Opaque, place: str) -> dict[str, Any]:
    if part.format != OWN or not isinstance(part.value, dict):
        raise Unsupported(f"{part.kind!r} cannot be sent to this model", param=place)
    return part.value
