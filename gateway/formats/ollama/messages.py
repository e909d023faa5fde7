"""One message of Ollama's chat in both directions: its thinking, text, images and calls.

A message has one text: several are joined, those of the model as they follow each other, others by
lines. Arguments are an object here and JSON text elsewhere.

Source: Ollama API reference, "Generate a chat message" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.errors import BadRequest, Unsupported
from gateway.formats.neutral.parts import Media, Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.neutral.seals import accepts
from gateway.formats.ollama import types

_object = msgspec.json.Decoder(dict[str, Any])


def read_message(message: types.Message, made: str = "") -> list[Part]:
    """Read a message of a user or of the model; calls without an id get one from `made` (see `call_id`)."""
    parts: list[Part] = []
    if message.thinking:
        parts.append(Reasoning(message.thinking, origin="ollama"))
    if message.content:
        parts.append(Text(message.content))
    parts.extend(Media("image", data=data) for data in message.images or ())
    parts.extend(read_call(call, i, made) for i, call in enumerate(message.tool_calls or ()))
    return parts


def read_call(call: types.ToolCall, index: int, made: str) -> ToolCall:
    """Read the call that is the `index`-th of its message."""
    given = call.function.arguments
    arguments = (
        given if isinstance(given, str) else msgspec.json.encode({} if given is None else given).decode()
    )
    return ToolCall(call.id or call_id(made, index), call.function.name, arguments, origin="ollama")


def call_id(made: str, index: int) -> str:
    """Name a call that its server gave no name, after the time of its answer; "" where that is unknown.

    The time is told to the nanosecond, so that names do not meet in a conversation.
    """
    digits = "".join(sign for sign in made if sign.isdecimal())
    return f"call_{digits}_{index}" if digits else ""


def read_arguments(text: str, place: str) -> dict[str, Any]:
    """Read a call's arguments; none are an empty object. Raises BadRequest for what is no JSON object."""
    try:
        return _object.decode(text) if text else {}
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise BadRequest(f"{place}: the arguments of a call are not a JSON object", param=place) from None


def write_message(role: str, parts: Sequence[Part], place: str) -> types.Message:
    """Write a message of a user or of the model; thoughts of others stay here.

    Raises Unsupported for what has no place in a message, BadRequest for arguments that are no object.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[str] = []
    calls: list[types.ToolCall] = []
    for j, part in enumerate(parts):
        where = f"{place}.content[{j}]"
        if isinstance(part, Text | Refusal):
            texts.append(part.text)
        elif isinstance(part, Reasoning):
            thoughts += [part.text] if accepts("ollama", part.origin) else []
        elif isinstance(part, ToolCall) and not part.custom:
            function = types.Function(part.name, read_arguments(part.arguments, where))
            calls.append(types.ToolCall(function, part.id or None))
        else:
            images.append(image_in(part, where))
    return types.Message(
        role,
        content=("" if role == "assistant" else "\n").join(texts),
        thinking="".join(thoughts) or None,
        images=images or None,
        tool_calls=calls or None,
    )


def image_in(part: Part, where: str) -> str:
    """Return the base64 of an image. Raises Unsupported for anything else."""
    if isinstance(part, Media) and part.kind == "image" and part.data:
        return part.data
    raise Unsupported(f"{where} is of a kind that Ollama has no place for", param=where)
