"""Take out of a request what the target's format cannot express, by the table of `fields`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gateway.errors import Unsupported
from gateway.exchange import Format
from gateway.formats.neutral.check import place_of
from gateway.formats.neutral.clashes import clashing
from gateway.formats.neutral.conversation import (
    Conversation,
    CustomTool,
    FunctionTool,
    OpaqueTool,
    Turn,
)
from gateway.formats.neutral.fields import EXTRAS, FIELDS, Loss
from gateway.formats.neutral.lifting import TEXT_RESULTS, lift_media
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Text, ToolCall, ToolResult
from gateway.formats.neutral.seals import accepts

_SIMPLE = tuple(name for name in FIELDS if name in Conversation.__struct_fields__)
_DEFAULTS = dict(
    zip(
        Conversation.__struct_fields__[-len(Conversation.__struct_defaults__) :],
        Conversation.__struct_defaults__,
        strict=True,
    )
)
_NOT_USED: Mapping[str, tuple[object, ...]] = {
    "choices": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "parallel_tool_calls": (True,),
    "modalities": (("text",),),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "store": (False,),
    "service_tier": ("auto", "default"),
    "logit_bias": ({},),
    "metadata": ({},),
}
"""Values that ask for what happens anyway: nothing is lost with them."""

_NO_DETAIL = frozenset({"", "auto"})
_MOST_SHOWN_CHARS = 100
_PREFILLING = frozenset({"messages", "converse", "gemini", "ollama"})


def fit(conversation: Conversation, source: Format, target: Format) -> tuple[Conversation, tuple[str, ...]]:
    """Take out what `target` cannot express; returns the rest and what was dropped, in `source`'s names.

    Raises Unsupported, naming the field and its place, where the answer would not be what was asked for.
    Within one format all stays as it is, and what is dropped are thoughts that another provider sealed.
    """
    dropped: dict[str, str] = {}
    for feature, place in features(conversation, source, target):
        field = FIELDS[feature]
        if target not in field.says:
            _lose(field.loss, field.name_in(source) or feature, place, target)
            dropped[feature] = field.name_in(source) or feature
    if source == target:
        return conversation, tuple(dict.fromkeys(dropped.values()))
    clashes = clashing(conversation, target)
    dropped |= {name: FIELDS[name].name_in(source) or name for name in clashes if name not in dropped}
    known = EXTRAS.get(source, {})
    for name in conversation.extra:
        _lose(known.get(name, "refuse"), name, name, target)
        dropped[name] = name
    changes = {name: _DEFAULTS[name] for name in dropped if name in _DEFAULTS}
    if "thinking" in clashes:  # its effort still counts, without thoughts
        del changes["thinking"]
    if dropped:
        conversation = msgspec.structs.replace(conversation, **changes, extra={})
    if target in TEXT_RESULTS:
        conversation = lift_media(conversation)
    return conversation, tuple(dict.fromkeys(dropped.values()))


def _lose(loss: Loss, name: str, place: str, target: Format) -> None:
    if loss == "refuse":
        name, place = name[:_MOST_SHOWN_CHARS], place[:_MOST_SHOWN_CHARS]  # a client may have made it up
        raise Unsupported(
            f"{name} cannot be expressed in the {target} format that the target of this route speaks",
            param=place or name,
        )


def features(conversation: Conversation, source: Format, target: Format) -> Iterator[tuple[str, str]]:
    """Name the rows of the table that a request uses, each with its place in the client's words."""
    for name in _SIMPLE:
        value = getattr(conversation, name)
        if value == _DEFAULTS[name] or value in _NOT_USED.get(name, ()):
            continue
        if name == "tool_choice" and value.raw is None and value.mode != "required":
            continue  # that some tools, or none, may be called can be said by declaring only these
        yield name, FIELDS[name].name_in(source)
    if conversation.output is not None:
        name = "json_object" if conversation.output.schema is None else "json_schema"
        yield name, FIELDS[name].name_in(source)
    yield from _tool_features(conversation, target)
    yield from _turn_features(conversation.turns, source, target)
    last = conversation.turns[-1] if conversation.turns else None
    if last is not None and last.role == "assistant" and source in _PREFILLING:
        yield "prefill", FIELDS["prefill"].name_in(source)


def _tool_features(conversation: Conversation, target: Format) -> Iterator[tuple[str, str]]:
    choice = conversation.tool_choice
    if choice is not None and choice.raw is not None and choice.format != target:
        _refuse_opaque("this choice of a tool", "tool_choice", target)
    for i, tool in enumerate(conversation.tools):
        if isinstance(tool, FunctionTool):
            if tool.strict:
                yield "strict_tool", f"tools[{i}]"
            if tool.cache:
                yield "cache_marks", f"tools[{i}]"
        elif isinstance(tool, CustomTool):
            yield "custom_tool", f"tools[{i}]"
        elif isinstance(tool, OpaqueTool) and tool.format != target:
            _refuse_opaque(f"the tool {tool.kind!r}", f"tools[{i}]", target)


def _turn_features(turns: tuple[Turn, ...], source: Format, target: Format) -> Iterator[tuple[str, str]]:
    begun = False
    for i, turn in enumerate(turns):
        place = place_of(i, source)
        if turn.role not in {"system", "developer"}:
            begun = True
        elif begun:
            yield "late_system", place
        if turn.name:
            yield "message_name", place
        for j, part in enumerate(turn.parts):
            inner = f"{place}.content[{j}]" if source == "chat" else place
            yield from _part_features(part, inner, target)


def _part_features(part: Part, place: str, target: Format) -> Iterator[tuple[str, str]]:
    if isinstance(part, Text | Media | ToolCall | ToolResult) and part.cache:
        yield "cache_marks", place
    if isinstance(part, Media):
        yield from _media_features(part, place)
    elif isinstance(part, ToolResult):
        yield from _result_features(part, place, target)
    elif _maker_of(part) and not accepts(target, _maker_of(part)):
        yield "reasoning_kept", place
    elif isinstance(part, Opaque) and part.format != target and not part.words:
        _refuse_opaque(f"{part.kind!r}", place, target)


def _result_features(part: ToolResult, place: str, target: Format) -> Iterator[tuple[str, str]]:
    if part.is_error:
        yield "tool_error", place
    if any(not (isinstance(inner, Text) or _has_words(inner)) for inner in part.parts):
        yield "media_in_tool_result", place
    for inner in part.parts:
        yield from _part_features(inner, place, target)


def _maker_of(part: Part) -> str:
    """Return who alone can read what a part holds of thoughts or their seal; "" where it holds none."""
    if isinstance(part, Reasoning):
        return part.origin or "nobody"
    if isinstance(part, Text | ToolCall) and part.signature:
        return (part.origin if isinstance(part, ToolCall) else "") or "gemini"
    return ""


def _has_words(part: Part) -> bool:
    return isinstance(part, Opaque) and bool(part.words)


def _media_features(part: Media, place: str) -> Iterator[tuple[str, str]]:
    if part.file_id:
        raise Unsupported(
            f"{place} names a file that only its own provider has: send its content, or a URL", param=place
        )
    row = "audio_in" if part.kind == "audio" else part.kind
    yield (f"{part.kind}_url" if part.url else row), place
    if part.cite:
        yield "citations", place
    if part.detail not in _NO_DETAIL:
        yield "image_detail", place


def _refuse_opaque(what: str, place: str, target: Format) -> None:
    raise Unsupported(
        f"{what} is known to its own provider only and cannot be sent in the {target} format", param=place
    )
