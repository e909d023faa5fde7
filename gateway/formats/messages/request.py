"""Requests of the Messages API from and to neutral conversations.

Must not know which model answers: what depends on it is in `thinking.fit_thinking`.
Source: Anthropic API reference, "Messages" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.messages.blocks import OWN, Place
from gateway.formats.messages.content import (
    INNER_MEMBERS,
    decode_blocks,
    encode_call,
    encode_reasoning,
    encode_result,
    encode_text,
    is_object,
    lone_text,
    own_members,
)
from gateway.formats.messages.media import encode_media
from gateway.formats.messages.sampling import encode_sampling
from gateway.formats.messages.thinking import (
    decode_thinking,
    encode_effort,
    encode_thinking,
    lacks_thinking,
    limit_of,
)
from gateway.formats.messages.tools import (
    OFFERED,
    decode_choice,
    decode_tools,
    encode_choice,
    encode_tools,
    forces_a_call,
    offered_members,
)
from gateway.formats.messages.types import (
    Block,
    Message,
    OutputConfig,
    OutputFormat,
    Request,
    ThinkingConfig,
)
from gateway.formats.neutral.conversation import Conversation, JsonOutput, Turn
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from gateway.formats.neutral.reading import read_members
from gateway.formats.neutral.seals import accepts

_MODELLED = frozenset(
    {
        "messages",
        "model",
        "max_tokens",
        "system",
        "stream",
        "temperature",
        "top_p",
        "top_k",
        "stop_sequences",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "metadata",
        "service_tier",
    }
)
"""Members that a neutral conversation has fields for; all others, known or not, are its `extra`."""

_THINKING = frozenset({"enabled", "adaptive", "disabled"})
_TASK_BUDGET = "output_config.task_budget"
_TURN_CONFIG = "messages.output_config"
_INNER = frozenset({_TASK_BUDGET, _TURN_CONFIG, *INNER_MEMBERS, *(f"tools.{name}" for name in OFFERED)})
"""Names in `extra` of members that are not at the top: they are written where they belong."""
_STANDARD = "standard_only"
_TIERS = {"auto": "auto", "default": _STANDARD}
_NOTHING: tuple[Any, ...] = (None, (), [], {})
_INSTRUCTING = frozenset({"system", "developer"})


def decode_request(members: Mapping[str, msgspec.Raw]) -> Conversation:
    """Read the members of a client's body. Raises BadRequest naming the place at fault."""
    try:
        return _decode(read_members(members, Request), members)
    except RecursionError:  # reading without types goes deeper than reading with them
        raise BadRequest("the request body is nested too deeply", code="invalid_json") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the request body is not valid JSON: {error}", code="invalid_json") from None


def _decode(request: Request, members: Mapping[str, msgspec.Raw]) -> Conversation:
    @cache
    def values() -> Any:
        return msgspec.json.decode(msgspec.json.encode(members))

    tools = decode_tools(request.tools or [], Place(values, "tools"))
    choice, parallel = decode_choice(request.tool_choice, Place(values, "tool_choice"))
    output = request.output_config or OutputConfig()
    metadata = dict(request.metadata or {})
    user = metadata.pop("user_id", None)
    thinking = None if _is_foreign(request.thinking) else request.thinking
    turns = tuple(_decode_turns(request, values))
    return Conversation(
        turns=turns,
        stream=bool(request.stream),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        output=_decode_output(output.format or request.output_format),
        thinking=decode_thinking(thinking, output.effort or ""),
        max_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=tuple(request.stop_sequences or ()),
        user=user if isinstance(user, str) else "",
        metadata=metadata or None,
        service_tier="default" if request.service_tier == _STANDARD else request.service_tier or "",
        extra=_decode_extra(request, members) | offered_members(tools) | own_members(turns),
    )


def _is_foreign(config: ThinkingConfig | None) -> bool:
    """Tell whether this is a way to think that no other format can express."""
    return config is not None and config.type not in _THINKING


def _decode_extra(request: Request, members: Mapping[str, msgspec.Raw]) -> dict[str, Any]:
    extra = {
        name: value
        for name, raw in members.items()
        if name not in _MODELLED and (value := msgspec.json.decode(raw)) is not None
    }
    if _is_foreign(request.thinking):
        extra["thinking"] = request.thinking
    if request.output_config and request.output_config.task_budget is not None:
        extra[_TASK_BUDGET] = request.output_config.task_budget
    if any(message.output_config for message in request.messages):
        extra[_TURN_CONFIG] = True
    return extra


def _decode_output(format_: OutputFormat | None) -> JsonOutput | None:
    return None if format_ is None or format_.schema is None else JsonOutput(format_.schema)


def _decode_turns(request: Request, values: Any) -> Iterator[Turn]:
    if request.system:
        yield Turn("system", decode_blocks(request.system, Place(values, "system")))
    for i, message in enumerate(request.messages):
        parts = decode_blocks(message.content, Place(values, "messages", i, "content"))
        if message.role == "user":
            yield from _user_turns(parts)
        else:
            yield Turn(message.role, parts)


def _user_turns(parts: tuple[Part, ...]) -> Iterator[Turn]:
    """Split a user's message where results of tools and the user's own words meet."""
    start = 0
    for end in range(1, len(parts) + 1):
        is_result = isinstance(parts[start], ToolResult)
        if end == len(parts) or isinstance(parts[end], ToolResult) != is_result:
            yield Turn("tool" if is_result else "user", parts[start:end])
            start = end
    if not parts:
        yield Turn("user", ())


