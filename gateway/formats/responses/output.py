"""The output of an answer, item by item, from parts of any format.

A part that has a name of this format (its `item_id`, the `id` of its reasoning) keeps it; other items are
named after the call and numbered. Texts and refusals in a row are the content of one message: a provider
that cites may cut a paragraph into a dozen texts, and clients show each message by itself.

Must not know streams' events. Source: as in `types`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from gateway.formats.responses.content import write_citation
from gateway.formats.responses.items import write_call, write_reasoning


class Names:
    """Gives items their names, the same ones for the same call."""

    __slots__ = ("_id", "_used")

    def __init__(self, id_: str) -> None:
        self._id = id_
        self._used = 0

    def new(self, prefix: str) -> str:
        """Return the next name."""
        self._used += 1
        return f"{prefix}_{self._id}_{self._used - 1}"


def write_answer_items(parts: Sequence[Part], names: Names) -> list[dict[str, Any]]:
    """Write whole items of all parts that this format has a place for."""
    items: list[dict[str, Any]] = []
    message: dict[str, Any] | None = None
    for part in parts:
        if (sealed := sealed_before(part)) is not None:
            items.append(write_own_item(sealed, names))
            message = None
        words = words_of(part)
        if words is None:
            items += [] if is_unspeakable(part) else [write_own_item(part, names)]
            message = None
            continue
        if message is None:
            message = write_message(names.new("msg"), "completed", [])
            items.append(message)
        message["content"].append(write_words(words))
    return items


def words_of(part: Part) -> Text | Refusal | None:
    """Return the part as it stands in a message, None for one that is an item of its own.

    What an answer of another format says aloud or shows by its URL can only be told in words here.
    """
    if isinstance(part, Text | Refusal):
        return part
    if isinstance(part, Media) and not _is_picture(part):
        return Text(part.transcript or part.text or part.url or part.file_id)
    return None


def _is_picture(part: Media) -> bool:
    return part.kind == "image" and bool(part.data)


def is_unspeakable(part: Part) -> bool:
    """Tell whether a part has no place here: what a tool that another provider ran was asked, and said."""
    if isinstance(part, Opaque):
        return part.format != "responses" or not isinstance(part.value, dict)
    return isinstance(part, ToolResult)


def sealed_before(part: Part) -> Reasoning | None:
    """Return the reasoning that carries the signature of a call or text, to stand before it."""
    if isinstance(part, Text | ToolCall | Media) and part.signature:
        origin = part.origin if isinstance(part, ToolCall) and part.origin else "gemini"
        return Reasoning(encrypted=part.signature, origin=origin)
    return None


def write_own_item(part: Part, names: Names) -> dict[str, Any]:
    """Write the whole item of a part that is no message."""
    if isinstance(part, Opaque):
        return dict(part.value)
    if isinstance(part, ToolCall):
        item_id = part.item_id or names.new("ctc" if part.custom else "fc")
        return write_call(part, item_id) | {"status": "completed"}
    if isinstance(part, Reasoning):
        return write_reasoning(part, part.id or names.new("rs"))
    data = part.data if isinstance(part, Media) else ""
    return {
        "id": names.new("ig"),
        "type": "image_generation_call",
        "status": "completed",
        "result": data,
    }


def write_message(id_: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    """Write a message of the assistant."""
    return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": content}


def write_words(words: Text | Refusal) -> dict[str, Any]:
    """Write a part of a message as answers have it: with lists that may be empty."""
    if isinstance(words, Refusal):
        return {"type": "refusal", "refusal": words.text}
    return {
        "type": "output_text",
        "text": words.text,
        "annotations": [write_citation(citation) for citation in words.citations],
        "logprobs": [],
    }
