"""Whole answers of the Messages API from and to neutral completions.

Source: Anthropic API reference, "Messages", response; "Handling stop reasons" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from gateway.errors import BadAnswer, BadRequest, Failed
from gateway.formats.messages.blocks import OWN, Place
from gateway.formats.messages.content import (
    decode_blocks,
    encode_call,
    encode_citation,
    encode_reasoning,
    encode_sealed,
    is_object,
)
from gateway.formats.messages.types import Answer, Block, Source
from gateway.formats.messages.usage import decode_usage, encode_usage, rest_of
from gateway.formats.neutral.codec import Heading
from gateway.formats.neutral.completion import Choice, Completion, Finish
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from gateway.formats.neutral.reading import lenient, read_answer

FINISHES: Mapping[str, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
}
_WORDS: Mapping[Finish, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
    "refusal": "refusal",
    "pause": "pause_turn",
}

EXTRAS = ("container", "context_management", "stop_details", "diagnostics", "input_transformations")
"""Members of an answer that only this format has."""

_BAD_JSON = "INVALID_JSON"
"""The member that holds arguments which are no JSON object: the wrapping that Anthropic's "Fine-grained tool
streaming" gives them."""

_IDS = "msg_"
_DRAWN: Mapping[str, str] = {"image": "image", "file": "document"}


def decode_answer(body: bytes) -> Completion:
    """Read a whole answer. Raises Failed when it is not one."""
    answer = read_answer(body, Answer)
    try:
        parts = decode_blocks(
            answer.content, Place(cache(lambda: lenient(msgspec.json.decode, body)), "content")
        )
    except (BadRequest, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadAnswer(f"the upstream's answer cannot be read: {error}") from None
    word = answer.stop_reason or ""
    usage = answer.usage
    choice = Choice(
        parts,
        finish=finish_of(word) if word else None,
        finish_raw=word,
        stop_sequence=answer.stop_sequence or "",
    )
    return Completion(
        (choice,),
        id=answer.id,
        model=answer.model,
        usage=decode_usage(usage) if usage else None,
        service_tier=(usage.service_tier or "") if usage else "",
        extra=extra_of(answer) | (rest_of(usage) if usage else {}),
    )


def finish_of(word: str) -> Finish:
    """Read a stop reason; one that is not known yet ended the answer in some regular way."""
    return FINISHES.get(word, "stop")


def extra_of(told: msgspec.Struct) -> dict[str, Any]:
    """Return the members that only this format has."""
    return {name: value for name in EXTRAS if (value := getattr(told, name, None)) is not None}


def word_for(finish: Finish, raw: str, *, calls: bool) -> str:
    """Write why an answer ended: in Anthropic's own word, when it is one and says the same.

    Some providers end a call that was forced with "stop"; a client runs its tools on "tool_use" alone.
    Raises Failed for an answer that failed.
    """
    if finish == "error":
        raise Failed("the upstream ended its answer with an error", code="upstream_failed")
    if FINISHES.get(raw) == finish:
        return raw
    return "tool_use" if calls and finish == "stop" else _WORDS[finish]


def encode_answer(completion: Completion, heading: Heading) -> bytes:
    """Write a whole answer for a client. Raises Failed for one that failed."""
    choice = completion.choices[0] if completion.choices else Choice()
    calls = any(isinstance(part, ToolCall) for part in choice.parts)
    answer = {
        "id": id_of(completion.id, heading),
        "type": "message",
        "role": "assistant",
        "model": heading.model_of(completion.model),
        "content": [block for part in choice.parts for block in encode_part(part)],
        "stop_reason": word_for(choice.finish, choice.finish_raw, calls=calls) if choice.finish else None,
        "stop_sequence": choice.stop_sequence or None,
        "usage": encode_usage(completion.usage, completion.extra, completion.service_tier),
        **{name: completion.extra[name] for name in EXTRAS if name in completion.extra},
    }
    return msgspec.json.encode(answer)


def id_of(told: str, heading: Heading) -> str:
    """Choose the id of the answer: the upstream's where it is of this format."""
    return told if told.startswith(_IDS) else _IDS + heading.id


def encode_part(part: Part) -> list[Any]:
    """Write a part of an answer as blocks.

    A seal on words or on a call becomes a block of its own before them: that is where clients keep it.
    """
    if isinstance(part, Text):
        sealed = [encode_sealed(part.signature, "gemini")] if part.signature else []
        return [*sealed, _encode_text(part)] if part.text or not sealed else sealed
    if isinstance(part, ToolCall):
        sealed = [encode_sealed(part.signature, part.origin or "gemini")] if part.signature else []
        return [*sealed, encode_call(part, whole_arguments(part))]
    if isinstance(part, Reasoning):
        return encode_reasoning(part)
    if isinstance(part, Refusal):
        return [Block("text", text=part.text)]
    if isinstance(part, Opaque):
        return [part.value] if part.format == OWN else []  # asked for by nobody who speaks this format
    return [] if isinstance(part, ToolResult) else [encode_drawn(part)]


def _encode_text(part: Text) -> Block:
    cited: Any = [encode_citation(citation) for citation in part.citations]
    return Block("text", text=part.text, citations=cited or None)


def whole_arguments(part: ToolCall) -> str:
    """Return the arguments as the text of a JSON object: free or broken text is wrapped, not lost."""
    if not part.custom and is_object(part.arguments):
        return part.arguments
    return msgspec.json.encode({_BAD_JSON: part.arguments}).decode()


def encode_drawn(part: Media) -> Block:
    """Write what a model of another provider drew or said: a sound by its words."""
    source = Source("url", url=part.url) if part.url else None
    if part.data:
        source = Source("base64", media_type=part.media_type, data=part.data)
    if source is None or part.kind not in _DRAWN:
        return Block("text", text=part.transcript or part.text)
    return Block(_DRAWN[part.kind], source=source)
