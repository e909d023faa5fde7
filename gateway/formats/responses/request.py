"""Requests of the Responses API into conversations and back.

The items of one speaker in a row become one turn; its `raw` is a Layout, by which the same items can be
written again. The gateway keeps no answers: what a request says of stored ones stays in `extra`.

Must not know backends or HTTP. Source: as in `types`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.neutral.conversation import Conversation, Role, Thinking, Turn
from gateway.formats.neutral.parts import Opaque, Part, Reasoning, Text, ToolCall
from gateway.formats.neutral.reading import read_members
from gateway.formats.neutral.seals import accepts
from gateway.formats.responses import options
from gateway.formats.responses.items import (
    TEXT_KINDS,
    framed,
    read_item,
    write_contents,
    write_framed,
    write_item,
)
from gateway.formats.responses.types import Frame, Layout, Request

_ENCRYPTED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"

_CARRIED = frozenset(
    {
        *("model", "input", "instructions", "stream", "store", "max_output_tokens", "temperature", "top_p"),
        *("top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "user", "service_tier"),
        *("prompt_cache_key", "metadata", "reasoning", "text"),
    }
)
_CARRIED_INSIDE = {
    "reasoning": frozenset({"effort", "summary", "generate_summary"}),
    "text": frozenset({"format", "verbosity"}),
}
_ANYWAY = {"background": False, "truncation": "disabled"}
"""Members that ask, with this value, for what happens anyway."""

_MERGED: frozenset[Role] = frozenset({"assistant", "tool"})
_NAMES = {
    "max_tokens": "max_output_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_logprobs": "top_logprobs",
    "parallel_tool_calls": "parallel_tool_calls",
    "user": "user",
    "metadata": "metadata",
    "service_tier": "service_tier",
    "cache_key": "prompt_cache_key",
}
"""The fields of a conversation that are members of a request under these names."""


def decode_request(members: Mapping[str, msgspec.Raw]) -> Conversation:
    """Read the members of a body. Raises BadRequest naming the place at fault."""
    request = read_members(members, Request)
    rest = {name: member for name, member in members.items() if name not in _CARRIED}
    extra = {name: value for name, value in read_members(rest, dict[str, Any]).items() if value is not None}
    spelled = {name: extra.pop(name) for name, value in _ANYWAY.items() if extra.get(name) == value}
    # Encrypted reasoning comes with every answer here, so to ask for it is nothing that could be lost.
    include = request.include or []
    if set(include) <= {_LOGPROBS, _ENCRYPTED}:
        extra.pop("include", None)
    spelled |= {"include": include} if include else {}
    text, reasoning = request.text or {}, request.reasoning or {}
    extra |= _rest_inside("text", text) | _rest_inside("reasoning", reasoning)
    verbosity = text.get("verbosity") or ""
    if not isinstance(verbosity, str):
        raise BadRequest("text.verbosity must be a string", param="text.verbosity", code="invalid_type")
    return Conversation(
        turns=(*_read_instructions(request.instructions), *read_input(request.input)),
        stream=bool(request.stream),
        tools=options.read_tools(request.tools),
        tool_choice=options.read_tool_choice(request.tool_choice),
        parallel_tool_calls=request.parallel_tool_calls,
        output=options.read_output(text),
        thinking=options.read_thinking(reasoning),
        max_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        logprobs=True if _LOGPROBS in include or request.top_logprobs else None,
        top_logprobs=request.top_logprobs,
        verbosity=verbosity,
        user=request.user or "",
        metadata=request.metadata,
        service_tier=request.service_tier or "",
        cache_key=request.prompt_cache_key or "",
        store=request.store,
        extra=extra,
        spelling={"responses": spelled} if spelled else {},
    )


def _rest_inside(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    carried = _CARRIED_INSIDE[name]
    return {
        f"{name}.{key}": member for key, member in value.items() if key not in carried and member is not None
    }


def _read_instructions(instructions: str | None) -> list[Turn]:
    if not instructions:
        return []
    return [Turn("system", (Text(instructions),), raw=Layout((Frame(1, {}, whole="instructions"),)))]


def read_input(seen: str | list[Any] | None) -> list[Turn]:
    """Read `input`. Raises BadRequest naming the item at fault."""
    if isinstance(seen, str):
        return [Turn("user", (Text(seen),), raw=Layout((Frame(1, {}, whole="input"),)))]
    turns: list[tuple[Role, list[Part], list[Frame]]] = []
    for i, value in enumerate(seen or ()):
        place = f"input[{i}]"
        try:
            role, parts, frame = read_item(value, place)
        except msgspec.ValidationError as error:
            raise BadRequest(f"{place}: {error}", param=place, code="invalid_type") from None
        if not (turns and role in _MERGED and turns[-1][0] == role):
            turns.append((role, [], []))
        turns[-1][1].extend(parts)
        turns[-1][2].append(frame)
    return [Turn(role, tuple(parts), raw=Layout(tuple(frames))) for role, parts, frames in turns]


LEAST_OUTPUT_TOKENS = 16


def encode_request(conversation: Conversation) -> dict[str, Any]:
    """Write the members of a body but its `model`. Raises Unsupported for what cannot be said.

    A conversation of another format is not to be kept by the provider, unless it says so. Where thinking
    is asked for or came along, encrypted reasoning is asked for, so that it survives to the next turn:
    models that do not reason refuse to be asked for it.
    """
    own = any(isinstance(turn.raw, Layout) for turn in conversation.turns)
    limit = conversation.max_tokens
    if not own and limit is not None and limit < LEAST_OUTPUT_TOKENS:
        told = f"OpenAI's Responses API takes no limit below {LEAST_OUTPUT_TOKENS} tokens"
        raise Unsupported(told, param="max_tokens")
    members = encode_options(conversation, own=own)
    spelled = conversation.spelling.get("responses", {}) if own else {}
    members |= {name: value for name, value in spelled.items() if name in _ANYWAY}
    include = list(spelled.get("include", ()))
    if not conversation.logprobs and _LOGPROBS in include:
        include.remove(_LOGPROBS)
    if not own:
        members["store"] = bool(conversation.store)
        if _may_think(conversation.thinking) or any(map(_has_reasoning, conversation.turns)):
            include.append(_ENCRYPTED)
        if conversation.logprobs:
            include.append(_LOGPROBS)
    if include:
        members["include"] = include
    if conversation.stream:
        members["stream"] = True
    return members | _write_turns(conversation.turns)


def _may_think(thinking: Thinking | None) -> bool:
    return thinking is not None and options.write_thinking(thinking).get("effort") != "none"


def _has_reasoning(turn: Turn) -> bool:
    return any(isinstance(part, Reasoning) and accepts("responses", part.origin) for part in turn.parts)


def encode_options(conversation: Conversation, *, own: bool) -> dict[str, Any]:
    """Write all members but the items and what belongs to them: an answer repeats these.

    `own` tells that the conversation came in this format.
    """
    members: dict[str, Any] = {}
    for field, name in _NAMES.items():
        value = getattr(conversation, field)
        if value is not None and value != "":
            members[name] = value
    if conversation.tools:
        members["tools"] = options.write_tools(conversation.tools, own=own)
    if conversation.tool_choice is not None:
        members["tool_choice"] = options.write_tool_choice(conversation.tool_choice, conversation.tools)
    text, reasoning = options.write_text(conversation), options.write_thinking(conversation.thinking)
    if own:
        if conversation.store is not None:
            members["store"] = conversation.store
        inside: dict[str, dict[str, Any]] = {"text": text, "reasoning": dict(reasoning)}
        for name, value in conversation.extra.items():
            outer, _, inner = name.partition(".")
            inside.get(outer, members)[inner or name] = value
        text, reasoning = inside["text"], inside["reasoning"]
    return members | ({"text": text} if text else {}) | ({"reasoning": reasoning} if reasoning else {})


def _write_turns(turns: Sequence[Turn]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    items: list[dict[str, Any]] = []
    for turn in turns:
        known = framed(turn.parts, turn.raw)
        if known is None:
            items += _write_turn(turn)
            continue
        for frame, parts in known:
            if frame.whole and isinstance(parts[0], Text):
                members[frame.whole] = parts[0].text
            elif not (parts and _is_foreign(parts[0])):
                items.append(write_framed(frame, parts))
    if "input" not in members or items:
        members["input"] = items
    return members


def _is_foreign(part: Part) -> bool:
    """Tell whether it is reasoning that an upstream of this format cannot use."""
    if not isinstance(part, Reasoning):
        return False
    return not accepts("responses", part.origin) or not (
        part.text or part.encrypted or part.summary or part.id
    )


def _write_turn(turn: Turn) -> list[dict[str, Any]]:
    """Write a turn of another format: words in a row are one message, all else is an item of its own."""
    text_kind = TEXT_KINDS.get(turn.role, "input_text")
    items: list[dict[str, Any]] = []
    words: list[Part] = []
    for part in turn.parts:
        if isinstance(part, Reasoning | ToolCall) or turn.role == "tool" or _is_item(part):
            items += _write_message(turn.role, words, text_kind)
            words = []
            items += _write_part(part)
        else:
            words.append(_with_urls(part) if isinstance(part, Text) else part)
    return items + _write_message(turn.role, words, text_kind)


def _with_urls(text: Text) -> Text:
    """Keep the citations that are of a URL: others name what only another provider has."""
    return msgspec.structs.replace(text, citations=tuple(cited for cited in text.citations if cited.url))


def _is_item(part: Part) -> bool:
    """Tell whether an opaque part is an item: those that are parts of a message begin with `input_`."""
    return isinstance(part, Opaque) and not part.kind.startswith("input_")


def _write_message(role: Role, words: Sequence[Part], text_kind: str) -> list[dict[str, Any]]:
    return [{"role": role, "content": write_contents(words, text_kind)}] if words else []


def _write_part(part: Part) -> list[dict[str, Any]]:
    """Write an item without a name of the provider's: under `store: false` it would not be found.

    Reasoning is known to the provider by its encrypted content; without that only its text is of use.
    """
    if isinstance(part, Reasoning):
        if _is_foreign(part) or not (part.encrypted or part.text):
            return []
        return [write_item(part if part.encrypted else msgspec.structs.replace(part, id=""))]
    return [write_item(part)]