def encode_request(conversation: Conversation) -> dict[str, Any]:
    """Write the members of an upstream's body but its `model`.

    What the API refuses together is not sent together: a forced call switches thinking off, and so does,
    with a budget, a last call that was made without thinking; thinking allows only its own way to sample.
    Raises BadRequest for arguments that are no JSON object, Unsupported for what has no name here.
    """
    messages = _encode_messages(conversation.turns)
    if not messages:
        raise Unsupported("the messages format needs a message beside the instructions", param="messages")
    thinking = _thinking_for(conversation, messages)
    members: dict[str, Any] = {
        "system": lone_text(_encode_system(conversation.turns)),
        "messages": messages,
        "max_tokens": limit_of(conversation.max_tokens, thinking),
        "stream": conversation.stream or None,
        "tools": encode_tools(conversation),
        "tool_choice": encode_choice(conversation),
        "thinking": thinking,
        "output_config": _encode_output(conversation),
        "stop_sequences": conversation.stop,
        "metadata": _encode_metadata(conversation),
        "service_tier": _TIERS.get(conversation.service_tier),
        **encode_sampling(conversation, thinking),
        **{name: value for name, value in conversation.extra.items() if name not in _INNER},
    }
    return {name: value for name, value in members.items() if value not in _NOTHING}


def _thinking_for(conversation: Conversation, messages: list[Message]) -> ThinkingConfig | None:
    config = encode_thinking(conversation.thinking, conversation.max_tokens)
    if config is None or config.type == "disabled":
        return config
    if forces_a_call(conversation) or (config.type == "enabled" and lacks_thinking(messages)):
        return None
    return config


def _encode_output(conversation: Conversation) -> OutputConfig | None:
    schema = conversation.output.schema if conversation.output else None
    config = OutputConfig(
        encode_effort(conversation.thinking),
        None if schema is None else OutputFormat("json_schema", schema),
        conversation.extra.get(_TASK_BUDGET),
    )
    return None if config == OutputConfig() else config


def _encode_metadata(conversation: Conversation) -> dict[str, Any]:
    own = conversation.metadata if isinstance(conversation.metadata, dict) else {}
    return {**own, "user_id": conversation.user} if conversation.user else own


def _encode_system(turns: tuple[Turn, ...]) -> list[Block]:
    """Write all instructions, wherever they stood, as the one system prompt, which holds only words."""
    blocks: list[Block] = []
    for i, turn in enumerate(turns):
        for j, part in enumerate(turn.parts if turn.role in _INSTRUCTING else ()):
            if not isinstance(part, Text):
                place = f"messages[{i}].content[{j}]"
                raise Unsupported(f"{place}: instructions hold only text in the messages format", param=place)
            blocks += _encode_words(part)
    return blocks


def _encode_messages(turns: tuple[Turn, ...]) -> list[Message]:
    """Write the turns: neighbours of one role become one message, in which results come first.

    The API wants all results of a message's calls at the beginning of the next one.
    """
    grouped: list[tuple[Any, list[Any]]] = []
    for i, turn in enumerate(turns):
        if turn.role in _INSTRUCTING:
            continue
        role = "assistant" if turn.role == "assistant" else "user"
        blocks = [
            block
            for j, part in enumerate(turn.parts)
            for block in _encode_part(part, f"messages[{i}].content[{j}]")
        ]
        if blocks and grouped and grouped[-1][0] == role:
            grouped[-1][1].extend(blocks)
        elif blocks:
            grouped.append((role, blocks))
    return [Message(role, lone_text(sorted(blocks, key=_is_no_result))) for role, blocks in grouped]


def _is_no_result(block: Any) -> bool:
    return not isinstance(block, Block) or block.type != "tool_result"


def _encode_part(part: Part, place: str) -> list[Any]:
    if isinstance(part, Text | Refusal):
        return _encode_words(part)
    if isinstance(part, Reasoning):
        return _encode_thoughts(part)
    if isinstance(part, Media):
        return [encode_media(part, place)]
    if isinstance(part, ToolResult):
        return [encode_result(part, place)]
    return [_encode_call(part, place) if isinstance(part, ToolCall) else _encode_opaque(part, place)]


def _encode_words(part: Text | Refusal) -> list[Block]:
    """Write words; none for an empty text, which the API refuses."""
    if not part.text:
        return []
    return [encode_text(part) if isinstance(part, Text) else Block("text", text=part.text)]


def _encode_thoughts(part: Reasoning) -> list[Block]:
    """Write thinking that Claude can check to be its own, and nothing else: it would be refused."""
    if not accepts(OWN, part.origin) or not (part.signature or part.encrypted):
        return []
    return encode_reasoning(msgspec.structs.replace(part, origin=OWN))


def _encode_call(part: ToolCall, place: str) -> Block:
    if part.custom:
        raise Unsupported(f"{place}: the messages format has no tools that take free text", param=place)
    if not is_object(part.arguments):
        raise BadRequest(
            f"{place}: the arguments of a tool call must be a JSON object", param=place, code="invalid_json"
        )
    return encode_call(part, part.arguments)


def _encode_opaque(part: Opaque, place: str) -> Any:
    if part.format != OWN:
        raise Unsupported(f"{place}: {part.kind!r} cannot be sent in the messages format", param=place)
    return part.value
