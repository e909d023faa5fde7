"""One message of Cohere's chat in both directions: its content, plan, calls and citations.

A plan ("I will look that up") is reasoning in words that comes before calls; it is told from other
reasoning by its id. Order within a message: content, plan, calls, as Cohere writes them.

Source: Cohere API reference, "Chat: messages" (checked 2026-11).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from gateway.formats.cohere import types
from gateway.formats.cohere.citations import attach, loose_in, write_citation
from gateway.formats.neutral.parts import Media, Opaque, Part, Reasoning, Refusal, Text, ToolCall
from gateway.formats.neutral.reading import split_data_url

PLAN = "tool_plan"
"""The id of the reasoning that is a message's plan."""

T = TypeVar("T")
_KNOWN = frozenset({"text", "thinking", "image_url"})


def listed(value: list[T] | T | None) -> list[T]:
    """Return the members of a list, or the one object that stands in its place."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def read_message(message: types.Message, original: Callable[[], Any], place: str) -> tuple[list[Part], Any]:
    """Read a message of a user or of the model; the second value is what has no place in parts.

    `original` gives its content as a JSON value: asked for only when it holds an unknown kind.
    """
    content = read_content(message.content, original, f"{place}.content")
    parts, loose = attach(content, listed(message.citations))
    if message.tool_plan:
        parts.append(Reasoning(message.tool_plan, id=PLAN, origin="cohere"))
    parts.extend(read_call(call) for call in listed(message.tool_calls))
    return parts, loose


def read_content(
    content: str | list[types.Part] | types.Part | None, original: Callable[[], Any], place: str
) -> list[Part]:
    """Read the content of a message: one text, or a list of parts."""
    if isinstance(content, str):
        return [Text(content)] if content else []
    parts = listed(content)
    values = original() if any(part.type not in _KNOWN for part in parts) else []
    return [
        read_part(part, f"{place}[{i}]")
        if part.type in _KNOWN
        else Opaque("cohere", part.type, values[i] if isinstance(values, list) else values)
        for i, part in enumerate(parts)
    ]


def read_part(part: types.Part, place: str) -> Part:
    """Read a part of a known kind. Raises BadRequest for a data URL that is not base64."""
    if part.type == "thinking":
        return Reasoning(part.thinking or "", origin="cohere")
    if part.type == "image_url" and part.image_url is not None:
        url, detail = part.image_url.url, part.image_url.detail or ""
        inline = split_data_url(url, f"{place}.image_url.url")
        if inline is None:
            return Media("image", url=url, detail=detail)
        return Media("image", inline[0], data=inline[1], detail=detail)
    return Text(part.text or "")


def read_call(call: types.ToolCall) -> ToolCall:
    """Read a call; what is missing of it is empty."""
    function = call.function or types.Function()
    return ToolCall(call.id or "", function.name or "", function.arguments or "")


def write_part(part: Part) -> Any:
    """Write a content part; None for what is no content, or that Cohere has no word for."""
    if isinstance(part, Text | Refusal):
        return types.Part("text", text=part.text)
    if isinstance(part, Reasoning):
        return None if part.id == PLAN else types.Part("thinking", thinking=words_of(part))
    if isinstance(part, Media) and part.kind == "image" and (part.url or part.data):
        # A data URL has to name a type.
        url = part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"
        return types.Part("image_url", image_url=types.ImageUrl(url, part.detail or None))
    return part.value if isinstance(part, Opaque) and part.format == "cohere" else None


def words_of(reasoning: Reasoning) -> str:
    """Return the text of a reasoning, or its summaries where there is none."""
    return reasoning.text or "\n\n".join(reasoning.summary)


def write_call(call: ToolCall) -> types.ToolCall:
    """Write a call with its arguments as they are."""
    return types.ToolCall(call.id, "function", types.Function(call.name, call.arguments))


def write_assistant(parts: Sequence[Part], raw: Any) -> dict[str, Any]:
    """Write a message of the model; members that are not said are left out."""
    content = [(part, written) for part in parts if (written := write_part(part)) is not None]
    plan = "".join(part.text for part in parts if isinstance(part, Reasoning) and part.id == PLAN)
    members: dict[str, Any] = {
        "content": [written for _, written in content],
        "tool_plan": plan,
        "tool_calls": [write_call(part) for part in parts if isinstance(part, ToolCall)],
        "citations": [*_citations_of(part for part, _ in content), *loose_in(raw)],
    }
    return {"role": "assistant"} | {name: value for name, value in members.items() if value}


def _citations_of(parts: Iterable[Part]) -> list[Any]:
    return [
        write_citation(citation, part.text, index)
        for index, part in enumerate(parts)
        if isinstance(part, Text)
        for citation in part.citations
    ]
